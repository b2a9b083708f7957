"""Timing against a made-up clock, whose truth is known: no test here depends on how fast a machine is."""

import gc
from itertools import pairwise

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.machine import clock_step, interleaved, paired, timed, timing
from workbench.machine.clocks import contention
from workbench.machine.cold import evictor
from workbench.quantity import Quantity


@pytest.fixture(autouse=True)
def few_looks(monkeypatch):
    """A made-up clock stands still between calls: looking a million times for its step is lost time."""
    monkeypatch.setattr(timing, "LOOKS", 2000)


class World:
    """A clock that advances only when a function works; `pace(now)` is how slow the world is by then."""

    def __init__(self, pace=lambda now: 1.0):
        self.now = 0.0
        self.pace = pace
        self.log = ""

    def clock(self):
        return self.now

    def work(self, name, seconds):
        def function():
            self.log += name
            self.now += seconds * self.pace(self.now)

        return function


def stretches(log):
    """`aaabba` -> `aba`"""
    return log[:1] + "".join(b for a, b in pairwise(log) if a != b)


def test_without_noise_the_ratio_is_exact():
    world = World()
    result = paired(world.work("a", 0.003), world.work("b", 0.002), clock=world.clock)
    assert result.ratio.value == pytest.approx(1.5)
    assert (result.ratio.low, result.ratio.high) == (pytest.approx(1.5), pytest.approx(1.5))
    assert result.f.value == pytest.approx(0.003)
    assert result.g.value == pytest.approx(0.002)
    assert result.speedup.value == pytest.approx(1 / 1.5)


def test_a_function_against_itself_is_no_faster():
    world = World()
    f = world.work("a", 0.001)
    assert paired(f, f, clock=world.clock).ratio.value == pytest.approx(1)


def test_steady_drift_cancels_although_the_sides_alone_are_off():
    pace = lambda now: 1 + now  # noqa: E731
    world = World(pace)
    result = paired(
        world.work("a", 1e-4), world.work("b", 1e-4), repeats=20, min_time=0.001, clock=world.clock
    )
    assert result.samples[-1, 0] > 1.05 * result.samples[0, 0]
    assert result.ratio.value == pytest.approx(1, abs=1e-3)

    world = World(pace)  # the same work one after the other: wrong by the drift
    first = timed(world.work("a", 1e-4), repeats=20, min_time=0.001, clock=world.clock)
    second = timed(world.work("b", 1e-4), repeats=20, min_time=0.001, clock=world.clock)
    assert second.median.value / first.median.value > 1.02


def test_what_going_second_costs_cancels():
    world = World()
    calls = []

    def work(name):
        def function():
            calls.append(name)
            switched = len(calls) > 1 and calls[-2] != name
            world.now += 1.3 if switched else 1.0

        return function

    result = paired(work("a"), work("b"), min_time=0.5, repeats=40, clock=world.clock)
    assert result.loops == (1, 1)
    low, high = result.ratio.low, result.ratio.high
    assert low is not None
    assert high is not None
    assert low <= 1 <= high
    assert np.exp(np.log(result.samples[:, 0] / result.samples[:, 1]).mean()) == pytest.approx(1, abs=0.07)


def test_a_neighbour_that_disturbs_a_third_of_the_time_hardly_moves_the_ratio():
    rng = np.random.default_rng(1)
    world = World(lambda now: 8.0 if rng.random() < 0.1 else 1.0)
    result = paired(world.work("a", 1.0), world.work("b", 0.5), repeats=61, min_time=0.1, clock=world.clock)
    means = result.samples.mean(axis=0)
    assert abs(means[0] / means[1] - 2) > 0.05
    assert result.ratio.value == pytest.approx(2, abs=0.05)
    low, high = result.ratio.low, result.ratio.high
    assert low is not None
    assert high is not None
    assert low <= 2 <= high


def test_every_sample_is_abba_or_baab_and_both_occur_as_drawn_from_the_seed():
    def order(seed):
        world = World()
        paired(
            world.work("a", 1.0),
            world.work("b", 1.0),
            repeats=12,
            min_time=0.5,
            warmup=0,
            seed=seed,
            clock=world.clock,
        )
        log = world.log[2:]  # one call of each to calibrate
        return [log[i : i + 4] for i in range(0, len(log), 4)]

    assert set(order(0)) == {"abba", "baab"}
    assert len(order(0)) == 12
    assert order(0) == order(0)
    assert order(0) != order(1)


def test_calls_are_repeated_until_a_stretch_is_long_enough():
    world = World()
    result = paired(world.work("a", 1e-5), world.work("b", 1e-3), min_time=0.01, clock=world.clock)
    assert result.loops[0] * 1e-5 >= 0.0099
    assert 10 <= result.loops[1] <= 20
    assert result.ratio.value == pytest.approx(1e-2)


def test_a_coarse_clock_lengthens_the_stretches():
    world = World()

    def coarse():
        world.now += 1e-6  # looking takes time too
        return np.floor(world.now / 1e-3) * 1e-3

    result = timed(world.work("a", 1e-3), min_time=1e-3, clock=coarse)
    assert result.loops * 1e-3 >= 0.09
    assert result.median.value == pytest.approx(1e-3, rel=0.02)


def test_the_step_of_a_clock():
    world = World()

    def ticking():
        world.now += 0.25
        return world.now

    assert clock_step(ticking) == 0.25
    assert clock_step(lambda: 7.0) == 0.0
    assert 0 < clock_step() < 0.1


def test_a_clock_that_stands_still_is_named():
    with pytest.raises(WorkbenchError, match="does this clock run"):
        timed(lambda: None, clock=lambda: 0.0)


def test_warm_up_calls_are_not_timed():
    world = World()
    cost = iter([100.0, 100.0])
    f = lambda: world.work("a", next(cost, 1.0))()  # noqa: E731
    assert timed(f, warmup=2, min_time=0.5, clock=world.clock).median.value == pytest.approx(1)


def test_timed_keeps_the_shortest_beside_the_median():
    world = World()
    cost = iter([1.0, 5.0, 1.0, 3.0, 2.0, 4.0])
    f = lambda: world.work("a", next(cost))()  # noqa: E731
    result = timed(f, repeats=5, warmup=0, min_time=0.5, clock=world.clock)
    assert result.median.value == pytest.approx(3)
    assert result.shortest.value == pytest.approx(1)
    assert len(result.samples) == 5


def test_quantities_are_measured_and_name_machine_and_date():
    world = World()
    result = paired(world.work("a", 1.0), world.work("b", 1.0), clock=world.clock)
    for quantity in (result.ratio, result.f, result.g, result.speedup):
        assert quantity.provenance == "measured"
        assert quantity.machine
        assert quantity.when
    assert result.f.unit == "s"


def test_garbage_is_not_collected_during_samples_and_again_afterwards():
    world = World()
    seen = []

    def f():
        seen.append(gc.isenabled())
        world.now += 1

    assert gc.isenabled()
    paired(f, f, warmup=0, clock=world.clock)
    assert not any(seen)
    assert gc.isenabled()


def test_garbage_collection_is_restored_when_the_function_fails():
    def fails():
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        timed(fails, warmup=0)
    assert gc.isenabled()
    gc.disable()
    try:
        world = World()
        timed(world.work("a", 1.0), clock=world.clock)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "slip", [{"repeats": 0}, {"min_time": 0}, {"min_time": float("nan")}, {"warmup": -1}]
)
def test_a_slip_in_the_arguments_gets_a_sentence(slip):
    with pytest.raises(WorkbenchError, match=f"{next(iter(slip))} must be"):
        paired(lambda: None, lambda: None, **slip)


def test_fewer_than_five_samples_are_no_median():
    with pytest.raises(WorkbenchError, match="at least 5"):
        timed(lambda: None, repeats=4)


def shared(world, part):
    """The CPU clock of a process that gets `part` of the time."""
    return lambda: world.now * part


def test_the_cpu_clock_is_kept_beside_the_wall():
    world = World()
    result = paired(
        world.work("a", 1.0), world.work("b", 2.0), clock=world.clock, cpu_clock=shared(world, 0.5)
    )
    assert result.cpu == pytest.approx(result.samples / 2)
    assert result.contention == pytest.approx(2)
    assert result.contended


@pytest.mark.parametrize(("part", "threads", "contended"), [(1.0, 1, False), (2.0, 2, False), (1.2, 2, True)])
def test_contention_counts_the_threads_that_should_be_busy(part, threads, contended):
    world = World()
    f = world.work("a", 1.0)
    result = timed(f, clock=world.clock, cpu_clock=shared(world, part), threads=threads)
    assert result.contended is contended
    assert result.contention == pytest.approx(threads / part)


def test_no_cpu_time_at_all_is_contention():
    assert contention(1.0, 0.0) == float("inf")


def test_all_are_compared_with_the_first():
    world = World()
    works = {name: world.work(name, seconds) for name, seconds in (("a", 2.0), ("b", 1.0), ("c", 4.0))}
    result = interleaved(works, rounds=9, min_time=0.5, clock=world.clock, cpu_clock=world.clock)
    assert set(result.ratio) == {"b", "c"}
    assert result.ratio["b"].value == pytest.approx(2)
    assert result.ratio["c"].value == pytest.approx(0.5)
    assert result.median["c"].value == pytest.approx(4)
    assert result.samples.shape == result.cpu.shape == (9, 3)
    assert not result.contended
    assert [row["speedup"] for row in result.rows()] == pytest.approx([1, 2, 0.5])


def test_every_round_has_its_own_order_and_every_function_once():
    def order(seed):
        world = World()
        works = {name: world.work(name, 1.0) for name in "abc"}
        interleaved(works, rounds=12, min_time=0.5, warmup=0, seed=seed, clock=world.clock)
        log = world.log[3:]  # one call of each to calibrate
        return [log[i : i + 3] for i in range(0, len(log), 3)]

    assert len(set(order(0))) > 1
    assert all(sorted(each) == ["a", "b", "c"] for each in order(0))
    assert order(0) == order(0) != order(1)


def test_the_shortest_of_interleaved_is_kept():
    world = World()
    cost = iter([1.0, 5.0, 4.0, 3.0] + 6 * [4.0])
    f = lambda: world.work("a", next(cost))()  # noqa: E731
    result = interleaved({"a": f}, rounds=9, min_time=0.5, warmup=0, clock=world.clock)
    assert result.shortest["a"].value == pytest.approx(3)
    assert result.median["a"].value == pytest.approx(4)


def test_cold_calls_find_the_caches_emptied_before_each_and_do_not_pay_for_it(monkeypatch):
    world = World()

    def empty():
        world.log += "."
        world.now += 100

    monkeypatch.setattr(timing, "evictor", lambda: empty)
    result = paired(
        world.work("a", 1.0), world.work("b", 2.0), repeats=5, cold=True, warmup=0, clock=world.clock
    )
    assert result.cold
    assert result.loops == (1, 1)
    assert result.f.value == pytest.approx(1)
    assert result.g.value == pytest.approx(2)
    assert world.log == "".join("." + call for call in world.log.replace(".", ""))


def test_cold_calls_are_repeated_where_the_clock_is_coarse(monkeypatch):
    world = World()
    monkeypatch.setattr(timing, "evictor", lambda: lambda: None)
    monkeypatch.setattr(timing, "clock_step", lambda clock: 0.5)
    result = timed(world.work("a", 1.0), cold=True, clock=world.clock)
    assert result.loops == 50


def test_an_evictor_reads_as_much_as_it_is_told():
    empty = evictor(2**16)
    assert empty() == 1.0
    assert empty.__self__.nbytes == 2**16


@pytest.mark.parametrize("floor", [2.0, Quantity(2.0, "s", "formula")])
def test_faster_than_the_machine_is_an_error_that_names_both(floor):
    world = World()
    with pytest.raises(WorkbenchError, match=r"f took 1 s a call, but this machine needs at least 2 s"):
        paired(world.work("a", 1.0), world.work("b", 3.0), floor=floor, clock=world.clock)
    with pytest.raises(WorkbenchError, match=r"b took 1 s"):
        interleaved({"a": world.work("a", 2.0), "b": world.work("b", 1.0)}, floor=floor, clock=world.clock)


def test_a_floor_leaves_a_tenth_for_the_ceiling_itself():
    world = World()
    assert timed(world.work("a", 0.95), floor=1.0, clock=world.clock).median.value == pytest.approx(0.95)
    with pytest.raises(WorkbenchError, match="at least 1 s"):
        timed(world.work("a", 0.85), floor=1.0, clock=world.clock)


def test_slips_of_interleaved_get_a_sentence():
    with pytest.raises(WorkbenchError, match="at least one function"):
        interleaved({})
    with pytest.raises(WorkbenchError, match="rounds must be at least 9, but 8 came"):
        interleaved({"a": lambda: None}, rounds=8)
    with pytest.raises(WorkbenchError, match="threads must be at least 1"):
        timed(lambda: None, threads=0)
    with pytest.raises(WorkbenchError, match="floor must be a time in s"):
        timed(lambda: None, floor=Quantity(1.0, "B/s", "formula"))

"""Timing against a made-up clock, whose truth is known: no test here depends on how fast a machine is."""

import gc
from itertools import pairwise

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.machine import clock_step, paired, timed


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

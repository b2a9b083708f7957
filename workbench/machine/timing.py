"""Which of two functions is faster, and by how much, on a machine that is never quiet.

Two functions that are timed one after the other are timed on two different machines: clocks drift, caches
fill, neighbours come and go. Here they take turns. One sample is four stretches, A B B A or B A A B: in
the sum over a sample each side has gone first as often as second, and a steady drift adds the same to
both. The ratio is taken within each sample and the median over the samples, so that a sample which a
neighbour disturbed counts as one vote. More than two functions take turns in an order drawn anew each round.

Every sample is read from two clocks. Wall time is what passed; CPU time what this process got. Where wall
time is much the longer one, others had the cores: such a result is `contended`, and no claim rests on it.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.machine.clocks import CONTENDED, contention, now
from workbench.machine.cold import evictor
from workbench.machine.here import machine_name
from workbench.quantity import Quantity

Function = Callable[[], Any]
Clock = Callable[[], float]
RESAMPLES = 2000
STEPS = 100  # a stretch lasts this many steps of the clock or more
LOOKS = 10**6  # so often is the clock read to see it step
FEWEST_ROUNDS = 9
MOST_COLD_CALLS = 100  # in a stretch: each one has the caches emptied first
FLOOR_SLACK = 0.9  # a ceiling is measured too, and may be a little low


@dataclass(frozen=True)
class Paired:
    """Two functions timed in turns. All quantities are measured; intervals are 95 % bootstrap intervals.

    `ratio` is the time of f over that of g (below one: f is faster) and `speedup` its inverse; `f` and `g`
    are the median seconds of one call. `samples` holds the seconds of a call, [repeats, (f, g)], `cpu` the
    CPU seconds of the same calls, and `loops` how many calls a stretch had. `contention` is wall over CPU
    time of the function that suffered more.
    """

    ratio: Quantity
    f: Quantity
    g: Quantity
    loops: tuple[int, int]
    samples: np.ndarray = field(repr=False, compare=False)
    cpu: np.ndarray | None = field(default=None, repr=False, compare=False)
    contention: float = 1.0
    cold: bool = False

    @property
    def contended(self) -> bool:
        """Whether others took part of the cores (wall over CPU time above 1.2)."""
        return self.contention > CONTENDED

    @property
    def speedup(self) -> Quantity:
        """How many times faster f is than g."""
        return _inverse(self.ratio)


@dataclass(frozen=True)
class Timed:
    """One function timed: median (with 95 % bootstrap interval) and shortest seconds of one call.

    `samples`, `cpu`, `contention` and `contended` as in `Paired`, for the one function.
    """

    median: Quantity
    shortest: Quantity
    loops: int
    samples: np.ndarray = field(repr=False, compare=False)
    cpu: np.ndarray | None = field(default=None, repr=False, compare=False)
    contention: float = 1.0
    cold: bool = False

    @property
    def contended(self) -> bool:
        """Whether others took part of the cores (wall over CPU time above 1.2)."""
        return self.contention > CONTENDED


@dataclass(frozen=True)
class Interleaved:
    """Several functions timed in turns, by name; intervals are 95 % bootstrap intervals.

    `ratio[name]` is the time of the first function over that of `name` within a round (above one: `name` is
    faster than the first), for all but the first. `median` and `shortest` are seconds of one call. `samples`
    and `cpu` are [rounds, functions] in the order of `names`.
    """

    names: tuple[str, ...]
    ratio: dict[str, Quantity]
    median: dict[str, Quantity]
    shortest: dict[str, Quantity]
    loops: dict[str, int]
    samples: np.ndarray = field(repr=False, compare=False)
    cpu: np.ndarray = field(repr=False, compare=False)
    contention: float = 1.0
    cold: bool = False

    @property
    def contended(self) -> bool:
        """Whether others took part of the cores (wall over CPU time above 1.2)."""
        return self.contention > CONTENDED

    def rows(self) -> list[dict[str, Any]]:
        """One row per function, for tables and JSON."""
        return [
            {
                "function": name,
                "median": self.median[name].value,
                "shortest": self.shortest[name].value,
                "speedup": self.ratio[name].value if name in self.ratio else 1.0,
                "low": self.ratio[name].low if name in self.ratio else 1.0,
                "high": self.ratio[name].high if name in self.ratio else 1.0,
                "contended": self.contended,
            }
            for name in self.names
        ]


def paired(
    f: Function,
    g: Function,
    *,
    repeats: int = 15,
    min_time: float = 0.01,
    warmup: int = 1,
    seed: int = 0,
    cold: bool = False,
    threads: int = 1,
    floor: float | Quantity | None = None,
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
) -> Paired:
    """Times f and g in turns in this process; each of the `repeats` samples calls both twice `loops` times.

    `min_time` is the least length of a stretch in seconds, raised where the clock's steps are coarse.
    `warmup` calls come first, untimed. Which side opens a sample is drawn from `seed`.

    `cold` empties the caches before every call, which is then timed alone, whatever `min_time` says.
    `threads` is how many threads a call keeps busy; without it, contention of parallel work goes unseen.
    `floor` is the least time that a call can take here, in seconds or as `ceilings().floor(...)`: a median
    more than a tenth below is an error, because then the work was not done in the call.
    """
    _check(repeats, 1, min_time, warmup, threads, floor)
    _warm_up((f, g), warmup)
    rng = np.random.default_rng(seed)
    with _no_collection():
        stretch = _Stretch((f, g), min_time, cold, clock, cpu_clock)
        firsts = rng.integers(2, size=repeats)
        wall, cpu = _samples(stretch, [(a, 1 - a, 1 - a, a) for a in map(int, firsts)])
    _check_floor({"f": wall[:, 0], "g": wall[:, 1]}, floor)
    when = now()
    return Paired(
        ratio=_median(wall[:, 0] / wall[:, 1], "", when, seed),
        f=_median(wall[:, 0], "s", when, seed),
        g=_median(wall[:, 1], "s", when, seed),
        loops=(stretch.loops[0], stretch.loops[1]),
        samples=wall,
        cpu=cpu,
        contention=_worst(wall, cpu, threads),
        cold=cold,
    )


def timed(
    f: Function,
    *,
    repeats: int = 7,
    min_time: float = 0.01,
    warmup: int = 1,
    seed: int = 0,
    cold: bool = False,
    threads: int = 1,
    floor: float | Quantity | None = None,
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
) -> Timed:
    """Times one function: at least five stretches of `loops` calls. To compare, use `paired`.

    The other arguments are those of `paired`.
    """
    _check(repeats, 5, min_time, warmup, threads, floor)
    _warm_up((f,), warmup)
    with _no_collection():
        stretch = _Stretch((f,), min_time, cold, clock, cpu_clock)
        wall, cpu = _samples(stretch, [(0,)] * repeats)
    _check_floor({"f": wall[:, 0]}, floor)
    when = now()
    return Timed(
        median=_median(wall[:, 0], "s", when, seed),
        shortest=_shortest(wall[:, 0], when),
        loops=stretch.loops[0],
        samples=wall[:, 0],
        cpu=cpu[:, 0],
        contention=_worst(wall, cpu, threads),
        cold=cold,
    )


def interleaved(
    functions: Mapping[str, Function],
    *,
    rounds: int = 15,
    min_time: float = 0.01,
    warmup: int = 1,
    seed: int = 0,
    cold: bool = False,
    threads: int = 1,
    floor: float | Quantity | None = None,
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
) -> Interleaved:
    """Times all functions once in each of at least nine rounds, in an order drawn anew from `seed`.

    The first one is what the others are compared with. The other arguments are those of `paired`.
    """
    if not functions:
        raise WorkbenchError("interleaved needs at least one function by name, but none came")
    _check(rounds, FEWEST_ROUNDS, min_time, warmup, threads, floor, "rounds")
    names = tuple(functions)
    _warm_up(tuple(functions.values()), warmup)
    rng = np.random.default_rng(seed)
    with _no_collection():
        stretch = _Stretch(tuple(functions.values()), min_time, cold, clock, cpu_clock)
        wall, cpu = _samples(stretch, [tuple(rng.permutation(len(names))) for _ in range(rounds)])
    by_name = dict(zip(names, wall.T, strict=True))
    _check_floor(by_name, floor)
    when, first = now(), wall[:, 0]
    return Interleaved(
        names=names,
        ratio={name: _median(first / by_name[name], "", when, seed) for name in names[1:]},
        median={name: _median(seconds, "s", when, seed) for name, seconds in by_name.items()},
        shortest={name: _shortest(seconds, when) for name, seconds in by_name.items()},
        loops=dict(zip(names, stretch.loops, strict=True)),
        samples=wall,
        cpu=cpu,
        contention=_worst(wall, cpu, threads),
        cold=cold,
    )


def clock_step(clock: Clock = time.perf_counter) -> float:
    """The smallest step in seconds by which the clock was seen to advance; 0 if it stood still."""
    steps: list[float] = []
    last = clock()
    for _ in range(LOOKS):
        now = clock()
        if now > last:
            steps.append(now - last)
            if len(steps) == 20:
                break
        last = now
    return min(steps, default=0.0)


class _Stretch:
    """Functions, and how many calls of each make a stretch that both clocks can measure."""

    def __init__(
        self, functions: Sequence[Function], min_time: float, cold: bool, clock: Clock, cpu_clock: Clock
    ) -> None:
        self.functions, self.clock, self.cpu_clock = functions, clock, cpu_clock
        self.empty_caches = evictor() if cold else None
        step = STEPS * clock_step(clock)
        if cold:
            self.loops = [self._cold_loops(which, step) for which in range(len(functions))]
        else:
            least = max(min_time, step)
            self.loops = [self._warm_loops(which, least) for which in range(len(functions))]

    def seconds(self, which: int, loops: int | None = None) -> tuple[float, float]:
        """Wall and CPU seconds of all calls of one stretch."""
        f, calls = self.functions[which], loops or self.loops[which]
        return self._warm(f, calls) if self.empty_caches is None else self._cold(f, calls)

    def _warm(self, f: Function, loops: int) -> tuple[float, float]:
        turns = range(loops)
        used, start = self.cpu_clock(), self.clock()
        for _ in turns:
            f()
        end = self.clock()
        return end - start, self.cpu_clock() - used

    def _cold(self, f: Function, loops: int) -> tuple[float, float]:
        assert self.empty_caches is not None
        wall = cpu = 0.0
        for _ in range(loops):
            self.empty_caches()
            more = self._warm(f, 1)
            wall, cpu = wall + more[0], cpu + more[1]
        return wall, cpu

    def _warm_loops(self, which: int, least: float) -> int:
        """How many calls fill `least` seconds: grown until they do, aiming a little beyond."""
        loops = 1
        while (seconds := self.seconds(which, loops)[0]) < least:
            if seconds <= 0 and loops >= 10**6:
                raise WorkbenchError(f"{loops} calls took no time at all: does this clock run?")
            wanted = 1.2 * loops * least / seconds if seconds > 0 else math.inf
            loops = max(loops + 1, math.ceil(min(wanted, 10 * loops)))
        return loops

    def _cold_loops(self, which: int, least: float) -> int:
        """One call, or as many as a coarse clock needs; emptying the caches costs more than most calls."""
        seconds = self.seconds(which, 1)[0]
        return 1 if seconds >= least else min(MOST_COLD_CALLS, math.ceil(least / max(seconds, 1e-9)))


def _samples(stretch: _Stretch, orders: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Wall and CPU seconds of one call, [rounds, functions]; a round runs the stretches in its order."""
    total = np.zeros((2, len(orders), len(stretch.functions)))
    for sample, order in enumerate(orders):
        for which in order:
            total[:, sample, which] += stretch.seconds(which)
    calls = np.array(stretch.loops) * (len(orders[0]) // len(stretch.functions))
    return total[0] / calls, total[1] / calls


def _warm_up(functions: Sequence[Function], times: int) -> None:
    for _ in range(times):
        for f in functions:
            f()


def _check(
    repeats: int,
    least: int,
    min_time: float,
    warmup: int,
    threads: int,
    floor: float | Quantity | None,
    what: str = "repeats",
) -> None:
    if repeats < least:
        raise WorkbenchError(f"{what} must be at least {least}, but {repeats} came")
    if not (0 < min_time < math.inf):
        raise WorkbenchError(f"min_time must be a positive number of seconds, but {min_time} came")
    if warmup < 0:
        raise WorkbenchError(f"warmup must be 0 or more calls, but {warmup} came")
    if threads < 1:
        raise WorkbenchError(f"threads must be at least 1, but {threads} came")
    if isinstance(floor, Quantity) and floor.unit != "s":
        raise WorkbenchError(f"floor must be a time in s, but {floor} came")


def _check_floor(samples: Mapping[str, np.ndarray], floor: float | Quantity | None) -> None:
    """No function may be faster than the machine."""
    if floor is None:
        return
    limit = floor.value if isinstance(floor, Quantity) else floor
    for name, seconds in samples.items():
        median = float(np.median(seconds))
        if median < FLOOR_SLACK * limit:
            raise WorkbenchError(
                f"{name} took {median:.3g} s a call, but this machine needs at least {limit:.3g} s for "
                "the work: was it done before, later, or not at all?"
            )


def _worst(wall: np.ndarray, cpu: np.ndarray, threads: int) -> float:
    """Wall over CPU time, each summed over all samples, of the function that suffered most."""
    totals = zip(wall.sum(axis=0).tolist(), cpu.sum(axis=0).tolist(), strict=True)
    return max(contention(seconds, cpu_seconds, threads) for seconds, cpu_seconds in totals)


def _inverse(ratio: Quantity) -> Quantity:
    return Quantity(
        1 / ratio.value,
        "",
        "measured",
        low=None if ratio.high is None else 1 / ratio.high,
        high=None if ratio.low is None else 1 / ratio.low,
        machine=ratio.machine,
        when=ratio.when,
    )


def _shortest(seconds: np.ndarray, when: str) -> Quantity:
    return Quantity(float(seconds.min()), "s", "measured", machine=machine_name(), when=when)


def _median(values: np.ndarray, unit: str, when: str, seed: int) -> Quantity:
    """The median with its percentile bootstrap interval."""
    picks = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(np.median(values[picks], axis=1), [2.5, 97.5])
    return Quantity(float(np.median(values)), unit, "measured", float(low), float(high), machine_name(), when)


@contextmanager
def _no_collection() -> Iterator[None]:
    """The garbage collector would charge one side for what the other has left behind."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

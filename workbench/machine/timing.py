"""Which of two functions is faster, and by how much, on a machine that is never quiet.

Two functions that are timed one after the other are timed on two different machines: clocks drift, caches
fill, neighbours come and go. Here they take turns. One sample is four stretches, A B B A or B A A B: in
the sum over a sample each side has gone first as often as second, and a steady drift adds the same to
both. The ratio is taken within each sample and the median over the samples, so that a sample which a
neighbour disturbed counts as one vote.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.machine.here import machine_name
from workbench.quantity import Quantity

Function = Callable[[], Any]
Clock = Callable[[], float]
RESAMPLES = 2000
STEPS = 100  # a stretch lasts this many steps of the clock or more
LOOKS = 10**6  # so often is the clock read to see it step


@dataclass(frozen=True)
class Paired:
    """Two functions timed in turns. All quantities are measured; intervals are 95 % bootstrap intervals.

    `ratio` is the time of f over that of g (below one: f is faster) and `speedup` its inverse; `f` and `g`
    are the median seconds of one call. `samples` holds the seconds of a call, [repeats, (f, g)], and
    `loops` how many calls a stretch had.
    """

    ratio: Quantity
    f: Quantity
    g: Quantity
    loops: tuple[int, int]
    samples: np.ndarray = field(repr=False, compare=False)

    @property
    def speedup(self) -> Quantity:
        """How many times faster f is than g."""
        ratio = self.ratio
        return Quantity(
            1 / ratio.value,
            "",
            "measured",
            low=None if ratio.high is None else 1 / ratio.high,
            high=None if ratio.low is None else 1 / ratio.low,
            machine=ratio.machine,
            when=ratio.when,
        )


@dataclass(frozen=True)
class Timed:
    """One function timed: median (with 95 % bootstrap interval) and shortest seconds of one call."""

    median: Quantity
    shortest: Quantity
    loops: int
    samples: np.ndarray = field(repr=False, compare=False)


def paired(
    f: Function,
    g: Function,
    *,
    repeats: int = 15,
    min_time: float = 0.01,
    warmup: int = 1,
    seed: int = 0,
    clock: Clock = time.perf_counter,
) -> Paired:
    """Times f and g in turns in this process; each of the `repeats` samples calls both twice `loops` times.

    `min_time` is the least length of a stretch in seconds, raised where the clock's steps are coarse.
    `warmup` calls come first, untimed. Which side opens a sample is drawn from `seed`.
    """
    _check(repeats, 1, min_time, warmup)
    for _ in range(warmup):
        f()
        g()
    rng = np.random.default_rng(seed)
    with _no_collection():
        least = max(min_time, STEPS * clock_step(clock))
        loops = (_calibrated(f, least, clock), _calibrated(g, least, clock))
        samples = np.empty((repeats, 2))
        for row in samples:
            first = int(rng.integers(2))
            total = [0.0, 0.0]
            for side in (first, 1 - first, 1 - first, first):
                total[side] += _stretch((f, g)[side], loops[side], clock)
            row[:] = total[0] / (2 * loops[0]), total[1] / (2 * loops[1])
    when = _now()
    return Paired(
        ratio=_median(samples[:, 0] / samples[:, 1], "", when, seed),
        f=_median(samples[:, 0], "s", when, seed),
        g=_median(samples[:, 1], "s", when, seed),
        loops=loops,
        samples=samples,
    )


def timed(
    f: Function,
    *,
    repeats: int = 7,
    min_time: float = 0.01,
    warmup: int = 1,
    seed: int = 0,
    clock: Clock = time.perf_counter,
) -> Timed:
    """Times one function: at least five stretches of `loops` calls. To compare two, use `paired`."""
    _check(repeats, 5, min_time, warmup)
    for _ in range(warmup):
        f()
    with _no_collection():
        loops = _calibrated(f, max(min_time, STEPS * clock_step(clock)), clock)
        samples = np.array([_stretch(f, loops, clock) / loops for _ in range(repeats)])
    when = _now()
    shortest = Quantity(float(samples.min()), "s", "measured", machine=machine_name(), when=when)
    return Timed(_median(samples, "s", when, seed), shortest, loops, samples)


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


def _check(repeats: int, least: int, min_time: float, warmup: int) -> None:
    if repeats < least:
        raise WorkbenchError(f"repeats must be at least {least}, but {repeats} came")
    if not (0 < min_time < math.inf):
        raise WorkbenchError(f"min_time must be a positive number of seconds, but {min_time} came")
    if warmup < 0:
        raise WorkbenchError(f"warmup must be 0 or more calls, but {warmup} came")


def _stretch(f: Function, loops: int, clock: Clock) -> float:
    turns = range(loops)
    start = clock()
    for _ in turns:
        f()
    return clock() - start


def _calibrated(f: Function, least: float, clock: Clock) -> int:
    """How many calls fill `least` seconds: grown until they do, aiming a little beyond."""
    loops = 1
    while (seconds := _stretch(f, loops, clock)) < least:
        if seconds <= 0 and loops >= 10**6:
            raise WorkbenchError(f"{loops} calls took no time at all: does this clock run?")
        wanted = 1.2 * loops * least / seconds if seconds > 0 else math.inf
        loops = max(loops + 1, math.ceil(min(wanted, 10 * loops)))
    return loops


def _median(values: np.ndarray, unit: str, when: str, seed: int) -> Quantity:
    """The median with its percentile bootstrap interval."""
    picks = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(np.median(values[picks], axis=1), [2.5, 97.5])
    return Quantity(float(np.median(values)), unit, "measured", float(low), float(high), machine_name(), when)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


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

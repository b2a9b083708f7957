"""Runs the probes of `_probes.py` and a few matrix products, and keeps the best of each kind."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.machine import _probes
from workbench.machine.ceiling import Ceiling, Ceilings, Cores, Progress
from workbench.machine.clocks import CONTENDED, company, contention, now
from workbench.quantity import Quantity

if TYPE_CHECKING:
    from workbench.machine.here import Machine

CORES: tuple[Cores, ...] = ("one", "all")
DTYPES = (np.float32, np.float64)
STREAMS = {  # bytes that the source moves a round, in arrays of n
    "read": (_probes.read, 3),
    "copy": (_probes.copy, 4),
    "triad": (_probes.triad, 3),
}
SHARES = (0.4, 0.7)  # of a level that a working set fills; the whole would meet the stack and the system
UNKNOWN_LAST_LEVEL = 64 * 2**20
MANY_LEVELS_OUT = 4  # times the last level: what little of it is left in a cache no longer counts


@dataclass(frozen=True)
class Effort:
    """How long a probe is run, how often, and which sizes are tried."""

    seconds: float
    repeats: int
    shares: tuple[float, ...]
    products: tuple[int, ...]
    torch: bool


FULL = Effort(0.004, 25, SHARES, (512, 1024, 2048), True)  # many short tries: a neighbour leaves gaps
QUICK = Effort(0.002, 3, SHARES[:1], (512,), False)
LONG_ENOUGH = 0.5  # seconds of a slow call after which three tries will do


@dataclass(frozen=True)
class Found:
    """The best rate of one probe and how undisturbed it was."""

    probe: str
    rate: float
    contention: float


def measure_ceilings(machine: "Machine", quick: bool, progress: Progress) -> Ceilings:
    """Every ceiling for one and for all usable cores; nothing is kept."""
    effort = QUICK if quick else FULL
    with company() as others:
        found: dict[tuple[str, str, Cores], list[Found]] = {}
        for cores in CORES:
            threads, plural = (1, " core") if cores == "one" else (machine.usable_cores, " cores")
            for dtype in DTYPES:
                name = dtype.__name__
                progress(f"{name}, {cores}{plural}")
                found["flop/s", f"{name} scalar", cores] = [_scalar(dtype, threads, effort)]
                found["flop/s", name, cores] = [
                    _lanes(dtype, threads, effort),
                    *_products(dtype, threads, effort),
                ]
            for level, sizes in working_sets(machine, threads, effort.shares).items():
                progress(f"{level}, {cores}{plural}")
                found["B/s", level, cores] = [
                    _stream(stream, size, threads, effort) for size in sizes for stream in STREAMS
                ]
    for unit, what, cores in found:  # all cores can do what one can while the others rest
        if cores == "all":
            alone = max(found[unit, what, "one"], key=lambda each: each.rate)
            disturbed = max(each.contention for each in found[unit, what, cores])
            probe = f"one core alone: {alone.probe}"
            found[unit, what, cores].append(replace(alone, probe=probe, contention=disturbed))
    when = now()
    ceilings = [
        _best(what, cores, each, unit, machine.name, when) for (unit, what, cores), each in found.items()
    ]
    notes = () if machine.caches else ("The machine does not tell its caches: only DRAM was measured.",)
    return Ceilings(
        machine=machine.name,
        when=when,
        flops=tuple(each for each in ceilings if each.quantity.unit == "flop/s"),
        bandwidths=tuple(each for each in ceilings if each.quantity.unit == "B/s"),
        quick=quick,
        busy=others.busy,
        notes=notes,
    )


def working_sets(machine: "Machine", threads: int, shares: tuple[float, ...]) -> dict[str, list[int]]:
    """Bytes that each of `threads` threads goes through, per level: beyond the level before, within this one.

    A thread has its part of a cache that cores share. Where shares of a level would still fit into the one
    before, its larger part is taken. DRAM is measured far outside the last level.
    """
    sets: dict[str, list[int]] = {}
    before = 0
    for cache in machine.caches:
        mine = cache.size // min(threads, cache.shared_by or threads)
        sets[f"L{cache.level}"] = sorted(
            {max(int(mine * share), min(2 * before, int(0.8 * mine))) for share in shares}
        )
        before = mine
    outside = MANY_LEVELS_OUT * (before or UNKNOWN_LAST_LEVEL // threads)
    sets["DRAM"] = [min(outside, machine.memory // (4 * threads))]
    return sets


def _best(what: str, cores: Cores, found: list[Found], unit: str, machine: str, when: str) -> Ceiling:
    best = max(found, key=lambda each: each.rate)
    return Ceiling(
        what,
        cores,
        Quantity(best.rate, unit, "measured", machine=machine, when=when),
        probe=best.probe,
        probes=tuple((each.probe, each.rate) for each in found),
        contended=best.contention > CONTENDED,
    )


def _scalar(dtype: type, threads: int, effort: Effort) -> Found:
    def make() -> Callable[[int], object]:
        v: np.ndarray = np.zeros(_probes.CHAINS, dtype)
        return lambda rounds: _probes.fma_scalar(v, dtype(0.999), dtype(0.001), rounds)

    return _fastest("fused multiply-adds, scalar", 2 * _probes.CHAINS, make, threads, effort, start=1000)


def _lanes(dtype: type, threads: int, effort: Effort) -> Found:
    def make() -> Callable[[int], object]:
        v: np.ndarray = np.zeros(_probes.LANES, dtype)
        return lambda rounds: _probes.fma_lanes(v, dtype(0.999), dtype(0.001), rounds)

    return _fastest("fused multiply-adds", 2 * _probes.DEPTH * _probes.LANES, make, threads, effort, start=10)


def _stream(name: str, size: int, threads: int, effort: Effort) -> Found:
    kernel, moved = STREAMS[name]
    n = max(64, size // 3 // 8)

    def make() -> Callable[[int], object]:
        a, b, c = (np.full(n, 1.0) for _ in range(3))
        return lambda rounds: kernel(a, b, c, rounds)

    return _fastest(f"{name}, {3 * n * 8 / 2**10:.0f} KiB", moved * 8 * n, make, threads, effort)


def _fastest(
    probe: str,
    work: float,
    make: Callable[[], Callable[[int], object]],
    threads: int,
    effort: Effort,
    start: int = 1,
) -> Found:
    """The best rate over the repeats; all threads start together and the last one to finish counts."""
    gate, own = threading.Barrier(threads), threading.local()
    spans = np.zeros((threads, 3))  # start, end, CPU seconds

    def prepare() -> None:
        own.run = make()  # in its own thread, so that its pages lie near
        own.run(1)  # compiles

    def work_along(me: int, rounds: int) -> None:
        gate.wait()
        used, begun = time.thread_time(), time.perf_counter()
        own.run(rounds)
        spans[me] = begun, time.perf_counter(), time.thread_time() - used

    rounds, best = start, Found(probe, 0.0, float("inf"))
    with ThreadPoolExecutor(threads, initializer=prepare) as pool:

        def turn(rounds: int) -> float:
            list(pool.map(work_along, range(threads), [rounds] * threads))
            return float(spans[:, 1].max() - spans[:, 0].min())

        while (seconds := turn(rounds)) < effort.seconds:
            rounds = max(rounds + 1, int(rounds * min(10.0, 1.2 * effort.seconds / max(seconds, 1e-9))))
        for _ in range(effort.repeats):
            seconds = turn(rounds)
            rate = threads * work * rounds / seconds
            if rate > best.rate:
                best = Found(probe, rate, contention(seconds, float(spans[:, 2].sum()), threads))
    return best


def _products(dtype: type, threads: int, effort: Effort) -> list[Found]:
    """Matrix products by numpy and by torch: the best code around, if the matrices are large enough."""
    found = []
    for n in effort.products:
        rng = np.random.default_rng(0)
        A: np.ndarray = rng.random((n, n)).astype(dtype)
        B: np.ndarray = rng.random((n, n)).astype(dtype)
        found.append(_numpy_product(A, B, threads, effort))
        if effort.torch:
            found.append(_torch_product(A, B, threads, effort))
    return found


def _numpy_product(A: np.ndarray, B: np.ndarray, threads: int, effort: Effort) -> Found:
    from threadpoolctl import threadpool_limits

    C = np.empty_like(A)
    with threadpool_limits(threads):
        return _fastest_call(
            f"numpy, {len(A)} squared", 2.0 * len(A) ** 3, lambda: np.matmul(A, B, out=C), threads, effort
        )


def _torch_product(A: np.ndarray, B: np.ndarray, threads: int, effort: Effort) -> Found:
    import torch

    a, b = torch.from_numpy(A), torch.from_numpy(B)
    c, before = torch.empty_like(a), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _fastest_call(
            f"torch, {len(A)} squared", 2.0 * len(A) ** 3, lambda: torch.mm(a, b, out=c), threads, effort
        )
    finally:
        torch.set_num_threads(before)


def _fastest_call(probe: str, work: float, call: Callable[[], object], threads: int, effort: Effort) -> Found:
    """Like `_fastest`, for a library that brings its own threads: CPU time is that of the whole process."""
    best, total = Found(probe, 0.0, float("inf")), 0.0
    call()
    for repeat in range(effort.repeats):
        used, begun = time.process_time(), time.perf_counter()
        call()
        seconds = time.perf_counter() - begun
        total += seconds
        if work / seconds > best.rate:
            best = Found(probe, work / seconds, contention(seconds, time.process_time() - used, threads))
        if total > LONG_ENOUGH and repeat >= 2:
            break
    return best

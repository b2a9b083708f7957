"""The kernels against the best that one can install, in turns, in one process: `workbench bench`.

A benchmark is a kernel, its peers on the same arrays, and the operations that the task needs. Every peer
must give the kernel's result before it is timed: whoever computes something else is not a peer.

Turns cancel drift, not a neighbour: two ways of threading suffer differently when cores are taken, and the
ratio then moves while its interval stays narrow. Each row says how busy the machine was before it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import psutil

from workbench.errors import WorkbenchError
from workbench.machine import paired

Task = Callable[[], np.ndarray]
# Modules beside this one, each with its BENCHMARKS.
FAMILIES = ("depthwise", "dense", "probing", "counting", "rows", "filters", "neighborhood")


@dataclass(frozen=True)
class Benchmark:
    """A kernel, its peers on the same arrays, and the floating-point operations of the task (formula)."""

    kernel: Task
    peers: dict[str, Task]
    flops: float
    tolerance: float = 1e-4


def bench(names: list[str] | None = None, quick: bool = False) -> Iterator[dict[str, Any]]:
    """One row per kernel and peer, as it is measured; all benchmarks unless `names` are given, `quick` for
    small sizes.

    `seconds` and `peer_seconds` are medians of a call, `speedup` the median of their ratios within a
    sample (above 1: the kernel is faster) from `low` to `high` (95 %), `gflops` the task's operations over
    the kernel's time, whatever operations the kernel really did. `busy` is the share of all cores that other
    work took just before: trust a row where it is near 0.
    """
    benchmarks = every_benchmark()
    for name in names or ():
        if name not in benchmarks:
            raise WorkbenchError(f"no benchmark is called {name!r}; there are {', '.join(benchmarks)}")
    return _rows(names or list(benchmarks), quick)


def _rows(names: list[str], quick: bool) -> Iterator[dict[str, Any]]:
    benchmarks = every_benchmark()
    for name in names:
        benchmark = benchmarks[name](quick)
        expected = benchmark.kernel().copy()
        for peer, task in benchmark.peers.items():
            require_same(f"{name} and {peer}", expected, task(), benchmark.tolerance)
            yield _row(name, benchmark, peer, task, quick)


def every_benchmark() -> dict[str, Callable[[bool], Benchmark]]:
    """All benchmarks by name: what makes one, for small sizes or not."""
    families = [import_module(f"workbench.bench.{family}") for family in FAMILIES]
    return {name: make for family in families for name, make in family.BENCHMARKS.items()}


def require_same(what: str, a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    """Raises unless both arrays agree within `tolerance` of the largest value."""
    if a.shape != b.shape:
        raise WorkbenchError(f"{what} disagree on the shape: {a.shape} and {b.shape}")
    error = float(np.abs(a - b).max() / np.abs(b).max())
    if not error <= tolerance:
        raise WorkbenchError(f"{what} disagree by {error:.1e} of the largest value, {tolerance:g} is allowed")


def _row(name: str, benchmark: Benchmark, peer: str, task: Task, quick: bool) -> dict[str, Any]:
    busy = psutil.cpu_percent(interval=0.05 if quick else 0.5) / 100
    times = paired(benchmark.kernel, task, repeats=5 if quick else 11, min_time=0.002 if quick else 0.01)
    speedup = times.speedup
    return {
        "benchmark": name,
        "peer": peer,
        "seconds": times.f.value,
        "peer_seconds": times.g.value,
        "speedup": speedup.value,
        "low": speedup.low,
        "high": speedup.high,
        "gflops": benchmark.flops / times.f.value / 1e9,
        "busy": busy,
        "provenance": speedup.provenance,
        "machine": speedup.machine,
        "when": speedup.when,
    }

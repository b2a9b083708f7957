"""Closing the Performance Gap with Modern C++.

Thomas Heller, Hartmut Kaiser, Patrick Diehl, Dietmar Fey, Marc Alexander Schweitzer; ISC High Performance
2016 Workshops, LNCS 9945; https://arxiv.org/abs/2206.06302. Original code: the STREAM benchmark of HPX,
https://github.com/STEllAR-GROUP/hpx, Boost Software License 1.0. Nothing is copied from it.

One call of a parallel algorithm says *what* happens to every element. A policy that carries an executor says
*where*: which thread takes which part, and who touches a page first. The question is what the saying costs.

    algorithm   what                            `transform`, and as special cases of it `copy` and `fill`
    executor    where, in how many parts        `Serial`, `Blocks`, `Chunks`, `OnTorch`
    allocator   memory near who will use it     `Executor.array`
    benchmark   one body for all executors      `stream`

Everything is compiled for the operation that it is given, so that the loop contains the operation itself
and no call. Handing the operation over as a value is the other way, and the control of the claim.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numba import get_num_threads, njit, prange, types

from workbench.budget import by_budget
from workbench.claims import AtLeast, Claim, Measured, System, Within
from workbench.counting import Geometry, Level, count
from workbench.errors import WorkbenchError
from workbench.kernels.stream import (
    parallel_add,
    parallel_copy,
    parallel_scale,
    parallel_triad,
    stream_add,
    stream_copy,
    stream_scale,
    stream_triad,
)
from workbench.machine import clock_step, paired

Operation = Callable[[Any, Any], Any]  # of one element of each source
SCALAR = 3.0
NAMES = ("copy", "scale", "add", "triad")
ARRAYS = {"copy": 2, "scale": 2, "add": 3, "triad": 3}  # that the benchmark says it moves

# Executors: where -----------------------------------------------------------------------------


class Executor(Protocol):
    """Allocates arrays, and applies an operation to all elements."""

    @property
    def name(self) -> str: ...

    def array(self, n: int, value: float) -> Any:
        """n numbers in float64, in memory near to who will work on them."""

    def transform(self, a: Any, b: Any, out: Any, operation: Operation) -> None:
        """out[i] = operation(a[i], b[i]) for all i."""


@cache
def loop_of(operation: Operation) -> Any:
    """The loop over a part, compiled with the operation inside."""
    one = njit(operation)

    @njit
    def loop(a, b, out):  # [n] [n] [n]
        for i in range(out.size):
            out[i] = one(a[i], b[i])

    return loop


@cache
def blocks_of(operation: Operation) -> Any:
    """One contiguous block per worker, the remainder spread over the first ones."""
    loop = loop_of(operation)

    @njit(parallel=True)
    def blocks(a, b, out, parts):
        for part in prange(parts):
            first, last = part * out.size // parts, (part + 1) * out.size // parts
            loop(a[first:last], b[first:last], out[first:last])

    return blocks


@dataclass(frozen=True)
class Serial:
    """One thread, one loop."""

    name: str = "serial"

    def array(self, n: int, value: float) -> np.ndarray:
        return np.full(n, value)

    def transform(self, a: np.ndarray, b: np.ndarray, out: np.ndarray, operation: Operation) -> None:
        loop_of(operation)(a, b, out)


@dataclass(frozen=True)
class Blocks:
    """One block per thread. The thread that will own a block is also the first that touches its pages, and
    a system puts a page into the memory next to the first who touches it."""

    threads: int = field(default_factory=get_num_threads)
    name: str = "blocks"

    def array(self, n: int, value: float) -> np.ndarray:
        empty = np.empty(n)
        self.transform(empty, empty, empty, constant(value))
        return empty

    def transform(self, a: np.ndarray, b: np.ndarray, out: np.ndarray, operation: Operation) -> None:
        blocks_of(operation)(a, b, out, self.threads)


@dataclass(frozen=True)
class Chunks:
    """Many chunks of `size` elements, each for whichever thread is free."""

    size: int = 32768
    name: str = "chunks"

    def array(self, n: int, value: float) -> np.ndarray:
        return np.full(n, value)

    def transform(self, a: np.ndarray, b: np.ndarray, out: np.ndarray, operation: Operation) -> None:
        blocks_of(operation)(a, b, out, max(1, -(-out.size // self.size)))


@dataclass(frozen=True)
class OnTorch:
    """Whatever torch calls a device. The operation meets tensors of `size` elements, small enough for the
    intermediate results to stay in a cache."""

    device: str = "cpu"
    size: int = 16384

    @property
    def name(self) -> str:
        return f"torch {self.device}"

    def array(self, n: int, value: float) -> Any:
        import torch

        return torch.full((n,), value, dtype=torch.float64, device=self.device)

    def transform(self, a: Any, b: Any, out: Any, operation: Operation) -> None:
        for first in range(0, len(out), self.size):
            here = slice(first, first + self.size)
            out[here] = operation(a[here], b[here])
        if out.is_cuda:
            import torch

            torch.cuda.synchronize()


# Algorithms: what -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Policy:
    """How an algorithm is to run: `parallel.on(executor)`."""

    executor: Executor

    def on(self, executor: Executor) -> "Policy":
        return Policy(executor)


parallel = Policy(Serial())


@cache
def constant(value: float) -> Operation:
    return lambda x, y: value


@cache
def times(factor: float) -> Operation:
    return lambda x, y: factor * x


@cache
def plus_times(factor: float) -> Operation:
    return lambda x, y: x + factor * y


def first(x, y):
    return x


def both(x, y):
    return x + y


def transform(policy: Policy, a: Any, b: Any, out: Any, operation: Operation) -> None:
    """out[i] = operation(a[i], b[i]) for all i, where and how the policy's executor decides.

    Arrays of one length, all from the executor's `array`; `out` may be one of the sources.
    """
    if not len(a) == len(b) == len(out):
        raise WorkbenchError(f"the arrays must be equally long, but {len(a)}, {len(b)} and {len(out)} came")
    if len(out):
        policy.executor.transform(a, b, out, operation)


def copy(policy: Policy, a: Any, out: Any) -> None:
    """out[i] = a[i] for all i: a transformation that ignores its second source."""
    transform(policy, a, a, out, first)


def fill(policy: Policy, out: Any, value: float) -> None:
    """out[i] = value for all i: a transformation that ignores both."""
    transform(policy, out, out, out, constant(value))


# The benchmark --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """Best seconds of each loop, and bytes per second by the benchmark's own count of bytes."""

    n: int
    seconds: dict[str, float]
    ticks: float

    @property
    def bandwidth(self) -> dict[str, float]:
        return {name: ARRAYS[name] * 8 * self.n / time for name, time in self.seconds.items()}


def steps(policy: Policy, a: Any, b: Any, c: Any) -> dict[str, Callable[[], None]]:
    """The four loops, said once for every executor."""
    return {
        "copy": lambda: copy(policy, a, c),
        "scale": lambda: transform(policy, c, c, b, times(SCALAR)),
        "add": lambda: transform(policy, a, b, c, both),
        "triad": lambda: transform(policy, b, c, a, plus_times(SCALAR)),
    }


def stream(executor: Executor, n: int, iterations: int = 10) -> Results:
    """Runs the benchmark: the four loops in turn, `iterations` times, the first of which is not counted.

    `ticks` says how many steps of the clock the doubling of an array took; below 20 the times mean little.
    Raises WorkbenchError if the arrays end with wrong values.
    """
    if iterations < 2:
        raise WorkbenchError(
            f"the first iteration is not counted, so at least 2 are needed, not {iterations}"
        )
    policy = parallel.on(executor)
    a, b, c = (executor.array(n, value) for value in (1.0, 2.0, 0.0))
    start = perf_counter()
    transform(policy, a, a, a, times(2.0))
    ticks = (perf_counter() - start) / clock_step()
    loops = steps(policy, a, b, c)
    seconds = np.empty((iterations, len(loops)))
    for row in seconds:
        for number, loop in enumerate(loops.values()):
            start = perf_counter()
            loop()
            row[number] = perf_counter() - start
    validate(a, b, c, iterations)
    return Results(n, dict(zip(loops, seconds[1:].min(0).tolist(), strict=True)), ticks)


def expected(iterations: int) -> tuple[float, float, float]:
    """The values of a, b and c after so many iterations: each multiplies by 15.

    a = 2 at the start of the first; c = a, b = 3 c = 3 a, c = a + b = 4 a, a = b + 3 c = 15 a.
    """
    grown = 2 * 15.0 ** (iterations - 1)
    return 15 * grown, 3 * grown, 4 * grown


def validate(a: Any, b: Any, c: Any, iterations: int, tolerance: float = 1e-13) -> None:
    """Raises unless every element has the value of the closed form."""
    for name, array, value in zip("abc", (a, b, c), expected(iterations), strict=True):
        if len(array) and (error := float(abs(array / value - 1).max())) > tolerance:
            raise WorkbenchError(f"{name} is wrong by {error:.1e} of its value: the loops computed nonsense")


# The claims -----------------------------------------------------------------------------------


def native(a: np.ndarray, b: np.ndarray, c: np.ndarray, threads: bool) -> dict[str, Callable[[], Any]]:
    """The same four loops, each written by hand."""
    if threads:
        return {
            "copy": lambda: parallel_copy(a, c),
            "scale": lambda: parallel_scale(c, b, SCALAR),
            "add": lambda: parallel_add(a, b, c),
            "triad": lambda: parallel_triad(b, c, a, SCALAR),
        }
    return {
        "copy": lambda: stream_copy(a, c),
        "scale": lambda: stream_scale(c, b, SCALAR),
        "add": lambda: stream_add(a, b, c),
        "triad": lambda: stream_triad(b, c, a, SCALAR),
    }


@njit
def _call_each(a, b, out, operation):
    for i in range(out.size):
        out[i] = operation(a[i], b[i])


@dataclass(frozen=True)
class ByValue:
    """One thread, and the operation handed over as a value: one call for each element."""

    name: str = "by value"

    def array(self, n: int, value: float) -> np.ndarray:
        return np.full(n, value)

    def transform(self, a: np.ndarray, b: np.ndarray, out: np.ndarray, operation: Operation) -> None:
        _call_each(a, b, out, pointer_to(operation))


@cache
def pointer_to(operation: Operation) -> Any:
    from numba import cfunc

    return cfunc(types.float64(types.float64, types.float64))(operation)


def least_speed(executor: Executor, threads: bool, seed: int, budget: str) -> Measured:
    """The speed of the abstraction over that of the loops by hand, for the loop that suffers most."""
    n = by_budget(budget, smoke=2**17, lesson=2**22, full=2**23)
    repeats = by_budget(budget, smoke=3, lesson=9, full=15)
    a, b, c = (np.full(n, value) for value in (1.0, 2.0, 0.0))
    said, by_hand = steps(parallel.on(executor), a, b, c), native(a, b, c, threads)
    times = {name: paired(said[name], by_hand[name], repeats=repeats, seed=seed) for name in NAMES}
    worst = min(times.values(), key=lambda pair: pair.speedup.value)
    return Measured(worst.speedup.value, system=worst.f.value, baseline=worst.g.value)


def serial_speed(seed: int, budget: str) -> Measured:
    return least_speed(Serial(), False, seed, budget)


def blocks_speed(seed: int, budget: str) -> Measured:
    return least_speed(Blocks(), True, seed, budget)


def by_value_speed(seed: int, budget: str) -> Measured:
    return least_speed(ByValue(), False, seed, budget)


SMALL = Geometry([Level(8 * 1024, 8), Level(64 * 1024, 8)])


def traffic(name: str, n: int) -> Measured:
    """Bytes that a memory behind small caches moves, over those that the benchmark counts."""
    a, b, c = (np.ones(n) for _ in range(3))
    kernel, arguments = {
        "copy": (stream_copy, (a, c)),
        "scale": (stream_scale, (c, b, SCALAR)),
        "add": (stream_add, (a, b, c)),
        "triad": (stream_triad, (b, c, a, SCALAR)),
    }[name]
    last = count(kernel, *arguments, geometry=SMALL).cache["L2"]
    moved = SMALL.line * (last.misses.total + last.writebacks.total)
    return Measured(moved / (ARRAYS[name] * 8 * n), system=moved / n, baseline=ARRAYS[name] * 8)


def copy_traffic(seed: int, budget: str) -> Measured:
    """Arrays of 64 times the last cache."""
    return traffic("copy", 64 * 64 * 1024 // 8)


def copy_traffic_in_cache(seed: int, budget: str) -> Measured:
    """Control: both arrays fit, each line comes in once, and nothing has to be written back yet."""
    return traffic("copy", 16 * 1024 // 8)


SYSTEM = System(
    key="portable-stream",
    claims=[
        Claim(
            "serial-abstraction",
            says="Saying what happens to every element, and letting an executor choose where, is as fast as "
            "a loop written by hand: one thread, the slowest of copy, scale, add and triad.",
            paper="performance at least as good as the native benchmarks on all compared architectures",
            unit="times",
            against="s, the loop by hand",
            bar=AtLeast(0.95),
            measure=serial_speed,
            control=by_value_speed,
        ),
        Claim(
            "parallel-abstraction",
            says="The same with all threads, one block each, against hand-written parallel loops.",
            paper="performance at least as good as the native benchmarks on all compared architectures",
            unit="times",
            against="s, the loop by hand",
            bar=AtLeast(0.95),
            measure=blocks_speed,
            control=by_value_speed,
        ),
        Claim(
            "copy-traffic",
            says="Copying one array to another moves half as many bytes again as the benchmark counts: "
            "a line that is written must first be read.",
            paper="STREAM counts two arrays for copy; its author's notes name the extra read",
            unit="times",
            against="bytes for each element, by the source",
            bar=Within(1.48, 1.52),
            measure=copy_traffic,
            control=copy_traffic_in_cache,
            provenance="simulated",
            seeds=1,
        ),
    ],
    deviations=[
        "numba stands in for C++ templates: a function compiled for the operation that it is given.",
        "Executors for one thread, blocks, chunks and torch devices. The source's targets were NUMA domains "
        "of Intel and AMD machines and a graphics card through CUDA; WebAssembly and simulated CUDA are not "
        "here yet.",
        "First touch is done, but a machine with one memory cannot show what it gains.",
        "The native parallel twin hands out four blocks per thread, the executor one.",
        "Paper scale: a machine with several NUMA domains, and arrays of hundreds of megabytes.",
    ],
)

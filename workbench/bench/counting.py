"""How fast `count` counts with three levels of cache: against replaying ready addresses, and cachegrind.

Here a task's operations are accesses, so that the column `gflops` is in 10^9 accesses a second. Each way must
find the same accesses and first-level misses. Cachegrind simulates two levels, runs the kernel's twin in C,
and pays for its own start and end in every call; it is a peer where gcc and valgrind are installed.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from workbench.bench.running import Benchmark, Task
from workbench.counting import Geometry, Level, count, kernel, simulate

KiB = 1024
GEOMETRY = Geometry([Level(32 * KiB, 8), Level(512 * KiB, 8), Level(2048 * KiB, 16)])
PAGE = 4096
FLAGS = ["-O1", "-static", "-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns"]


@kernel
def product(A, B, C):  # [n, k] [k, m] -> [n, m], accumulated into C
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def triad(a, b, c):  # [n, m] [n, m] [n, m]
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            a[i, j] = b[i, j] + 3.0 * c[i, j]


@kernel
def stencil(x, y):  # [n, m] -> [n, m]
    for i in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            y[i, j] = 0.25 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]) - x[i, j]


@kernel
def transpose(x, y):  # [n, m] -> [m, n]
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[j, i] = x[i, j]


# The same accesses as rows of addresses: elements of arrays 0, 1, 2 at (row, column), in the source's order.
Place = tuple[int, Any, Any]


def product_places(n: int, k: int, m: int) -> Iterator[list[Place]]:
    inner, j = np.indices((k, m))
    for i in range(n):
        yield [(2, i, j), (0, i, inner), (1, inner, j), (2, i, j)]


def triad_places(n: int, m: int) -> Iterator[list[Place]]:
    j = np.arange(m)
    for i in range(n):
        yield [(1, i, j), (2, i, j), (0, i, j)]


def stencil_places(n: int, m: int) -> Iterator[list[Place]]:
    j = np.arange(1, m - 1)
    for i in range(1, n - 1):
        yield [(0, i - 1, j), (0, i + 1, j), (0, i, j - 1), (0, i, j + 1), (0, i, j), (1, i, j)]


def transpose_places(n: int, m: int) -> Iterator[list[Place]]:
    j = np.arange(m)
    for i in range(n):
        yield [(0, i, j), (1, j, i)]


# And in C; AT(array, row, column) is an element, THEN keeps the order of loads and stores.
TWIN = """
#include <unistd.h>
#define THEN __asm__ volatile("" ::: "memory");
static char memory[{bytes}L] __attribute__((aligned(4096)));
static const long n = {sides[0]}, k = {sides[1]}, m = {sides[2]};
{arrays}
int main(void) {{
    {body}
    _exit(0);
}}
"""
PRODUCT = """for (long i = 0; i < n; i++) for (long l = 0; l < k; l++) for (long j = 0; j < m; j++) {
        double c = AT2(i, j); THEN double a = AT0(i, l); THEN double b = AT1(l, j); THEN
        AT2(i, j) = c + a * b; THEN }"""
TRIAD = """for (long i = 0; i < n; i++) for (long j = 0; j < m; j++) {
        double b = AT1(i, j); THEN double c = AT2(i, j); THEN AT0(i, j) = b + 3.0 * c; THEN }"""
STENCIL = """for (long i = 1; i < n - 1; i++) for (long j = 1; j < m - 1; j++) {
        double up = AT0(i - 1, j); THEN double down = AT0(i + 1, j); THEN
        double left = AT0(i, j - 1); THEN double right = AT0(i, j + 1); THEN double here = AT0(i, j); THEN
        AT1(i, j) = 0.25 * (up + down + left + right) - here; THEN }"""
TRANSPOSE = """for (long i = 0; i < n; i++) for (long j = 0; j < m; j++) { AT1(j, i) = AT0(i, j); THEN }"""


def _benchmark(
    kernel: Any, places: Callable[..., Iterator[list[Place]]], body: str, sides: Any, small: Any, quick: bool
) -> Benchmark:
    """`sides` of the task, or `small` ones where it has to be `quick`."""
    sides = small if quick else sides
    shapes = _shapes(kernel, *sides)
    arrays = [np.zeros(shape) for shape in shapes]

    def counted() -> np.ndarray:
        found = count(kernel, *arrays, geometry=GEOMETRY)
        return np.array([found.accesses, found.cache["L1"].misses.total])

    def replayed() -> np.ndarray:
        parts, marks = _parts(places(*sides), shapes), _marks(places(*sides))
        found = simulate(parts, GEOMETRY, stores=marks, span=sum(map(_room, shapes)))
        return np.array([found.accesses, found.cache["L1"].misses.total])

    peers: dict[str, Task] = {"replayed addresses": replayed}
    if shutil.which("gcc") and shutil.which("valgrind"):
        peers["cachegrind"] = partial(_cachegrind, _twin(body, sides, shapes))
    return Benchmark(counted, peers, flops=float(counted()[0]), tolerance=0.02)


def _shapes(kernel: Any, *sides: int) -> list[tuple[int, int]]:
    n, m = sides[0], sides[-1]
    if kernel is product:
        return [(n, sides[1]), (sides[1], m), (n, m)]
    return [(n, m)] * 3 if kernel is triad else [(n, m), (n, m) if kernel is stencil else (m, n)]


def _room(shape: tuple[int, int]) -> int:
    """Bytes of an array of doubles, in whole pages."""
    return -(-shape[0] * shape[1] * 8 // PAGE) * PAGE


def _parts(rows: Iterator[list[Place]], shapes: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The addresses of each row of places, in order."""
    first = np.cumsum([0, *map(_room, shapes)])
    for row in rows:
        addresses = [first[a] + (np.asarray(i) * shapes[a][1] + j) * 8 for a, i, j in row]
        yield np.stack(np.broadcast_arrays(*addresses), -1).ravel()


def _marks(rows: Iterator[list[Place]]) -> Iterator[np.ndarray]:
    """What stores: in each row, the last place."""
    for row in rows:
        points = np.broadcast(*(part for _, i, j in row for part in (i, j))).size
        yield np.tile(np.arange(len(row)) == len(row) - 1, points)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="workbench-bench-"))


def _twin(body: str, sides: tuple[int, ...], shapes: list[tuple[int, int]]) -> Path:
    """The twin as a program."""
    first = np.cumsum([0, *map(_room, shapes)])
    arrays = [
        f"#define AT{a}(i, j) ((double *)(memory + {first[a]}L))[(i) * {shape[1]}L + (j)]"
        for a, shape in enumerate(shapes)
    ]
    text = TWIN.format(
        bytes=first[-1], sides=(sides[0], sides[1], sides[-1]), arrays="\n".join(arrays), body=body
    )
    source = _folder() / f"twin{abs(hash(text))}.c"
    source.write_text(text)
    subprocess.run(["gcc", *FLAGS, "-o", source.with_suffix(""), source], check=True, timeout=60)
    return source.with_suffix("")


def _cachegrind(program: Path) -> np.ndarray:
    out = program.with_suffix(".out")
    first, last = (
        f"{level.size},{level.ways},{GEOMETRY.line}" for level in (GEOMETRY.levels[0], GEOMETRY.levels[-1])
    )
    options = ["--tool=cachegrind", "--cache-sim=yes", f"--D1={first}", f"--LL={last}", f"--I1={first}"]
    command = ["valgrind", *options, f"--cachegrind-out-file={out}", str(program)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    lines = dict(line.split(":", 1) for line in out.read_text().splitlines() if ":" in line)
    found = dict(zip(lines["events"].split(), map(int, lines["summary"].split()), strict=True))
    return np.array([found["Dr"] + found["Dw"], found["D1mr"] + found["D1mw"]])


BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {
    "count-product": partial(_benchmark, product, product_places, PRODUCT, (256,) * 3, (100,) * 3),
    "count-product-large": partial(
        _benchmark, product, product_places, PRODUCT, (8, 1448, 1448), (4, 400, 400)
    ),
    "count-triad": partial(_benchmark, triad, triad_places, TRIAD, (2000, 4000), (500, 1000)),
    "count-stencil": partial(_benchmark, stencil, stencil_places, STENCIL, (2000, 2000), (500, 500)),
    "count-transpose": partial(_benchmark, transpose, transpose_places, TRANSPOSE, (2000, 2000), (500, 600)),
}

"""What each attention kernel has to do for one head, from the shapes alone, and how long that takes.

The task: n tokens in a row, and each sees itself and the w - 1 tokens before it (all, where there are fewer).
Several kernels solve it. Each does its own amount of `Work`:

    rows      queries, each with a start that costs time, whatever the window
    flops     operations on numbers, useful or not: scores that a mask throws away count, too
    streams   bytes that are read once or again and again, and how many others come by in between

A processor computes while the next bytes are on their way, so of both times the longer one counts:

    seconds = max(rows * seconds of a row + flops / rate,   sum of  bytes / bandwidth)

Row and rate are a kernel's own (`Pace`), from a clock. The bandwidth is that of the nearest cache that holds
all that comes by until a byte is used again. What the first cache holds costs nothing more: waiting for it is
a part of the pace.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from workbench.errors import WorkbenchError
from workbench.kernels.attention_tiles import KEYS, QUERIES
from workbench.kernels.neighborhood_cost import (
    neighborhood_fused_flops,
    neighborhood_gemm_flops,
    neighborhood_naive_flops,
)
from workbench.kernels.neighborhood_tiles import tile_layout, tile_of
from workbench.kernels.neighborhood_windows import Neighborhood

FLOAT = 4  # bytes of a number
EXP = 19  # operations of an exponential
STORED = 5 * FLOAT  # a stored weight is fetched, written; read, written; read
MASKED = 1 + 3 * FLOAT  # a masked score: one byte of mask, made a number: fetched, written, read
LIBRARY_ROWS = 32  # queries that the library handles together


@dataclass(frozen=True)
class Stream:
    """`bytes` in all, `once` of them for the first time; `reach` bytes come by between two uses of one."""

    bytes: int
    reach: int
    once: int


@dataclass(frozen=True)
class Work:
    """One kernel's work on one shape; `scores` are all that it calculates, wanted or not."""

    rows: int
    scores: int
    flops: int
    streams: tuple[Stream, ...]

    @property
    def everything(self) -> int:
        """Bytes of all that is touched."""
        return sum(stream.once for stream in self.streams)


@dataclass(frozen=True)
class Level:
    """A cache of `size` bytes (infinite: the memory behind all caches) that moves `bandwidth` bytes/s."""

    size: float
    bandwidth: float


@dataclass(frozen=True)
class Pace:
    """How fast one kernel works if nothing keeps it waiting: seconds for a row, and operations a second."""

    row: float
    rate: float

    def seconds(self, work: Work) -> float:
        return work.rows * self.row + work.flops / self.rate


def _whole_matrix(n: int, w: int, d: int) -> Work:
    keys = Stream(n * n * d * FLOAT, n * d * FLOAT, n * d * FLOAT)
    weights = Stream(n * n * STORED, n * n * FLOAT, n * n * FLOAT)
    return Work(n, n * n, n * n * (4 * d + EXP + 4) + 2, (keys, keys, weights))


def _tiled(n: int, w: int, d: int) -> Work:
    return tiled_work(n, n, d, w - 1, 0)


def tiled_work(n: int, m: int, d: int, before: int, after: int) -> Work:
    """The work of `attention_tiled`; its operations are exact."""
    scores = pairs = blocks = keys = furthest = 0
    for first in range(0, n, QUERIES):
        last = min(first + QUERIES, n)
        start, stop = max(0, first - before) // KEYS * KEYS, min(m, last + after)
        reach = min(m, start + -(-(stop - start) // KEYS) * KEYS) - start
        scores += (last - first) * reach
        pairs += (last - first) * -(-reach // KEYS)
        blocks, keys, furthest = blocks + 1, keys + reach, max(furthest, reach)
    flops = scores * (4 * d + EXP + 2) + pairs * (d + EXP + 3) + 2 * n * d + 2 * blocks
    stream = Stream(2 * keys * d * FLOAT, 2 * furthest * d * FLOAT, 2 * m * d * FLOAT)
    return Work(n, scores, flops, (stream,))


def _windowed(n: int, w: int, d: int) -> Work:
    seen = Neighborhood.of((n,), w, 1, True).scores
    stream = Stream(2 * seen * d * FLOAT, 2 * w * d * FLOAT, 2 * n * d * FLOAT)
    return Work(n, seen, seen * (4 * d + EXP + 4) + 2, (stream,))


def _neighbour_naive(n: int, w: int, d: int) -> Work:
    geometry = Neighborhood.of((n,), w, 1, True)
    seen = geometry.scores
    keys = Stream(seen * d * FLOAT, w * d * FLOAT, n * d * FLOAT)
    weights = Stream(seen * STORED, n * w * FLOAT, seen * FLOAT)
    flops = neighborhood_naive_flops(geometry, d, d)
    return Work(n, seen, flops, (keys, keys, weights))


def _neighbour_gemm(n: int, w: int, d: int) -> Work:
    geometry = Neighborhood.of((n,), w, 1, True)
    sizes, lanes, _ = tile_layout(geometry, tile_of(geometry))
    halos, widest = int(sizes[:, 1].sum()), int(sizes[:, 1].max())
    keys = Stream(halos * d * FLOAT, widest * d * FLOAT, n * d * FLOAT)
    weights = Stream(geometry.scores * STORED, n * w * FLOAT, geometry.scores * FLOAT)
    scores = halos * lanes.shape[2]
    flops = neighborhood_gemm_flops(geometry, d, d)
    return Work(n, scores, flops, (keys, keys, weights))


def _neighbour_fused(n: int, w: int, d: int) -> Work:
    geometry = Neighborhood.of((n,), w, 1, True)
    sizes, _, keys = tile_layout(geometry, tile_of(geometry))
    halos, widest = int(sizes[:, 1].sum()), int(sizes[:, 1].max())
    halo = Stream(2 * halos * d * FLOAT, 2 * widest * d * FLOAT, 2 * n * d * FLOAT)
    scores = int((keys[:, 5] - keys[:, 4]).sum())
    return Work(n, scores, neighborhood_fused_flops(geometry, d, d), (halo,))


def _library(n: int, w: int, d: int, masked: bool) -> Work:
    blocks = -(-n // LIBRARY_ROWS)
    streams = [Stream(2 * blocks * n * d * FLOAT, 2 * n * d * FLOAT, 2 * n * d * FLOAT)]
    if masked:
        streams.append(Stream(n * n * MASKED, n * n * (1 + FLOAT), n * n * (1 + FLOAT)))
    scores = n * n if masked else n * (n + 1) // 2
    return Work(n, scores, scores * (4 * d + EXP + 2), tuple(streams))


def _library_masked(n: int, w: int, d: int) -> Work:
    return _library(n, w, d, masked=True)


def _library_all(n: int, w: int, d: int) -> Work:
    return _library(n, w, d, masked=False)


KERNELS: dict[str, Callable[[int, int, int], Work]] = {
    "whole matrix": _whole_matrix,
    "tiles": _tiled,
    "query by query": _windowed,
    "neighbours, stored": _neighbour_naive,
    "neighbours, products": _neighbour_gemm,
    "neighbours, fused": _neighbour_fused,
    "library, mask": _library_masked,
    "library, all before": _library_all,
}
SEES_ALL = "library, all before"  # knows no window


def attention_kernels(tokens: int, window: int) -> tuple[str, ...]:
    """The kernels that solve this task: one of them only where the window leaves nothing out."""
    return tuple(name for name in KERNELS if name != SEES_ALL or window == tokens)


@lru_cache(maxsize=1024)
def attention_work(kernel: str, tokens: int, window: int, dim: int = 64) -> Work:
    """The work of one kernel for one head; each token sees itself and the window - 1 tokens before it."""
    if kernel not in KERNELS:
        raise WorkbenchError(f"a kernel must be one of {', '.join(KERNELS)}, but {kernel!r} came")
    if not 1 <= window <= tokens or dim < 1:
        raise WorkbenchError(
            f"expected a window of 1 to {tokens} for {tokens} tokens and a dim of at least 1, "
            f"but {window} and {dim} came"
        )
    if kernel not in attention_kernels(tokens, window):
        raise WorkbenchError(f"{kernel!r} knows no window, but one of {window} came for {tokens} tokens")
    work = KERNELS[kernel](tokens, window, dim)
    ends = 2 * tokens * dim * FLOAT  # each query is read once, each output written once
    return replace(work, streams=(*work.streams, Stream(ends, ends, ends)))


def pace_of(works: Sequence[Work], seconds: Sequence[float]) -> Pace:
    """The pace that fits these times best, in relative error; neither of its two parts is below zero."""
    from scipy.optimize import nnls

    if len(works) != len(seconds) or len(works) < 2 or min(seconds) <= 0:
        raise WorkbenchError(f"expected two or more works, a time for each, but {len(works)} works came")
    shares = np.array([[work.rows, work.flops] for work in works], float) / np.array(seconds)[:, None]
    size = shares.max(axis=0)
    row, flop = nnls(shares / size, np.ones(len(works)))[0] / size
    if flop <= 0:  # the times do not grow with the operations: take the rate that they show together
        row, flop = 0.0, shares[:, 1].sum() / (shares[:, 1] ** 2).sum()
    return Pace(float(row), float(1 / flop))


def level_of(reach: float, memory: Sequence[Level]) -> Level:
    """The nearest level that holds all that comes by until a byte is used again."""
    return next((level for level in memory if reach <= level.size), memory[-1])


def waiting_seconds(work: Work, memory: Sequence[Level]) -> float:
    """What the bytes take that do not come from the first level.

    A byte that is used for the first time in this call was last used in the call before: it comes from the
    level that holds everything.
    """
    far, waiting = level_of(work.everything, memory), 0.0
    for stream in work.streams:
        again = (stream.bytes - stream.once, level_of(stream.reach, memory))
        for moved, level in (again, (stream.once, far)):
            if level is not memory[0]:
                waiting += max(moved, 0) / level.bandwidth
    return waiting


def predicted_seconds(
    tokens: int,
    window: int,
    paces: Mapping[str, Pace],
    memory: Sequence[Level],
    dim: int = 64,
) -> dict[str, float]:
    """Seconds by kernel, of those whose pace is given and that solve this task; `memory` nearest first."""
    if not memory or memory[-1].size != math.inf:
        raise WorkbenchError("the last level of memory must hold everything: give it an infinite size")
    found = {}
    for name in attention_kernels(tokens, window):
        if name in paces:
            work = attention_work(name, tokens, window, dim)
            found[name] = max(paces[name].seconds(work), waiting_seconds(work, memory))
    return found

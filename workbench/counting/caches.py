"""What the simulated caches report, and `simulate`: the same caches for any sequence of addresses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.counting import cache
from workbench.counting.geometry import Geometry
from workbench.errors import WorkbenchError

MOST_LINES = 2**28


class Tally(dict[str, int]):
    """Counts by the name of an array; an array that was never met is a mistake, not a zero."""

    @property
    def total(self) -> int:
        return sum(self.values())

    def __missing__(self, name: str) -> int:
        raise WorkbenchError(f"no array is called {name!r}; there are {', '.join(self) or 'none'}")


@dataclass(frozen=True)
class Cache:
    """What happened in one level; every number is `simulated`.

    `accesses` of L2 are the misses of L1, and so on. `writebacks` go by the array whose dirty line left;
    what is still dirty at the end stays. `map` [times, places] counts misses: a row is `map_accesses`
    accesses of the kernel long, a column `map_bytes` bytes of memory wide. `compulsory` (first access to
    the line), `capacity` (a fully associative LRU cache of this size misses too) and `conflict` (the rest)
    add up to `misses`; they are None unless asked for.
    """

    name: str
    accesses: Tally
    misses: Tally
    writebacks: Tally
    prefetches: int
    map: np.ndarray
    map_accesses: int
    map_bytes: int
    compulsory: Tally | None
    capacity: Tally | None
    conflict: Tally | None

    @property
    def hits(self) -> Tally:
        return Tally({name: n - self.misses[name] for name, n in self.accesses.items()})

    @property
    def miss_rate(self) -> float:
        """Misses over accesses to this level; 0 if nothing came."""
        return self.misses.total / max(self.accesses.total, 1)

    def __repr__(self) -> str:
        return f"{self.name}: {self.accesses.total} accesses, {self.misses.total} misses"


@dataclass(frozen=True)
class Simulated:
    """The caches after a sequence of addresses; `reuse` [distance] counts reuses if asked for.

    `reuse[d]` is how often a line came back after d other lines, `cold` how many lines came at all.
    `unkept` counts stores that no level kept, because none allocates on a write.
    """

    accesses: int
    cache: dict[str, Cache]
    unkept: int
    reuse: np.ndarray | None
    cold: int | None


def read_levels(
    memory: np.ndarray, geometry: Geometry, names: Sequence[str], accesses: np.ndarray, classes: bool
) -> tuple[dict[str, Cache], np.ndarray]:
    """The levels' results, and misses [levels, arrays, sites]; `accesses` is [arrays, sites]."""
    arrays, sites = accesses.shape
    found, by_site = {}, np.zeros((len(geometry.levels), arrays, sites), np.int64)

    def tally(counts: np.ndarray) -> Tally:
        return Tally(zip(names, map(int, counts), strict=True))

    for number, name in enumerate(geometry.names):
        level = memory[cache.FIRST_LEVEL + number * cache.LEVEL :]
        misses = _table(memory, level[cache.MISSES], arrays, sites, cache.KINDS)
        by_site[number] = misses.sum(2)
        kinds = [tally(misses[:, :, kind].sum(1)) if classes else None for kind in (1, 2, 3)]
        found[name] = Cache(
            name=name,
            accesses=tally(accesses.sum(1)),
            misses=tally(misses.sum((1, 2))),
            writebacks=tally(_table(memory, level[cache.WRITEBACKS], arrays)),
            prefetches=int(level[cache.PREFETCHED]),
            map=_table(memory, level[cache.MAP], cache.MAP_TIMES, cache.MAP_PLACES).copy(),
            map_accesses=1 << int(level[cache.MAP_TIME]),
            map_bytes=geometry.line << int(level[cache.MAP_PLACE]),
            compulsory=kinds[0],
            capacity=kinds[1],
            conflict=kinds[2],
        )
        accesses = by_site[number]
    return found, by_site


def read_reuse(memory: np.ndarray, accesses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reuse distances [arrays, distance] and first accesses [arrays], given accesses [arrays].

    Repetitions of the line just accessed never reach the tree: what it has not seen is distance 0.
    """
    histogram = cache.reuse_histogram(memory, len(accesses)).copy()
    histogram[:, 0] += accesses - histogram.sum(1)
    return histogram[:, :-1], histogram[:, -1]


def simulate(
    addresses: Any,
    geometry: Geometry,
    *,
    stores: Any = None,
    span: int | None = None,
    classes: bool = False,
    reuse: bool = False,
) -> Simulated:
    """Sends byte addresses (non-negative integers, each within one line) through the caches of `geometry`.

    `addresses` is an array, or an iterable of arrays that is read once and never held whole; then `span`,
    one more than the largest address, must be given. `stores` are booleans in the same form (default: only
    loads). Memory grows with `span`, not with the number of addresses. `classes` splits misses into
    compulsory, capacity and conflict; `reuse` measures exact reuse distances between lines.
    """
    if isinstance(addresses, np.ndarray | list | tuple | range):
        whole = _integers(np.asarray(addresses))
        if span is None:
            span = int(whole.max(initial=0)) + 1
        parts: Iterable[Any] = [whole]
        marks: Iterable[Any] | None = None if stores is None else [stores]
    elif span is None:
        raise WorkbenchError("addresses that come in parts need span=, one more than the largest address")
    else:
        parts, marks = addresses, stores
    lines = -(-span // geometry.line)
    if not 0 < lines <= MOST_LINES:
        raise WorkbenchError(
            f"addresses must lie between 0 and {MOST_LINES * geometry.line}, but they reach to {span}: "
            f"subtract a common base"
        )
    book, memory = cache.new_state(geometry, lines, np.zeros(lines), 1, 1, classes, reuse)
    now = 1
    for part, stored in _together(parts, marks):
        if part.size and (part.min() < 0 or part.max() >= span):
            raise WorkbenchError(
                f"addresses must lie in 0 to {span - 1}, but {part.min()} to {part.max()} came"
            )
        now = cache.replay(book, memory, part, stored, now)
    accesses = np.array([[now - 1]])
    found, _ = read_levels(memory, geometry, ["addresses"], accesses, classes)
    histogram, cold = read_reuse(memory, accesses[:, 0]) if reuse else (None, None)
    return Simulated(
        accesses=now - 1,
        cache=found,
        unkept=int(memory[memory[cache.BYPASSED]]) if geometry.levels else 0,
        reuse=None if histogram is None else np.trim_zeros(histogram[0], "b"),
        cold=None if cold is None else int(cold[0]),
    )


def _together(parts: Iterable[Any], marks: Iterable[Any] | None) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    if marks is None:
        for part in parts:
            whole = _integers(np.asarray(part))
            yield whole, np.zeros(whole.shape, np.bool_)
        return
    for part, mark in zip(parts, marks, strict=True):
        whole, stored = _integers(np.asarray(part)), np.asarray(mark, np.bool_)
        if stored.shape != whole.shape:
            raise WorkbenchError(f"there are {whole.size} addresses but {stored.size} stores")
        yield whole, stored


def _integers(addresses: np.ndarray) -> np.ndarray:
    if addresses.ndim != 1 or (addresses.size and addresses.dtype.kind not in "iu"):
        raise WorkbenchError(
            f"addresses must be one row of integers, but {addresses.dtype} of shape {addresses.shape} came"
        )
    return addresses.astype(np.int64)


def _table(memory: np.ndarray, start: int, *shape: int) -> np.ndarray:
    return memory[start : start + int(np.prod(shape))].reshape(shape)

"""Attention maps of any length, read in tiles of rows: the whole matrix never lies in memory.

A tile holds all keys of a few queries. What is wanted of a map (block means, a distance, a cosine) is a sum
over queries, so tiles are visited once and forgotten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probes.attentions import AttentionMap

Map: TypeAlias = AttentionMap | Tensor | NDArray  # arrays: [heads, queries, keys] or with a batch in front
Floats: TypeAlias = NDArray[np.float64]
NUMBERS = 2**21  # of a tile: 16 MiB in double precision


def as_map(given: Map) -> AttentionMap:
    """The map itself, or one around an array [heads, queries, keys] or [batch, heads, queries, keys]."""
    if isinstance(given, AttentionMap):
        return given
    values = torch.as_tensor(given)
    if values.dim() == 3:
        values = values[None]
    if values.dim() != 4 or 0 in values.shape:
        raise WorkbenchError(
            "a map must be an AttentionMap or an array [heads, queries, keys], with a batch in front or not, "
            f"but shape {tuple(np.shape(given))} came"
        )
    batch, heads, queries, keys = values.shape
    values = values.detach()
    return AttentionMap(
        "",
        0,
        "given",
        (batch, heads, queries, keys),
        tuple(range(queries)),
        False,
        False,
        lambda rows: values[:, :, rows],
        signed=bool((values < 0).any()),
    )


def row_tiles(map: AttentionMap, rows: int | None = None) -> Iterator[tuple[slice, Tensor]]:
    """The map from top to bottom: (which rows, their values [batch, heads, rows, keys], float64 on the CPU).

    rows: how many at a time; default as many as fit a tile of 16 MiB.
    """
    batch, heads, queries, keys = map.shape
    rows = rows or max(1, NUMBERS // (batch * heads * keys))
    for first in range(0, queries, rows):
        part = slice(first, min(first + rows, queries))
        yield part, map.probabilities(part).cpu().double()


@dataclass(frozen=True)
class MapOverview:
    """A map in blocks. sums, largest: [batch, heads, blocks of rows, blocks of keys].

    sums adds up what lies in each block, so nothing is lost by shrinking: all blocks together hold as much as
    the map. largest is the value of greatest magnitude in the block: a sharp line that a mean would wash out.
    row_edges, key_edges: where blocks begin, and the end of the last one.
    """

    sums: Floats
    largest: Floats
    row_edges: tuple[int, ...]
    key_edges: tuple[int, ...]
    signed: bool

    @property
    def means(self) -> Floats:
        """The mean of each block: [batch, heads, blocks of rows, blocks of keys]."""
        return self.sums / np.outer(np.diff(self.row_edges), np.diff(self.key_edges))

    @property
    def blocks(self) -> tuple[int, int]:
        """Rows and keys of a full block."""
        return self.row_edges[1], self.key_edges[1]


def map_overview(map: Map, most: int = 256) -> MapOverview:
    """The map shrunk to at most `most` by `most` blocks, tile by tile; a small map stays as it is.

    >>> map_overview(torch.full((1, 6, 6), 0.125), most=3).sums[0, 0]
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    """
    if most < 1:
        raise WorkbenchError(f"an overview needs at least one block, but most={most} came")
    map = as_map(map)
    batch, heads, queries, keys = map.shape
    block, wide = ceil(queries / most), ceil(keys / most)
    row_edges, key_edges = _edges(queries, block), _edges(keys, wide)
    sums = np.zeros((batch, heads, len(row_edges) - 1, len(key_edges) - 1))
    largest = np.zeros_like(sums)
    at_once = block * max(1, NUMBERS // (batch * heads * keys * block))
    for part, tile in row_tiles(map, at_once):
        values = tile.numpy()
        starts = np.arange(0, values.shape[2], block)
        place = slice(part.start // block, part.start // block + len(starts))
        sums[:, :, place] = _reduced(np.add, values, starts, key_edges)
        high, low = (_reduced(what, values, starts, key_edges) for what in (np.maximum, np.minimum))
        largest[:, :, place] = np.where(high >= -low, high, low)
    return MapOverview(sums, largest, row_edges, key_edges, map.signed)


def _edges(length: int, block: int) -> tuple[int, ...]:
    return (*range(0, length, block), length)


def _reduced(what: np.ufunc, values: Floats, starts: NDArray[np.int64], edges: Sequence[int]) -> Floats:
    return what.reduceat(what.reduceat(values, starts, axis=2), list(edges[:-1]), axis=3)

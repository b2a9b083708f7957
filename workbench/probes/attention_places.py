"""Local attention on the whole field: which tokens a window or neighbourhood holds, and rows put back there.

A model with windows computes many small maps, one a window. As a picture they say little: what a pixel looks
at is wanted on the image. So rows are scattered back to where their tokens lie.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import ceil, prod

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.kernels.neighborhood_windows import CausalPerAxis, Neighborhood, PerAxis
from workbench.probes.attention_kinds import checked_neighbors, spread
from workbench.probes.attention_tiles import Map, as_map
from workbench.probes.attentions import AttentionMap

Indices = NDArray[np.int64]


def neighborhood_keys(
    lengths: int | Sequence[int],
    window: PerAxis,
    *,
    dilation: PerAxis = 1,
    causal: CausalPerAxis = False,
) -> Indices:
    """The keys that each token of a grid sees in neighbourhood attention: [tokens, keys in a window].

    Each of up to three axes has its own length, window, dilation and causality, as
    `kernels.neighborhood_attention` takes them: a window moves inwards at the ends of an axis and stays as
    long, but a causal one ends at the token itself and is shorter at the beginning (-1: none).

    >>> neighborhood_keys(5, 3)
    array([[0, 1, 2],
           [0, 1, 2],
           [1, 2, 3],
           [2, 3, 4],
           [2, 3, 4]])
    """
    space = (lengths,) if isinstance(lengths, int) else tuple(lengths)
    geometry = Neighborhood.of(space, window, dilation, causal)
    found = np.zeros((1, 1), np.int64)
    for axis, length in enumerate(space):
        one = _along(geometry, axis)
        joined = found[:, None, :, None] * length + one[None, :, None, :]
        missing = (found < 0)[:, None, :, None] | (one < 0)[None, :, None, :]
        found = np.where(missing, -1, joined).reshape(len(found) * length, -1)
    return found


def _along(geometry: Neighborhood, axis: int) -> Indices:
    """[length, window], -1 where a window is shorter."""
    step, group = geometry.dilation[axis], np.arange(geometry.space[axis]) % geometry.dilation[axis]
    first, stop = np.array(geometry.bounds(axis)).T[:, :, None]  # counted inside a token's residue class
    keys = first + np.arange(geometry.window[axis])
    return np.where(keys < stop, keys * step + group[:, None], -1)


def window_places(
    height: int, width: int, window: int | Sequence[int], shift: int | Sequence[int] = 0
) -> Indices:
    """The tokens of each window of an image cut into windows, row by row: [windows, tokens of a window].

    shift: by how much the image was rolled up and to the left before it was cut, as in every second layer of
    a Swin transformer. An image that windows do not divide is padded below and on the right, before it is
    rolled; tokens of the padding are -1.

    >>> window_places(2, 4, 2, shift=(0, 1))
    array([[1, 2, 5, 6],
           [3, 0, 7, 4]])
    """
    sizes, (down, across) = _per_axis(window, 2), _per_axis(shift, 2)
    if min(height, width, *sizes) < 1:
        raise WorkbenchError(
            f"height, width and window must be at least 1, but {height}, {width} and {window} came"
        )
    counts = ceil(height / sizes[0]), ceil(width / sizes[1])
    tall, wide = counts[0] * sizes[0], counts[1] * sizes[1]
    places = np.full((tall, wide), -1)
    places[:height, :width] = np.arange(height * width).reshape(height, width)
    places = np.roll(places, (-down, -across), (0, 1))
    cut = places.reshape(counts[0], sizes[0], counts[1], sizes[1]).swapaxes(1, 2)
    return cut.reshape(prod(counts), -1)


def windows_to_field(map: Map, places: ArrayLike, *, grid: tuple[int, ...] | None = None) -> AttentionMap:
    """The maps of windows as one map of the whole field, zero between windows.

    map: [examples * windows, heads, tokens of a window, same], the windows of one example one after the
    other, as a model computes them. places: [windows, tokens of a window], the token at each place of each
    window, -1 for padding; every token lies in exactly one window. What a query spends on padding is lost:
    its row sums to less than 1. Needs room for the small maps alone.
    """
    map = as_map(map)
    where = np.asarray(places)
    windows, size = where.shape if where.ndim == 2 else (0, 0)
    batch, heads, queries, keys = map.shape
    if not windows or batch % windows or (queries, keys) != (size, size):
        raise WorkbenchError(
            f"places {where.shape} must be [windows, tokens of a window] and fit a map of "
            f"[examples * windows, heads, tokens, tokens], but {map.shape} came"
        )
    tokens, counts = np.unique(where[where >= 0], return_counts=True)
    count = len(tokens)
    if not count or tokens[-1] != count - 1 or counts.max() > 1:
        raise WorkbenchError("places must hold every token from 0 upwards exactly once")
    home, slot = np.zeros((2, count), np.int64)
    home[where[where >= 0]], slot[where[where >= 0]] = np.nonzero(where >= 0)
    small = map.probabilities().unflatten(0, (-1, windows))  # [examples, windows, heads, tokens, tokens]
    keys_of = torch.from_numpy(where).to(small.device)

    def compute(part: slice) -> Tensor:
        rows = small[:, home[part], :, slot[part]]  # [rows, examples, heads, tokens]: indices go in front
        return spread(rows.movedim(0, 2), keys_of[home[part]].expand(*rows.shape[1:3], -1, -1), count)

    shape = (batch // windows, heads, count, count)
    return replace(map, shape=shape, rows=tuple(range(count)), compute=compute, grid=grid or map.grid)


def neighbors_to_field(
    map: Map, neighbors: Tensor | ArrayLike, *, keys: int | None = None, grid: tuple[int, ...] | None = None
) -> AttentionMap:
    """A map over the neighbours of each query as one over all keys.

    map: [batch, heads, queries, neighbours]. neighbors: which keys they are, as for `sparse_attention`.
    keys: how many there are; default as many as queries.
    """
    map = as_map(map)
    batch, heads, queries, near = map.shape
    keys = queries if keys is None else keys
    places = checked_neighbors(neighbors, queries, keys)
    if places.shape[-1] != near:
        raise WorkbenchError(f"the map has {near} neighbours of a query, but {places.shape[-1]} came")
    places = places.expand(batch, heads, -1, -1)

    def compute(part: slice) -> Tensor:
        weights = map.probabilities(part)
        return spread(weights, places[:, :, part].to(weights.device), keys)

    return replace(
        map,
        shape=(batch, heads, queries, keys),
        compute=compute,
        grid=grid or map.grid,
    )


def merging(height: int, width: int, block: int = 2) -> Indices:
    """The tokens that are merged into one where a model halves its map: [tokens after, tokens before each].

    For `rollout` through stages of different sizes. Blocks at the lower and right edge may be smaller (-1).
    """
    tall, wide = ceil(height / block), ceil(width / block)
    found = np.full((tall * wide, block * block), -1)
    for down, across in product(range(block), range(block)):
        y, x = np.arange(tall) * block + down, np.arange(wide) * block + across
        token = np.where((y[:, None] < height) & (x < width), y[:, None] * width + x, -1)
        found[:, down * block + across] = token.ravel()
    return found


def _per_axis(given: int | Sequence[int], axes: int) -> tuple[int, ...]:
    each = (given,) * axes if isinstance(given, int) else tuple(given)
    if len(each) != axes:
        raise WorkbenchError(f"expected one number or {axes}, one per axis, but {tuple(each)} came")
    return each

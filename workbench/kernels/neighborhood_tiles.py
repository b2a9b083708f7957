"""Tiles of queries and their halos of keys, laid out once for the products of `neighborhood_product`.

Inside one residue class of the dilation, positions are counted without gaps. A tile is a box of positions
(z, y, x; an axis that is not there has length 1). Its queries become lanes in row-major order. Its keys are
those of the halo, row by row, each with the range of lanes from the first to the last that sees it: keys at
the rim of a halo are seen by few queries, and the products leave the other lanes out.

The layout is three arrays of int32:

    sizes  [tiles, 2]         queries of the tile, keys of its halo (filled up to whole steps of four)
    lanes  [tiles, 7, wide]   token of a lane's query, and its window: z first, z end, y ..., x ...
    keys   [tiles, 6, room]   token of a key, its place z, y, x, and first and end of the lanes that see it

It depends on shapes alone, is made once for all heads and calls, and leaves a kernel with nothing to know
of axes, borders or dilation. With `inverse`, keys stand in the lanes, and the queries that see them are
listed: what gradients need.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from workbench.errors import WorkbenchError
from workbench.kernels.neighborhood_product import FOUR, LANES, VECTOR
from workbench.kernels.neighborhood_windows import (
    Neighborhood,
    PerAxis,
    class_length,
    per_axis,
    seen_by,
    window_bounds,
)

# By the number of axes: a tile's side along an axis with a narrow window and with a wide one, and from
# where on a window is wide. Wide windows share most of a large halo; measured.
SIDES = {1: (64, 256, 32), 2: (8, 16, 16), 3: (4, 4, 1)}
NOBODY = -1  # the place of a key that only fills a step of four: no window reaches it
Layout = tuple[np.ndarray, np.ndarray, np.ndarray]


def tile_of(geometry: Neighborhood, tile: PerAxis | None = None) -> tuple[int, ...]:
    """The tile that is wanted, or a cube of 64 to 256 queries; no side is longer than a class."""
    axes = len(geometry.space)
    narrow, wide, limit = SIDES[axes]
    sides = tuple(wide if window >= limit else narrow for window in geometry.window)
    if tile is not None:
        sides = per_axis("tile", tile, axes)
    if prod(sides) > LANES:
        raise WorkbenchError(f"a tile may have {LANES} queries, but {' x '.join(map(str, sides))} came")
    longest = [-(-length // step) for length, step in zip(geometry.space, geometry.dilation, strict=True)]
    return tuple(min(side, most) for side, most in zip(sides, longest, strict=True))


@lru_cache(maxsize=32)
def tile_layout(geometry: Neighborhood, tile: tuple[int, ...], inverse: bool = False) -> Layout:
    """`sizes`, `lanes` and `keys` for all tiles, to be read only; kept for the next call of these shapes."""
    causal = tuple(map(int, geometry.causal))
    numbers = ((geometry.space, 1), (geometry.window, 1), (geometry.dilation, 1), (causal, 0), (tile, 1))
    axes = zip(*(three(values, fill) for values, fill in numbers), strict=True)
    along = [_along(n, w, step, flag, side, inverse) for n, w, step, flag, side in axes]
    boxes, wide = list(product(*along)), whole_vectors(prod(tile))
    room = max(prod(part.keys.size for part in box) for box in boxes)
    sizes = np.zeros((len(boxes), 2), np.int32)
    lanes = np.zeros((len(boxes), 7, wide), np.int32)
    keys = np.zeros((len(boxes), 6, -(-room // FOUR) * FOUR), np.int32)
    for number, box in enumerate(boxes):
        sizes[number] = _place(box, geometry.space, lanes[number], keys[number])
    return sizes, lanes, keys


def three(numbers: tuple[int, ...], fill: int) -> tuple[int, int, int]:
    """The same along (z, y, x)."""
    z, y, x = (fill, fill, fill, *numbers)[-3:]
    return z, y, x


def whole_vectors(lanes: int) -> int:
    return -(-lanes // VECTOR) * VECTOR


@dataclass(frozen=True)
class _Side:
    """A tile along one axis: where its own positions lie, their windows (counted in the class), the keys
    of the halo, where these lie, and from which to which own position they are seen."""

    own: np.ndarray
    first: np.ndarray
    stop: np.ndarray
    keys: np.ndarray
    places: np.ndarray
    low: np.ndarray
    high: np.ndarray


def _along(length: int, window: int, step: int, causal: int, side: int, inverse: bool) -> list[_Side]:
    """All tiles of all classes along one axis."""
    sees, seen = (seen_by.py_func, window_bounds.py_func)[:: 1 if inverse else -1]
    found = []
    for residue in range(step):
        size = class_length.py_func(length, residue, step)
        bounds = np.array([sees(p, size, window, causal) for p in range(size)])
        other = np.array([seen(p, size, window, causal) for p in range(size)])
        for begin in range(0, size, side):
            end = min(begin + side, size)
            keys = np.arange(bounds[begin, 0], bounds[end - 1, 1])
            found.append(
                _Side(
                    residue + step * np.arange(begin, end),
                    bounds[begin:end, 0],
                    bounds[begin:end, 1],
                    keys,
                    residue + step * keys,
                    np.maximum(other[keys, 0], begin) - begin,
                    np.minimum(other[keys, 1], end) - begin,
                )
            )
    return found


def _place(
    box: tuple[_Side, ...], space: tuple[int, ...], lanes: np.ndarray, keys: np.ndarray
) -> tuple[int, int]:
    """Fills the lanes and keys of one tile; their numbers. The four keys of a step share one range of lanes,
    of whole vectors, and the last step is filled up with keys for nobody."""
    high, wide = three(space, 1)[1:]
    tall, broad = box[1].own.size, box[2].own.size

    def grid(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
        return [part.ravel() for part in np.broadcast_arrays(z[:, None, None], y[:, None], x)]

    z, y, x = grid(*(side.own for side in box))
    used = z.size
    first, stop = grid(*(side.first for side in box)), grid(*(side.stop for side in box))
    lanes[0, :used] = (z * high + y) * wide + x
    for axis in range(3):
        lanes[1 + 2 * axis, :used], lanes[2 + 2 * axis, :used] = first[axis], stop[axis]
    z, y, x = grid(*(side.places for side in box))
    count = z.size
    filled = -(-count // FOUR) * FOUR
    keys[0, :count] = (z * high + y) * wide + x
    keys[1:4, :count] = grid(*(side.keys for side in box))
    z, y, x = grid(*(side.low for side in box))
    keys[4, :count] = (z * tall + y) * broad + x
    z, y, x = grid(*(side.high for side in box))
    keys[5, :count] = ((z - 1) * tall + y - 1) * broad + x
    keys[:, count:filled] = keys[:, count - 1 : count]
    keys[3, count:filled] = NOBODY
    keys[4, :filled] = np.repeat(keys[4, :filled].reshape(-1, FOUR).min(1) // VECTOR * VECTOR, FOUR)
    keys[5, :filled] = np.repeat(-(-keys[5, :filled].reshape(-1, FOUR).max(1) // VECTOR) * VECTOR, FOUR)
    return used, filled

"""One query of neighbourhood attention on a photograph: its window, its tile, the halo, and the waste."""

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from plotly.colors import hex_to_rgb

from workbench.errors import WorkbenchError
from workbench.views.painted import SIDE, Bytes, Painting
from workbench.views.pictures import checked_image
from workbench.views.theme import BLUE, YELLOW
from workbench.views.words import short

if TYPE_CHECKING:  # drawing alone does not load numba
    from workbench.kernels.neighborhood_windows import Neighborhood, NeighborhoodTile

WINDOW, OUTSIDE, HALO, TILE, QUERY = range(5)  # marks: a key in the window has the colours of the photograph


def painted_neighborhood(
    image: ArrayLike, geometry: "Neighborhood", position: Sequence[int], tile: Sequence[int]
) -> Painting:
    """What one query sees, and what the tile that it is handled in must read.

    The keys of its window are clear, the other keys of the tile's halo yellow, all that the tile never reads
    dark. The queries of the tile are blue dots, the one in question is a whole patch of blue.

    image: [height, width] or [height, width, 3] in [0, 1]; a token is a patch of it. geometry: with two axes
    of space. position: (row, column) of the query, in tokens. tile: (rows, columns) of queries.
    """
    photograph = checked_image(image)
    if len(geometry.space) != 2:
        raise WorkbenchError(f"a picture has two axes, but a neighbourhood on {geometry.space} came")
    patch = [side // length for side, length in zip(photograph.shape, geometry.space, strict=False)]
    if any(
        size < 3 or side != size * length
        for side, size, length in zip(photograph.shape, patch, geometry.space, strict=False)
    ):
        raise WorkbenchError(
            f"the picture must be {geometry.space} whole patches of 3 pixels or more, "
            f"but {photograph.shape[0]} × {photograph.shape[1]} pixels came"
        )
    at = (int(position[0]), int(position[1]))
    part = geometry.tile_at(at, tuple(int(side) for side in tile))
    marks = np.full(geometry.space, OUTSIDE, np.uint8)
    marks[np.ix_(*part.keys)] = HALO
    marks[np.ix_(*geometry.window_of(at))] = WINDOW
    fine = np.kron(marks, np.ones(patch, np.uint8))
    for place in product(*part.queries):
        fine[_middle(place, patch)] = TILE
    fine[_whole(at, patch)] = QUERY
    alt, caption = _words(geometry, at, part)
    scale = max(1, round(SIDE / max(fine.shape)))
    return Painting(np.rint(255 * photograph).astype(np.uint8), fine, _colours(), alt, caption, scale)


def _whole(place: tuple[int, ...], patch: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(n * size, (n + 1) * size) for n, size in zip(place, patch, strict=True))


def _middle(place: tuple[int, ...], patch: Sequence[int]) -> tuple[slice, ...]:
    """The middle half of a patch, along both sides."""
    edges = [(n * size + (size + 1) // 4, size // 2) for n, size in zip(place, patch, strict=True)]
    return tuple(slice(first, first + half) for first, half in edges)


def _words(geometry: "Neighborhood", at: tuple[int, int], part: "NeighborhoodTile") -> tuple[str, str]:
    """Text alternative and caption."""
    queries, keys = (" × ".join(str(len(axis)) for axis in axes) for axes in (part.queries, part.keys))
    rows, columns = geometry.window_of(at)
    share = 100 * len(rows) * len(columns) / geometry.tokens
    caption = (
        f"It sees {len(rows)} × {len(columns)} keys, {share:.2g} % of all. {queries} queries with "
        f"{keys} keys: {short(part.waste)} scores calculated for each that is needed."
    )
    apart = "" if max(geometry.dilation) == 1 else f", {' and '.join(map(str, geometry.dilation))} apart"
    alt = (
        f"Photograph cut into {geometry.space[0]} by {geometry.space[1]} tokens. The query in row {at[0]}, "
        f"column {at[1]} sees rows {rows[0]} to {rows[-1]} and columns {columns[0]} to {columns[-1]}{apart}. "
        f"Its tile has {queries} queries, and a halo of {keys} keys."
    )
    return alt, caption


@cache
def _colours() -> Bytes:
    """One row for each mark."""
    marks: list[tuple[float, ...]] = [(0, 0, 0, 0), (0, 0, 0, 190)]
    inks = ((YELLOW, 130), (BLUE, 255), (BLUE, 255))
    marks += [(*hex_to_rgb(colour), opacity) for colour, opacity in inks]
    table: NDArray[np.uint8] = np.rint(marks).astype(np.uint8)
    return table

"""What one query looks at, painted on the image: a light over each patch, for a canvas."""

from collections.abc import Sequence
from functools import cache
from math import ceil

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.colors import get_colorscale, hex_to_rgb, sample_colorscale

from workbench.errors import WorkbenchError
from workbench.views.painted import SIDE, Bytes, Painting, _summed
from workbench.views.pictures import checked_image, picture, pixel_axes
from workbench.views.theme import DIVERGING, PURPLE, describe

STEPS = 16  # of light, to either side of zero
DARK, QUERY, ABOVE = 0, 1, 2  # marks; after ABOVE, STEPS of light, then STEPS below zero
BELOW = ABOVE + STEPS


def painted_attention(
    image: ArrayLike,
    weights: ArrayLike,
    query: int | Sequence[int] | None = None,
    *,
    grid: Sequence[int] | None = None,
    signed: bool = False,
    most: int = 96,
    what: str = "weight",
    caption: str | None = None,
) -> Painting:
    """One row of an attention map on the image that its keys are patches of.

    The brighter a patch, the larger its weight (by the root, over the largest one). The patch of the query
    has a purple frame, and a wide one if it is too small for that.

    image: [height, width] or [height, width, 3] in [0, 1]. weights: [rows, columns] of patches, or [keys]
        with `grid` (rows, columns). query: its row and column among the patches, or its number.
    signed: the numbers may lie below zero, as in implicit attention or in the error of an approximation; they
        are then brown, and blue above, on a gray image. most: pixels a side of what is painted. what: the
        numbers' name.
    """
    photograph = checked_image(image)
    height, width = photograph.shape[:2]
    values = np.asarray(weights, dtype=float)
    if grid is not None and values.size == np.prod(grid):
        values = values.reshape(tuple(grid))
    if values.ndim != 2 or not values.size or values.shape[0] > height or values.shape[1] > width:
        raise WorkbenchError(
            "weights must be [rows, columns] of patches, or [keys] with a grid of as many places, on an "
            f"image of {height} × {width} pixels, but shape {values.shape} came"
        )
    if not np.isfinite(values).all():
        raise WorkbenchError("weights must be finite, but NaN or infinity came")
    if not signed and values.min() < 0:
        raise WorkbenchError("weights must not lie below zero, or signed=True, but some do")
    rows, columns = values.shape
    at = _place(query, rows, columns)
    block = ceil(max(height, width) / max(most, rows, columns))
    pixels = _summed(photograph, block) / _summed(np.ones_like(photograph), block)
    tall, wide = pixels.shape[:2]
    patch = np.ix_(np.arange(tall) * rows // tall, np.arange(wide) * columns // wide)
    largest = float(np.abs(values).max())
    strength = np.sqrt(np.abs(values) / (largest or 1))
    steps = np.rint(STEPS * strength).astype(int)
    lit = np.where(values < 0, BELOW, ABOVE) + steps - 1
    marks = np.where(steps > 0, lit, DARK).astype(np.uint8)[patch]
    if at is not None:
        mine = (patch[0] == at[0]) & (patch[1] == at[1])
        marks[_frame(mine)] = QUERY
    alt, said = _words(values, at, what, signed)
    if block > 1:
        said += f" One pixel of the picture is {block} × {block} of the image."
    scale = max(1, round(SIDE / max(marks.shape)))
    if signed and pixels.ndim == 3:  # a blue sky and a brown suit would be taken for light
        pixels = pixels.mean(axis=2)
    below = np.rint(255 * pixels).astype(np.uint8)
    return Painting(below, marks, _colours(signed), alt, caption or said, scale)


def still_painting(painting: Painting) -> go.Figure:
    """A painting as a figure that stands still, in pixels of the painting."""
    fig = go.Figure(picture(painting.rgb / 255))
    fig.update_layout(height=420, margin={"t": 20}, **pixel_axes(*painting.marks.shape))
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)
    return describe(fig, alt=painting.alt, caption=painting.caption)


def _frame(patch: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The border of the patch; around it, to be seen, where it is too small to have something inside."""
    inside = ~_grown(np.pad(~patch, 1, constant_values=True))[1:-1, 1:-1]
    if inside.any() or patch.size == 1:
        return patch & ~inside
    room = patch
    for _ in range(max(patch.shape) // 32):
        room = _grown(room)
    return _grown(room) & ~room


def _grown(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The area and a border of one pixel around it."""
    wide = np.pad(area, 1)
    across = wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:]
    return across[:-2] | across[1:-1] | across[2:]


def _place(query: int | Sequence[int] | None, rows: int, columns: int) -> tuple[int, int] | None:
    if query is None:
        return None
    row, column = divmod(query, columns) if isinstance(query, int | np.integer) else query
    if not (0 <= row < rows and 0 <= column < columns):
        raise WorkbenchError(f"there are {rows} × {columns} patches, but the query {query} came")
    return int(row), int(column)


def _words(
    values: NDArray[np.float64], at: tuple[int, int] | None, what: str, signed: bool
) -> tuple[str, str]:
    rows, columns = values.shape
    top, left = np.unravel_index(np.abs(values).argmax(), values.shape)
    own = f" Of the query's own patch it is {values[at]:.3g}." if at else ""
    asks = f"the query in row {at[0]}, column {at[1]}" if at else "the query"
    most = f"The {what} of largest size is {values[top, left]:.3g}, at row {top}, column {left}"
    return (
        f"Image under a grid of {rows} by {columns} patches; {asks} is framed. {most}, {what}s go from "
        f"{values.min():.3g} to {values.max():.3g}.{own}",
        f"{most}. Blue lies above zero, brown below."
        if signed
        else f"{most}: {values.max() / (values.mean() or 1):.3g} times what it would be if all were alike. "
        "Yellow is large, a blue tint small; where there is nothing, the photograph is dimmed.",
    )


@cache
def _colours(signed: bool) -> Bytes:
    """One row for each mark."""
    strength = np.arange(1, STEPS + 1) / STEPS
    opacity = 255 * (0.4 + 0.45 * strength)
    above = sample_colorscale(get_colorscale("Cividis"), strength, colortype="tuple")
    if signed:
        above = sample_colorscale(DIVERGING, 0.5 + strength / 2, colortype="tuple")
    below = sample_colorscale(DIVERGING, 0.5 - strength / 2, colortype="tuple")
    lights = [np.column_stack([255 * np.array(side), opacity]) for side in (above, below)]
    dark = [(0, 0, 0, 255 * 0.45), (*hex_to_rgb(PURPLE), 255)]
    return np.rint(np.concatenate([np.array(dark, float), *lights])).astype(np.uint8)

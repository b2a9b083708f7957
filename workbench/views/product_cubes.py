"""A cube of numbers, slice by slice, below what each of its three axes holds: is it a product?"""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, VERMILION, describe
from workbench.views.words import listed

FLOOR = -30.0  # decibels below the largest that are still told apart
COLUMNS = 4  # slices beside one another
NOTABLE = 0.01  # of the largest: what the words count


def product_cube(
    cube: ArrayLike, *, truth: ArrayLike | None = None, name: str = "variance", caption: str | None = None
) -> go.Figure:
    """Three bar charts, one for each axis, and the cube below them, one slice for each place on axis 1.

    cube [n1, n2, n3]: not negative, not all zero. A bar is the sum over the other two axes, as a share of the
    largest bar; for a product g1 ⊗ g2 ⊗ g3 the bars are the three factors. Slices have axis 2 downwards and
    axis 3 across, and are shown in decibels below the largest entry. truth: bool, of the same shape, where
    circles are drawn.
    """
    values = np.asarray(cube, float)
    if values.ndim != 3 or not values.any() or (values < 0).any():
        raise WorkbenchError(
            f"expected a cube [n1, n2, n3] without negative entries and not all zero, but {values.shape} came"
        )
    marks = np.zeros(values.shape, bool) if truth is None else np.asarray(truth, bool)
    if marks.shape != values.shape:
        raise WorkbenchError(f"truth must have shape {values.shape}, but {marks.shape} came")
    sums = [values.sum(tuple({0, 1, 2} - {axis})) for axis in range(3)]
    fig = make_subplots(
        2,
        3,
        specs=[[{}, {}, {}], [{"colspan": 3}, None, None]],
        row_heights=[0.28, 0.72],
        vertical_spacing=0.16,
    )
    for axis, bars in enumerate(sums, start=1):
        places = np.arange(1, len(bars) + 1)
        fig.add_bar(x=places, y=bars / bars.max(), marker_color=BLUE, row=1, col=axis)
        fig.update_xaxes(title_text=f"axis {axis}", row=1, col=axis)
        fig.update_yaxes(range=[0, 1.05], showticklabels=axis == 1, row=1, col=axis)
    sheet, corners = _mosaic(np.maximum(10 * np.log10(values / values.max() + 1e-300), FLOOR))
    fig.add_heatmap(
        z=sheet,
        zmin=FLOOR,
        zmax=0,
        colorbar={"title": {"text": "dB"}, "len": 0.72, "y": 0.0, "yanchor": "bottom", "thickness": 12},
        hoverinfo="skip",
        row=2,
        col=1,
    )
    at = np.array([corners[i] + [j, k] for i, j, k in np.argwhere(marks)]).reshape(-1, 2)
    ring = {"symbol": "circle-open", "size": 8, "color": VERMILION, "line": {"width": 2}}
    fig.add_scatter(x=at[:, 1], y=at[:, 0], mode="markers", marker=ring, hoverinfo="skip", row=2, col=1)
    for number, (y, x) in enumerate(corners, start=1):
        middle = x + (values.shape[2] - 1) / 2
        fig.add_annotation(x=middle, y=y - 0.5, yanchor="bottom", text=str(number), row=2, col=1)
    fig.update_yaxes(title_text="largest = 1", row=1, col=1)
    bare = {"showgrid": False, "showticklabels": False, "ticks": "", "showline": False}
    fig.update_xaxes(constrain="domain", **bare, row=2, col=1)
    fig.update_yaxes(autorange="reversed", scaleanchor="x4", constrain="domain", **bare, row=2, col=1)
    fig.update_layout(height=520, showlegend=False, margin={"t": 30, "l": 50, "r": 10, "b": 20})
    large = [int((bars > NOTABLE * bars.max()).sum()) for bars in sums]
    held = int((values > NOTABLE * values.max()).sum())
    words = (
        f"{listed([str(count) for count in large])} places of the axes and {held} entries of {values.size}"
    )
    ringed = ""
    if truth is not None:
        hit = int((marks & (values > NOTABLE * values.max())).sum())
        ringed = f" {hit} of the {int(marks.sum())} true entries are among them."
    return describe(
        fig,
        alt=f"Bars for three axes and a cube of {name} in slices: {words} are above a hundredth.{ringed}",
        caption=caption or f"Above a hundredth of the largest {name}: {words}.{ringed}",
    )


def _mosaic(cube: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All slices on one sheet with gaps between them, and the first (row, column) of each."""
    count, height, width = cube.shape
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 2), columns * (width + 1) - 1), np.nan)
    corners = np.array([[1 + i // columns * (height + 2), i % columns * (width + 1)] for i in range(count)])
    for slice_, (y, x) in zip(cube, corners, strict=True):
        sheet[y : y + height, x : x + width] = slice_
    return sheet, corners

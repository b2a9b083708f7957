"""The weights of kernels, drawn as small maps on one colour range around zero."""

from collections.abc import Mapping
from math import ceil
from textwrap import wrap

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.pictures import pixel_axes
from workbench.views.theme import DIVERGING, describe

MOST = 12
TITLE = 12  # letters that fit above a panel on a narrow screen


def kernel_maps(
    kernels: Mapping[str, ArrayLike],
    *,
    columns: int = 3,
    limit: float | None = None,
    axes: tuple[str, str] = ("row (pixels)", "column (pixels)"),
    caption: str | None = None,
) -> go.Figure:
    """Up to twelve kernels beside one another: vermilion below zero, blue above, nothing where they are zero.

    kernels: by name, weights [height, width]. All share one range, -limit to limit (default: the largest
    weight), so that a pale kernel is a weak one. Zeros are left out, so that gaps of dilated kernels show.
    axes: what rows and columns are.
    """
    weights = {name: np.asarray(kernel, dtype=float) for name, kernel in kernels.items()}
    if not 1 <= len(weights) <= MOST:
        raise WorkbenchError(f"expected 1 to {MOST} kernels, but {len(weights)} came")
    for name, kernel in weights.items():
        if kernel.ndim != 2 or kernel.size == 0 or not np.isfinite(kernel).all():
            raise WorkbenchError(
                f"a kernel must be finite weights [height, width], but {name!r} has shape {kernel.shape}"
            )
    columns = min(columns, len(weights))
    rows, alone = ceil(len(weights) / columns), len(weights) == 1
    top = limit or max(float(np.abs(kernel).max()) for kernel in weights.values()) or 1.0
    titles = ["<br>".join(wrap(name, TITLE)) for name in weights] if any(weights) else None
    fig = make_subplots(
        rows,
        columns,
        subplot_titles=titles,
        vertical_spacing=0.3 / rows,
        x_title=None if alone else axes[1],
        y_title=None if alone else axes[0],
    )
    said = []
    for number, (name, kernel) in enumerate(weights.items()):
        at = {"row": number // columns + 1, "col": number % columns + 1}
        shown = np.where(kernel == 0, np.nan, kernel)
        fig.add_heatmap(
            z=shown,
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            hovertemplate="row %{y}, column %{x}: %{z:.3g}<extra></extra>",
            **at,
        )
        square = pixel_axes(*kernel.shape)
        anchor = "x" if number == 0 else f"x{number + 1}"
        row, column = axes if alone else (None, None)  # between panels is no room on a narrow screen
        fig.update_xaxes({**square["xaxis"], "nticks": 4, "title": {"text": column}}, **at)
        fig.update_yaxes(
            {**square["yaxis"], "scaleanchor": anchor, "nticks": 4, "title": {"text": row}}, **at
        )
        said.append(
            f"{name + ': ' if name else ''}{np.count_nonzero(kernel)} weights on {kernel.shape[0]} by "
            f"{kernel.shape[1]}, from {kernel.min():.2g} to {kernel.max():.2g}"
        )
    fig.update_layout(
        height=90 + 250 * rows,
        coloraxis={
            "colorscale": DIVERGING,
            "cmin": -top,
            "cmax": top,
            "colorbar": {"title": {"text": "weight"}},
        },
    )
    fig.update_annotations(font={"size": 13})
    fig.update_annotations(xshift=-28, selector={"text": axes[0]})  # within a narrow screen's margin
    return describe(
        fig,
        alt=f"Heat map{'s' if len(weights) > 1 else ''} of kernels. {'; '.join(said)}.",
        caption=caption
        or "Blue weights add, vermilion ones subtract; where nothing is drawn, there is none.",
    )

"""A map of signed numbers as a picture: colour by sign, centred at zero."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.views.pictures import pixel_axes
from workbench.views.theme import DIVERGING, describe

DIGITS = 3  # that a colour can show


def signed_picture(
    map: ArrayLike, *, name: str = "value", signed: bool = True, caption: str | None = None
) -> go.Figure:
    """A map [height, width] in colours, pixel by pixel, without interpolation.

    signed: brown is below zero, blue above, and both ends of the scale lie equally far from it; otherwise one
    scale from the smallest to the largest value. name: what the numbers are. caption: what to notice; default
    the range and, for a signed map, which share lies above zero.
    """
    values = np.asarray(map, dtype=float)
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise WorkbenchError(
            f"expected a map [height, width] of finite numbers, but shape {values.shape} came"
        )
    low, high = float(values.min()), float(values.max())
    end = max(abs(low), abs(high)) or 1.0
    colours = {"colorscale": DIVERGING, "zmin": -end, "zmax": end} if signed else {"colorscale": "Cividis"}
    step = 10.0 ** (np.floor(np.log10(end)) + 1 - DIGITS)
    fig = go.Figure(
        go.Heatmap(
            z=(np.round(values / step) * step).astype(np.float32),
            zsmooth=False,
            colorbar={"title": {"text": name}},
            hovertemplate="row %{y}, column %{x}: %{z:.3g}<extra></extra>",
            **colours,
        )
    )
    fig.update_layout(height=420, **pixel_axes(*values.shape))
    above = f", {100 * (values > 0).mean():.0f} % of it above zero" if signed else ""
    return describe(
        fig,
        alt=f"{name}, {values.shape[0]} by {values.shape[1]} pixels, from {low:.3g} to {high:.3g}{above}.",
        caption=caption or f"{name[:1].upper()}{name[1:]}: from {low:.3g} to {high:.3g}{above}.",
    )

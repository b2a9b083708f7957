"""Weights before and after they are rounded to powers of two: how many land on each rung of a ladder."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.views.theme import describe, line

CLASSES = 4  # bars of the weights as they were, to each doubling


def weight_ladder(
    weights: ArrayLike,
    rounded: ArrayLike,
    *,
    lowest: int | None = None,
    name: str = "weights",
    caption: str | None = None,
) -> go.Figure:
    """The sizes of weights on a scale of doublings: grey bars as they were, blue stems after rounding.

    weights, rounded: of one shape; rounded ones are zero or powers of two up to sign. lowest: the smallest
    exponent drawn (default the smallest in use). Weights below it are drawn in its bar, weights of zero are
    left out. name: what they are. caption: what to notice; default the number of rungs in use.
    """
    before, after = (np.abs(np.asarray(part, dtype=float)).ravel() for part in (weights, rounded))
    if before.shape != after.shape or not after.any() or not before.any():
        raise WorkbenchError(
            f"expected weights and rounded weights of one shape, some not zero, but {before.shape} and "
            f"{after.shape} came"
        )
    heights, rungs = np.log2(before[before > 0]), np.log2(after[after > 0])
    if (rungs != np.rint(rungs)).any():
        raise WorkbenchError("rounded weights must be powers of two or zero, but others came")
    end = int(rungs.min()) if lowest is None else lowest
    edges = np.arange(end - 0.5, max(1.0, np.ceil(heights.max())) + 1e-9, 1 / CLASSES)
    shares = np.histogram(np.maximum(heights, edges[0]), edges)[0] / len(before)
    places, counts = np.unique(rungs, return_counts=True)
    fig = go.Figure()
    fig.add_bar(
        x=edges[:-1] + 0.5 / CLASSES,
        y=np.round(100 * shares, 2),
        width=1 / CLASSES,
        name="as trained",
        marker={"color": line("baseline")["color"], "opacity": 0.55},
        hovertemplate="2^%{x}: %{y} %<extra></extra>",
    )
    fig.add_scatter(
        x=places,
        y=np.round(100 * counts / len(before), 2),
        name="on the rungs",
        mode="markers",
        marker={"color": line("system")["color"], "size": 10},
        error_y={  # a stem down to zero
            "type": "percent",
            "symmetric": False,
            "value": 0,
            "valueminus": 100,
            "width": 0,
            "color": line("system")["color"],
        },
        hovertemplate="2^%{x}: %{y} %<extra></extra>",
    )
    fig.update_layout(
        height=380,
        bargap=0,
        xaxis={"title": {"text": f"size of {name}, as a power of 2"}, "dtick": 2},
        yaxis={"title": {"text": f"share of {name} (%)"}, "rangemode": "tozero"},
    )
    used = f"{len(places)} rung{'s' if len(places) > 1 else ''}, from 2^{places[0]:g} to 2^{places[-1]:g}"
    top = places[counts.argmax()]
    return describe(
        fig,
        alt=f"Sizes of {len(before)} {name} on a scale of doublings. Rounded, they stand on {used}; most, "
        f"{100 * counts.max() / len(before):.0f} %, at 2^{top:g}.",
        caption=caption or f"Rounded {name} stand on {used}.",
    )

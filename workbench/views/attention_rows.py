"""What one query of a long sequence looks at: a line over all keys."""

from math import ceil

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.views.theme import GREY, describe, line

MOST = 1024  # points of the line


def attention_row(
    weights: ArrayLike,
    query: int | None = None,
    *,
    what: str = "weight",
    signed: bool = False,
    caption: str | None = None,
) -> go.Figure:
    """One row of an attention map over the keys in their order; a grey line marks the query's own place.

    weights: [keys], any number. More than 1024 keys are summed in blocks of equal length, so that what lies
    under the line stays what it was; the axis and the caption say so. signed: numbers may lie below zero.
    """
    values = np.asarray(weights, dtype=float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise WorkbenchError(f"expected finite weights [keys], but shape {values.shape} came")
    if query is not None and not 0 <= query < len(values):
        raise WorkbenchError(f"there are {len(values)} keys, but the query {query} came")
    block = ceil(len(values) / MOST)
    starts = np.arange(0, len(values), block)
    sums = np.add.reduceat(values, starts)
    fig = go.Figure()
    fig.add_scatter(
        x=starts,
        y=sums.astype(np.float32),
        mode="lines",
        line={**line("system"), "width": 1.5, "shape": "hv"},
        hovertemplate="key %{x}: %{y:.3g}<extra></extra>",
        showlegend=False,
    )
    if query is not None:
        fig.add_vline(x=query, line={"color": GREY, "width": 1.5})
    per = f"{what} of {block} keys" if block > 1 else what
    fig.update_layout(
        height=320,
        margin={"t": 20},
        xaxis={"title": {"text": "key"}, "range": [-0.5, len(values) - 0.5]},
        yaxis={"title": {"text": per}, **({} if signed else {"rangemode": "tozero"})},
    )
    largest = int(np.abs(values).argmax())
    asks = f"query {query}" if query is not None else "the query"
    summed = f" A point is the sum of {block} keys." if block > 1 else ""
    said = f"The {what} of largest size is {values[largest]:.3g}, at key {largest} of {len(values)}."
    return describe(
        fig,
        alt=f"A line of the {what}s that {asks} has for {len(values)} keys. {said}{summed}",
        caption=caption or f"{said}{summed}",
    )

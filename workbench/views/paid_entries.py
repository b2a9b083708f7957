"""A row of attention, its entries sorted by size, and which part of an approximation pays for each."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, ORANGE, describe, line

FLOOR = 1e-6  # the smallest weight that is drawn


def paid_entries(
    exact: ArrayLike,
    found: ArrayLike,
    on_support: ArrayLike,
    *,
    names: tuple[str, str] = ("kept exactly", "by features"),
    caption: str | None = None,
) -> go.Figure:
    """The weights of one row, the largest first, as a line, and what an approximation gives each as marks.

    exact, found: weights [keys]; what lies below a millionth is drawn there. on_support: bool [keys], which
    of them the first of the two `names` pays for; the others are the second one's. Both axes are logarithmic,
    and the one of weights has the same ends for every row.
    """
    truth, given = np.asarray(exact, dtype=float), np.asarray(found, dtype=float)
    pays = np.asarray(on_support, dtype=bool)
    if truth.ndim != 1 or not len(truth) or not truth.shape == given.shape == pays.shape:
        raise WorkbenchError(
            "exact, found and on_support must be [keys] each, but shapes "
            f"{truth.shape}, {given.shape} and {pays.shape} came"
        )
    if not (np.isfinite(truth).all() and np.isfinite(given).all()):
        raise WorkbenchError("weights must be finite, but NaN or infinity came")
    order = np.argsort(-truth, kind="stable")
    rank = np.arange(1, len(truth) + 1)
    truth, given, pays = truth[order], given[order], pays[order]
    fig = go.Figure()
    fig.add_scatter(
        x=rank, y=np.maximum(truth, FLOOR), name="exact", mode="lines", line=line("baseline"), hoverinfo="y"
    )
    for mine, name, colour, symbol in ((pays, names[0], BLUE, "circle"), (~pays, names[1], ORANGE, "x-thin")):
        fig.add_scatter(
            x=rank[mine],
            y=np.maximum(given[mine], FLOOR),
            name=name,
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 6, "line": {"color": colour, "width": 1.5}},
            hoverinfo="y",
        )
    fig.update_layout(
        height=400,
        xaxis={"title": {"text": "place of the key, largest first"}, "type": "log"},
        yaxis={
            "title": {"text": "weight"},
            "type": "log",
            "range": [np.log10(FLOOR) - 0.2, 0.1],
            "exponentformat": "power",
            "dtick": 1,
        },
    )
    error = np.linalg.norm(given - truth) / np.linalg.norm(truth)
    share = truth[pays].sum() / truth.sum()
    said = (
        f"{pays.sum()} of {len(truth)} entries are {names[0]}, with {share:.0%} of the weight; "
        f"the error is {error:.2f} of the row"
    )
    return describe(
        fig,
        alt=f"Weights of one row on logarithmic axes, from {truth[0]:.2g} down to {truth[-1]:.2g}: {said}.",
        caption=caption or f"{said[:1].upper()}{said[1:]}.",
    )

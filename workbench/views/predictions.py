"""Did a model foresee what the clock showed? Predicted against measured, one mark for each case."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.theme import OKABE_ITO, describe, ideal, mark
from workbench.views.words import listed


def predictions(
    pairs: Mapping[str, Sequence[tuple[float, float]]],
    *,
    what: str = "seconds",
    caption: str,
) -> go.Figure:
    """Pairs of (predicted, measured) by name, on logarithmic axes, and the diagonal of a perfect model.

    All numbers above zero. A mark above the diagonal took longer than predicted.
    """
    every = np.array([pair for cases in pairs.values() for pair in cases], float).reshape(-1, 2)
    if not len(every) or not (every > 0).all():
        raise WorkbenchError("expected pairs of numbers above 0, predicted and measured, but none came")
    fig = go.Figure()
    for number, (name, cases) in enumerate(pairs.items()):
        x, y = np.array(cases, float).reshape(-1, 2).T
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        marker = mark("measured", colour) | ({"symbol": "square-open"} if number % 2 else {})
        fig.add_scatter(x=x, y=y, name=name, mode="markers", marker=marker)
    ends = np.array([every.min() / 1.5, every.max() * 1.5])
    fig.add_shape(**ideal(ends, ends, "as predicted"))
    axis = {
        "type": "log",
        "range": np.log10(ends).tolist(),
        "exponentformat": "power",
        "minexponent": 0,
        "dtick": 1,
    }
    fig.update_xaxes(title={"text": f"predicted {what}"}, **axis)
    fig.update_yaxes(title={"text": f"measured {what}"}, **axis)
    fig.update_layout(height=480)
    off = np.median(abs(every[:, 0] / every[:, 1] - 1))
    return describe(
        fig,
        alt=f"Measured over predicted {what} of {len(every)} cases, for {listed(list(pairs))}, with the "
        f"diagonal. Half of the predictions are off by less than {off:.0%}.",
        caption=caption,
    )

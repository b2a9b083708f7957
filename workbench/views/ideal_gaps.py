"""What something costs beside what it is wrong by, and how much of that it could not have helped."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views.theme import OKABE_ITO, describe, mark
from workbench.views.words import short

ROW = 25  # px for a name
COLOURS = tuple(OKABE_ITO[i] for i in (0, 1, 2, 4, 3, 5, 7, 6))
Span = tuple[float, float]


def ideal_gap(
    points: Mapping[str, tuple[Quantity, float, float]],
    *,
    cost_title: str,
    error_title: str,
    groups: Mapping[str, str] | None = None,
    cost_span: Span | None = None,
    error_span: Span | None = None,
    caption: str | None = None,
) -> go.Figure:
    """A row for each name, the cheapest on top: left its cost, right its error and the least that it can be.

    points: by name, (cost, error, ideal), all positive: both axes are logarithmic. A thin line leads from the
    error to a dash, the ideal. The mark of a cost has the form of its provenance. groups: name -> family,
    which gives the colour. cost_span, error_span: ends of the axes, so that several figures can share them.
    """
    if not points:
        raise WorkbenchError("expected at least one point, but none came")
    for name, (cost, error, ideal) in points.items():
        if not min(cost.value, error, ideal) > 0:
            raise WorkbenchError(
                f"logarithmic axes need positive numbers, but {name!r} has {cost}, {error:g} and {ideal:g}"
            )
    family = {name: (groups or {}).get(name, "") for name in points}
    families = list(dict.fromkeys(groups.values() if groups else family.values()))  # whoever is drawn
    if len(families) > len(COLOURS):
        raise WorkbenchError(f"expected up to {len(COLOURS)} families, but {len(families)} came")
    names = sorted(points, key=lambda name: points[name][0].value)
    rows = {name: row for row, name in enumerate(names)}
    fig = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.06)
    for one, color in zip(families, COLOURS, strict=False):
        some = [name for name in names if family[name] == one]
        if not some:
            continue
        shared = {"y": [rows[name] for name in some], "mode": "markers", "name": one, "hoverinfo": "text"}
        fig.add_scatter(
            x=[points[name][0].value for name in some],
            marker=mark(points[some[0]][0].provenance, color),
            hovertext=[f"{name}: {points[name][0]}" for name in some],
            showlegend=bool(one),
            legendgroup=one,
            **shared,
            row=1,
            col=1,
        )
        fig.add_scatter(
            x=[points[name][1] for name in some],
            marker={"symbol": "circle", "size": 9, "color": color},
            hovertext=[f"{name}: error {points[name][1]:.3g}, ideal {points[name][2]:.3g}" for name in some],
            showlegend=False,
            legendgroup=one,
            **shared,
            row=1,
            col=2,
        )
    for name, (_, error, ideal) in points.items():
        y, place = rows[name], {"type": "line", "row": 1, "col": 2}
        fig.add_shape(x0=error, x1=ideal, y0=y, y1=y, line={"width": 1}, layer="below", **place)
        fig.add_shape(x0=ideal, x1=ideal, y0=y - 0.35, y1=y + 0.35, line={"width": 2}, **place)
    costs = [cost.value for cost, _, _ in points.values()]
    errors = [value for _, error, ideal in points.values() for value in (error, ideal)]
    for col, title, values, given in (
        (1, cost_title, costs, cost_span),
        (2, error_title, errors, error_span),
    ):
        span = np.log10(given or (min(values) / 1.4, max(values) * 1.4))
        fig.update_xaxes(title={"text": title}, type="log", range=list(span), **_ticks(span), row=1, col=col)
    fig.update_yaxes(range=[len(names) - 0.4, -0.6], tickvals=list(rows.values()), ticktext=names)
    fig.update_yaxes(showgrid=False, ticks="")
    fig.update_yaxes(title={"text": "cheapest on top"}, row=1, col=1)
    fig.update_layout(height=150 + ROW * len(names))
    said = [
        f"{name} {short(points[name][0].value, points[name][0].unit)}, {points[name][1]:.3g}, "
        f"ideal {points[name][2]:.3g}"
        for name in names
    ]
    nearest = min(points, key=lambda name: points[name][1] / points[name][2])
    return describe(
        fig,
        alt=f"{cost_title}, {error_title} and its ideal, from the cheapest: {'; '.join(said)}.",
        caption=caption or f"The cheapest on top; a dash is the ideal. Nearest to its own: {nearest}.",
    )


def _ticks(span: np.ndarray) -> dict[str, object]:
    """Powers of ten; on short axes also 2 and 5 times them."""
    digits = (1,) if span[1] - span[0] > 1.5 else (1, 2, 5)
    steps = [digit * 10.0**power for power in range(-12, 16) for digit in digits]
    ticks = [step for step in steps if span[0] <= np.log10(step) <= span[1]]
    return {"tickvals": ticks, "ticktext": [short(tick) if tick >= 1 else f"{tick:g}" for tick in ticks]}

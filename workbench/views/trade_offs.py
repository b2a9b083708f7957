"""What something costs against what it is worth, and which of many nothing else beats."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views.theme import BLUE, add_ideal, describe, mark
from workbench.views.words import listed, short


def trade_off(
    points: Mapping[str, tuple[Quantity, Quantity]],
    *,
    x_title: str,
    y_title: str,
    log: bool = True,
    caption: str | None = None,
) -> go.Figure:
    """One mark for each name: across what it costs, upwards what it is wrong by (less is better in both).

    points: by name, (cost, error), each a `Quantity`; intervals are drawn where there are any, and the mark
    has the form of the error's provenance. A thin line joins those that nothing beats: no other is at most as
    dear and at most as wrong, and less in one of the two. log: whether cost has a logarithmic axis.
    """
    if not points:
        raise WorkbenchError("expected at least one point, but none came")
    places = {name: (cost.value, error.value) for name, (cost, error) in points.items()}
    unbeaten, sides = _front(places), _sides(places, log)
    fig, said = go.Figure(), []
    for name, (cost, error) in points.items():
        low, high = error.low, error.high
        bars = (
            None
            if low is None or high is None
            else {
                "type": "data",
                "symmetric": False,
                "array": [high - error.value],
                "arrayminus": [error.value - low],
                "thickness": 1,
            }
        )
        fig.add_scatter(
            x=[cost.value],
            y=[error.value],
            error_y=bars,
            name=name,
            mode="markers+text",
            text=[f" {name} "],
            textposition=f"middle {sides[name]}",
            textfont={"size": 12},
            marker=mark(error.provenance, BLUE),
            hovertext=[f"{name}: {cost}; {error}"],
            hoverinfo="text",
            cliponaxis=False,
        )
        said.append(f"{name} {short(cost.value, cost.unit)} and {error.value:.3g}")
    if len(unbeaten) > 1:
        front = [points[name] for name in unbeaten]
        xs = np.array([cost.value for cost, _ in front])
        add_ideal(fig, xs, [error.value for _, error in front], "unbeaten")
    costs = [cost.value for cost, _ in points.values()]
    span: dict[str, object] = {"rangemode": "tozero"}
    if log:
        low, high = min(costs) / 2, 2.2 * max(costs)
        steps = [digit * 10.0**power for power in range(-12, 16) for digit in (1, 2, 5)]
        ticks = [step for step in steps if low <= step <= high]
        span = {"type": "log", "range": [np.log10(low), np.log10(high)], "tickvals": ticks}
        span["ticktext"] = [f"{tick:g}" for tick in ticks]
    fig.update_layout(
        height=460,
        showlegend=False,
        xaxis={"title": {"text": x_title}, **span},
        yaxis={"title": {"text": y_title}, "rangemode": "tozero"},
    )
    best = f" Nothing beats {listed(unbeaten)}."
    return describe(
        fig,
        alt=f"Points of {y_title} over {x_title}: {'; '.join(said)}.{best}",
        caption=caption or f"Further left is cheaper, further down is better.{best}",
    )


def _front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names that no other beats, from the cheapest."""

    def beaten(one: tuple[float, float]) -> bool:
        return any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in points.values())

    return sorted((name for name, one in points.items() if not beaten(one)), key=points.__getitem__)


def _sides(points: Mapping[str, tuple[float, float]], log: bool) -> dict[str, str]:
    """On which side of its mark each name stands: away from the nearest other mark."""
    names = list(points)
    where = np.array([points[name] for name in names], dtype=float)
    where[:, 0] = np.log(where[:, 0]) if log else where[:, 0]
    where /= np.maximum(np.ptp(where, axis=0), 1e-12)
    apart = np.linalg.norm(where[:, None] - where[None], axis=-1) + np.diag(np.full(len(names), np.inf))
    nearest = apart.argmin(axis=1)
    return {name: "left" if where[nearest[i], 0] > where[i, 0] else "right" for i, name in enumerate(names)}

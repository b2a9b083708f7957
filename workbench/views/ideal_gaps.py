"""What something costs against what it is wrong by, and how much of that it could not have helped."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views.theme import OKABE_ITO, describe, mark
from workbench.views.words import short

HEIGHT, MARGIN, LINE = 500, {"l": 60, "r": 20, "t": 60, "b": 55}, 16  # px; LINE: of text
TICK = 0.012  # half the length of the dash at an ideal, in widths of the plot
Span = tuple[float, float]


def ideal_gap(
    points: Mapping[str, tuple[Quantity, float, float]],
    *,
    x_title: str,
    y_title: str,
    groups: Mapping[str, str] | None = None,
    x_span: Span | None = None,
    y_span: Span | None = None,
    caption: str | None = None,
) -> go.Figure:
    """A mark for each name, and from it a thin line down to the least error that its wiring allows.

    points: by name, (cost, error, ideal), all positive: both axes are logarithmic, and further left and
    further down is better. The mark has the form of the cost's provenance. groups: name -> family, which
    gives the colour. x_span, y_span: ends of the axes, so that several such figures can share them. An error
    below its ideal (chance, on few data) has its line upwards.
    """
    if not points:
        raise WorkbenchError("expected at least one point, but none came")
    for name, (cost, error, ideal) in points.items():
        if not min(cost.value, error, ideal) > 0:
            raise WorkbenchError(
                f"logarithmic axes need positive numbers, but {name!r} has {cost}, {error:g} and {ideal:g}"
            )
    costs = [cost.value for cost, _, _ in points.values()]
    errors = [value for _, error, ideal in points.values() for value in (error, ideal)]
    xs = np.log10(x_span or (min(costs) / 1.6, max(costs) * 1.6))
    ys = np.log10(y_span or (min(errors) / 1.15, max(errors) * 1.15))
    fig = go.Figure()
    families = list(dict.fromkeys((groups or {}).get(name, "") for name in points))
    for family, color in zip(families, _colours(len(families)), strict=True):
        some = {name: point for name, point in points.items() if (groups or {}).get(name, "") == family}
        fig.add_scatter(
            x=[cost.value for cost, _, _ in some.values()],
            y=[error for _, error, _ in some.values()],
            name=family,
            showlegend=bool(family),
            mode="markers",
            marker=mark(next(iter(some.values()))[0].provenance, color),
            hovertext=[
                f"{name}: {c}; error {e:.3g}; ideal {ideal:.3g}" for name, (c, e, ideal) in some.items()
            ],
            hoverinfo="text",
            cliponaxis=False,
        )
    half = 10 ** (TICK * (xs[1] - xs[0]))
    for cost, error, ideal in points.values():
        x = cost.value
        fig.add_shape(type="line", x0=x, x1=x, y0=error, y1=ideal, line={"width": 1}, layer="below")
        fig.add_shape(type="line", x0=x / half, x1=x * half, y0=ideal, y1=ideal, line={"width": 2})
    places = {name: (np.log10(c.value), np.log10(e)) for name, (c, e, _) in points.items()}
    for name, (to_the_right, up) in _labels(places, xs, ys).items():
        x, y = places[name]
        fig.add_annotation(
            x=x,
            y=y,
            ax=14 if to_the_right else -14,
            ay=-up,
            text=name,
            showarrow=True,
            arrowhead=0,
            arrowwidth=0.7,
            standoff=5,
            xanchor="left" if to_the_right else "right",
            font={"size": 12},
        )
    fig.update_layout(height=HEIGHT, margin=MARGIN)
    fig.update_xaxes(title={"text": x_title}, type="log", range=list(xs), **_ticks(xs))
    fig.update_yaxes(title={"text": y_title}, type="log", range=list(ys), **_ticks(ys))
    said = [
        f"{name} {short(cost.value, cost.unit)}, {error:.3g}, ideal {ideal:.3g}"
        for name, (cost, error, ideal) in points.items()
    ]
    nearest = min(points, key=lambda name: points[name][1] / points[name][2])
    return describe(
        fig,
        alt=f"{y_title} over {x_title}, and the ideal of each: {'; '.join(said)}.",
        caption=caption or f"A dash is the ideal of the mark above it. Nearest to its own: {nearest}.",
    )


def _colours(count: int) -> list[str]:
    if count > len(OKABE_ITO):
        raise WorkbenchError(f"expected up to {len(OKABE_ITO)} families, but {count} came")
    return [OKABE_ITO[i] for i in (0, 1, 2, 4, 3, 5, 7, 6)[:count]]


def _labels(
    places: Mapping[str, tuple[float, float]], xs: np.ndarray, ys: np.ndarray
) -> dict[str, tuple[bool, float]]:
    """For each name whether it stands to the right of its mark, and how many px above it.

    Left half to the right, right half to the left; where names of one side would cover each other, they
    move apart up and down, the middle of the crowd staying where it is.
    """
    height = HEIGHT - MARGIN["t"] - MARGIN["b"]
    found: dict[str, tuple[bool, float]] = {}
    for to_the_right in (True, False):
        names = [name for name, (x, _) in places.items() if (x < xs.mean()) == to_the_right]
        names.sort(key=lambda name: places[name][1])
        wanted = [(places[name][1] - ys[0]) / (ys[1] - ys[0]) * height for name in names]
        for name, at, want in zip(names, spread_out(wanted, LINE), wanted, strict=True):
            found[name] = (to_the_right, round(at - want, 1))
    return found


def spread_out(places: list[float], gap: float) -> list[float]:
    """Growing places moved as little as needed (in squares) to be at least `gap` apart.

    >>> spread_out([0, 1, 2, 10], 3)
    [-2.0, 1.0, 4.0, 10.0]
    """
    blocks: list[list[float]] = []  # [mean of (place - number * gap), how many] of those that touch
    for number, place in enumerate(places):
        blocks.append([place - number * gap, 1.0])
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    starts = [start for start, count in blocks for _ in range(int(count))]
    return [float(start + number * gap) for number, start in enumerate(starts)]


def _ticks(span: np.ndarray) -> dict[str, object]:
    """1, 2 and 5 times the powers of ten; of many powers the 1 alone."""
    digits = (1, 2, 5) if span[1] - span[0] < 2.5 else (1,)
    steps = [digit * 10.0**power for power in range(-12, 16) for digit in digits]
    ticks = [step for step in steps if span[0] <= np.log10(step) <= span[1]]
    return {"tickvals": ticks, "ticktext": [short(tick) if tick >= 1 else f"{tick:g}" for tick in ticks]}

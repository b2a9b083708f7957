"""Lines that grow, bars of costs, and a small table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.quantity import Provenance, Quantity
from workbench.views.theme import BLUE, OKABE_ITO, SIGNS, Role, add_ideal, describe, line, mark
from workbench.views.words import listed, short, spoken

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import Cost


@dataclass(frozen=True)
class Series:
    """One line: its values, their interval where there is one, its role, and where they come from."""

    values: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    role: Role | None = None
    provenance: Provenance = "formula"


def growth(
    x: ArrayLike,
    series: Mapping[str, Series | ArrayLike],
    *,
    ideals: Mapping[str, ArrayLike] | None = None,
    x_title: str = "layers",
    y_title: str = "radius (pixels)",
    caption: str | None = None,
) -> go.Figure:
    """How something grows: one line per name, with marks by provenance and intervals, and ideal curves.

    x: [points]. series: by name, a `Series` or plain values [points]. ideals: by name, values [points] of a
    law, drawn thin in the ink of the page. caption: what to notice; default the last values.
    """
    xs = np.asarray(x, dtype=float)
    if xs.ndim != 1 or len(xs) == 0 or not series:
        raise WorkbenchError(f"expected x [points] and at least one series, but shape {xs.shape} came")
    lines = {name: s if isinstance(s, Series) else Series(s) for name, s in series.items()}
    fig, said = go.Figure(), []
    for number, (name, one) in enumerate(lines.items()):
        values = _points(one.values, xs, name)
        style = line(one.role) if one.role else {"color": OKABE_ITO[number % len(OKABE_ITO)]}
        fig.add_scatter(
            x=xs,
            y=values,
            name=name,
            mode="lines+markers",
            line=style,
            marker=mark(one.provenance, style["color"]),
            error_y=_interval(one, values, xs, name),
        )
        said.append(f"{name} goes from {values[0]:.3g} to {values[-1]:.3g} ({one.provenance})")
    for name, law in (ideals or {}).items():
        values = _points(law, xs, name)
        add_ideal(fig, xs, values, name)
        said.append(f"the law {name!r} goes from {values[0]:.3g} to {values[-1]:.3g}")
    fig.update_layout(
        height=420,
        xaxis={"title": {"text": x_title}},
        yaxis={"title": {"text": y_title}, "rangemode": "tozero"},
    )
    last = listed([f"{np.asarray(one.values)[-1]:.3g} for {name}" for name, one in lines.items()])
    return describe(
        fig,
        alt=f"Lines of {y_title} over {x_title} from {xs[0]:g} to {xs[-1]:g}: {'; '.join(said)}.",
        caption=caption or f"At {xs[-1]:g} {x_title}: {last}.",
    )


def _points(values: ArrayLike, xs: np.ndarray, name: str) -> np.ndarray:
    points = np.asarray(values, dtype=float)
    if points.shape != xs.shape:
        raise WorkbenchError(
            f"{name!r} must have {len(xs)} values, one for each x, but shape {points.shape} came"
        )
    return points


def _interval(one: Series, values: np.ndarray, xs: np.ndarray, name: str) -> dict[str, Any] | None:
    if one.low is None or one.high is None:
        return None
    low, high = _points(one.low, xs, name), _points(one.high, xs, name)
    return {"type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low}


MEASURES = {"parameters": "parameters", "macs": "multiply-adds", "flops": "flops", "bytes": "bytes moved"}
UNITS = {"parameters": "", "MAC": "", "flop": "", "B": "B", "s": "s"}


def cost_bars(
    costs: "Mapping[str, Cost]",
    *,
    measures: Sequence[str] = ("parameters", "macs", "bytes"),
    also: Mapping[str, Mapping[str, Quantity]] | None = None,
    roles: Mapping[str, Role] | None = None,
    caption: str | None = None,
) -> go.Figure:
    """What several modules cost, one panel per measure, each on its own axis from zero.

    costs: `Cost` by name. measures: which of parameters, macs, flops and bytes. also: further panels, each
    a `Quantity` by the same names, e.g. {"time forward (s)": {...}}. roles: colours by name. The mark at the
    end of a bar says where the number comes from; a measured one shows its interval.
    """
    if not costs:
        raise WorkbenchError("expected at least one cost, but none came")
    if unknown := [measure for measure in measures if measure not in MEASURES]:
        raise WorkbenchError(f"measures must be out of {', '.join(MEASURES)}, but {unknown[0]!r} came")
    panels: dict[str, dict[str, Quantity]] = {
        MEASURES[measure]: {name: getattr(cost, measure) for name, cost in costs.items()}
        for measure in measures
    }
    for title, quantities in (also or {}).items():
        if set(quantities) != set(costs):
            raise WorkbenchError(f"{title!r} must have the names {list(costs)}, but {list(quantities)} came")
        panels[title] = {name: quantities[name] for name in costs}
    return bars(panels, roles=roles, what="module", caption=caption or "What each module costs on one input.")


def bars(
    panels: Mapping[str, Mapping[str, Quantity]],
    *,
    roles: Mapping[str, Role] | None = None,
    what: str = "kernel",
    caption: str,
) -> go.Figure:
    """Bars side by side, one panel per measure, each on its own axis from zero.

    panels: by title (with the unit), a `Quantity` by name, the same names in each. roles: colours by name.
    what: the things that are compared. The mark at the end of a bar says where the number comes from; an
    interval is shown where there is one.
    """
    names = list(next(iter(panels.values()), ()))
    if not names or any(list(quantities) != names for quantities in panels.values()):
        raise WorkbenchError(f"expected panels with the same names in each, but {dict(panels)} came")
    colours = [line(roles[name])["color"] if roles and name in roles else BLUE for name in names]
    between, inside = 70, 24 * len(names)  # pixels: an axis with its title, and the bars of a panel
    height = len(panels) * (inside + between)
    fig = make_subplots(len(panels), 1, vertical_spacing=between / height if len(panels) > 1 else 0)
    for row, (title, quantities) in enumerate(panels.items(), start=1):  # one below the other, for phones
        values = [q.value for q in quantities.values()]
        ends = [max(q.value, q.high or q.value) for q in quantities.values()]
        said = [short(q.value, UNITS.get(q.unit, q.unit)) for q in quantities.values()]
        fig.add_bar(
            x=values, y=names, orientation="h", marker={"color": colours, "opacity": 0.55}, row=row, col=1
        )
        fig.add_scatter(
            x=values,
            y=names,
            mode="markers",
            marker={
                "symbol": [mark(q.provenance)["symbol"] for q in quantities.values()],
                "color": colours,
                "size": 9,
                "line": {"color": colours, "width": 2},
            },
            error_x=_spans(list(quantities.values())),
            hovertext=[str(q) for q in quantities.values()],
            hoverinfo="text",
            cliponaxis=False,
            row=row,
            col=1,
        )
        fig.add_scatter(  # beyond the whisker, so that the number can be read
            x=ends,
            y=names,
            mode="text",
            text=[f"  {number}" for number in said],
            textposition="middle right",
            textfont={"size": 12},
            hoverinfo="skip",
            cliponaxis=False,
            row=row,
            col=1,
        )
        scale = {"range": [0, 1.45 * (max(ends, default=1) or 1)], "nticks": 4, "exponentformat": "SI"}
        fig.update_xaxes(title={"text": title, "standoff": 2}, **scale, row=row, col=1)
    fig.update_yaxes(autorange="reversed", title={"text": what})
    fig.update_layout(height=height + 20, margin={"t": 20, "b": between}, showlegend=False, bargap=0.35)
    told = [
        f"{title}: "
        + listed([f"{name} {spoken(q.value, UNITS.get(q.unit, q.unit))}" for name, q in row.items()])
        for title, row in panels.items()
    ]
    origin: list[str] = sorted({q.provenance for row in panels.values() for q in row.values()})
    marks = listed([f"{SIGNS[provenance]} {provenance}" for provenance in origin])
    return describe(
        fig,
        alt=f"Bars that compare {listed(names)}. {'; '.join(told)}. Provenance: {listed(origin)}.",
        caption=f"{caption} ({marks})",
    )


def _spans(quantities: list[Quantity]) -> dict[str, Any] | None:
    if not any(q.low is not None and q.high is not None for q in quantities):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if q.high is None else q.high - q.value for q in quantities],
        "arrayminus": [0 if q.low is None else q.value - q.low for q in quantities],
    }


@dataclass(frozen=True)
class Table:
    """A small table that notebooks and pages show as HTML; a `Quantity` carries its mark."""

    rows: tuple[Mapping[str, object], ...]
    columns: tuple[str, ...]
    caption: str
    digits: int = field(default=4, repr=False)

    def cell(self, value: object) -> str:
        """One entry as text."""
        if value is None:
            return "–"
        if isinstance(value, Quantity):
            large = abs(value.value) >= 10**self.digits  # 134 M is read at a glance, 1.345e+08 is not
            say = short if large else "{:.3g}".format
            span = (
                "" if value.low is None or value.high is None else f" [{say(value.low)}, {say(value.high)}]"
            )
            if large and not span:
                return f"{SIGNS[value.provenance]}\u00a0{short(value.value, value.unit)}"
            number = short(value.value) if large else f"{value.value:.{self.digits}g}"
            return f"{SIGNS[value.provenance]}\u00a0{number}{span} {value.unit}".rstrip()
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            return str(value)
        if isinstance(value, (int, np.integer)):
            return f"{value:,}".replace(",", "\u202f")
        return f"{value:.{self.digits}g}"

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in self.columns)
        body = "".join(
            f"<tr>{''.join(self._html(column, row) for column in self.columns)}</tr>" for row in self.rows
        )
        return (
            f'<table class="wb-table"><caption>{escape(self.caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _html(self, column: str, row: Mapping[str, object]) -> str:
        value = row.get(column)
        text = escape(self.cell(value))
        if isinstance(value, Quantity):
            whole = text if "[" in text else text.replace(" ", "\u00a0")  # a number keeps its unit
            return f'<td style="text-align:right" title="{value.provenance}">{whole}</td>'
        if column == self.columns[0]:
            return f'<th scope="row" style="text-align:left">{text}</th>'
        numeric = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        return f'<td style="text-align:{"right" if numeric else "left"}">{text}</td>'

    def __str__(self) -> str:
        cells = [self.columns, *(tuple(self.cell(row.get(c)) for c in self.columns) for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells
        ]
        return "\n".join([self.caption, *(text.rstrip() for text in lines)])


def table(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str] | None = None,
    *,
    caption: str,
    digits: int = 4,
) -> Table:
    """A table of dicts, such as the `rows()` of a receptive field; the first column names the rows."""
    if not rows:
        raise WorkbenchError("a table needs at least one row, but none came")
    chosen = tuple(columns or rows[0])
    if missing := [column for column in chosen if not any(column in row for row in rows)]:
        raise WorkbenchError(f"no row has a column {missing[0]!r}; there are {', '.join(map(str, rows[0]))}")
    return Table(tuple(rows), chosen, caption, digits)

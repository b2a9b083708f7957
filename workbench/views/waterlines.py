"""The waterline: where the time of a row of kernels must go, by operations and by bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views.theme import SKY, describe, ideal
from workbench.views.words import duration, listed, spoken, time_unit
from workbench.views.work import Work, colours, legend, told, where_and_when


@dataclass(frozen=True)
class Bar:
    """One kernel: `width` is its compute time F/P in seconds, `height` its memory time over that.

    A kernel without flops is as wide as its memory time and just reaches the waterline.
    """

    width: float
    height: float
    computes: bool

    @property
    def seconds(self) -> float:
        """The least time that it takes: the longer of computing and moving."""
        return self.width * max(1.0, self.height)


def bars(kernels: Mapping[str, Work], peak: Quantity, bandwidth: Quantity) -> dict[str, Bar]:
    """Width and height of every kernel, for a peak in flop/s and a bandwidth in B/s."""
    if not kernels:
        raise WorkbenchError("a waterline needs at least one kernel, but none came")
    for name, limit in (("peak", peak), ("bandwidth", bandwidth)):
        if not limit.value > 0:
            raise WorkbenchError(f"the {name} must be positive, but {limit} came")
    found = {}
    for name, work in kernels.items():
        if not isinstance(work.bytes, Quantity):
            raise WorkbenchError(f"a waterline takes the bytes of one level, but {name!r} has several")
        compute, move = work.flops.value / peak.value, work.bytes.value / bandwidth.value
        if not compute and not move:
            raise WorkbenchError(f"{name!r} has neither flops nor bytes: it takes no time")
        found[name] = Bar(compute, move / compute, True) if compute else Bar(move, 1.0, False)
    return found


def waterline(
    kernels: Mapping[str, Work],
    *,
    peak: Quantity,
    bandwidth: Quantity,
    top: float | None = None,
    caption: str | None = None,
) -> go.Figure:
    """Kernels side by side: width F/P, height (B/W)/(F/P), and a waterline at 1.

    What rises above the line waits for memory. The time that all of them need at least is the sum of width
    times the larger of 1 and height; the maximum efficiency is the sum of F/P over it. A kernel without
    flops is hatched: its bar is B/W wide and reaches the line.

    kernels: `Work` by name, in the order of their execution. peak: flop/s. bandwidth: B/s.
    top: of the vertical axis, so that several figures share it; a bar that is cut there says how high it is.
    """
    row = bars(kernels, peak, bandwidth)
    least = sum(bar.seconds for bar in row.values())
    computing = sum(bar.width for bar in row.values() if bar.computes)
    whole = sum(bar.width for bar in row.values())
    factor, unit = time_unit(whole)
    end = whole * factor
    fig, at = go.Figure(), 0.0
    height = top or _top(list(row.values()))
    inks = colours(work.role for work in kernels.values())
    for (name, bar), ink in zip(row.items(), inks, strict=True):
        work = kernels[name]
        facts = "<br>".join(told(one) for one in work.quantities)
        pattern = {} if bar.computes else {"pattern": {"shape": "/", "fgcolor": ink, "fillmode": "replace"}}
        fig.add_bar(
            x=[at],
            y=[bar.height],
            width=[bar.width * factor],
            offset=0,
            name=name if bar.computes else f"{name} (no flops)",
            marker={"color": ink, "opacity": 0.75, "line": {"width": 1, "color": ink}, **pattern},
            hovertext=f"{name}: at least {duration(bar.seconds)}<br>{facts}",
            hoverinfo="text",
        )
        if bar.height > height:
            fig.add_annotation(
                x=at + bar.width * factor / 2,
                y=1,
                yref="paper",
                text=f"▲ {bar.height:.3g}",
                xanchor="right" if at > 0.8 * end else "left" if at < 0.2 * end else "center",
                yanchor="bottom",
                font={"size": 12},
            )
        at += bar.width * factor
    fig.add_shape(
        type="rect", x0=0, x1=at, y0=0, y1=1, fillcolor=SKY, opacity=0.2, line={"width": 0}, layer="below"
    )
    fig.add_shape(**ideal([0, at], [1, 1], "waterline"))
    fig.update_shapes(showlegend=False)
    fig.add_annotation(
        x=1, xref="paper", y=1, text="waterline", xanchor="right", yanchor="bottom", font={"size": 12}
    )
    fig.update_layout(
        height=420,
        showlegend=True,
        xaxis={"title": {"text": f"time of computing at the peak ({unit})"}, "range": [0, 1.01 * at]},
        yaxis={"title": {"text": "memory time / compute time"}, "range": [0, height]},
    )
    known = [peak, bandwidth, *(one for work in kernels.values() for one in work.quantities)]
    said = [_words(name, bar) for name, bar in row.items()]
    total = f"at least {duration(least)} in all, maximum efficiency {100 * computing / least:.3g} %"
    return describe(
        fig,
        alt=f"Waterline of {listed(list(row))} for a peak of {spoken(peak.value, 'flop/s')} and a bandwidth "
        f"of {spoken(bandwidth.value, 'B/s')}. {'; '.join(said)}; {total}.{where_and_when(known)}",
        caption=f"{caption or f'{total[0].upper()}{total[1:]}.'} ({legend(known)})",
    )


def _top(row: list[Bar]) -> float:
    """High enough for every bar that is wide enough to be seen; the others are cut, with their height."""
    whole = sum(bar.width for bar in row)
    return 1.15 * max([1.3, *(bar.height for bar in row if bar.width > whole / 50)])


def _words(name: str, bar: Bar) -> str:
    if not bar.computes:
        return f"{name} has no flops and moves for {duration(bar.width)}"
    where = "above" if bar.height > 1 else "below" if bar.height < 1 else "at"
    return f"{name} is {duration(bar.width)} wide and {bar.height:.3g} high, {where} the waterline"

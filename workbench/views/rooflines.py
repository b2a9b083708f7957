"""The roofline: how fast a kernel of some intensity could be, and how fast it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from math import floor, log10

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.quantity import Provenance, Quantity
from workbench.views.theme import VERMILION, describe, ideal, mark
from workbench.views.words import listed, short, spoken
from workbench.views.work import Work, colours, legend, told, where_and_when

Span = tuple[float, float]
TOUCH = 2.0  # marks nearer than this factor have no room for a name each
IMPOSSIBLE = "above the roof: the count or the clock is wrong"


@dataclass(frozen=True)
class _Placed:
    """A kernel on the plane: intensity by level (flop/B), rate (flop/s), and the roof over it."""

    name: str
    work: Work
    intensity: dict[str, float]
    roof: float
    highest: float  # the roof, with the best that its intervals allow
    limit: str  # what the roof is made of there
    rate: float
    slowest: float

    @property
    def impossible(self) -> bool:
        """Faster than the roof by more than what is known of both allows."""
        return self.work.seconds is not None and self.slowest > self.highest * (1 + 1e-9)

    @property
    def words(self) -> str:
        near = listed([f"{value:.3g} flop per byte of {level}" for level, value in self.intensity.items()])
        roof = f"a roof of {spoken(self.roof, 'flop/s')} ({self.limit})"
        if self.work.seconds is None:
            return f"{self.name}, {near}, is not timed and can reach {roof}"
        share = f"{100 * self.rate / self.roof:.3g} % of {roof}"
        what = f"{self.name}, {near}, runs at {spoken(self.rate, 'flop/s')}, {share}"
        return f"{what}: {IMPOSSIBLE}" if self.impossible else what


def roofline(
    points: Mapping[str, Work],
    *,
    peaks: Mapping[str, Quantity],
    bandwidths: Mapping[str, Quantity],
    intensities: Span | None = None,
    rates: Span | None = None,
    caption: str | None = None,
) -> go.Figure:
    """Kernels by intensity and rate, under the ceilings of a machine; both axes are logarithmic.

    points: `Work` by name. One whose bytes are given by level has one mark for each, joined by a thin line;
        other bytes are those of the slowest memory. A kernel that is not timed stands on its roof.
    peaks: flop/s by name, bandwidths: B/s by name of the level; thin lines in the ink of the page, with a
        small mark where a bandwidth meets a peak. A kernel's roof is the lowest of its peak and what each of
        its levels can deliver.
    intensities, rates: ranges of the axes, so that several figures share them; default what is needed.

    A kernel faster than its roof, by more than the intervals allow, is marked and named as impossible.
    """
    if not points or not peaks or not bandwidths:
        raise WorkbenchError("a roofline needs at least one point, one peak and one bandwidth")
    for name, limit in (*peaks.items(), *bandwidths.items()):
        if not limit.value > 0:
            raise WorkbenchError(f"the ceiling {name!r} must be positive, but {limit} came")
    placed = [_placed(name, work, peaks, bandwidths) for name, work in points.items()]
    top = max(peak.value for peak in peaks.values())
    ridges = [top / band.value for band in bandwidths.values()]
    xs = [value for one in placed for value in one.intensity.values()]
    low, high = intensities or (min(*xs, *ridges) / 4, max(*xs, *ridges) * 10)
    slowest = min(band.value for band in bandwidths.values())
    ys = [value for one in placed for value in (one.rate, one.roof)]
    bottom, ceiling = rates or (min(*ys, slowest * low) / 2.5, max(*ys, top) * 3)
    fig = go.Figure()
    _ceilings(fig, peaks, bandwidths, (low, high), bottom)
    for one, ink in zip(placed, colours(work.role for work in points.values()), strict=True):
        _draw(fig, one, ink)
    fig.update_layout(
        height=480,
        xaxis=_axis("operations for each byte (flop/B)", low, high, "none"),
        yaxis=_axis("rate (flop/s)", bottom, ceiling, "SI"),
    )
    known = [*peaks.values(), *bandwidths.values(), *(q for one in placed for q in one.work.quantities)]
    limits = [
        *(f"{name} at {spoken(peak.value, 'flop/s')}" for name, peak in peaks.items()),
        *(f"{name} at {spoken(band.value, 'B/s')}" for name, band in bandwidths.items()),
    ]
    return describe(
        fig,
        alt=f"Roofline of {listed(list(points))} under {listed(limits)}. "
        f"{'; '.join(one.words for one in placed)}.{where_and_when(known)}",
        caption=f"{caption or _caption(placed)} ({legend(known)})",
    )


def _placed(
    name: str, work: Work, peaks: Mapping[str, Quantity], bandwidths: Mapping[str, Quantity]
) -> _Placed:
    """Where the kernel stands, and under which roof."""
    if work.flops.value == 0:
        raise WorkbenchError(f"{name!r} has no flops, so no place on a roofline; `waterline` draws it")
    slowest = min(bandwidths, key=lambda level: bandwidths[level].value)
    moved = {slowest: work.bytes} if isinstance(work.bytes, Quantity) else dict(work.bytes)
    if unknown := [level for level in moved if level not in bandwidths]:
        raise WorkbenchError(
            f"{name!r} moves bytes at {unknown[0]!r}, but bandwidths are given for {listed(list(bandwidths))}"
        )
    if work.peak is not None and work.peak not in peaks:
        raise WorkbenchError(f"{name!r} names the peak {work.peak!r}, but there are {listed(list(peaks))}")
    intensity = {level: work.flops.value / one.value for level, one in moved.items() if one.value}
    if not intensity:
        raise WorkbenchError(f"{name!r} moves no bytes at any level, so its intensity is infinite")
    peak = work.peak or max(peaks, key=lambda one: peaks[one].value)
    roofs = {peak: peaks[peak]} | {
        level: bandwidths[level].scaled(value, "flop/s") for level, value in intensity.items()
    }
    limit = min(roofs, key=lambda one: roofs[one].value)
    seconds = work.seconds
    return _Placed(
        name=name,
        work=work,
        intensity=intensity,
        roof=roofs[limit].value,
        highest=min(max(one.value, one.high or 0) for one in roofs.values()),
        limit=limit,
        rate=work.flops.value / seconds.value if seconds else roofs[limit].value,
        slowest=work.flops.value / (seconds.high or seconds.value) if seconds else 0.0,
    )


def _ceilings(
    fig: go.Figure,
    peaks: Mapping[str, Quantity],
    bandwidths: Mapping[str, Quantity],
    span: Span,
    bottom: float,
) -> None:
    """Slopes and flat roofs as shapes without a colour of their own, ridges as small grey marks."""
    low, high = span
    top = max(peak.value for peak in peaks.values())
    fastest = max(band.value for band in bandwidths.values())
    for name, band in bandwidths.items():
        start = max(low, bottom / band.value)
        end = top / band.value
        if start >= min(end, high):  # it never comes under the highest peak in this window
            continue
        fig.add_shape(
            **ideal([start, min(end, high)], [start * band.value, min(top, high * band.value)], name)
        )
        fig.add_annotation(  # below its line, which rises away from it
            x=log10(start),
            y=log10(start * band.value),
            text=f"{name} {short(band.value, 'B/s')}",
            font={"size": 12},
            xanchor="left",
            yanchor="top",
            xshift=14,
            yshift=6,
        )
    for name, peak in peaks.items():
        fig.add_shape(**ideal([max(low, peak.value / fastest), high], [peak.value, peak.value], name))
        fig.add_annotation(
            x=log10(high),
            y=log10(peak.value),
            text=f"{name} {short(peak.value, 'flop/s')}",
            font={"size": 12},
            xanchor="right",
            yanchor="bottom",
        )
    for shape in fig.layout.shapes:
        shape.update(showlegend=False, layer="below")
    corners = [
        (peak.value / band.value, peak.value, f"{level} meets {name} at", band)
        for name, peak in peaks.items()
        for level, band in bandwidths.items()
        if low <= peak.value / band.value <= high
    ]
    if corners:
        fig.add_scatter(
            x=[x for x, _, _, _ in corners],
            y=[y for _, y, _, _ in corners],
            mode="markers",
            marker={**mark("formula", "#808080", 5), "symbol": [_symbol(band) for *_, band in corners]},
            hovertext=[f"{words} {x:.3g} flop/B" for x, _, words, _ in corners],
            hoverinfo="text",
            showlegend=False,
        )


def _symbol(one: Quantity) -> str:
    return str(mark(one.provenance)["symbol"])


def _draw(fig: go.Figure, one: _Placed, ink: str) -> None:
    """One mark for each level, joined by a thin line; a square where it was timed, else the count's mark."""
    work, several = one.work, len(one.intensity) > 1
    moved = {level: _moved(work, level) for level in one.intensity}
    marks: list[Provenance] = [
        work.seconds.provenance if work.seconds else moved[level].provenance for level in one.intensity
    ]
    facts = [told(q) for q in (work.flops, work.seconds) if q]
    fig.add_scatter(
        x=list(one.intensity.values()),
        y=[one.rate] * len(one.intensity),
        name=f"{one.name}{'' if work.seconds else ' (attainable)'}",
        mode="lines+markers+text" if several else "markers",
        line={"color": ink, "width": 1},
        marker={**mark(marks[0], ink, 10), "symbol": [str(mark(each)["symbol"]) for each in marks]},
        text=_labels(one.intensity) if several else None,
        textposition="bottom right",
        textfont={"size": 12},
        hovertext=[
            f"{one.name}, {level}: {value:.3g} flop/B, {short(one.rate, 'flop/s')}<br>"
            f"{'<br>'.join([*facts[:1], told(moved[level]), *facts[1:]])}"
            for level, value in one.intensity.items()
        ],
        hoverinfo="text",
        error_x=_spread([work.flops.value / q.value for q in moved.values()], list(moved.values()), work),
        error_y=_rate_spread(one),
    )
    if one.impossible:
        at = min(one.intensity.values())
        fig.add_scatter(
            x=[at],
            y=[one.rate],
            mode="markers",
            marker={"symbol": "x-thin", "size": 20, "line": {"color": VERMILION, "width": 3}},
            hovertext=[IMPOSSIBLE],
            hoverinfo="text",
            showlegend=False,
        )
        fig.add_annotation(x=log10(at), y=log10(one.rate), text="above the roof", yshift=18)


def _labels(intensity: Mapping[str, float]) -> list[str]:
    """Names for marks from left to right; marks that nearly touch share one, at the last of them."""
    places = sorted(intensity, key=intensity.__getitem__)
    shared: list[str] = []
    labels = dict.fromkeys(places, "")
    for here, after in zip_longest(places, places[1:]):
        shared.append(here)
        if after is None or intensity[after] > TOUCH * intensity[here]:
            labels[here] = ", ".join(shared)
            shared = []
    return [labels[level] for level in intensity]


def _moved(work: Work, level: str) -> Quantity:
    return work.bytes if isinstance(work.bytes, Quantity) else work.bytes[level]


def _spread(xs: list[float], moved: list[Quantity], work: Work) -> dict[str, object] | None:
    """The interval of an intensity: more bytes, less of it."""
    if not any(q.low and q.high for q in moved):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [work.flops.value / (q.low or q.value) - x for x, q in zip(xs, moved, strict=True)],
        "arrayminus": [x - work.flops.value / (q.high or q.value) for x, q in zip(xs, moved, strict=True)],
    }


def _rate_spread(one: _Placed) -> dict[str, object] | None:
    seconds = one.work.seconds
    if seconds is None or not seconds.low or not seconds.high:
        return None
    fast, times = one.work.flops.value / seconds.low, len(one.intensity)
    return {
        "type": "data",
        "symmetric": False,
        "array": [fast - one.rate] * times,
        "arrayminus": [one.rate - one.slowest] * times,
    }


def _axis(title: str, low: float, high: float, form: str) -> dict[str, object]:
    if not 0 < low < high:
        raise WorkbenchError(f"a logarithmic axis needs 0 < low < high, but {low:g} and {high:g} came")
    decades = floor(log10(high)) - floor(log10(low))
    return {
        "type": "log",
        "title": {"text": title},
        "range": [log10(low), log10(high)],
        "dtick": 1 if decades > 1 else "D2",
        "exponentformat": form,
    }


def _caption(placed: list[_Placed]) -> str:
    """The first impossible kernel, else the one nearest to its roof and the one farthest from it."""
    if wrong := [one.name for one in placed if one.impossible]:
        return f"{listed(wrong)} {'stands' if len(wrong) == 1 else 'stand'} {IMPOSSIBLE}."
    timed = sorted((one for one in placed if one.work.seconds), key=lambda one: one.rate / one.roof)
    if not timed:
        return f"None is timed: each stands on its roof, {placed[0].name} on {placed[0].limit}."
    said = [f"{one.name} reaches {100 * one.rate / one.roof:.3g} % of its roof" for one in timed]
    return f"{said[-1]}." if len(said) == 1 else f"{said[-1]}, {said[0]}."

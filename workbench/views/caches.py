"""What simulated caches did: misses by place and time, by array and cause, and how soon lines come back."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, OKABE_ITO, ORANGE, SIGNS, VERMILION, describe, ideal, mark
from workbench.views.words import listed, short, spoken

KiB = 1024
BAR = 0.22  # of the space between two distances, for each array
ROWS, COLUMNS = 96, 96  # cells of a map, at most: places and times
RULER = (0, 1 / 16, 1 / 4, 9 / 16, 1)  # where the colours of a map are labelled, as shares of the most
CAUSES = {"compulsory": (BLUE, ""), "capacity": (ORANGE, "/"), "conflict": (VERMILION, "x")}


class Counted(Protocol):
    """What `count` and `simulate` return, as far as a map of misses needs it."""

    @property
    def accesses(self) -> int: ...

    @property
    def cache(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class _Band:
    """Where one array lies: bytes [low, high)."""

    name: str
    low: int
    high: int


def cache_map(
    counts: Counted,
    arrays: Mapping[str, Any] | None = None,
    *,
    level: str | None = None,
    most: float | None = None,
    caption: str | None = None,
) -> go.Figure:
    """Misses of one cache, address against time: which array misses when.

    counts: what `count` or `simulate` returned. arrays: the arrays of the call by name, in the order of the
    arguments, or the bytes (first, after the last) of each; default addresses alone. level: default the
    nearest. most: misses in a cell at the bright end of the colours, so that several maps share them.
    """
    found = _level(counts, level)
    bands = _bands(arrays)
    misses, times, places = _coarse(found, counts.accesses)
    width, height = found.map_accesses * times, found.map_bytes * places
    ends = [band.high for band in bands] or [_last_place(misses) * height + height]
    rows, columns = ceil(max(ends) / height), max(1, ceil(counts.accesses / width))
    elsewhere = int(misses[:, rows:].sum())
    misses = misses[:columns, :rows]
    high = misses.max(initial=0) if most is None else most
    high = float(high) or 1.0
    ruler = sorted({round(part * high) for part in RULER})
    fig = go.Figure(
        go.Heatmap(
            z=np.sqrt(misses.T).round(2).astype(np.float32),  # a root, so that single misses are seen too
            x0=width / 2,
            dx=width,
            y0=height / KiB / 2,
            dy=height / KiB,
            zmin=0,
            zmax=np.sqrt(high),
            colorscale="Cividis",
            hovertemplate="access %{x:.0f}, %{y:.1f} KiB<extra></extra>",
            colorbar={
                "title": {"text": "misses in a cell", "side": "right"},
                "thickness": 14,
                "tickvals": [np.sqrt(number) for number in ruler],
                "ticktext": [short(number) for number in ruler],
            },
        )
    )
    edges = [
        ideal([0, columns * width], [edge / KiB] * 2, f"edge of {band.name}")
        | {"showlegend": False, "line": {"color": "#999999", "width": 1}}  # seen on all of cividis
        for band in bands
        for edge in (band.low, band.high)
    ]
    ticks = {
        "tickvals": [(band.low + band.high) / 2 / KiB for band in bands],
        "ticktext": [f"{band.name}<br>{_size(band.high - band.low)}" for band in bands],
    }
    fig.update_layout(
        height=420,
        shapes=edges,
        xaxis={
            "title": {"text": "time (accesses of the kernel)"},
            "exponentformat": "SI",
            "range": [0, columns * width],
            "showgrid": False,
            "nticks": 6,
        },
        yaxis={
            "title": {"text": "address (array)" if bands else "address (KiB)"},
            "range": [rows * height / KiB, 0],
            "showgrid": False,
            **(ticks if bands else {}),
        },
    )
    total = found.misses.total
    by_array = {band.name: found.misses[band.name] for band in bands if band.name in found.misses}
    said = listed([f"{spoken(n)} of {name}" for name, n in by_array.items()]) if by_array else ""
    lost = f" {spoken(elsewhere)} fall outside of these arrays." if elsewhere else ""
    worst = max(by_array, key=by_array.__getitem__, default="")
    text = f"{found.name} misses {_percent(total, counts.accesses)} of {short(counts.accesses)} accesses"
    if worst and total:
        text += f", {_percent(by_array[worst], total)} of these in {worst}"
    return describe(
        fig,
        alt=f"Map of the misses of {found.name}: time to the right in steps of {width} accesses, addresses "
        f"downwards in steps of {height} bytes. {spoken(total)} misses in {spoken(counts.accesses)} accesses"
        f"{f': {said}' if said else ''}.{lost} Simulated.",
        caption=f"{caption or f'{text}.'} ({SIGNS['simulated']} simulated)",
    )


def miss_bars(counts: Counted, *, most: float | None = None, caption: str | None = None) -> go.Figure:
    """Misses by level and array; where they were asked for (`classes=True`), split by cause.

    counts: what `count` or `simulate` returned. most: end of the horizontal axes, so that several figures
    share it.
    """
    levels = [_level(counts, name) for name in counts.cache] or [_level(counts, None)]
    names = [name for name in levels[0].misses if any(one.accesses[name] for one in levels)]
    names = names or list(levels[0].misses)
    gap = 0.3 / (len(levels) + 1)
    fig, said = make_subplots(len(levels), 1, shared_xaxes=True, vertical_spacing=gap), []
    top = most or 1.3 * max(1, *(one.misses[name] for one in levels for name in names))
    for row, one in enumerate(levels, start=1):
        for cause, (ink, shape) in CAUSES.items() if one.compulsory else [("misses", (BLUE, ""))]:
            numbers = getattr(one, cause)
            pattern = {"shape": shape, "size": 7, "solidity": 0.2, "fillmode": "overlay"}
            fig.add_bar(
                x=[numbers[name] for name in names],
                y=names,
                orientation="h",
                name=cause,
                legendgroup=cause,
                showlegend=row == 1 and one.compulsory is not None,
                marker={"color": ink, "opacity": 0.7, "pattern": pattern},
                hovertemplate=f"%{{y}}: %{{x:,}} {cause} in {one.name}<extra></extra>",
                row=row,
                col=1,
            )
        fig.add_scatter(
            x=[one.misses[name] for name in names],
            y=names,
            mode="markers+text",
            text=[f" {short(one.misses[name])}" for name in names],
            textposition="middle right",
            textfont={"size": 12},
            marker=mark("simulated", "#808080"),
            cliponaxis=False,
            showlegend=False,
            hoverinfo="skip",
            row=row,
            col=1,
        )
        fig.update_yaxes(title={"text": one.name}, autorange="reversed", showgrid=False, row=row, col=1)
        fig.update_xaxes(range=[0, top], exponentformat="SI", nticks=5, row=row, col=1)
        said += [_missed(one, name) for name in names]
    fig.update_xaxes(title={"text": "misses"}, row=len(levels), col=1)
    fig.update_layout(
        barmode="stack", bargap=0.35, height=110 + len(levels) * (40 + 32 * len(names)), showlegend=True
    )
    first = levels[0]
    worst = max(names, key=lambda name: first.misses[name])
    text = f"{first.name} misses most in {worst}: {short(first.misses[worst])} times"
    if first.compulsory and first.misses[worst]:
        cause = max(CAUSES, key=lambda kind: getattr(first, kind)[worst])
        text += f", {_percent(getattr(first, cause)[worst], first.misses[worst])} of them {cause}"
    return describe(
        fig,
        alt=f"Bars of misses by level and array. {'; '.join(said)}. Simulated.",
        caption=f"{caption or f'{text}.'} ({SIGNS['simulated']} simulated)",
    )


def reuse_histogram(
    counts: Any, *, caches: Mapping[str, int] | None = None, caption: str | None = None
) -> go.Figure:
    """How many other lines were touched before a line came back, by array; and what a cache could keep.

    counts: what `count(..., reuse=True)` returned. caches: bytes by name, drawn as limits; default the
    levels of the counts' geometry. A fully associative LRU cache keeps what lies left of its limit and
    misses what lies right of it; a first access lies right of every limit.
    """
    if getattr(counts, "reuse", None) is None or getattr(counts, "cold", None) is None:
        raise WorkbenchError("a reuse histogram needs counts made with reuse=True")
    line = counts.geometry.line
    if caches is None:
        geometry = counts.geometry
        caches = {n: level.size for n, level in zip(geometry.names, geometry.levels, strict=True)}
    seen: list[int] = []
    bins = max(_bin(max(len(one) - 1, 0)) for one in counts.reuse.values()) + 1
    fig, said = go.Figure(), []
    for number, (name, distances) in enumerate(counts.reuse.items()):
        which = np.array([_bin(distance) for distance in range(len(distances))], dtype=int)
        sums = np.bincount(which, weights=distances, minlength=bins)
        heights = [*(int(one) or None for one in sums), counts.cold[name] or None]
        ink = OKABE_ITO[number % 6]
        offset = (number - (len(counts.reuse) - 1) / 2) * BAR
        places = [place + offset for place in range(bins + 1)]
        fig.add_bar(
            x=places,
            y=heights,
            width=0.8 * BAR,
            marker={"color": ink, "opacity": 0.55},
            showlegend=False,
            hoverinfo="skip",
        )
        fig.add_scatter(
            x=places,
            y=heights,
            name=name,
            mode="markers",
            marker=mark("simulated", ink),
            hovertemplate=f"{name}: %{{y:,}}<extra></extra>",
        )
        seen += [height for height in heights if height]
        said.append(f"{name}: {spoken(counts.cold[name])} first accesses, {_parts(heights[:-1])}")
    accesses = sum(int(one.sum()) + counts.cold[name] for name, one in counts.reuse.items())
    span = [np.log10(min(seen, default=1)) - 0.5, np.log10(max(seen, default=1)) + 0.3]
    shown = range(0, bins, 1 if bins < 9 else 2)  # so that the labels have room on a narrow page
    fates = []
    for name, size in caches.items():
        lines = size // line
        missed = sum(int(one[lines:].sum()) + counts.cold[array] for array, one in counts.reuse.items())
        fates.append(f"a cache of {_size(size)} ({name}) would miss {_percent(missed, accesses)}")
        at = _place(lines)
        if at < bins - 0.5:
            fig.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", name=name, showlegend=False)
            fig.add_annotation(
                x=at,
                y=1,
                yref="paper",
                text=f"{name}, {_size(size)}",
                textangle=-90,
                font={"size": 12},
                xanchor="right",
                yanchor="top",
            )
    fig.update_layout(
        height=430,
        barmode="overlay",
        showlegend=True,
        xaxis={
            "title": {"text": "other lines in between, from …"},
            "tickvals": [*shown, bins],
            "ticktext": [*(short(_from(number)) for number in shown), "new"],
            "tickangle": 0,
            "range": [-0.5, bins + 0.5],
        },
        yaxis={
            "type": "log",
            "title": {"text": "accesses"},
            "exponentformat": "SI",
            "dtick": 1,
            "range": span,
        },
    )
    text = "; ".join(fates[:2]) or "How soon the lines come back"
    return describe(
        fig,
        alt=f"Histogram of reuse distances in lines of {line} bytes. {'; '.join(said)}. "
        f"Fully associative, {'; '.join(fates)} of {spoken(accesses)} accesses. Simulated.",
        caption=f"{caption or f'{text[0].upper()}{text[1:]}.'} ({SIGNS['simulated']} simulated)",
    )


# Small helpers --------------------------------------------------------------------------------


def _level(counts: Counted, name: str | None) -> Any:
    """One cache of the counts."""
    if not counts.cache:
        raise WorkbenchError("no caches were simulated: count with machine= or geometry=")
    if name is not None and name not in counts.cache:
        raise WorkbenchError(f"there is no level {name!r}; there are {', '.join(counts.cache)}")
    return counts.cache[name or next(iter(counts.cache))]


def _bands(arrays: Mapping[str, Any] | None) -> list[_Band]:
    """Where the arrays lie in the simulated memory; those that share memory in one band."""
    if not arrays:
        return []
    spans = {name: one for name, one in arrays.items() if not isinstance(one, np.ndarray)}
    if len(spans) == len(arrays):
        return [_Band(name, *map(int, one)) for name, one in spans.items()]
    from workbench.counting.layout import place_arrays

    real = {name: one for name, one in arrays.items() if isinstance(one, np.ndarray)}
    where: dict[tuple[int, int], list[str]] = {}
    for name, place in zip(real, place_arrays(list(real), list(real.values()), KiB), strict=True):
        where.setdefault((place.low, place.high), []).append(name)
    return [_Band(", ".join(names), low, high) for (low, high), names in where.items()]


def _coarse(level: Any, accesses: int) -> tuple[NDArray[np.int64], int, int]:
    """The map with neighbouring times and places summed, and how many of each."""
    times = ceil(accesses / level.map_accesses / COLUMNS) or 1
    places = ceil((_last_place(level.map) + 1) / ROWS) or 1
    summed = level.map
    for axis, step in enumerate((times, places)):
        summed = np.add.reduceat(summed, np.arange(0, summed.shape[axis], step), axis=axis)
    return summed, times, places


def _last_place(misses: NDArray[np.int64]) -> int:
    touched = np.flatnonzero(misses.any(axis=0))
    return int(touched[-1]) if len(touched) else 0


def _missed(one: Any, name: str) -> str:
    words = f"{one.name}, {name}: {spoken(one.misses[name])} of {spoken(one.accesses[name])}"
    if one.compulsory is None:
        return words
    return f"{words}, {listed([f'{spoken(getattr(one, cause)[name])} {cause}' for cause in CAUSES])}"


def _bin(distance: int) -> int:
    """0, 1, 2-3, 4-7, 8-15 ..."""
    return distance.bit_length()


def _from(number: int) -> int:
    """The least distance of a bin."""
    return 2 ** (number - 1) if number else 0


def _place(lines: int) -> float:
    """Where between the bins a cache of so many lines ends."""
    power = max(lines, 1).bit_length() - 1
    return power + max(lines, 1) / 2**power - 0.5


def _parts(heights: list[int | None]) -> str:
    spans = [(_from(bin), max(2 * _from(bin) - 1, bin), n) for bin, n in enumerate(heights) if n]
    found = [f"{spoken(n)} after {low} to {high} others" for low, high, n in spans]
    return listed(found) if found else "none came back"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.3g} %"


def _size(size: int) -> str:
    for unit, name in ((KiB**2, "MiB"), (KiB, "KiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B"

"""Filters drawn: patterns and coefficients, shifts between populations, quality over depth, directions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.pictures import pixel_axes
from workbench.views.theme import DIVERGING, OKABE_ITO, describe, line
from workbench.views.words import listed, short

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import (
        Components,
        FilterQuality,
        FilterWatch,
        Orientations,
        Shifts,
        Spectrum,
    )
    from workbench.probes.filter_sets import Filters

T = TypeVar("T")
GREY = line("baseline")["color"]
HIDDEN = {"showticklabels": False, "ticks": "", "showgrid": False}
COURSES = {
    "sparsity": "share of filters near zero",
    "entropy": "variance entropy",
    "rms": "root mean square of the weights",
    "init_projection": "share of the first weights left",
}


# Patterns --------------------------------------------------------------------------------------


def eigenfilters(found: "Components", *, most: int = 9, caption: str | None = None) -> go.Figure:
    """The patterns that filters are made of, in a strip, each with its share of the variance.

    found: of filters of one or two dimensions. most: how many are drawn, up to 12. Vermilion is below zero,
    blue above, on one range; which sign a pattern has is a convention.
    """
    if not 1 <= most <= 12:
        raise WorkbenchError(f"a strip has 1 to 12 patterns, but most={most} came")
    if len(found.k) > 2:
        raise WorkbenchError(f"a strip needs patterns of one or two dimensions, but {found.k} came")
    shown = min(most, len(found.ratios))
    percents = [_percent(ratio) for ratio in found.ratios[:shown]]
    limit = float(np.abs(found.eigenfilters[:shown]).max())
    hover = {"hovertemplate": "%{z:.2f}<extra></extra>", "coloraxis": "coloraxis", "xgap": 1, "ygap": 1}
    if len(found.k) == 1:
        fig = go.Figure(go.Heatmap(z=found.eigenfilters[:shown].round(3), **hover))
        ticks = [f"{i + 1}: {percent}" for i, percent in enumerate(percents)]
        fig.update_yaxes(tickvals=list(range(shown)), ticktext=ticks, autorange="reversed", showgrid=False)
        fig.update_layout(
            height=90 + 40 * shown, xaxis={"title": {"text": "tap"}, "showgrid": False, "dtick": 1}
        )
        fig.update_yaxes(title={"text": "component"})
    else:
        # Number and whole percents in two lines: there are 30 pixels for each on a narrow screen. Titles of
        # the axes would not do: where panels are fitted to a narrow width, they are drawn into them.
        titles = [f"{i + 1}<br>{100 * ratio:.0f} %" for i, ratio in enumerate(found.ratios[:shown])]
        fig = make_subplots(1, shown, subplot_titles=titles, horizontal_spacing=0.12 / shown)
        axes = pixel_axes(*found.k)
        for i, pattern in enumerate(found.eigenfilters[:shown]):
            at = {"row": 1, "col": i + 1}
            fig.add_trace(go.Heatmap(z=pattern.round(3), **hover), **at)
            fig.update_xaxes({**axes["xaxis"], **HIDDEN, "title": {}}, **at)
            anchor = "x" if i == 0 else f"x{i + 1}"
            fig.update_yaxes({**axes["yaxis"], **HIDDEN, "title": {}, "scaleanchor": anchor}, **at)
        fig.update_annotations(font={"size": 12})
        fig.update_layout(height=215, margin={"l": 10, "b": 20, "t": 64})
    bar = {"title": {"text": "weight"}, "thickness": 12}
    fig.update_layout(coloraxis={"colorscale": DIVERGING, "cmin": -limit, "cmax": limit, "colorbar": bar})
    size = " by ".join(map(str, found.k))
    said = listed([f"{percent} by pattern {i + 1}" for i, percent in enumerate(percents)])
    needed = found.needed(0.9)
    return describe(
        fig,
        alt=f"{shown} patterns of {size} weights, ordered by how much of the variance of the filters they "
        f"explain: {said}.",
        caption=caption
        or f"{needed} of {len(found.ratios)} patterns explain 90 % of how these filters differ; "
        "vermilion subtracts, blue adds.",
    )


def coefficient_ridges(
    populations: "Mapping[str, Filters]",
    along: "Components",
    *,
    bins: int = 70,
    most: int = 9,
    caption: str | None = None,
) -> go.Figure:
    """How the coefficients of up to four populations are distributed, one ridge for each component.

    populations: filters by name. along: the components that all of them share. bins: of the common range.
    """
    if not 1 <= len(populations) <= 4:
        raise WorkbenchError(f"ridges compare one to four populations, but {len(populations)} came")
    edges = along.edges(bins)
    middles = (edges[:-1] + edges[1:]) / 2
    rows = min(most, len(along.ratios))
    densities = {}
    for name, some in populations.items():
        counts = along.histograms(some, bins)[:rows]
        densities[name] = counts / counts.sum(axis=1, keepdims=True) / (edges[1] - edges[0])
    tops = np.max([density.max(axis=1) for density in densities.values()], axis=0)
    fig = go.Figure()
    x = np.concatenate([[middles[0]], middles, [middles[-1]]]).round(4)
    for number, (name, density) in enumerate(densities.items()):
        colour = OKABE_ITO[number]
        for i in range(rows):
            fig.add_scatter(
                x=x,
                y=(rows - 1 - i + 0.92 * np.concatenate([[0], density[i] / tops[i], [0]])).round(3),
                mode="lines",
                fill="toself",
                fillcolor=f"rgba({','.join(str(int(colour[j : j + 2], 16)) for j in (1, 3, 5))},0.22)",
                line={"color": colour, "width": 1.5},
                name=name,
                legendgroup=name,
                showlegend=i == 0,
                hoverinfo="name",
            )
    ticks = [f"{i + 1} ({_percent(along.ratios[i])})" for i in range(rows)]
    fig.update_layout(
        height=110 + 46 * rows,
        xaxis={"title": {"text": "coefficient (of filters scaled to a largest weight of 1)"}},
        yaxis={
            "title": {"text": "component (of the variance)"},
            "tickvals": list(range(rows - 1, -1, -1)),
            "ticktext": ticks,
            "range": [-0.05, rows + 0.05],
        },
    )
    spreads = {
        name: [float(np.sqrt(_variance(d, middles))) for d in density] for name, density in densities.items()
    }
    said = "; ".join(
        f"{name}: {', '.join(f'{spread:.2g}' for spread in spreads[name])}" for name in densities
    )
    return describe(
        fig,
        alt=f"Distributions of {rows} coefficients, each ridge scaled to its highest peak. "
        f"Standard deviations from the first component on: {said}.",
        caption=caption or "Where the ridges of two populations part, their filters have other patterns.",
    )


def _variance(density: np.ndarray, middles: np.ndarray) -> float:
    p = density / density.sum()
    return float(p @ middles**2 - (p @ middles) ** 2)


# Shifts ----------------------------------------------------------------------------------------


def shift_matrix(found: "Shifts", *, what: str = "value", caption: str | None = None) -> go.Figure:
    """Shifts between all pairs of populations; a ring marks those that exchanging models makes, too.

    what: "value" without the bias of finite samples, or "raw" as published (then nothing is marked, as its
    null is not zero).
    """
    if what not in ("value", "raw"):
        raise WorkbenchError(f"what must be 'value' or 'raw', but {what!r} came")
    M, names = found.matrix(what), list(found.names)
    top = float(np.nanmax(M))
    texts = [["" if np.isnan(value) else f"{value + 0.0:.2f}" for value in row] for row in M.round(2)]
    fig = go.Figure(
        go.Heatmap(
            z=M.round(4),
            x=names,
            y=names,
            zmin=0,
            zmax=top if top > 0 else 1,
            colorscale="Cividis",
            text=texts if len(names) <= 12 else None,
            texttemplate="%{text}" if len(names) <= 12 else None,
            textfont={"size": 12},
            hovertemplate="%{y} and %{x}: %{z:.3g}<extra></extra>",
            colorbar={"title": {"text": "shift (nats)", "side": "right"}, "thickness": 14},
        )
    )
    marked = [pair for pair in found.pairs if what == "value" and found.in_null(*pair)]
    if marked:
        fig.add_scatter(
            x=[names[j] for i, j in marked] + [names[i] for i, j in marked],
            y=[names[i] for i, j in marked] + [names[j] for i, j in marked],
            mode="markers",
            name="as exchanged models",
            showlegend=True,
            marker={"symbol": "circle-open", "size": 42, "color": GREY, "line": {"width": 2, "color": GREY}},
            hoverinfo="skip",
        )
    fig.update_layout(
        height=min(220 + 60 * len(names), 720),
        xaxis={"title": {"text": "population"}, "showgrid": False, "constrain": "domain"},
        yaxis={
            "title": {"text": "population"},
            "showgrid": False,
            "autorange": "reversed",
            "scaleanchor": "x",
            "constrain": "domain",
        },
    )
    said, far = [], max(found.pairs, key=lambda pair: M[pair])
    for i, j in found.pairs:
        within = ", within the null" if (i, j) in marked else ""
        said.append(f"{names[i]} and {names[j]} {M[i, j]:.2g}{within}")
    kind = "without the bias of finite samples" if what == "value" else "as published, with its bias"
    text = f"{names[far[0]]} and {names[far[1]]} lie furthest apart, at {M[far]:.2g}"
    if marked:
        text += f"; {len(marked)} of {len(found.pairs)} pairs are no further apart than exchanged models"
    return describe(
        fig,
        alt=f"Matrix of shifts between {len(names)} populations, {kind}: {'; '.join(said)}.",
        caption=caption or f"{text}.",
    )


# Quality ---------------------------------------------------------------------------------------


def filter_depth(
    quality: "Sequence[FilterQuality] | Mapping[str, Sequence[FilterQuality]]",
    *,
    caption: str | None = None,
) -> go.Figure:
    """Variance entropy and sparsity of the layers over depth, with the null of each layer behind it.

    quality: what `filter_quality` returned, or up to four of them by name. Grey bars hold 98 % of random
    layers with as many filters of the same size; a short thin line is the published threshold, where there
    is one.
    """
    named = dict(quality) if isinstance(quality, Mapping) else {"this model": quality}
    if not 1 <= len(named) <= 4 or not all(named.values()):
        raise WorkbenchError("expected the layers of one to four models, each with at least one convolution")
    fig = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.1, row_heights=[0.62, 0.38])
    _draw_null(fig, [row for rows in named.values() for row in rows])
    said = []
    for number, (name, rows) in enumerate(named.items()):
        have = [row for row in rows if row.entropy is not None]
        for place, kept in ((1, have), (2, list(rows))):
            fig.add_scatter(
                x=[row.depth_norm for row in kept],
                y=[row.entropy if place == 1 else 100 * row.sparsity for row in kept],
                text=[f"{row.name or 'layer'}: {row.n} of {'×'.join(map(str, row.k))}" for row in kept],
                hovertemplate="%{text}<br>%{y:.3g}<extra></extra>",
                mode="lines+markers",
                line={"color": OKABE_ITO[number]},
                name=name,
                legendgroup=name,
                showlegend=place == 2,
                row=place,
                col=1,
            )
        below = sum(row.entropy < row.null_low for row in have)  # type: ignore[operator]
        said.append(
            f"{name}: entropy of the layers {_values([row.entropy for row in have])}, {below} of {len(have)} "
            f"below 99 % of random ones; sparse filters {_values([100 * row.sparsity for row in rows])} %"
        )
    fig.update_xaxes(title={"text": "depth (0 first, 1 last convolution)"}, row=2, col=1)
    fig.update_xaxes(range=[-0.04, 1.04])
    fig.update_yaxes(title={"text": "variance entropy"}, rangemode="tozero", row=1, col=1)
    fig.update_yaxes(title={"text": "sparse (%)"}, rangemode="tozero", row=2, col=1)
    fig.update_layout(height=480)
    return describe(
        fig,
        alt=f"Two panels over depth, variance entropy above and sparse filters below. {'. '.join(said)}.",
        caption=caption
        or "A layer below its grey bar varies in fewer directions than random filters do; "
        "sparse filters are below 1 % of the layer's largest weight.",
    )


def _draw_null(fig: go.Figure, rows: "Sequence[FilterQuality]") -> None:
    """From the 1 % to the 99 % point of random layers, and the published threshold, of each layer once."""
    bands = dict.fromkeys(
        (row.depth_norm, row.null_low, row.null_high) for row in rows if row.null_low is not None
    )
    fig.add_scatter(
        x=[x for depth, _, _ in bands for x in (depth, depth, None)],
        y=[y for _, low, high in bands for y in (low, high, None)],
        mode="lines+markers",
        line={"color": GREY, "width": 7},
        marker={"symbol": "line-ew-open", "size": 22, "line": {"color": GREY, "width": 2}},
        opacity=0.6,
        name="random layers",
        showlegend=bool(bands),
        hoverinfo="skip",
        row=1,
        col=1,
    )
    thresholds = dict.fromkeys((row.depth_norm, row.threshold) for row in rows if row.threshold)
    for number, (depth, threshold) in enumerate(thresholds):
        fig.add_shape(
            type="line",
            x0=depth - 0.015,
            x1=depth + 0.015,
            y0=threshold,
            y1=threshold,
            name="published threshold",
            legendgroup="threshold",
            showlegend=number == 0,
            row=1,
            col=1,
        )


def _values(values: "Sequence[float | None]") -> str:
    """A few numbers one by one, many by their range."""
    known = [value for value in values if value is not None]
    if len(known) > 12:
        return f"{known[0]:.3g} to {known[-1]:.3g}, between {min(known):.3g} and {max(known):.3g}"
    return ", ".join(f"{value:.3g}" for value in known) or "of none"


def filter_course(
    seen: "FilterWatch", what: str = "init_projection", *, caption: str | None = None
) -> go.Figure:
    """One number of the filters while a model trained: a line for each layer, up to eight along the depth.

    what: sparsity, entropy, rms or init_projection.
    """
    layers = [name for name in seen.layers if len(seen.series(name, what)[0])]
    if not layers:
        raise WorkbenchError(f"no layer was seen with a number for {what!r}")
    spread = np.unique(np.linspace(0, len(layers) - 1, min(len(layers), len(OKABE_ITO))).round().astype(int))
    fig, said = go.Figure(), []
    for number, name in enumerate(layers[i] for i in spread):
        steps, values = seen.series(name, what)
        label = name or "the layer"
        fig.add_scatter(x=steps, y=values, mode="lines", name=label, line={"color": OKABE_ITO[number]})
        said.append(f"{label} from {values[0]:.3g} to {values[-1]:.3g}")
    fig.update_layout(
        height=400,
        xaxis={"title": {"text": "step"}},
        yaxis={"title": {"text": COURSES[what]}, "rangemode": "tozero"},
    )
    last = max(row.step for row in seen.records)
    return describe(
        fig,
        alt=f"Lines of the {COURSES[what]} over {last} steps of training: {'; '.join(said)}.",
        caption=caption or f"The {COURSES[what]} over {last} steps: {said[0]}.",
    )


# Frequencies and directions --------------------------------------------------------------------


def power_spectra(found: "Spectrum | Mapping[str, Spectrum]", *, caption: str | None = None) -> go.Figure:
    """Mean power spectra of up to four populations on one range: maps of 2-D filters, lines of 1-D ones.

    Each filter has unit energy, so that random filters would have 1 everywhere.
    """
    named = _named(found, "spectra", 4)
    dimensions = {one.power.ndim for one in named.values()}
    if len(dimensions) > 1:
        raise WorkbenchError("spectra of one figure must all be of 1-D or all of 2-D filters, but both came")
    top = max(float(one.power.max()) for one in named.values())
    if dimensions == {1}:
        fig = go.Figure()
        for number, (name, one) in enumerate(named.items()):
            half = one.frequencies >= 0
            style = {"color": OKABE_ITO[number]}
            fig.add_scatter(
                x=one.frequencies[half],
                y=one.power[half],
                mode="lines",
                name=name or "these filters",
                line=style,
            )
        fig.add_shape(type="line", x0=0, x1=0.5, y0=1, y1=1, name="random filters", showlegend=True)
        fig.update_layout(
            height=400,
            xaxis={"title": {"text": "frequency (cycles per sample)"}},
            yaxis={"title": {"text": "power (random filters: 1)"}, "rangemode": "tozero"},
        )
    else:
        fig = make_subplots(1, len(named), subplot_titles=list(named) if any(named) else None)
        for column, one in enumerate(named.values(), start=1):
            at = {"row": 1, "col": column}
            axis = one.frequencies.round(4)
            fig.add_heatmap(
                z=one.power.round(3),
                x=axis,
                y=axis,
                coloraxis="coloraxis",
                hovertemplate="%{y:.2f} up, %{x:.2f} right: %{z:.3g}<extra></extra>",
                **at,
            )
            span = {"range": [-0.5, 0.5], "constrain": "domain", "showgrid": False, "nticks": 5}
            fig.update_xaxes({**span, "title": {"text": "right (cycles per pixel)"}}, **at)
            up = {"text": "up (cycles per pixel)"} if column == 1 else {}
            anchor = "x" if column == 1 else f"x{column}"
            fig.update_yaxes({**span, "title": up, "scaleanchor": anchor}, **at)
        bar = {"title": {"text": "power"}, "thickness": 14}
        fig.update_layout(
            height=420, coloraxis={"colorscale": "Cividis", "cmin": 0, "cmax": top, "colorbar": bar}
        )
        fig.update_annotations(font={"size": 13})
    said = []
    for name, one in named.items():
        frequencies, power = one.radial if one.power.ndim == 2 else _half(one)
        said.append(
            f"{name or 'the filters'} ({short(one.n)}) have {power[0]:.2g} at frequency 0, "
            f"{power[len(power) // 2]:.2g} at {frequencies[len(power) // 2]:.2f} and {power[-1]:.2g} at 0.5"
        )
    return describe(
        fig,
        alt=f"Mean power spectra, 1 being that of random filters: {'; '.join(said)}.",
        caption=caption or f"Mean power, random filters being 1: {said[0]}.",
    )


def _half(one: "Spectrum") -> tuple[np.ndarray, np.ndarray]:
    half = one.frequencies >= 0
    return one.frequencies[half], one.power[half]


def orientation_rose(
    found: "Orientations | Mapping[str, Orientations]", *, sectors: int = 12, caption: str | None = None
) -> go.Figure:
    """In which directions filters change, up to three populations; grey is what random filters of that size
    do.

    Each filter counts as much as it is coherent. Directions have no sign, so each sector is drawn twice.
    """
    from workbench.probes import random_orientations, rose

    named = _named(found, "roses", 3)
    fig, said = go.Figure(), []
    for number, (name, one) in enumerate(named.items()):
        angles, shares = rose(one, sectors)
        around = np.concatenate([angles, angles + 180])
        colour = OKABE_ITO[number]
        fig.add_barpolar(
            theta=around,
            r=100 * np.tile(shares, 2),
            width=[180 / sectors] * len(around),
            name=name or "these filters",
            marker={"color": colour, "opacity": 0.5, "line": {"color": colour, "width": 1}},
            hovertemplate="%{theta:.0f}°: %{r:.1f} %<extra></extra>",
        )
        best = int(shares.argmax())
        said.append(
            f"{name or 'These filters'} point most often to {angles[best]:.0f} degrees "
            f"({100 * shares[best]:.0f} %), mean coherence {one.coherence.mean():.2f}"
        )
    angles, shares = rose(random_orientations(next(iter(named.values())).k), sectors)
    fig.add_scatterpolar(
        theta=np.concatenate([angles, angles + 180, angles[:1]]),
        r=100 * np.concatenate([shares, shares, shares[:1]]),
        mode="lines",
        name="random filters",
        line=line("baseline"),
        hoverinfo="skip",
    )
    faint = {"gridcolor": "#9995", "linecolor": "#9999", "tickfont": {"size": 12}}
    fig.update_layout(
        height=440,
        polar={
            "barmode": "overlay",
            "bgcolor": "rgba(0,0,0,0)",
            "angularaxis": {**faint, "dtick": 45, "ticksuffix": "°"},
            "radialaxis": {**faint, "ticksuffix": " %", "nticks": 4, "angle": 22.5, "rangemode": "tozero"},
        },
    )
    return describe(
        fig,
        alt=f"Rose of the directions of filters, 0 degrees to the right, 90 up: {'; '.join(said)}. Random "
        f"filters have {100 * shares[0]:.0f} % at 0 and at least {100 * shares.min():.0f} % elsewhere.",
        caption=caption or f"{said[0]}; random filters on a grid prefer its axes, too.",
    )


def _named(found: T | Mapping[str, T], what: str, most: int) -> dict[str, T]:
    named = dict(found) if isinstance(found, Mapping) else {"": found}
    if not 1 <= len(named) <= most:
        raise WorkbenchError(f"a figure has one to {most} {what}, but {len(named)} came")
    return named


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"

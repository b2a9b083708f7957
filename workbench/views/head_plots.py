"""Heads compared: how alike their maps are, and how far and how widely each of them looks."""

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.theme import DIVERGING, OKABE_ITO, describe, ideal, mark

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import HeadSimilarity, MapMeasures

KINDS = {"raw": "as they are", "mean_removed": "without their mean"}
PANELS = 3  # in a row


def similarity_matrices(found: "HeadSimilarity", *, caption: str | None = None) -> go.Figure:
    """Cosines between all heads, raw and with the mean of each map removed, on one range from -1 to 1."""
    heads = len(found.names)
    if heads < 2:
        raise WorkbenchError("a matrix of similarities needs at least two heads, but one came")
    scores = {kind: found.score(kind) for kind in KINDS}
    titles = [f"{words}: {scores[kind]:.2f}" for kind, words in KINDS.items()]
    fig = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.14)
    for column, kind in enumerate(KINDS, start=1):
        fig.add_trace(
            go.Heatmap(
                z=found.matrix(kind).round(3).astype(np.float32),
                coloraxis="coloraxis",
                text=[[f"{one}, {other}" for other in found.names] for one in found.names]
                if heads <= 16
                else None,
                hovertemplate=("%{text}: %{z:.2f}" if heads <= 16 else "%{y}, %{x}: %{z:.2f}")
                + "<extra></extra>",
            ),
            row=1,
            col=column,
        )
        anchor = "x" if column == 1 else "x2"
        square = {"showgrid": False, "constrain": "domain"}
        fig.update_xaxes(**square, title={"text": "head"}, row=1, col=column)
        downwards = {"autorange": "reversed", "scaleanchor": anchor, "title": {"text": "head"}}
        fig.update_yaxes(**square, **downwards, row=1, col=column)
    bar = {"title": {"text": "cosine", "side": "top"}, "orientation": "h", "y": -0.5, "thickness": 12}
    fig.update_layout(
        height=440,
        margin={"t": 40, "b": 120},
        coloraxis={"colorscale": DIVERGING, "cmin": -1, "cmax": 1, "colorbar": bar},
    )
    fig.update_annotations(font={"size": 13})
    closest = {kind: _closest(found, kind) for kind in KINDS}
    said = "; ".join(
        f"{words}, each head's cosine with the one most like it is {scores[kind]:.2f} on average, and the "
        f"closest pair is {closest[kind]}"
        for kind, words in KINDS.items()
    )
    return describe(
        fig,
        alt=f"Two matrices of cosines between the maps of {heads} heads: {said}.",
        caption=caption
        or f"Cosine with the most similar other head, on average: {scores['raw']:.2f} as the maps are, "
        f"{scores['mean_removed']:.2f} once each map's mean is removed.",
    )


def _closest(found: "HeadSimilarity", kind: str) -> str:
    matrix = found.matrix(kind)
    np.fill_diagonal(matrix, -np.inf)
    one, other = np.unravel_index(matrix.argmax(), matrix.shape)
    return f"{found.names[one]} and {found.names[other]}"


def distance_entropy(
    measures: "Mapping[str, MapMeasures]", *, unit: str = "tokens", caption: str | None = None
) -> go.Figure:
    """Every head as a mark: how far it looks across, how many keys it spreads over upwards.

    Each layer has a panel of its own, up to three in a row, all with the same axes.

    measures: of each layer by name; means over the examples are drawn. Two thin lines show where a head lies
    that looks at all keys alike. unit: of the distance.
    """
    if not measures:
        raise WorkbenchError("expected the measures of at least one layer, but none came")
    count = len(measures)
    across = min(count, PANELS)
    down = ceil(count / across)
    fig = make_subplots(
        down,
        across,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=list(measures),
        horizontal_spacing=0.04,
        vertical_spacing=0.3 / down,
        x_title=f"mean distance ({unit})",
        y_title="entropy (bits)",
    )
    all_heads: dict[str, tuple[float, float]] = {}
    for number, (name, found) in enumerate(measures.items()):
        far, wide = found.distance.mean(axis=0), found.entropy.mean(axis=0)
        labels = [f"{name} head {head}" for head in range(len(far))]
        all_heads |= dict(zip(labels, zip(far.tolist(), wide.tolist(), strict=True), strict=True))
        fig.add_scatter(
            x=far.round(4),
            y=wide.round(4),
            mode="markers",
            name=name,
            marker=mark("measured", OKABE_ITO[0], 8),
            showlegend=False,
            text=labels,
            hovertemplate="%{text}: %{x:.2f} " + unit + ", %{y:.2f} bits<extra></extra>",
            row=number // across + 1,
            col=number % across + 1,
        )
    first = next(iter(measures.values()))
    alike = (first.uniform_distance, first.uniform_entropy)
    right = 1.08 * max(*(far for far, _ in all_heads.values()), alike[0], 1e-9)
    top = 1.08 * max(*(wide for _, wide in all_heads.values()), alike[1], 1e-9)
    for trace in fig.data:
        panel = {"xref": trace.xaxis, "yref": trace.yaxis}
        for x, y in (([0, right], [alike[1]] * 2), ([alike[0]] * 2, [0, top])):
            fig.add_shape(**(ideal(x, y, "all keys alike", **panel) | {"showlegend": False}))
    fig.update_xaxes(range=[0, right])
    fig.update_yaxes(range=[0, top])
    fig.update_annotations(font={"size": 13})
    fig.update_layout(height=120 + 190 * down, margin={"t": 40, "b": 70, "l": 70})
    ends = {
        "looks nearest": min(all_heads, key=lambda head: all_heads[head][0]),
        "looks farthest": max(all_heads, key=lambda head: all_heads[head][0]),
        "is the sharpest": min(all_heads, key=lambda head: all_heads[head][1]),
        "spreads most": max(all_heads, key=lambda head: all_heads[head][1]),
    }
    said = "; ".join(
        f"{head} {words}, {all_heads[head][0]:.2f} {unit} and {all_heads[head][1]:.2f} bits"
        for words, head in ends.items()
    )
    return describe(
        fig,
        alt=f"{len(all_heads)} heads of {count} layers by distance and entropy: {said}. A head that looks at "
        f"all keys alike lies at {alike[0]:.2f} {unit} and {alike[1]:.2f} bits.",
        caption=caption
        or f"{ends['looks nearest']} looks nearest, {ends['looks farthest']} farthest; "
        "thin lines: all keys alike.",
    )

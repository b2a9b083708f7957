"""All heads of a model at a glance: one small map for each, by layer and head, in one picture."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import get_colorscale, sample_colorscale

from workbench.errors import WorkbenchError
from workbench.views.pictures import png
from workbench.views.theme import DIVERGING, describe

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import MapOverview
    from workbench.probes.attention_tiles import Map

CELL, GAP = 48, 4  # pixels of a small map, and between two
MOST_CELLS = 1024
STEPS = 255  # of colour; an odd number, so that one lies at zero


def attention_overview(
    maps: "Sequence[Map]",
    *,
    names: Sequence[str] | None = None,
    example: int = 0,
    caption: str | None = None,
) -> go.Figure:
    """The maps of all layers and heads as one picture: queries run down each small map, keys across.

    Layers run across and heads down, or the other way round if there are fewer heads than layers, so that
    the picture stays narrow. Maps of more than 48 tokens are shrunk to the means of blocks, tile by tile.
    Brightness is the root of the weight over the largest one of that small map, so that faint parts are seen;
    signed maps are blue above zero and brown below.

    maps: one for each layer, with any number of heads and tokens. names: of the layers;
        default their numbers. example: which one of the batch.
    """
    from workbench.probes.attention_tiles import as_map, map_overview

    layers = [as_map(map) for map in maps]
    heads = max((map.shape[1] for map in layers), default=0)
    if not layers or len(layers) * heads > MOST_CELLS:
        raise WorkbenchError(f"expected 1 to {MOST_CELLS} heads in all, but {len(layers) * heads} came")
    names = [str(number) for number in range(len(layers))] if names is None else list(names)
    if len(names) != len(layers):
        raise WorkbenchError(f"expected a name for each of {len(layers)} layers, but {len(names)} came")
    step = CELL + GAP
    turned = heads < len(layers)
    down, across = (len(layers), heads) if turned else (heads, len(layers))
    canvas = np.zeros((step * down - GAP, step * across - GAP, 4))
    evenness: dict[str, float] = {}
    block = 1
    for number, map in enumerate(layers):
        found = map_overview(map, CELL)
        block = max(block, *found.blocks)
        for head in range(map.shape[1]):
            pixels = coloured(found, example, head)
            tall, wide = pixels.shape[:2]
            row, column = (number, head) if turned else (head, number)
            top, left = step * row + (CELL - tall) // 2, step * column + (CELL - wide) // 2
            canvas[top : top + tall, left : left + wide, :3] = pixels
            canvas[top : top + tall, left : left + wide, 3] = 1
            evenness[f"layer {names[number]} head {head}"] = _evenness(found.sums[example, head])
    fig = go.Figure(go.Image(source=png(canvas), hoverinfo="skip", zsmooth=False))
    sides = {"layer": names, "head": [str(head) for head in range(heads)]}
    axes = [
        {
            "tickvals": [step * place + CELL / 2 for place in range(len(labels))],
            "ticktext": labels,
            "title": {"text": what},
            "tickmode": "array",
            "ticks": "",
            "showgrid": False,
            "constrain": "domain",
        }
        for what, labels in sides.items()
    ]
    x, y = reversed(axes) if turned else axes
    fig.update_layout(height=min(170 + 52 * down, 1060), xaxis=x, yaxis={**y, "scaleanchor": "x"})
    add_scale(fig, all(not map.signed for map in layers), "weight, of the largest in its map")
    sharp, even = min(evenness, key=evenness.__getitem__), max(evenness, key=evenness.__getitem__)
    shrunk = f" A pixel is the mean of up to {block} × {block} weights." if block > 1 else ""
    return describe(
        fig,
        alt=f"{len(evenness)} small attention maps, {len(layers)} layers of up to {heads} heads. "
        f"The sharpest is {sharp}, the most even {even}. Each has a brightness of its own.{shrunk}",
        caption=caption
        or f"Queries run down each map, keys across; each has a brightness of its own.{shrunk} "
        f"On fewest keys: {sharp}; most evenly over all: {even}.",
    )


def add_scale(fig: go.Figure, positive: bool, title: str) -> None:
    """Below the picture, which colour stands for which share of the largest weight."""
    places, words = ([0, 0.5, 1], ["0", "¼", "1"]) if positive else ([-1, 0, 1], ["−1", "0", "1"])
    fig.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        hoverinfo="skip",
        showlegend=False,
        marker={
            "color": [0],
            "cmin": places[0],
            "cmax": 1,
            "colorscale": "Cividis" if positive else DIVERGING,
            "showscale": True,
            "colorbar": {
                "title": {"text": title, "side": "top"},
                "orientation": "h",
                "len": 0.6,
                "thickness": 12,
                "yref": "container",
                "y": 0,
                "yanchor": "bottom",
                "tickvals": places,
                "ticktext": words,
            },
        },
    )
    fig.update_layout(margin={"t": 20, "b": 130})


def coloured(found: "MapOverview", example: int, head: int) -> NDArray[np.float64]:
    """Means of blocks as colours, enlarged by a whole factor up to the size of a cell: [rows, keys, 3]."""
    means = found.means[example, head]
    scaled = means / (np.abs(means).max() or 1)
    place = (1 + scaled) / 2 if found.signed else np.sqrt(scaled)
    colours = _table(found.signed)[np.rint((STEPS - 1) * place).astype(int)]
    factor = max(1, CELL // max(means.shape))
    return colours.repeat(factor, axis=0).repeat(factor, axis=1)


@cache
def _table(signed: bool) -> NDArray[np.float64]:
    """Colours of the places from 0 to 1, [steps, 3]."""
    scale = DIVERGING if signed else get_colorscale("Cividis")
    return np.array(sample_colorscale(scale, np.linspace(0, 1, STEPS), colortype="tuple"))


def _evenness(sums: NDArray[np.float64]) -> float:
    """Mean entropy of the rows over the largest possible one."""
    weights = np.abs(sums)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1).mean()
    return float(entropy / max(np.log(weights.shape[1]), 1e-9))

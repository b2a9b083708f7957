"""One long attention map as a picture: shrunk to means of blocks, which it says."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.attention_overviews import add_scale, coloured
from workbench.views.pictures import png
from workbench.views.theme import describe

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import MapOverview

STRONG = 4  # times the mean of its block: a line that shrinking has washed out


def attention_matrix(
    found: "MapOverview", *, head: int = 0, example: int = 0, caption: str | None = None
) -> go.Figure:
    """The map of one head, as `probes.map_overview` has shrunk it; axes count tokens.

    Brightness is the root of a block's mean over the largest one. A mean hides what is thinner than a block,
    so the caption says how far the largest single weight stands above the brightest mean.
    """
    batch, heads = found.sums.shape[:2]
    if not (0 <= example < batch and 0 <= head < heads):
        raise WorkbenchError(f"there are {batch} examples of {heads} heads, but {example} and {head} came")
    tall, wide = found.blocks
    queries, keys = found.row_edges[-1], found.key_edges[-1]
    pixels = coloured(found, example, head)
    rows, columns = found.sums.shape[2:]
    down, across = tall * rows / len(pixels), wide * columns / pixels.shape[1]
    fig = go.Figure(
        go.Image(
            source=png(pixels),
            x0=(across - 1) / 2,
            dx=across,
            y0=(down - 1) / 2,
            dy=down,
            hoverinfo="x+y",
            zsmooth=False,
        )
    )
    common = {"showgrid": False, "constrain": "domain"}
    fig.update_xaxes(range=[-0.5, keys - 0.5], title={"text": "key"}, **common)
    fig.update_yaxes(range=[queries - 0.5, -0.5], title={"text": "query"}, scaleanchor="x", **common)
    fig.update_layout(height=580)
    add_scale(fig, not found.signed, "weight, of the brightest")
    mean = float(abs(found.means[example, head]).max())
    largest = float(abs(found.largest[example, head]).max())
    shrunk = (
        f"A pixel is the mean of {tall} × {wide} weights, at most {mean:.3g}; the largest single weight is "
        f"{largest:.3g}."
        if max(tall, wide) > 1
        else f"Every weight is a pixel; the largest is {largest:.3g}."
    )
    thin = " Lines thinner than a block look fainter than they are." if largest > STRONG * mean else ""
    return describe(
        fig,
        alt=f"Attention of head {head}: {queries} queries by {keys} keys. {shrunk}{thin}",
        caption=caption or f"{shrunk}{thin}",
    )

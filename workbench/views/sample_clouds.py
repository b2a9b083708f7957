"""Many samples as a cloud of two measurements, in groups; where several fall together, the mark is larger."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, describe

COLOURS = (GREY, BLUE, ORANGE, GREEN, VERMILION, PURPLE)
ALONE, LARGEST = 5.0, 22.0  # pixels: the mark of one sample, and the largest one


def sample_cloud(
    groups: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    x_title: str,
    y_title: str,
    steps: tuple[float, float] = (1.0, 0.25),
    spans: tuple[tuple[float, float], tuple[float, float]] | None = None,
    caption: str,
) -> go.Figure:
    """A mark for every place that samples fall on; its area grows with how many there are.

    groups: by name, x [samples] and y [samples], at most six; the first is grey. Groups stand a little beside
    one another, so that none hides another. steps: samples nearer than this share a mark. spans: of both
    axes, (low, high) each, where figures are to be compared; default all samples.
    """
    if not 1 <= len(groups) <= len(COLOURS):
        raise WorkbenchError(f"expected one to {len(COLOURS)} groups, but {len(groups)} came")
    found = {name: _places(name, x, y, steps) for name, (x, y) in groups.items()}
    most = max((counts.max() for _, _, counts in found.values() if len(counts)), default=1)
    fig, said = go.Figure(), []
    for number, (name, (x, y, counts)) in enumerate(found.items()):
        beside = steps[0] * 0.22 * (number - (len(found) - 1) / 2)
        share = np.sqrt((counts - 1) / max(most - 1, 1))
        fig.add_scatter(
            x=(x + beside).round(2),
            y=y,
            name=name,
            mode="markers",
            marker={
                "size": (ALONE + (LARGEST - ALONE) * share).round(1),
                "color": COLOURS[number],
                "opacity": 0.8,
                "line": {"width": 0},
            },
            customdata=counts,
            hovertemplate="%{customdata} samples<extra>" + name + "</extra>",
        )
        said.append(f"{int(counts.sum())} {name}")
    fig.update_layout(
        height=440,
        legend={"itemsizing": "constant"},
        xaxis={"title": {"text": x_title}},
        yaxis={"title": {"text": y_title}},
    )
    if spans is not None:
        fig.update_xaxes(range=spans[0])
        fig.update_yaxes(range=spans[1])
    alt = f"A cloud of samples, {y_title} over {x_title}: {', '.join(said)}."
    return describe(fig, alt=alt, caption=caption)


def _places(
    name: str, x: ArrayLike, y: ArrayLike, steps: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and number of samples of each place."""
    across, up = np.asarray(x, float), np.asarray(y, float)
    if across.ndim != 1 or across.shape != up.shape:
        raise WorkbenchError(
            f"group {name!r} needs x and y of one length, but shapes {across.shape} and {up.shape} came"
        )
    grid = np.stack([np.round(across / steps[0]), np.round(up / steps[1])], axis=1)
    places, counts = np.unique(grid, axis=0, return_counts=True)
    return (places[:, 0] * steps[0]).round(3), (places[:, 1] * steps[1]).round(3), counts

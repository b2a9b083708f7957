"""Which pixels are seen at all: shapes of supports beside one another, with their holes."""

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.colors import get_colorscale, sample_colorscale
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.pictures import pixel_axes, png
from workbench.views.theme import SKY, describe
from workbench.views.words import listed

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import EffectiveField

FAINTEST = 0.3  # of the colour scale: what is seen at all must not look like what is not
MOST = 12


def supports(
    fields: "Mapping[str, EffectiveField | ArrayLike]", *, columns: int = 2, caption: str | None = None
) -> go.Figure:
    """Pixels that can move an output, one map for each name; what cannot is left empty.

    fields: up to twelve effective fields or maps [height, width], by name, all of one size; exactly zero
    means not seen. Brighter pixels do more (by the root of the value). A line encloses what is seen, and the
    title says how high and wide that is and which share of it is seen. caption: what to notice.
    """
    maps = {name: np.abs(np.asarray(getattr(field, "map", field), float)) for name, field in fields.items()}
    shapes = {map.shape for map in maps.values()}
    shown = all(map.ndim == 2 and map.any() for map in maps.values())
    if not 1 <= len(maps) <= MOST or len(shapes) > 1 or not shown:
        raise WorkbenchError(
            f"expected 1 to {MOST} maps [height, width] of one size, each with something seen, "
            f"but shapes {sorted(shapes)} came"
        )
    boxes = {name: _enclosing(map) for name, map in maps.items()}
    words = {name: _words(maps[name], boxes[name]) for name in maps}
    rows, columns = ceil(len(maps) / columns), min(columns, len(maps))
    titles = [f"{name}: {said}" for name, said in words.items()]
    fig = make_subplots(rows, columns, subplot_titles=titles, vertical_spacing=0.24 / rows)
    for number, (name, map) in enumerate(maps.items()):
        at = {"row": number // columns + 1, "col": number % columns + 1}
        fig.add_trace(go.Image(source=png(_coloured(map)), hoverinfo="skip", zsmooth=False), **at)
        axes = pixel_axes(*map.shape)
        fig.update_xaxes(axes["xaxis"], **at)
        fig.update_yaxes({**axes["yaxis"], "scaleanchor": "x" if number == 0 else f"x{number + 1}"}, **at)
        (top, bottom), (left, right) = boxes[name]
        fig.add_shape(
            type="rect",
            x0=left - 0.5,
            x1=right + 0.5,
            y0=top - 0.5,
            y1=bottom + 0.5,
            line={"color": SKY, "width": 2},
            **at,
        )
    fig.update_layout(height=80 + (300 if columns > 1 else 380) * rows, margin={"t": 40})
    fig.update_annotations(font={"size": 13})
    sees = listed([f"{name} sees {said}" for name, said in words.items()])
    return describe(
        fig,
        alt=f"Which of {shapes.pop()[0]} pixels a side can move an output: {sees}.",
        caption=caption or f"What can move the output: {sees}.",
    )


def _enclosing(map: NDArray[np.float64]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, first and last column of what is seen."""
    rows, columns = np.nonzero(map.any(1))[0], np.nonzero(map.any(0))[0]
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def _words(map: NDArray[np.float64], box: tuple[tuple[int, int], tuple[int, int]]) -> str:
    height, width = (last - first + 1 for first, last in box)
    return f"{100 * np.count_nonzero(map) / (height * width):.0f} % of {height} × {width}"


def _coloured(map: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cividis from FAINTEST on where something is seen, nothing elsewhere: RGBA."""
    place = FAINTEST + (1 - FAINTEST) * np.sqrt(map / map.max())
    scale = sample_colorscale(get_colorscale("Cividis"), np.linspace(0, 1, 256), colortype="tuple")
    rgb = np.array(scale)[np.round(place * 255).astype(int)]
    return np.concatenate([rgb, (map > 0)[..., None].astype(float)], axis=2)

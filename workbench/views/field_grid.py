"""Many effective fields beside one another, small: their shapes at a glance."""

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.colors import get_colorscale, sample_colorscale
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.probes.maps import mass_radius
from workbench.views.fields import Box, _box, _map_and_centre
from workbench.views.pictures import pixel_axes, png
from workbench.views.theme import SKY, describe
from workbench.views.words import listed

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import EffectiveField, ReceptiveField

MOST = 12


def field_grid(
    fields: "Mapping[str, EffectiveField | ArrayLike]",
    *,
    exact: "Mapping[str, ReceptiveField | Box] | None" = None,
    share: float = 0.5,
    columns: int = 3,
    caption: str | None = None,
) -> go.Figure:
    """Where the gradients of several outputs fall, one small map each, each as bright as its brightest pixel.

    fields: up to twelve effective fields or maps [height, width], by name, all of one size. Brightness is
    the root of the gradient, so that faint parts are seen. exact: the exact field of some of them, drawn as a
    box where it ends inside the map. The title of each says how wide the square is that holds `share` of it.
    """
    if not 1 <= len(fields) <= MOST:
        raise WorkbenchError(f"expected 1 to {MOST} maps, but {len(fields)} came")
    maps = {name: _map_and_centre(field) for name, field in fields.items()}
    if len(shapes := {map.shape for map, _ in maps.values()}) > 1:
        raise WorkbenchError(f"the maps must have one size, but {sorted(shapes)} came")
    height, width = shapes.pop()
    sides = {name: int(2 * mass_radius(map, share, centre)) + 1 for name, (map, centre) in maps.items()}
    rows = ceil(len(maps) / columns)
    titles = [f"{name}: {sides[name]}" for name in maps]
    fig = make_subplots(rows, columns, subplot_titles=titles, vertical_spacing=0.3 / rows)
    said = []
    for number, (name, (map, _)) in enumerate(maps.items()):
        at = {"row": number // columns + 1, "col": number % columns + 1}
        fig.add_trace(go.Image(source=png(_coloured(map)), hoverinfo="skip", zsmooth=False), **at)
        axes = pixel_axes(height, width)
        first, last = number % columns == 0, number + columns >= len(maps)
        fig.update_xaxes({**axes["xaxis"], "showticklabels": last}, **at)
        anchor = "x" if number == 0 else f"x{number + 1}"
        fig.update_yaxes({**axes["yaxis"], "showticklabels": first, "scaleanchor": anchor}, **at)
        text = f"{name} {100 * share:g} % within {sides[name]} × {sides[name]} pixels"
        if exact is not None and name in exact:
            box = _box(exact[name], getattr(fields[name], "position", None))
            whole = box.height >= height and box.width >= width
            text += ", exact field all of it" if whole else f", exact field {box.height} by {box.width}"
            if not whole:
                shown = {
                    "showlegend": not any(s.showlegend for s in fig.layout.shapes),
                    "legendgroup": "exact",
                }
                fig.add_shape(**box.shape("exact field", **shown), line={"color": SKY, "width": 2}, **at)
        said.append(text)
    fig.update_layout(height=70 + 250 * rows, legend={"y": -0.12, "yanchor": "top"}, margin={"t": 40})
    fig.update_annotations(font={"size": 13})
    fig.update_xaxes(title={"text": "column (pixels)", "font": {"size": 12}})
    fig.update_yaxes(title={"text": "row (pixels)", "font": {"size": 12}})
    least, most = min(sides, key=sides.__getitem__), max(sides, key=sides.__getitem__)
    return describe(
        fig,
        alt=f"{len(maps)} maps of {height} by {width} pixels of where the gradient falls: {listed(said)}.",
        caption=caption
        or f"The number is the width of the square that holds {100 * share:g} % of the gradient: "
        f"{sides[least]} pixels for {least}, {sides[most]} for {most}. Each map has a brightness of its own.",
    )


def _coloured(map: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.sqrt(map / (map.max() or 1))
    colours = np.array(
        sample_colorscale(get_colorscale("Cividis"), np.linspace(0, 1, 256), colortype="tuple")
    )
    return colours[np.round(share * 255).astype(int)]

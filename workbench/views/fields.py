"""Receptive fields drawn: the exact box on a photograph, the effective map beside its moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.probes.maps import checked_map, mass_radius, middle, moments
from workbench.views.pictures import checked_image, glow, picture, pixel_axes
from workbench.views.theme import PURPLE, SKY, describe
from workbench.views.words import listed

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import EffectiveField, ReceptiveField

Box = Sequence[Sequence[float]]
MOST_CELLS = 128  # of a heat map's side; larger maps are summed in blocks


@dataclass(frozen=True)
class _Rows:
    """A box in whole pixels: first and last row, first and last column."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def height(self) -> int:
        return int(self.bottom - self.top + 1)

    @property
    def width(self) -> int:
        return int(self.right - self.left + 1)

    @property
    def words(self) -> str:
        return (
            f"rows {self.top:g} to {self.bottom:g} and columns {self.left:g} to {self.right:g}, "
            f"{self.height} by {self.width} pixels"
        )

    def shape(self, name: str, **options: Any) -> dict[str, Any]:
        """The outline around the pixels, not through their centres."""
        return {
            "type": "rect",
            "x0": self.left - 0.5,
            "x1": self.right + 0.5,
            "y0": self.top - 0.5,
            "y1": self.bottom + 0.5,
            "name": name,
            **options,
        }


def _box(field: "ReceptiveField | Box", position: Sequence[int] | None) -> _Rows:
    interval = tuple(field if isinstance(field, Sequence) else field.interval(position))
    if len(interval) != 2 or any(side is None or len(side) != 2 for side in interval):
        raise WorkbenchError(
            f"expected the first and last row and the first and last column of a box, but {interval} came"
        )
    (top, bottom), (left, right) = interval  # type: ignore[misc]
    return _Rows(top, bottom, left, right)


def _map_and_centre(
    effective: "EffectiveField | ArrayLike",
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Magnitudes [height, width], and where the output's centre lies (the middle of a bare map)."""
    values: Any = getattr(effective, "map", effective)
    map = checked_map(values)
    return map, getattr(effective, "center", middle(map))


def receptive_field(
    image: ArrayLike,
    field: "ReceptiveField | Box",
    *,
    effective: "EffectiveField | ArrayLike | None" = None,
    position: Sequence[int] | None = None,
    share: float | None = 0.5,
) -> go.Figure:
    """What one output sees, on the photograph that it looks at.

    image: [height, width] or [height, width, 3] in [0, 1], of the size that the field was worked out for.
    field: a `ReceptiveField` (with `position`, row and column of the output; default the middle one), or
        the box itself as ((first row, last row), (first column, last column)).
    effective: an `EffectiveField` or its map [height, width], laid over the image (its root, so that faint
        parts are seen), which is then dim and grey so that the glow stands out.
    share: also draws the smallest square that holds this share of the effective map; None leaves it out.
    """
    pixels = checked_image(image)
    height, width = pixels.shape[:2]
    box = _box(field, position)
    fig = go.Figure(picture(pixels if effective is None else _dim(pixels)))
    fig.update_layout(height=460, **pixel_axes(height, width))
    part = box.height * box.width / (height * width)
    alt = (
        f"Photograph of {height} by {width} pixels. The output sees exactly {box.words}, "
        f"{100 * part:.3g} % of the image."
    )
    caption = f"The output can see {box.height} × {box.width} of {height} × {width} pixels."
    size = getattr(field, "size", (box.height, box.width))
    if max(size) < inf and size != (box.height, box.width):
        alt += f" Its field of {size[0]:g} by {size[1]:g} pixels runs over the edge."
    if effective is not None:
        map, centre = _map_and_centre(effective)
        if map.shape != (height, width):
            raise WorkbenchError(
                f"the effective map must have the image's shape {(height, width)}, but {map.shape} came"
            )
        fig.add_trace(glow(map))
        caption = f"{caption[:-1]}; the brighter a pixel glows, the more it moves the output."
    if effective is not None and share is not None:
        radius = mass_radius(map, share, centre)
        side = int(2 * radius) + 1
        square = _square(centre, radius)
        fig.add_shape(
            **square.shape(f"{100 * share:g} % of the gradient", showlegend=True),
            line={"color": PURPLE, "width": 3, "dash": "dot"},
        )
        alt += f" {100 * share:g} % of its gradient lies within {radius:g} pixels of the centre."
        caption = (
            f"The output can see {box.height} × {box.width} pixels, but {100 * share:g} % of what moves it "
            f"lies in {side} × {side}."
        )
    fig.add_shape(**box.shape("exact field", showlegend=True), line={"color": SKY, "width": 3})
    return describe(fig, alt=alt, caption=caption)


def _dim(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grey at half the brightness: still the photograph, but no rival to what is laid over it."""
    grey = pixels.mean(axis=2, keepdims=True) if pixels.ndim == 3 else pixels
    return np.broadcast_to(0.5 * grey, pixels.shape)


def _square(centre: tuple[float, float], radius: float) -> _Rows:
    y, x = centre
    return _Rows(y - radius, y + radius, x - radius, x + radius)


def effective_map(
    fields: "EffectiveField | ArrayLike | Mapping[str, EffectiveField | ArrayLike]",
    *,
    exact: "ReceptiveField | Box | Mapping[str, ReceptiveField | Box] | None" = None,
    share: float = 0.5,
) -> go.Figure:
    """Where the gradient of one output falls, one map or up to four side by side on one colour range.

    fields: an `EffectiveField` or a map [height, width], or several by name. exact: the exact field, one for
    all or by name. Drawn into each map: the box of the exact field, the ellipse of the second moments (one
    standard deviation), and the square that holds `share` of the mass. The colour is each pixel's share
    of the whole map in percent, so that maps of different loudness compare; maps of more than 128 pixels
    a side are summed in blocks, which the colour bar says.
    """
    named = dict(fields) if isinstance(fields, Mapping) else {"": fields}
    if not 1 <= len(named) <= 4:
        raise WorkbenchError(f"expected one to four maps, but {len(named)} came")
    maps = {name: _map_and_centre(field) for name, field in named.items()}
    block = max(-(-max(map.shape) // MOST_CELLS) for map, _ in maps.values())
    fig = make_subplots(1, len(named), subplot_titles=list(named) if any(named) else None)
    alts, sides = [], []
    for column, (name, field) in enumerate(named.items(), start=1):
        map, centre = maps[name]
        at = {"row": 1, "col": column}
        fig.add_trace(_heat(map, block), **at)
        axes = pixel_axes(*map.shape)
        fig.update_xaxes(axes["xaxis"], **at)
        anchor = "x" if column == 1 else f"x{column}"
        fig.update_yaxes({**axes["yaxis"], "scaleanchor": anchor}, **at)
        radius, shape = mass_radius(map, share, centre), moments(map)
        sides.append(int(2 * radius) + 1)
        first = {"showlegend": column == 1, "legendgroup": "field"}
        purple = {"color": PURPLE, "width": 2.5}
        square = _square(centre, radius).shape(f"{100 * share:g} % of the gradient", **first)
        fig.add_shape(**square, line=purple | {"dash": "dot"}, **at)
        fig.add_shape(**_ellipse(shape.mean, shape.covariance), **first, line=purple, **at)
        box = exact.get(name) if isinstance(exact, Mapping) else exact
        if box is not None:
            outline = _box(box, getattr(field, "position", None))
            fig.add_shape(**outline.shape("exact field", **first), line={"color": SKY, "width": 2}, **at)
        alts.append(
            f"{name + ': ' if name else ''}{100 * share:g} % of the gradient within {radius:g} pixels, "
            f"standard deviation {shape.std[0]:.3g} down and {shape.std[1]:.3g} across"
            + (f", exact field {outline.height} by {outline.width} pixels" if box is not None else "")
        )
    per = "pixel" if block == 1 else f"{block} × {block} pixels"
    fig.update_layout(
        height=440,
        coloraxis={"colorscale": "Cividis", "cmin": 0, "colorbar": {"title": {"text": f"% per {per}"}}},
        legend={"y": -0.18, "yanchor": "top"},
    )
    fig.update_annotations(font={"size": 14})
    squares = listed([f"{side} × {side}" for side in sides])
    return describe(
        fig,
        alt=f"Heat map{'s' if len(named) > 1 else ''} of where the gradient falls. {'; '.join(alts)}.",
        caption=f"{100 * share:g} % of the gradient lies in {squares} pixels"
        + (f" ({listed(list(named))})." if len(named) > 1 else "."),
    )


def _heat(map: NDArray[np.float64], block: int) -> go.Heatmap:
    """Percent of the total per cell, three significant digits, as light as it gets."""
    height, width = (-(-side // block) * block for side in map.shape)
    full = np.zeros((height, width))
    full[: map.shape[0], : map.shape[1]] = 100 * map / map.sum()
    cells = full.reshape(height // block, block, width // block, block).sum(axis=(1, 3))
    scale = 10.0 ** (2 - np.floor(np.log10(np.where(cells > 0, cells, 1))))
    return go.Heatmap(
        z=(np.round(cells * scale) / scale).astype(np.float32),
        x0=(block - 1) / 2,
        dx=block,
        y0=(block - 1) / 2,
        dy=block,
        coloraxis="coloraxis",
        zsmooth=False,
        hovertemplate="row %{y}, column %{x}: %{z:.3g} %<extra></extra>",
    )


def _ellipse(mean: tuple[float, float], covariance: NDArray[np.float64]) -> dict[str, Any]:
    """One standard deviation around the mean, as the path of a shape."""
    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, 49)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    y, x = np.array(mean)[:, None] + vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * circle)
    path = "M" + "L".join(f"{a:.4g},{b:.4g}" for a, b in zip(x, y, strict=True)) + "Z"
    return {"type": "path", "path": path, "name": "one standard deviation"}

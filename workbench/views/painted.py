"""A receptive field painted on a photograph: whole pixels in two layers, for a canvas that is dragged.

The photograph lies below and never changes. What a knob moves lies above it: one small number a pixel, an
index into a short list of colours. So many states take little room, and one is drawn in a millisecond.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, floor, inf
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from plotly.colors import get_colorscale, hex_to_rgb, sample_colorscale

from workbench.errors import WorkbenchError
from workbench.probes.maps import mass_radius
from workbench.views.fields import Box, _box, _map_and_centre, _Rows, _square
from workbench.views.pictures import checked_image
from workbench.views.theme import PURPLE, SKY

if TYPE_CHECKING:  # drawing alone does not load torch
    from workbench.probes import EffectiveField, ReceptiveField

Bytes = NDArray[np.uint8]
SIDE = 384  # of the painting on the screen, about
STEPS = 12  # of the glow
VEIL, SHADE = 0.2, 0.7  # how much of the light is taken away inside and outside of the exact field
CLEAR, SEEN, SHADED, EXACT, SQUARE, GLOW = range(6)  # marks; after GLOW, the glow grows by one step each


@dataclass(frozen=True)
class Painting:
    """A photograph with something painted over it; an Explorer draws it on a canvas.

    pixels: the photograph, [height, width] or [height, width, 3]. marks: for each pixel the index of the
    colour over it, [height, width]. colours: red, green, blue and opacity from 0 to 255, [colours, 4].
    scale: the side of one pixel on the screen.
    """

    pixels: Bytes
    marks: Bytes
    colours: Bytes
    alt: str
    caption: str
    scale: int

    @property
    def rgb(self) -> Bytes:
        """Both layers in one, as they are seen: [height, width, 3]."""
        below = self.pixels if self.pixels.ndim == 3 else np.stack([self.pixels] * 3, axis=-1)
        above = self.colours[self.marks].astype(float)
        mixed = below + (above[..., :3] - below) * (above[..., 3:] / 255)
        return np.rint(mixed).astype(np.uint8)


def painted_field(
    image: ArrayLike,
    exact: "ReceptiveField | Box | None",
    effective: "EffectiveField | ArrayLike | None" = None,
    *,
    position: Sequence[int] | None = None,
    share: float = 0.5,
    most: int = 96,
) -> Painting:
    """What one output sees, painted on the photograph that it looks at.

    The photograph is shaded outside of the exact field. Where the gradient falls it glows in cividis (by the
    root of the magnitude, so that faint parts are seen). Lines one pixel wide run around the exact field
    (blue) and around the smallest square that holds `share` of the gradient (purple).

    image: [height, width] or [height, width, 3] in [0, 1], of the size that the fields were worked out for.
    exact: a `ReceptiveField` (with `position`, row and column of the output; default the middle one), the
        box as ((first row, last row), (first column, last column)), or None where it is not known.
    effective: an `EffectiveField` or its map [height, width]. most: pixels a side of what is painted; larger
        images are averaged, and their maps summed, in square blocks, which the caption says.
    """
    photograph = checked_image(image)
    height, width = photograph.shape[:2]
    if most < 8:
        raise WorkbenchError(f"a painting needs at least 8 pixels a side, but most={most} came")
    block = ceil(max(height, width) / most)
    pixels = _summed(photograph, block) / _summed(np.ones_like(photograph), block)
    marks = np.full(pixels.shape[:2], CLEAR, np.uint8)
    box = square = None
    if exact is not None:
        box = _inside(_box(exact, position), height, width)
        marks[:] = SHADED
        marks[_cells(box, block)] = SEEN
    if effective is not None:
        map, centre = _map_and_centre(effective)
        if map.shape != (height, width):
            raise WorkbenchError(
                f"the effective map must have the image's shape {(height, width)}, but {map.shape} came"
            )
        light = _summed(map, block)
        steps = np.rint(STEPS * np.sqrt(light / light.max())).astype(np.uint8)
        marks[steps > 0] = GLOW + steps[steps > 0] - 1
        square = _inside(_square(centre, mass_radius(map, share, centre)), height, width)
        marks[_around(square, block, marks.shape)] = SQUARE
    if box:
        marks[_around(box, block, marks.shape)] = EXACT
    alt, caption = _words((height, width), box, square, share, getattr(exact, "size", None), block)
    scale = max(1, round(SIDE / max(marks.shape)))
    return Painting(np.rint(255 * pixels).astype(np.uint8), marks, _colours(), alt, caption, scale)


def _words(
    image: tuple[int, int],
    box: _Rows | None,
    square: _Rows | None,
    share: float,
    size: tuple[float, ...] | None,
    block: int,
) -> tuple[str, str]:
    """Text alternative and caption."""
    height, width = image
    alt = [f"Photograph of {height} by {width} pixels."]
    caption = "Nothing is known of what the output sees."
    mass = f"{100 * share:g} % of what moves"
    if box:
        part = 100 * box.height * box.width / (height * width)
        alt.append(f"The output sees exactly {box.words}, {part:.3g} % of it; the rest is shaded.")
        caption = f"The output can see {box.height} × {box.width} of {height} × {width} pixels."
        if size and max(size) < inf and size != (box.height, box.width):
            alt.append(f"Its field of {size[0]:g} by {size[1]:g} pixels runs over the edge.")
    if square:
        alt.append(f"{100 * share:g} % of the gradient lies in {square.words}.")
        inside = f"{square.height} × {square.width}"
        caption = (
            f"{caption[:-1]}, but {mass} it lies in {inside}."
            if box
            else f"{mass} the output lies in {inside} of {height} × {width} pixels."
        )
    if block > 1:
        caption += f" One pixel of the picture is {block} × {block} of the image."
    return " ".join(alt), caption


def _inside(rows: _Rows, height: int, width: int) -> _Rows:
    """The whole pixels of a box that lie in the image."""
    near = 1e-6  # a centre may be a sum of fractions
    return _Rows(
        max(0, ceil(max(rows.top, 0) - near)),
        floor(min(rows.bottom, height - 1) + near),
        max(0, ceil(max(rows.left, 0) - near)),
        floor(min(rows.right, width - 1) + near),
    )


def _summed(values: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """Sums over square blocks; those at the lower and right edge may be smaller."""
    for axis in (0, 1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], block), axis=axis)
    return values


def _cells(rows: _Rows, block: int) -> tuple[slice, slice]:
    return (
        slice(int(rows.top) // block, int(rows.bottom) // block + 1),
        slice(int(rows.left) // block, int(rows.right) // block + 1),
    )


def _around(rows: _Rows, block: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The line of pixels around a box; along the edge of the picture it lies on the last pixels."""
    down, across = (
        slice(max(cells.start - 1, 0), min(cells.stop + 1, side))
        for cells, side in zip(_cells(rows, block), shape, strict=True)
    )
    line = np.zeros(shape, bool)
    line[down, across] = True
    line[down.start + 1 : down.stop - 1, across.start + 1 : across.stop - 1] = False
    return line


@cache
def _colours() -> Bytes:
    """One row for each mark."""
    strength = np.arange(1, STEPS + 1) / STEPS
    cividis = np.array(sample_colorscale(get_colorscale("Cividis"), strength, colortype="tuple"))
    glow = 255 * np.column_stack([cividis, (1 + strength) / 2])
    dark = [(0, 0, 0, 255 * opacity) for opacity in (0, VEIL, SHADE)]
    lines = [(*hex_to_rgb(colour), 255) for colour in (SKY, PURPLE)]
    return np.rint([*dark, *lines, *glow]).astype(np.uint8)

"""What an Explorer's function returns, as plain JSON that script can draw: figures and small pictures."""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError

Json = Any
Part = dict[str, Json]
Frame = list[Part]


@dataclass(frozen=True)
class Picture:
    """A small image, drawn as pixels on a canvas: far faster than a heat map, and never interpolated.

    `pixels` is float in [0, 1] or uint8, [height, width] or [height, width, 3]. `scale` is the side of one
    pixel on the screen, at most what fits.

    What knobs move on a picture that stays the same is best laid over it: `marks` [height, width] holds for
    each pixel an index into `colours` [colours, 4], red, green, blue and opacity from 0 to 255. The pixels
    below are then stored once for all frames, and marks compress far better than mixed colours.
    """

    pixels: Any
    alt: str = ""
    caption: str = ""
    scale: int = 3
    marks: Any = None
    colours: Any = None

    def part(self) -> Part:
        """The picture as plain JSON with base64 pixels."""
        pixels = np.asarray(self.pixels)
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or not pixels.size:
            raise WorkbenchError(
                f"a picture must have shape [height, width] or [height, width, 3]; {list(pixels.shape)} came"
            )
        if pixels.dtype != np.uint8:
            if not np.isfinite(pixels).all():
                raise WorkbenchError("a picture's values must be finite, but NaN or infinity came")
            pixels = (np.clip(pixels.astype(np.float64), 0, 1) * 255 + 0.5).astype(np.uint8)
        over = {} if self.marks is None else {"over": self._over(pixels.shape[:2])}
        return {
            "kind": "picture",
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "channels": 1 if pixels.ndim == 2 else 3,
            "scale": self.scale,
            "alt": self.alt,
            "caption": self.caption,
            "pixels": base64.b64encode(pixels.tobytes()).decode(),
            **over,
        }

    def _over(self, shape: tuple[int, ...]) -> Part:
        marks, colours = np.asarray(self.marks), np.asarray(self.colours)
        if colours.ndim != 2 or colours.shape[1] != 4 or colours.dtype != np.uint8:
            raise WorkbenchError(
                f"colours must be uint8 of shape [colours, 4]; {colours.dtype} {list(colours.shape)} came"
            )
        if marks.shape != shape or marks.dtype != np.uint8 or marks.max() >= len(colours):
            raise WorkbenchError(
                f"marks must be uint8 of shape {list(shape)} and below {len(colours)}, one of the colours; "
                f"{marks.dtype} {list(marks.shape)} up to {marks.max()} came"
            )
        return {"pixels": base64.b64encode(marks.tobytes()).decode(), "colours": colours.tolist()}


def frame_of(shown: Any) -> Frame:
    """One frame: a figure, an image array, a `Picture` or `views.Painting`, or a sequence of these."""
    parts = list(shown) if isinstance(shown, list | tuple) else [shown]
    if not parts:
        raise WorkbenchError("an Explorer's function must return a figure or a picture, but nothing came")
    return [_part(part) for part in parts]


def _part(shown: Any) -> Part:
    if isinstance(shown, Picture):
        return shown.part()
    if isinstance(shown, np.ndarray):
        return Picture(shown).part()
    if hasattr(shown, "marks"):  # a painting; its room is not loaded for the sake of a type
        return Picture(**vars(shown)).part()
    if hasattr(shown, "to_plotly_json"):
        return plotly_part(json.loads(shown.to_json(validate=False)))
    raise WorkbenchError(
        "an Explorer's function must return a plotly figure, an image array or a Picture, "
        f"but {type(shown).__name__} came"
    )


def plotly_part(figure: Json) -> Part:
    """A plotly figure given as JSON, without its template: pages draw in their own, light or dark."""
    layout = {key: value for key, value in figure.get("layout", {}).items() if key != "template"}
    meta = layout.get("meta")
    said = meta if isinstance(meta, dict) else {}
    return {
        "kind": "plotly",
        "data": figure.get("data", []),
        "layout": layout,
        "alt": said.get("alt", ""),
        "caption": said.get("caption", ""),
    }


def plain(tree: Json, digits: int) -> Json:
    """The same JSON with typed arrays as lists and every number at `digits` significant digits.

    Whole numbers stay exact; what JSON cannot say (NaN, infinity) becomes null, which plotly draws as a gap.
    """
    if isinstance(tree, dict):
        if "bdata" in tree and "dtype" in tree:
            return _rounded(_array(tree), digits)
        return {key: plain(value, digits) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value, digits) for value in tree]
    return _round(tree, digits) if isinstance(tree, float) else tree


def _array(typed: dict[str, Any]) -> np.ndarray:
    values = np.frombuffer(base64.b64decode(typed["bdata"]), dtype=np.dtype(typed["dtype"]))
    shape: str | Sequence[int] | None = typed.get("shape")
    if shape is None:
        return values
    return values.reshape([int(n) for n in shape.split(",")] if isinstance(shape, str) else shape)


def _rounded(values: np.ndarray, digits: int) -> Json:
    def rounded(x: Any) -> Any:
        if isinstance(x, list):
            return [rounded(y) for y in x]
        return _round(x, digits) if isinstance(x, float) else x

    return rounded(values.tolist())


def _round(x: float, digits: int) -> float | int | None:
    if not math.isfinite(x):
        return None
    near = x if x.is_integer() else float(f"{x:.{digits}g}")
    if not math.isfinite(near):  # 1.7e308 has nothing above it to round to
        near = x
    return int(near) if near.is_integer() and abs(near) < 2**53 else near

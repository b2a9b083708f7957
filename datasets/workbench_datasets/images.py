"""The one way in which pictures become arrays.

1. Bytes become float32: stored value / 255, so 0 is black and 1 is white. The values stay as they are
   stored, which for photographs means encoded for a display (gamma), not proportional to light.
2. Grey is the weighted sum of red, green and blue with the luminance weights of ITU-R BT.709.
3. A size cuts out the largest centred window of the wanted aspect (whole pixels), then makes every output
   pixel the mean over the area of the window that it covers. This cannot alias a constant into a pattern:
   the weights of a pixel sum to 1, and the mean of the window is kept. Pictures are never enlarged.
"""

import operator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

Image = NDArray[np.float32]
Size = int | tuple[int, int] | None

LUMINANCE = (0.2126, 0.7152, 0.0722)  # red, green, blue
SIZE_OPTION = "height and width in pixels as one number or a pair; centre crop, then area mean"
GRAY_OPTION = "True for luminance alone (BT.709 weights of the stored values)"


def read(path: Path) -> Image:
    """A picture file as float32 in [0, 1]: [height, width], or [height, width, 3] for colour."""
    from PIL import Image as Pillow

    with Pillow.open(path) as picture:
        pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
    return pixels.astype(np.float32) / np.float32(255)


def to_gray(image: Image) -> Image:
    """Luminance: [..., height, width, 3] -> [..., height, width]. A grey picture is copied."""
    if image.ndim == 2:
        return image.copy()
    return (image.astype(np.float64) @ LUMINANCE).astype(np.float32)


def fit(image: Image, size: Size) -> Image:
    """Centre crop to the aspect of `size`, then area mean: [H, W, ...] -> [h, w, ...]; None copies."""
    if size is None:
        return image.copy()
    height, width = wanted(size)
    rows, columns = window(image.shape[:2], (height, width))
    return area_mean(image[rows, columns], (height, width))


def wanted(size: Any) -> tuple[int, int]:
    """A size option as (height, width)."""
    try:
        pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        height, width = (operator.index(side) for side in pair)
        if min(height, width) < 1 or any(isinstance(side, bool) for side in pair):
            raise ValueError
    except (TypeError, ValueError):
        raise DataError(
            f"size must be a whole number of pixels or a pair (height, width), but {size!r} came"
        ) from None
    return height, width


def window(have: tuple[int, ...], want: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the largest centred window with the aspect of `want`."""
    scale = min(have[0] / want[0], have[1] / want[1])
    if scale < 1:
        raise DataError(
            f"pictures are never enlarged: this one has {have[0]} x {have[1]} pixels, "
            f"but size {want[0]} x {want[1]} came"
        )
    sides = (round(want[0] * scale), round(want[1] * scale))
    rows, columns = (
        slice((all_ - part) // 2, (all_ - part) // 2 + part) for all_, part in zip(have, sides, strict=True)
    )
    return rows, columns


def area_mean(image: NDArray[np.floating], size: tuple[int, int]) -> Image:
    """Each output pixel is the mean of the area it covers: [H, W, ...] -> [height, width, ...]."""
    down = coverage(image.shape[0], size[0])
    across = coverage(image.shape[1], size[1])
    shrunk = np.einsum("ih,hw...,jw->ij...", down, image, across, optimize=True)
    return shrunk.astype(np.float32)  # sums in float64 round back into the range of the pixels


def coverage(have: int, want: int) -> NDArray[np.float64]:
    """Row i holds how much of each of `have` pixels lies in the i-th of `want` equal parts; rows sum to 1."""
    edges = np.linspace(0, have, want + 1)
    left, right = edges[:-1, None], edges[1:, None]
    pixel = np.arange(have)
    overlap = np.minimum(right, pixel + 1) - np.maximum(left, pixel)
    return np.clip(overlap, 0, None) * (want / have)

"""The Haar transform in two dimensions, over several levels, and its inverse.

Every square of 2 x 2 pixels `a b / c d` becomes four numbers, without learning anything:

    LL = (a + b + c + d) / 2    what an average keeps
    LH = (a + b - c - d) / 2    top minus bottom: horizontal edges
    HL = (a - b + c - d) / 2    left minus right: vertical edges
    HH = (a - b - c + d) / 2    one diagonal minus the other

`HAAR` holds these signs and the half. It is orthonormal, so that no energy is lost (Parseval), and
symmetric, so that it is its own inverse. LL is half as wide and high; the next level takes it apart again.

Odd sizes: a row or column of zeros is put below or to the right first, so that n pixels give ceil(n / 2)
numbers. Parseval holds for odd sizes too; the inverse needs the size to cut the zeros off again.

Order and signs are those of `pywt.dwt2(x, "haar", mode="zero")`: LL, then its horizontal, vertical and
diagonal details.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

HAAR = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2.0


class Bands(NamedTuple):
    """The four numbers of every square, [..., channels, height / 2, width / 2] each."""

    LL: Tensor
    LH: Tensor
    HL: Tensor
    HH: Tensor


def haar2d(x: Tensor) -> Bands:
    """One level: [..., channels, height, width] -> four of them, half as high and wide, rounded up."""
    return Bands(*_haar_of_four(*squares(x)))


def inverse_haar2d(bands: Sequence[Tensor], size: tuple[int, int] | None = None) -> Tensor:
    """The x [..., channels, height, width] that `haar2d` took apart.

    size: (height, width), needed where one of them is odd.
    """
    if len({tuple(band.shape) for band in bands}) != 1 or len(bands) != 4:
        shapes = ", ".join(str(tuple(band.shape)) for band in bands)
        raise WorkbenchError(f"expected four bands of one shape, but {shapes or 'none'} came")
    half_height, half_width = bands[0].shape[-2:]
    height, width = size or (2 * half_height, 2 * half_width)
    if ((height + 1) // 2, (width + 1) // 2) != (half_height, half_width):
        raise WorkbenchError(
            f"bands of {half_height} x {half_width} come from {2 * half_height} x {2 * half_width} pixels "
            f"or one less either way, but {height} x {width} are asked for"
        )
    a, b, c, d = _haar_of_four(*bands)
    top, bottom = torch.stack((a, b), -1).flatten(-2), torch.stack((c, d), -1).flatten(-2)
    return torch.stack((top, bottom), -2).flatten(-3, -2)[..., :height, :width]


def squares(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The pixels a, b, c, d of every square of x [..., channels, height, width], shaped like the bands."""
    x = F.pixel_unshuffle(F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)), 2)  # four channels from each
    return x[..., 0::4, :, :], x[..., 1::4, :, :], x[..., 2::4, :, :], x[..., 3::4, :, :]


def _haar_of_four(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`HAAR` times (a, b, c, d), by eight additions instead of twelve."""
    top, bottom, left_right_top, left_right_bottom = a + b, c + d, a - b, c - d
    return (
        (top + bottom) / 2,
        (top - bottom) / 2,
        (left_right_top + left_right_bottom) / 2,
        (left_right_top - left_right_bottom) / 2,
    )


class Haar2d(nn.Module):
    """`levels` levels: [..., channels, height, width] -> the bands of every level, finest first.

    The LL of one level is what the next one takes apart, so that only the last LL and all details are new.
    Nothing is learned, and nothing is kept for the way back.
    """

    def __init__(self, levels: int = 1) -> None:
        super().__init__()
        if levels < 1:
            raise WorkbenchError(f"levels must be at least 1, but {levels} came")
        self.levels = levels

    def forward(self, x: Tensor) -> list[Bands]:
        found: list[Bands] = []
        for _ in range(self.levels):
            found.append(haar2d(found[-1].LL if found else x))
        return found

    def inverse(self, found: Sequence[Bands], size: tuple[int, int] | None = None) -> Tensor:
        """x again, from the last LL and the details of all levels; size: that of x where a side is odd."""
        sizes = [size, *((bands.LL.shape[-2], bands.LL.shape[-1]) for bands in found[:-1])]
        low = found[-1].LL
        for bands, above in zip(reversed(found), reversed(sizes), strict=True):
            low = inverse_haar2d((low, *bands[1:]), above)
        return low

    def extra_repr(self) -> str:
        return f"levels={self.levels}"

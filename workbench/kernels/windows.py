"""Where a convolution's windows lie: sizes, and what stride, padding and dilation do to them.

Every convolution of this room is the correlation that deep learning calls convolution (no kernel is flipped):

    out[n, o, i, j] = sum over c, q, t of  w[o, c, q, t] * x[n, c, i s + q d - p, j s + t d - p]

with stride s, dilation d, and p rows and columns of zeros around the image. Each of the three is one number
or a pair for rows and columns.
"""

from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError

Pair = int | tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """The geometry of one convolution; every field is a pair for rows and columns."""

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    out: tuple[int, int]

    def numbers(self) -> tuple[int, ...]:
        """What a compiled loop needs: kh, kw, out_width, and stride, padding and dilation of both axes."""
        return *self.kernel, self.out[1], *self.stride, *self.padding, *self.dilation

    def inside(self) -> tuple[int, int]:
        """How many (output, tap) pairs along each axis see the image and not its border of zeros."""
        rows, columns = (
            sum(0 <= i * stride + q * dilation - padding < size for i in range(outputs) for q in range(taps))
            for size, taps, stride, padding, dilation, outputs in zip(
                self.image, self.kernel, self.stride, self.padding, self.dilation, self.out, strict=True
            )
        )
        return rows, columns

    def seen(self) -> int:
        """How many pixels of the image at least one window holds."""
        rows, columns = (
            len(
                {i * stride + q * dilation - padding for i in range(outputs) for q in range(taps)}
                & set(range(size))
            )
            for size, taps, stride, padding, dilation, outputs in zip(
                self.image, self.kernel, self.stride, self.padding, self.dilation, self.out, strict=True
            )
        )
        return rows * columns


def windows(
    image: tuple[int, ...], kernel: tuple[int, ...], stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1
) -> Windows:
    """The windows of a kernel [..., kh, kw] on an image [..., height, width]; raises where none fits."""
    height, width = image[-2:]
    kh, kw = kernel[-2:]
    s, p, d = _pair("stride", stride, 1), _pair("padding", padding, 0), _pair("dilation", dilation, 1)
    out = (
        (height + 2 * p[0] - d[0] * (kh - 1) - 1) // s[0] + 1,
        (width + 2 * p[1] - d[1] * (kw - 1) - 1) // s[1] + 1,
    )
    if min(out) < 1:
        raise WorkbenchError(
            f"the window must fit into the padded image, but a kernel of {kh} x {kw} with dilation {d} came "
            f"for an image of {height} x {width} with padding {p}"
        )
    return Windows((height, width), (kh, kw), s, p, d, out)


def conv2d_windows(
    x: np.ndarray, w: np.ndarray, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1
) -> Windows:
    """The windows of `w` [out_channels, channels, kh, kw] on `x` [batch, channels, height, width]."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise WorkbenchError(f"x must be [batch, channels, height, width] and not empty, but {x.shape} came")
    if w.ndim != 4 or 0 in w.shape or w.shape[1] != x.shape[1]:
        raise WorkbenchError(
            f"w must be [out_channels, {x.shape[1]} channels, kh, kw] and not empty, but {w.shape} came"
        )
    check_types(x, w)
    return windows(x.shape, w.shape, stride, padding, dilation)


def check_types(x: np.ndarray, w: np.ndarray) -> None:
    """Raises unless both are float32 or both float64."""
    if x.dtype not in (np.float32, np.float64) or w.dtype != x.dtype:
        raise WorkbenchError(f"x and w must both be float32 or float64, but {x.dtype} and {w.dtype} came")


def _pair(name: str, value: Pair, least: int) -> tuple[int, int]:
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2 or any(not isinstance(part, (int, np.integer)) or part < least for part in pair):
        raise WorkbenchError(f"{name} must be a whole number from {least} on, or two, but {value!r} came")
    return int(pair[0]), int(pair[1])

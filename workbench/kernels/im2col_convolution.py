"""Convolution as one matrix product: every window becomes a column (im2col).

    columns[n, (c, q, t), (i, j)] = x[n, c, i s + q d - p, j s + t d - p]
    out[n] = W @ columns[n]            with W [out_channels, channels * kh * kw]

The product is a BLAS's work, which is what makes it fast; the price is memory, since a pixel is copied as
often as windows hold it: about kh * kw times at stride 1.
"""

import numpy as np
from numba import njit, prange

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.cost import Cost
from workbench.kernels.packed_matmul import copy, output
from workbench.kernels.windows import Pair, check_types, conv2d_windows, windows


def im2col_conv2d(
    x: np.ndarray,
    w: np.ndarray,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Correlates `x` [batch, channels, height, width] with `w` [out_channels, channels, kh, kw].

    Float32 or float64; `stride`, `padding` and `dilation` are one number or a pair. Writes to `out`
    (C-contiguous) if given and returns it. `conv2d` makes the same columns a panel at a time.
    """
    view = conv2d_windows(x, w, stride, padding, dilation)
    out = output((len(x), len(w), *view.out), out, x, w)
    columns = im2col(x, view.kernel, stride, padding, dilation)
    np.matmul(w.reshape(len(w), -1), columns, out=out.reshape(len(x), len(w), columns.shape[2]))
    return out


def im2col(
    x: np.ndarray,
    kernel_size: tuple[int, int],
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
) -> np.ndarray:
    """Columns [batch, channels * kh * kw, out_height * out_width] of `x` [batch, channels, height, width].

    On all threads. The readable twin is `im2col_direct`.
    """
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise WorkbenchError(f"x must be [batch, channels, height, width] and not empty, but {x.shape} came")
    check_types(x, x)
    view = windows(x.shape, kernel_size, stride, padding, dilation)
    taps = view.kernel[0] * view.kernel[1]
    columns = np.empty((len(x), x.shape[1] * taps, view.out[0] * view.out[1]), x.dtype)
    _im2col(np.ascontiguousarray(x), columns, view.numbers())
    return columns


@kernel(cache=True)
def im2col_direct(x, columns, kh, kw, out_width, stride, padding, dilation):
    """One element after the other: x [channels, height, width], columns [channels * kh * kw, outputs]."""
    for row in range(columns.shape[0]):
        c = row // (kh * kw)
        q = row // kw % kh
        t = row % kw
        for place in range(columns.shape[1]):
            i = place // out_width * stride + q * dilation - padding
            j = place % out_width * stride + t * dilation - padding
            if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:
                columns[row, place] = x[c, i, j]
            else:
                columns[row, place] = 0


def im2col_cost(
    x: tuple[int, int, int],
    kernel_size: tuple[int, int],
    itemsize: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Cost:
    """The closed form of `im2col_direct` on `x` [channels, height, width]."""
    view = windows(x, kernel_size, stride, padding, dilation)
    rows, columns = view.inside()
    stored = x[0] * view.kernel[0] * view.kernel[1] * view.out[0] * view.out[1]
    return Cost(
        flops=0,
        loads={"x": x[0] * rows * columns},
        stores={"columns": stored},
        bytes_unique={"x": x[0] * view.seen() * itemsize, "columns": stored * itemsize},
    )


@njit(cache=True)
def _gather(images, row, target, numbers):
    """One row of the columns of `images` [channels, height, width]; `numbers` are those of `Windows`."""
    kh, kw, out_width, down, across, above, before, row_dilation, column_dilation = numbers
    image = images[row // (kh * kw)]
    top = row // kw % kh * row_dilation - above
    left = row % kw * column_dilation - before
    for i in range(len(target) // out_width):
        part = target[i * out_width : (i + 1) * out_width]
        if 0 <= i * down + top < len(image):
            _gather_row(image[i * down + top], left, across, part)
        else:
            part[:] = 0


@njit(cache=True)
def _gather_row(row, start, stride, target):
    """target[n] = row[start + n * stride], zero outside."""
    low = min(len(target), max(0, (stride - 1 - start) // stride))
    high = max(low, min(len(target), (len(row) - start + stride - 1) // stride))
    for n in range(low):
        target[n] = 0
    if stride == 1:
        copy(row[start + low : start + high], target[low:high])
    else:
        for n in range(low, high):
            target[n] = row[start + n * stride]
    for n in range(high, len(target)):
        target[n] = 0


@njit(cache=True, parallel=True)
def _im2col(x, columns, numbers):
    rows = columns.shape[1]
    for part in prange(len(x) * rows):
        _gather(x[part // rows], part % rows, columns[part // rows, part % rows], numbers)

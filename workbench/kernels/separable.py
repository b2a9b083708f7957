"""Separable filters: a kernel that is one column times one row (rank 1) costs kh + kw products, not kh * kw.

    w[q, t] = column[q] * row[t]   =>   filter all columns with `column`, then all rows with `row`

The windows are those of the depthwise convolution: output as large as the input, zeros outside, a kernel of k
taps reaches (k - 1) // 2 back and k // 2 ahead, and is not flipped.
"""

import numpy as np
from numba import njit, prange

from workbench.errors import WorkbenchError
from workbench.kernels.packed_matmul import FAST, output

BAND = 16  # output rows that one thread makes at a time


def separable_conv2d(
    x: np.ndarray, column: np.ndarray, row: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """Filters every image of `x` [..., height, width] with the kernel `column` [kh] times `row` [kw].

    Float32 or float64, on all threads. Writes to `out` (shape and type of `x`, C-contiguous, apart from `x`)
    if given and returns it. The readable twin is `_separable_conv2d`.
    """
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise WorkbenchError(f"x must be [..., height, width] and not empty, but {x.shape} came")
    if column.ndim != 1 or row.ndim != 1 or not column.size or not row.size:
        raise WorkbenchError(
            f"column and row must be 1-D and not empty, but {column.shape} and {row.shape} came"
        )
    if x.dtype not in (np.float32, np.float64) or column.dtype != x.dtype or row.dtype != x.dtype:
        raise WorkbenchError(
            f"x, column and row must all be float32 or all float64, "
            f"but {x.dtype}, {column.dtype} and {row.dtype} came"
        )
    out = output(x.shape, out, x, column, row)
    image = (-1, *x.shape[-2:])
    taps = np.ascontiguousarray(column), np.ascontiguousarray(row)
    _separable(np.ascontiguousarray(x).reshape(image), *taps, out.reshape(image))
    return out


def separate(w: np.ndarray, tolerance: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
    """The column [kh] and the row [kw] whose product is `w` [kh, kw]; raises where there is none.

    Both come from the largest singular value, shared equally. What the others leave must be at most
    `tolerance` of it.
    """
    if w.ndim != 2 or 0 in w.shape or not np.isfinite(w).all():
        raise WorkbenchError(f"w must be [kh, kw], not empty and finite, but {w.dtype} {w.shape} came")
    left, values, right = np.linalg.svd(w)
    rest = float(np.linalg.norm(values[1:]))
    if rest > tolerance * values[0]:
        raise WorkbenchError(
            f"w must be one column times one row, but {rest / values[0]:.1e} of its largest part is left over"
        )
    root = np.sqrt(values[0])
    return left[:, 0] * root, right[0] * root


def separable_cost(image: tuple[int, int], kernel: tuple[int, int]) -> dict[str, int]:
    """Flops of one image by the two ways, border included: `direct` kh * kw products, `separable` kh + kw."""
    pixels = image[0] * image[1]
    return {"direct": 2 * pixels * kernel[0] * kernel[1], "separable": 2 * pixels * sum(kernel)}


@njit(cache=True)
def _weigh(source, weight, target):
    """target[n] += weight * source[n]"""
    for n in range(len(target)):
        target[n] += weight * source[n]


@njit(cache=True, fastmath=FAST)
def _weigh_four(source, weights, target):
    """target[n] += sum of weights[t] * source[n + t], t < 4: one pass over the target for four taps."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    s1, s2, s3 = source[1:], source[2:], source[3:]
    for n in range(len(target)):
        target[n] += w0 * source[n] + w1 * s1[n] + w2 * s2[n] + w3 * s3[n]


@njit(cache=True, fastmath=FAST)
def _weigh_rows(r0, r1, r2, r3, weights, target):
    """The same for four taps that see four rows."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for n in range(len(target)):
        target[n] += w0 * r0[n] + w1 * r1[n] + w2 * r2[n] + w3 * r3[n]


@njit(cache=True, parallel=True)
def _separable(x, column, row, out):
    """What the column makes of one image row stays in the first-level cache until the row has passed."""
    _, height, width = x.shape
    bands = -(-height // BAND)
    for part in prange(len(x) * bands):
        image, result = x[part // bands], out[part // bands]
        line = np.zeros(width + len(row), x.dtype)
        middle = line[(len(row) - 1) // 2 :][:width]
        first = part % bands * BAND
        for i in range(first, min(first + BAND, height)):
            top = i - (len(column) - 1) // 2
            start, end = max(0, -top), min(len(column), height - top)
            middle[:] = 0
            whole = start + (end - start) // 4 * 4
            for q in range(start, whole, 4):
                r = top + q
                _weigh_rows(image[r], image[r + 1], image[r + 2], image[r + 3], column[q:], middle)
            for q in range(whole, end):
                _weigh(image[top + q], column[q], middle)
            target = result[i]
            target[:] = 0
            whole = len(row) // 4 * 4
            for t in range(0, whole, 4):
                _weigh_four(line[t:], row[t:], target)
            for t in range(whole, len(row)):
                _weigh(line[t:], row[t], target)


def _separable_conv2d(x: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The readable twin of `separable_conv2d`: add shifted and weighted images, down and then across."""
    for axis, taps in ((-2, column), (-1, row)):
        back = (len(taps) - 1) // 2
        width = [(0, 0)] * x.ndim
        width[axis] = (back, len(taps) - 1 - back)
        padded = np.pad(x, width)
        shifted = [np.take(padded, range(t, t + x.shape[axis]), axis) for t in range(len(taps))]
        x = sum((tap * image for tap, image in zip(taps, shifted, strict=True)), np.zeros_like(x))
    return x

"""Depthwise 2-D convolution: every channel is filtered by a kernel of its own.

    out[n, c, i, j] = sum over q, t of  w[c, q, t] * x[n, c, i + q - top, j + t - left]

with zeros outside the image and an output as large as the input. As deep learning has it, this is a
correlation: the kernel is not flipped. A kernel of k taps reaches (k - 1) // 2 back and k // 2 ahead, so
an even one reaches one tap further ahead (the convention of torch's `padding="same"`).

Three things make the fast version fast:

- *One long loop.* The rows of an image are laid end to end, separated by one gap of zeros that serves as
  the right border of a row and the left border of the next. A shifted image is then a shifted slice.
- *Two output rows at once.* Even and odd rows are kept apart, so that one input value that has been
  loaded is used for an even output row (with one kernel row) and for an odd one (with the row above it).
- *Up to eight taps at once.* The kernel row is cut into nearly equal blocks whose length the compiler
  knows. A block's weights stay in registers, and an output is read and written once per block.
"""

import numpy as np
from numba import njit, prange

from workbench.errors import WorkbenchError

# A sum may be regrouped and fused, but inf and nan keep their meaning.
FAST = {"contract", "reassoc", "nsz"}
MOST_TAPS = 8


def depthwise_conv2d(x: np.ndarray, w: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Filters each channel of `x` [batch, channels, height, width] by its kernel in `w` [channels, kh, kw].

    Float32 or float64; writes to `out` (shape and type of `x`, C-contiguous, apart from `x`) if given and
    returns it. Stride 1, zero padding to the same size. The readable twin is `_depthwise_conv2d`.
    """
    check_operands(x, w)
    top, left = reach(w.shape)
    return _apply(x, w, top, left, out)


def depthwise_conv2d_input_grad(grad: np.ndarray, w: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The gradient with respect to the input from `grad`, the output's [batch, channels, height, width].

    What went out through tap (q, t) comes back through it: the same operation with the kernel turned by
    180 degrees and its two reaches swapped.
    """
    check_operands(grad, w)
    top, left = reach(w.shape)
    _, kh, kw = w.shape
    return _apply(grad, w[:, ::-1, ::-1], kh - 1 - top, kw - 1 - left, out)


def depthwise_conv2d_weight_grad(grad: np.ndarray, x: np.ndarray, kernel_size: tuple[int, int]) -> np.ndarray:
    """The gradient with respect to the weights [channels, kh, kw], for finite `x` and `grad`.

    Both are [batch, channels, height, width]; each weight's gradient is one inner product of the output's
    gradient with the shifted input.
    """
    kh, kw = kernel_size
    if grad.shape != x.shape or grad.dtype != x.dtype:
        raise WorkbenchError(
            f"the gradient must have the input's shape {x.shape} and type {x.dtype}, "
            f"but {grad.shape} {grad.dtype} came"
        )
    result = np.zeros((x.shape[1] if x.ndim == 4 else 0, kh, kw), x.dtype)
    check_operands(x, result)
    top, left = reach(result.shape)
    _weight_grad(np.ascontiguousarray(grad), np.ascontiguousarray(x), result, top, left)
    return result


def reach(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many rows up and columns left of an output a kernel [..., kh, kw] begins."""
    return (shape[-2] - 1) // 2, (shape[-1] - 1) // 2


def check_operands(x: np.ndarray, w: np.ndarray) -> None:
    """Raises unless `x` is [batch, channels, height, width] and `w` [channels, kh, kw] of the same type."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise WorkbenchError(f"x must be [batch, channels, height, width] and not empty, but {x.shape} came")
    if w.ndim != 3 or 0 in w.shape or w.shape[0] != x.shape[1]:
        raise WorkbenchError(f"w must be [{x.shape[1]} channels, kh, kw] and not empty, but {w.shape} came")
    if x.dtype not in (np.float32, np.float64) or w.dtype != x.dtype:
        raise WorkbenchError(f"x and w must both be float32 or float64, but {x.dtype} and {w.dtype} came")


def _apply(x: np.ndarray, w: np.ndarray, top: int, left: int, out: np.ndarray | None) -> np.ndarray:
    if out is None:
        out = np.empty(x.shape, x.dtype)
    elif out.shape != x.shape or out.dtype != x.dtype or not out.flags.c_contiguous:
        raise WorkbenchError(
            f"out must be a C-contiguous {x.dtype} array of shape {x.shape}, but {out.dtype} {out.shape} came"
        )
    elif np.may_share_memory(out, x):
        raise WorkbenchError("out must not overlap x: an output would be read again as an input")
    blocks = -(-w.shape[2] // MOST_TAPS)
    wide = -(-w.shape[2] // blocks)
    _direct(np.ascontiguousarray(x), np.ascontiguousarray(w), out, top, left, (0,) * wide, (0,) * (wide - 1))
    return out


@njit(cache=True)
def _copy(source, target):
    for j in range(len(source)):
        target[j] = source[j]


@njit(cache=True, fastmath=FAST)
def _one_row(x, w, y, taps):
    """y[n] += sum of w[t] * x[n + t]; only the length of the tuple `taps` counts, a compile-time constant."""
    for n in range(len(y)):
        total = y[n]
        for t in range(len(taps)):
            total += w[t] * x[n + t]
        y[n] = total


@njit(cache=True, fastmath=FAST)
def _two_rows(x, w0, w1, y0, y1, taps):
    """The same for two outputs that see the same input through two rows of the kernel."""
    for n in range(len(y0)):
        total0 = y0[n]
        total1 = y1[n]
        for t in range(len(taps)):
            total0 += w0[t] * x[n + t]
            total1 += w1[t] * x[n + t]
        y0[n] = total0
        y1[n] = total1


@njit(cache=True, fastmath=FAST)
def _rows(x, w, q, t, even, odd, taps):
    """Input rows 2m + q - top reach even outputs through kernel row q and odd ones through row q - 1."""
    if 0 < q < len(w):
        _two_rows(x[t:], w[q, t:], w[q - 1, t:], even, odd, taps)
    else:
        _one_row(x[t:], w[max(0, q - 1), t:], even if q == 0 else odd, taps)


@njit(cache=True, fastmath=FAST)
def _one_image(x, w, out, top, left, wide, narrow):
    """One channel of one image; `wide` and `narrow` are tuples as long as the two kinds of blocks."""
    height, width = x.shape
    kh, kw = w.shape
    blocks = (kw + len(wide) - 1) // len(wide)
    wide_end = (kw - blocks * len(narrow)) * len(wide)  # so many taps stand in wide blocks
    stride = width + max(left, kw - 1 - left)  # a row and its gap
    half = (height + 1) // 2  # rows of one parity

    rows = np.zeros((2, half * stride + kw), x.dtype)
    for i in range(height):
        start = (i // 2) * stride + left
        _copy(x[i], rows[i % 2, start : start + width])

    sums = np.zeros((2, half * stride), x.dtype)
    for q in range(kh + 1):
        parity = (q - top) % 2
        shift = (q - top - parity) // 2
        first = max(0, -shift)
        last = min(half, half - shift)
        if first < last:  # otherwise all these input rows lie outside the image
            seen = rows[parity, (first + shift) * stride :]
            even = sums[0, first * stride : last * stride]
            odd = sums[1, first * stride : last * stride]
            for t in range(0, wide_end, len(wide)):
                _rows(seen, w, q, t, even, odd, wide)
            for t in range(wide_end, kw, max(1, len(narrow))):
                _rows(seen, w, q, t, even, odd, narrow)

    for i in range(height):
        start = (i // 2) * stride
        _copy(sums[i % 2, start : start + width], out[i])


@njit(cache=True, parallel=True)
def _direct(x, w, out, top, left, wide, narrow):
    channels = x.shape[1]
    for image in prange(x.shape[0] * channels):
        n = image // channels
        c = image % channels
        _one_image(x[n, c], w[c], out[n, c], top, left, wide, narrow)


@njit(cache=True, fastmath=FAST)
def _inner(a, b):
    total = a.dtype.type(0)
    for n in range(len(a)):
        total += a[n] * b[n]
    return total


@njit(cache=True, fastmath=FAST)
def _one_kernel(grad, x, result, top, left):
    """One channel: `grad` and `x` are [batch, height, width], `result` [kh, kw] is added to."""
    batch, height, width = x.shape
    kh, kw = result.shape
    stride = width + max(left, kw - 1 - left)
    rows = np.zeros(height * stride + kw, x.dtype)
    grads = np.zeros(height * stride, x.dtype)  # zero in the gaps, which therefore add nothing
    for n in range(batch):
        for i in range(height):
            _copy(x[n, i], rows[i * stride + left : i * stride + left + width])
            _copy(grad[n, i], grads[i * stride : i * stride + width])
        for q in range(kh):
            first = max(0, top - q)
            last = min(height, height + top - q)
            if first < last:
                seen = rows[(first + q - top) * stride :]
                for t in range(kw):
                    result[q, t] += _inner(grads[first * stride : last * stride], seen[t:])


@njit(cache=True, parallel=True)
def _weight_grad(grad, x, result, top, left):
    for c in prange(x.shape[1]):
        _one_kernel(grad[:, c], x[:, c], result[c], top, left)


def _depthwise_conv2d(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The readable twin of `depthwise_conv2d`: pad, then add one shifted and weighted image per tap."""
    (top, left), (kh, kw), (height, width) = reach(w.shape), w.shape[1:], x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (top, kh - 1 - top), (left, kw - 1 - left)))
    out = np.zeros_like(x)
    for q in range(kh):
        for t in range(kw):
            out += w[:, q, t, None, None] * padded[:, :, q : q + height, t : t + width]
    return out

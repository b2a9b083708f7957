"""Convolution of many channels, direct: the matrix product of `im2col`, whose columns are never held at once.

The columns of a few hundred outputs fit a cache. They are made there, panel by panel, where the matrix
product's innermost step (`packed_matmul`) wants them, and used by all output channels before the next panel
takes their place. So nothing but the image is read and nothing but the result is written.

A row of the columns is a shifted image. It is one long slice if the rows of the image are laid end to end
with their borders of zeros between them; outputs that would lie in a border are computed and dropped. With
a stride of s the image is first dealt out into s * s images ("phases"), each with every s-th row and column:
a tap then sees one of them, shifted.
"""

import numpy as np
from numba import get_num_threads, njit, prange

from workbench.errors import WorkbenchError
from workbench.kernels.packed_matmul import (
    DEPTH,
    ROWS,
    TAPS,
    WIDTH,
    add,
    copy,
    multiply,
    output,
    pack_rows,
    whole_vectors,
)
from workbench.kernels.windows import Pair, Windows, conv2d_windows


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Correlates `x` [batch, channels, height, width] with `w` [out_channels, channels, kh, kw].

    Float32 or float64, on all threads; `stride`, `padding` and `dilation` are one number or a pair. Writes to
    `out` [batch, out_channels, out_height, out_width] (C-contiguous, apart from the inputs) if given and
    returns it. The readable twin is `conv2d_direct`.
    """
    view = conv2d_windows(x, w, stride, padding, dilation)
    out = output((len(x), len(w), *view.out), out, x, w)
    if not len(x):
        return out
    images, columns = phases_of(x, view)
    weights = pack_rows(np.ascontiguousarray(w).reshape(len(w), -1))
    _convolve(images, weights, out, *_taps(view, columns), columns, get_num_threads())
    return out


def conv1d(
    x: np.ndarray,
    w: np.ndarray,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Correlates `x` [batch, channels, length] with `w` [out_channels, channels, taps].

    As `conv2d` on images of one row. The readable twin is `conv1d_direct`.
    """
    if x.ndim != 3 or w.ndim != 3:
        raise WorkbenchError(
            f"x must be [batch, channels, length] and w [out_channels, channels, taps], "
            f"but {x.shape} and {w.shape} came"
        )
    image, kernels = x[:, :, None], w[:, :, None]
    view = conv2d_windows(image, kernels, (1, stride), (0, padding), (1, dilation))
    out = output((len(x), len(w), view.out[1]), out, x, w)
    conv2d(image, kernels, (1, stride), (0, padding), (1, dilation), out[:, :, None])
    return out


def phases_of(x: np.ndarray, view: Windows) -> tuple[np.ndarray, int]:
    """The padded image dealt out, [batch, channels, phases, rows * columns], and the columns of a row."""
    (down, across), (top, left) = view.stride, view.padding
    if view.stride == (1, 1) and view.padding == (0, 0):
        return np.ascontiguousarray(x).reshape(*x.shape[:2], 1, -1), x.shape[3]
    rows, columns = (
        -(-(size + 2 * padding) // stride)
        for size, padding, stride in zip(view.image, view.padding, view.stride, strict=True)
    )
    images = np.zeros((*x.shape[:2], down, across, rows, columns), x.dtype)
    _deal(np.ascontiguousarray(x), images, top, left)
    return images.reshape(*x.shape[:2], down * across, rows * columns), columns


def _taps(view: Windows, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The phase that each tap sees, and the tap's shift there."""
    (kh, kw), (down, across) = view.kernel, view.stride
    q = np.repeat(np.arange(kh), kw) * view.dilation[0]
    t = np.tile(np.arange(kw), kh) * view.dilation[1]
    return q % down * across + t % across, q // down * columns + t // across


@njit(cache=True, parallel=True)
def _deal(x, images, top, left):
    _, channels, down, across, _, _ = images.shape
    for image in prange(len(x) * channels):
        n = image // channels
        c = image % channels
        for i in range(x.shape[2]):
            row = i + top
            for phase in range(across):
                start = (phase - left) % across  # the first pixel of this phase
                pixels = x[n, c, i, start::across]
                place = (start + left) // across
                copy(pixels, images[n, c, row % down, phase, row // down, place : place + len(pixels)])


@njit(cache=True, parallel=True)
def _convolve(images, weights, out, phases, shifts, columns, threads):
    """Each thread has a panel and sums of its own and goes through every `threads`-th panel."""
    batch, _, height, width = out.shape
    places = (height - 1) * columns + width  # outputs laid end to end, with the gaps between their rows
    panels = max(-(-places // WIDTH), min(-(-2 * threads // max(1, batch)), -(-places // 64)))
    wide = -(-places // panels)
    for thread in prange(threads):
        panel = np.zeros((min(DEPTH, weights.shape[1]), TAPS * WIDTH), out.dtype)
        sums = np.empty(ROWS * WIDTH, out.dtype)
        for part in range(thread, batch * panels, threads):
            first = part % panels * wide
            here = min(wide, places - first)
            n = part // panels
            _one_panel(images[n], weights, out[n], phases, shifts, columns, first, here, panel, sums)


@njit(cache=True)
def _one_panel(image, weights, out, phases, shifts, columns, first, width, panel, sums):
    """All channels of `width` places from `first` on."""
    for group in range(0, weights.shape[1], DEPTH):
        groups = min(DEPTH, weights.shape[1] - group)
        _pack_panel(image, group * TAPS, phases, shifts, first, width, panel[:groups])
        for r in range(len(weights)):
            multiply(weights[r, group : group + groups], panel, sums, whole_vectors(width))
            for o in range(r * ROWS, min(r * ROWS + ROWS, len(out))):
                start = o % ROWS * WIDTH
                _store(sums[start : start + width], out[o], first, columns, group > 0)


@njit(cache=True)
def _pack_panel(image, first_row, phases, shifts, first, width, panel):
    """Rows of the columns from `first_row` on as groups of TAPS; rows that do not exist are zeros."""
    for k in range(len(panel) * TAPS):
        target = panel[k // TAPS, k % TAPS * WIDTH : k % TAPS * WIDTH + width]
        c = (first_row + k) // len(phases)
        tap = (first_row + k) % len(phases)
        if c < len(image):
            start = first + shifts[tap]
            copy(image[c, phases[tap], start : start + width], target)
        else:
            target[:] = 0


@njit(cache=True)
def _store(found, out, first, columns, more):
    """Brings places from `first` on to their rows in `out` [height, width], or adds them there."""
    done = 0
    while done < len(found):
        i = (first + done) // columns
        j = (first + done) % columns
        kept = max(0, min(len(found) - done, out.shape[1] - j))
        if more:
            add(found[done : done + kept], out[i, j : j + kept])
        else:
            copy(found[done : done + kept], out[i, j : j + kept])
        done += columns - j

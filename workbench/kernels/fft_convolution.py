"""Convolution by Fourier transform: its cost hardly depends on the kernel's size.

A shift is a phase and a sum of weighted shifts a product, so k*k multiplications a pixel become one
(complex) multiplication a frequency. The price is two transforms, a rounding error relative to the largest
value of the image instead of to each output, and that one nan or inf spreads over its whole image.
"""

import numpy as np
from scipy import fft

from workbench.errors import WorkbenchError
from workbench.kernels.convolution import check_operands, reach
from workbench.kernels.windows import Pair, conv2d_windows


def fft_depthwise_conv2d(x: np.ndarray, w: np.ndarray, *, workers: int = -1) -> np.ndarray:
    """Filters each channel of `x` [batch, channels, height, width] by its kernel in `w` [channels, kh, kw].

    The result of `depthwise_conv2d`, up to rounding. `workers` threads transform (-1: one for each core).
    """
    check_operands(x, w)
    top, left = reach(w.shape)
    height, width = x.shape[2:]
    kh, kw = w.shape[1:]
    # Long enough that what leaves on one side does not come back on the other; lengths the FFT likes.
    size = [fft.next_fast_len(height + kh - 1, real=True), fft.next_fast_len(width + kw - 1, real=True)]
    spectrum = fft.rfft2(x, size, workers=workers)
    spectrum *= fft.rfft2(w[:, ::-1, ::-1], size, workers=workers)  # flipped: a convolution correlates
    full = fft.irfft2(spectrum, size, workers=workers, overwrite_x=True)
    row, column = kh - 1 - top, kw - 1 - left
    return np.ascontiguousarray(full[:, :, row : row + height, column : column + width])


def fft_conv2d(
    x: np.ndarray, w: np.ndarray, stride: Pair = 1, padding: Pair = 0, *, workers: int = -1
) -> np.ndarray:
    """Correlates `x` [batch, channels, height, width] with `w` [out_channels, channels, kh, kw].

    The result of `conv2d`, up to rounding. At each frequency stands a matrix product over the channels. A
    stride saves nothing: all outputs are computed and some are kept.
    """
    view = conv2d_windows(x, w, stride, padding)
    if not len(x):
        return np.empty((0, len(w), *view.out), x.dtype)
    (height, width), (top, left) = view.image, view.padding
    # As long as the padded image: what wraps around lands on outputs that no window inside has.
    size = [fft.next_fast_len(height + 2 * top, real=True), fft.next_fast_len(width + 2 * left, real=True)]
    images = fft.rfft2(x, size, workers=workers)
    kernels = np.conj(fft.rfft2(w, size, workers=workers))  # conjugate: a convolution correlates
    images, kernels = (np.moveaxis(spectrum, (0, 1), (2, 3)) for spectrum in (images, kernels))
    products = np.matmul(images, np.swapaxes(kernels, 2, 3))  # [rows, columns, batch, out_channels]
    full = fft.irfft2(np.moveaxis(products, (2, 3), (0, 1)), size, workers=workers)
    rows, columns = (
        np.arange(outputs) * step - begin
        for outputs, step, begin in zip(view.out, view.stride, view.padding, strict=True)
    )
    return np.ascontiguousarray(full[:, :, rows][..., columns])


def fft_conv1d(
    x: np.ndarray, w: np.ndarray, stride: int = 1, padding: int = 0, *, workers: int = -1
) -> np.ndarray:
    """Correlates `x` [batch, channels, length] with `w` [out_channels, channels, taps], as `fft_conv2d`."""
    if x.ndim != 3 or w.ndim != 3:
        raise WorkbenchError(
            f"x must be [batch, channels, length] and w [out_channels, channels, taps], "
            f"but {x.shape} and {w.shape} came"
        )
    return fft_conv2d(x[:, :, None], w[:, :, None], (1, stride), (0, padding), workers=workers)[:, :, 0]

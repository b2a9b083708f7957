"""The same depthwise convolution by Fourier transform: its cost hardly depends on the kernel's size.

A shift is a phase and a sum of weighted shifts a product, so k*k multiplications a pixel become one
(complex) multiplication a frequency. The price is two transforms, a rounding error relative to the largest
value of the image instead of to each output, and that one nan or inf spreads over its whole image.
"""

import numpy as np
from scipy import fft

from workbench.kernels.convolution import check_operands, reach


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

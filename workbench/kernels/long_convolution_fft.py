"""Causal convolution with a filter as long as the sequence: y_t = sum over k <= t of w_k x_(t-k).

Directly that is n (n + 1) / 2 products a channel. In frequency it is one product for each frequency, for the
price of three transforms of about 2n numbers: both are padded with zeros, or the end of the sequence would
come round and reach its beginning. The rounding error is then relative to the largest value of a channel
instead of to each output, and one nan or inf spreads over its whole channel, into the past as well.
"""

import numpy as np
from scipy import fft

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.cost import Cost


@kernel(cache=True, fastmath={"contract"})
def long_convolution_direct(x, w, y):
    """y [n] from x [n] and w [m], m <= n; the readable twin is `_long_convolution`."""
    for t in range(y.size):
        y[t] = 0
    for k in range(w.size):
        tap = w[k]
        later = y[k:]
        for t in range(later.size):
            later[t] += tap * x[t]


def long_convolution_direct_cost(n: int, m: int, itemsize: int) -> Cost:
    """The closed form of `long_convolution_direct`: n (n + 1) / 2 products where m is n."""
    products = m * (2 * n - m + 1) // 2
    return Cost(
        flops=2 * products,
        loads={"x": products, "w": m, "y": products},
        stores={"y": n + products},
        bytes_unique={"x": n * itemsize, "w": m * itemsize, "y": n * itemsize},
    )


def long_convolution(x: np.ndarray, w: np.ndarray, *, method: str = "fft", workers: int = -1) -> np.ndarray:
    """Filters each channel of `x` [..., channels, n] by its filter in `w` [channels, m], m <= n, causally.

    Float32 or float64. `method` is "fft" (on `workers` threads, -1: one for each core) or "direct". The
    readable twin is `_long_convolution`.
    """
    if x.ndim < 2 or 0 in x.shape[-2:] or x.dtype not in (np.float32, np.float64):
        raise WorkbenchError(
            f"x must be float32 or float64 [..., channels, n] and not empty, but {x.dtype} {x.shape} came"
        )
    channels, n = x.shape[-2:]
    if w.ndim != 2 or w.shape[0] != channels or not 0 < w.shape[1] <= n or w.dtype != x.dtype:
        raise WorkbenchError(
            f"w must be {x.dtype} [{channels} channels, m] with 0 < m <= {n}, but {w.dtype} {w.shape} came"
        )
    if method == "fft":
        size = fft.next_fast_len(n + w.shape[1] - 1, real=True)
        spectrum = fft.rfft(x, size, workers=workers)
        spectrum *= fft.rfft(w, size, workers=workers)
        return np.ascontiguousarray(fft.irfft(spectrum, size, workers=workers, overwrite_x=True)[..., :n])
    if method != "direct":
        raise WorkbenchError(f"method must be fft or direct, but {method!r} came")
    y = np.empty(x.shape, x.dtype)
    sequences = np.ascontiguousarray(x).reshape(-1, channels, n)
    for sequence, result in zip(sequences, y.reshape(sequences.shape), strict=True):
        for channel, taps, filtered in zip(sequence, np.ascontiguousarray(w), result, strict=True):
            long_convolution_direct(channel, taps, filtered)
    return y


def _long_convolution(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The readable twin of `long_convolution` for one channel: each output its own sum, in float64."""
    return np.array(
        [sum(float(w[k]) * float(x[t - k]) for k in range(min(t + 1, len(w)))) for t in range(len(x))]
    )

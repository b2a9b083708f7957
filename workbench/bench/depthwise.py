"""Depthwise convolution against torch and scipy."""

from collections.abc import Callable
from functools import partial

import numpy as np

from workbench.bench.running import Benchmark, Task


def _depthwise(size: int, fourier: bool, quick: bool) -> Benchmark:
    """A batch of 4 images with 96 channels of 56 x 56 (quick: one with 8 of 28 x 28), float32."""
    import torch
    from scipy import ndimage

    from workbench.kernels import depthwise_conv2d, fft_depthwise_conv2d

    rng = np.random.default_rng(0)
    shape = (1, 8, 28, 28) if quick else (4, 96, 56, 56)
    x = rng.standard_normal(shape).astype(np.float32)
    w = rng.standard_normal((shape[1], size, size)).astype(np.float32)
    out = np.empty_like(x)
    tx, tw = torch.from_numpy(x), torch.from_numpy(w)[:, None]
    last = tx.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def by_torch(image: torch.Tensor) -> np.ndarray:
        return torch.nn.functional.conv2d(image, tw, padding="same", groups=shape[1]).numpy()

    def by_ndimage() -> np.ndarray:
        for image, filtered in zip(x, out_nd, strict=True):
            for channel, kernel, result in zip(image, w, filtered, strict=True):
                ndimage.correlate(channel, kernel, result, mode="constant")
        return out_nd

    out_nd = np.empty_like(x)
    kernel: Task = partial(depthwise_conv2d, x, w, out)
    if fourier:
        kernel = partial(fft_depthwise_conv2d, x, w)
    peers: dict[str, Task] = {
        "torch": partial(by_torch, tx),
        "torch channels_last": partial(by_torch, last),
        "scipy.ndimage": by_ndimage,
    }
    if size > 13 and not quick:
        del peers["scipy.ndimage"]  # seconds a call
    return Benchmark(kernel, peers, flops=2.0 * x.size * size**2)


BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {
    "depthwise-7": partial(_depthwise, 7, False),
    "depthwise-13": partial(_depthwise, 13, False),
    "depthwise-31": partial(_depthwise, 31, False),
    "depthwise-31-fft": partial(_depthwise, 31, True),
}

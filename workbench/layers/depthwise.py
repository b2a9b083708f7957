"""Depthwise convolution by fast Fourier transform: its time hardly depends on the kernel's size.

The direct method costs kernel**2 multiply-adds a pixel, and on a CPU its backward pass is the slowest
operation in torch; here both directions cost a few transforms of the padded image, whatever the kernel.
"""

import torch
from torch import Tensor

from workbench.errors import WorkbenchError


def depthwise_fft(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What `torch.nn.functional.conv2d(x, weight, bias, padding="same", groups=channels)` gives.

    x: [batch, channels, height, width]. weight: [channels, 1, k, l] with odd k and l. bias: [channels].
    Zero padding; equal to the direct method up to rounding (about 1e-6 of the largest value in float32).
    """
    if x.ndim != 4 or weight.ndim != 4 or weight.shape[:2] != (x.shape[1], 1):
        raise WorkbenchError(
            "expected x [batch, channels, height, width] and weight [channels, 1, k, l], but shapes "
            f"{tuple(x.shape)} and {tuple(weight.shape)} came"
        )
    (height, width), (k, l) = x.shape[2:], weight.shape[2:]
    if k % 2 == 0 or l % 2 == 0:
        raise WorkbenchError(f"the kernel's sides must be odd, but {k} x {l} came")
    size = (height + k - 1, width + l - 1)  # room for the whole convolution, so that nothing wraps around
    spectrum = torch.fft.rfft2(x, s=size) * torch.fft.rfft2(weight[:, 0].flip(-1, -2), s=size)
    full = torch.fft.irfft2(spectrum, s=size)
    same = full[..., k // 2 : k // 2 + height, l // 2 : l // 2 + width]
    return same if bias is None else same + bias[:, None, None]

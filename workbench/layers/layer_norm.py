"""Layer normalisation of the channels at each pixel, as ConvNeXt does it."""

import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.LayerNorm):
    """Mean 0 and variance 1 over the channels of every pixel, then a learned scale and shift a channel.

    [batch, channels, height, width] -> the same. No pixel sees another one, unlike `GroupNorm(1, channels)`,
    which takes its statistics over the whole map, too.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps)

    def forward(self, input: Tensor) -> Tensor:
        last = input.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)

"""Squeeze-and-excitation (Hu et al., 2018, https://arxiv.org/abs/1709.01507)."""

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError


class SqueezeExcite(nn.Module):
    """x * sigmoid(expand(relu(reduce(mean of x over the map)))): one gate a channel, from the whole map.

    [batch, channels, height, width] -> the same. The middle has `ratio * channels` numbers, at least one.
    Every output depends on every pixel through its gate. With all weights and biases at zero, it halves x.

    Differs from the source: 1 x 1 convolutions in place of linear layers (the same numbers), and the ratio
    is the share that is kept (0.25), not what is divided by (16).
    """

    def __init__(self, channels: int, ratio: float = 0.25) -> None:
        super().__init__()
        if channels < 1 or ratio <= 0:
            raise WorkbenchError(
                f"channels must be at least 1 and ratio above 0, but {channels} and {ratio} came"
            )
        middle = max(1, round(ratio * channels))
        self.reduce = nn.Conv2d(channels, middle, 1)
        self.expand = nn.Conv2d(middle, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(squeezed))))

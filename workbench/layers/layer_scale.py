"""Layer scale (Touvron et al., 2021, https://arxiv.org/abs/2103.17239): a learned factor a channel."""

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """x * scale, one learned factor for each channel, all of them `init` at first.

    [batch, channels, height, width] -> the same. At the end of a residual branch a small `init` starts the
    network near the identity. After some hundred steps of training a branch at 1e-6 still sleeps, and errors
    in it hide: give a larger one to short trainings and to tests.
    """

    def __init__(self, channels: int, init: float) -> None:
        super().__init__()
        self.init = init
        self.scale = nn.Parameter(torch.full((channels,), float(init)))

    def reset_parameters(self) -> None:
        """Every factor is `init` again."""
        nn.init.constant_(self.scale, self.init)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[:, None, None]

    def extra_repr(self) -> str:
        return f"{len(self.scale)}, init={self.init:g}"

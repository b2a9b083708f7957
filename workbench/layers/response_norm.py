"""Global response normalisation (ConvNeXt V2, Woo et al., 2023, https://arxiv.org/abs/2301.00808)."""

import torch
from torch import Tensor, nn


class GlobalResponseNorm(nn.Module):
    """x + scale * x * n + shift, where n compares a channel's size over the map with the mean channel's.

        size[c] = root of the sum over the map of x[c]**2     n[c] = size[c] / (mean of size over c + eps)

    [batch, channels, height, width] -> the same. Channels compete: one that responds strongly is raised. With
    scale and shift at 0, as they start, it is the identity.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def reset_parameters(self) -> None:
        """The identity again."""
        nn.init.zeros_(self.scale)
        nn.init.zeros_(self.shift)

    def forward(self, x: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        compared = size / (size.mean(1, keepdim=True) + self.eps)
        return x + self.scale[:, None, None] * (x * compared) + self.shift[:, None, None]

    def extra_repr(self) -> str:
        return f"{len(self.scale)}"

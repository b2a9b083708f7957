"""Stochastic depth (Huang et al., 2016, https://arxiv.org/abs/1603.09382) for one residual branch."""

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError


class DropPath(nn.Module):
    """Drops a whole branch for a random share `rate` of the samples; the others are scaled up.

    [batch, ...] -> the same: 0 with probability `rate`, x / (1 - rate) otherwise, one coin a sample, so that
    the expectation is x. In evaluation mode the identity. Put it on the branch, never on the shortcut.

    Differs from the source: it scales while training in place of scaling down afterwards, and each sample
    has a coin of its own, where the source tosses one for the batch.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise WorkbenchError(f"rate must be at least 0 and less than 1, but {rate} came")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        coins = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) < keep
        return x * (coins.to(x.dtype) / keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"

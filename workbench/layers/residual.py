"""A branch beside a shortcut."""

from torch import Tensor, nn


class Residual(nn.Module):
    """x + branch(x), of one shape."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)

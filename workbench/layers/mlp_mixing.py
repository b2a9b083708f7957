"""Tokens mixed by a perceptron: a fixed table of who is added to whom, the same for every image and channel.

Tolstikhin et al., MLP-Mixer, 2021, https://arxiv.org/abs/2105.01601.
"""

from math import prod

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError


class MLPMixing(nn.Module):
    """Each channel's map, as one row of tokens: to `expansion` times as many numbers, GELU, and back.

    [batch, channels, *size] -> the same. All channels share the weights. size: one side or (height, width);
    a map of any other size is refused, since every place has weights of its own. There are about
    2 * expansion * tokens ** 2 of them.
    """

    def __init__(self, size: int | tuple[int, int], *, expansion: float = 2) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size
        if min(self.size) < 1 or expansion <= 0:
            raise WorkbenchError(
                f"sides must be at least 1 and expansion positive, but {self.size} and {expansion} came"
            )
        tokens = prod(self.size)
        hidden = max(1, round(expansion * tokens))
        self.mix = nn.Sequential(nn.Linear(tokens, hidden), nn.GELU(), nn.Linear(hidden, tokens))

    def forward(self, x: Tensor) -> Tensor:
        self._check(x.shape[2], x.shape[3])
        return self.mix(x.flatten(2)).unflatten(2, self.size)

    def visible(self, height: int, width: int) -> Tensor:
        """Everything: bool [tokens, tokens]."""
        self._check(height, width)
        return torch.ones(height * width, height * width, dtype=torch.bool)

    def _check(self, height: int, width: int) -> None:
        if (height, width) != self.size:
            raise WorkbenchError(
                f"this mixing was made for maps of {self.size[0]} x {self.size[1]}, "
                f"but {height} x {width} came"
            )

"""A small network that takes one step of a field in time: a plain guess, corrected by convolutions."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError

MakeConv = Callable[[int, int], nn.Module]  # (inputs, outputs) -> a convolution that keeps height and width


class WaveNet(nn.Module):
    """2 now - before + net(now, before): [batch, 2, height, width] -> [batch, 1, height, width].

    The first channel is the field now, the second the field one gap of time before. The guess is that things
    go on as they went. depth: convolutions, with tanh between them. conv: makes them, (inputs, outputs) ->
    module; the default keeps full kernels of `kernel` x `kernel` with He's first weights.
    """

    def __init__(
        self, width: int = 12, depth: int = 3, kernel: int = 5, conv: MakeConv | None = None
    ) -> None:
        super().__init__()
        if min(width, depth) < 1:
            raise WorkbenchError(f"width and depth must be at least 1, but {width} and {depth} came")
        make = conv or (lambda inputs, outputs: full_conv(inputs, outputs, kernel))
        sides = [2, *[width] * (depth - 1), 1]
        self.convs = nn.ModuleList(make(i, o) for i, o in pairwise(sides))

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for conv in self.convs[:-1]:
            h = torch.tanh(conv(h))
        return 2 * x[:, :1] - x[:, 1:] + self.convs[-1](h)


def full_conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A convolution with centred zero padding, He's variance and no bias at first."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding="same")
    nn.init.kaiming_normal_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv

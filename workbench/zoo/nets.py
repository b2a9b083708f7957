"""The network of the zoo: one trunk of 3 x 3 convolutions in three wirings, under three heads."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Wiring = Literal["plain", "residual", "concat"]
Goal = Literal["classify", "denoise", "autoencode"]
CODE = 2  # numbers at each place that an autoencoder may pass on


class ZooNet(nn.Module):
    """[3 x 3 convolution, batch norm, ReLU] x depth, then a head; inputs [n, 1, height, width].

    The first convolution reads the picture, all others `width` channels, so that there are
    width + (depth - 1) width² filters whatever the wiring. Stride 2 at layers 0 and depth // 2. No biases.

    wiring: "plain"; "residual" adds what a layer read to what it says (where the stride is 1); "concat" lets
        a layer read half of its channels from the layer before and half from the one before that.
    goal: "classify" averages over places and is linear in `outputs` classes; "denoise" and "autoencode" put
        `stride`² numbers at each place and shuffle them into pixels, the latter through a code of 2 numbers.

    The trunk's first weights are He's normal ones, from torch's generator, the same under every head.
    """

    def __init__(
        self,
        depth: int = 6,
        width: int = 32,
        wiring: Wiring = "plain",
        goal: Goal = "classify",
        outputs: int = 1,
    ) -> None:
        super().__init__()
        for what, value, known in (("wiring", wiring, get_args(Wiring)), ("goal", goal, get_args(Goal))):
            if value not in known:
                raise WorkbenchError(f"{what} must be one of {', '.join(known)}, but {value!r} came")
        if min(depth, width, outputs) < 1 or (wiring == "concat" and width % 2):
            raise WorkbenchError(
                "depth, width and outputs must be at least 1, and width even where halves are concatenated, "
                f"but {depth}, {width} and {outputs} came"
            )
        strides = [2 if layer in (0, depth // 2) else 1 for layer in range(depth)]
        self.wiring, self.stride = wiring, math.prod(strides)
        # before the head, whose own first weights must not move the trunk's
        self.trunk = nn.ModuleList(
            _layer(width if layer else 1, width, stride) for layer, stride in enumerate(strides)
        )
        self.head = _head(goal, width, outputs, self.stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the trunk says: [n, 1, height, width] -> [n, width, height / stride, width / stride]."""
        before, x = None, self.trunk[0](x)
        for layer in list(self.trunk)[1:]:
            read = _halves(x, before) if self.wiring == "concat" else x
            said = layer(read)
            same = said.shape == x.shape
            before, x = x, said + x if self.wiring == "residual" and same else said
        return x


def _layer(c_in: int, width: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(c_in, width, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def _halves(x: Tensor, before: Tensor | None) -> Tensor:
    """The first half of one layer's channels beside the second half of an earlier one's, shrunk to fit."""
    if before is None:
        return x
    half = x.shape[1] // 2
    if before.shape[2:] != x.shape[2:]:
        before = nn.functional.adaptive_avg_pool2d(before, (x.shape[2], x.shape[3]))
    return torch.cat([x[:, :half], before[:, half:]], dim=1)


def _head(goal: Goal, width: int, outputs: int, stride: int) -> nn.Sequential:
    match goal:
        case "classify":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs))
        case "denoise":
            return nn.Sequential(nn.Conv2d(width, stride**2, 1), nn.PixelShuffle(stride))
        case "autoencode":
            code = nn.Conv2d(width, CODE, 1)
            return nn.Sequential(code, nn.Conv2d(CODE, stride**2, 1), nn.PixelShuffle(stride))

"""Plain stacks of convolutions and the depthwise block: neutral parts for comparing reach.

All keep height and width (padding to the same size) and use odd kernels, so that two stacks differ in
kernel, depth and width alone.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Weights = Literal["he", "uniform"]


def reach(kernel: int, depth: int) -> int:
    """Exact receptive field of `depth` layers with stride 1, in pixels: 1 + depth * (kernel - 1)."""
    return 1 + depth * (_odd(kernel) - 1)


def depth_for_reach(kernel: int, reach: int) -> int:
    """How many layers of this kernel see exactly `reach` pixels.

    >>> depth_for_reach(13, 37), depth_for_reach(3, 37)
    (3, 18)
    """
    step = _odd(kernel) - 1
    if step == 0:
        raise WorkbenchError(f"layers of 1 x 1 see one pixel, however many there are, but {reach} are wanted")
    if reach < 1 or (reach - 1) % step:
        below = 1 + step * (max(reach - 1, 0) // step)
        raise WorkbenchError(
            f"no stack of {kernel} x {kernel} layers sees exactly {reach} pixels; "
            f"the nearest see {below} and {below + step}"
        )
    return (reach - 1) // step


def profile(
    kernel: int, depth: int, weights: Literal["uniform", "random"] = "uniform"
) -> NDArray[np.float64]:
    """What a stack of `depth` linear layers sees along one axis: [reach], summing to 1.

    uniform: the weights are averages, and the profile is the `depth`-fold convolution of a box.
    random: the weights are independent with mean 0; the *squares* of gradients then spread like the
    uniform stack, so the expected magnitude follows the root of it.
    """
    box = np.full(_odd(kernel), 1 / kernel)
    seen = np.ones(1)
    for _ in range(depth):
        seen = np.convolve(seen, box)
    seen = seen if weights == "uniform" else np.sqrt(seen)
    return seen / seen.sum()


def spread(kernel: int, depth: int, weights: Literal["uniform", "random"] = "uniform") -> float:
    """Standard deviation of the `profile`, in pixels.

    For uniform weights it is sqrt(depth * (kernel**2 - 1) / 12), because one box has variance
    (kernel**2 - 1) / 12 and variances of a composition add: it grows with the kernel, but only with the
    root of the depth. For random weights it is up to sqrt(2) times that, less where the profile ends.

    >>> round(spread(13, 3), 3), round(spread(3, 18), 3)
    (6.481, 3.464)
    """
    seen = profile(kernel, depth, weights)
    place = np.arange(len(seen)) - len(seen) // 2
    return float(np.sqrt((seen * place**2).sum()))


def depth_for_spread(kernel: int, like: tuple[int, int]) -> int:
    """How many layers of this kernel spread as far as the stack `like` = (kernel, depth), at the nearest.

    >>> depth_for_spread(3, like=(13, 3))
    63
    """
    if _odd(kernel) == 1:
        raise WorkbenchError("layers of 1 x 1 do not spread, however many there are")
    return max(1, round(like[1] * (_odd(like[0]) ** 2 - 1) / (kernel**2 - 1)))


def _odd(kernel: int) -> int:
    if kernel < 1 or kernel % 2 == 0:
        raise WorkbenchError(f"kernel must be an odd positive number, but {kernel} came")
    return kernel


class ConvStack(nn.Sequential):
    """`depth` convolutions of one kernel size, each but the last followed by a ReLU unless `linear`.

    [batch, inputs, height, width] -> [batch, channels, height, width].
    weights: "he" draws normal weights of variance 2 / fan-in (1 / fan-in without ReLU), which keeps the
        signal's size from layer to layer; "uniform" sets every weight to 1 / fan-in, an average.
    """

    def __init__(
        self,
        kernel: int,
        depth: int,
        channels: int = 16,
        inputs: int = 3,
        *,
        linear: bool = False,
        weights: Weights = "he",
    ) -> None:
        if depth < 1 or channels < 1 or inputs < 1:
            raise WorkbenchError(
                f"depth, channels and inputs must be at least 1, but {depth}, {channels} and {inputs} came"
            )
        if weights not in ("he", "uniform"):
            raise WorkbenchError(f"weights must be 'he' or 'uniform', but {weights!r} came")
        layers: list[nn.Module] = []
        for layer in range(depth):
            before = inputs if layer == 0 else channels
            layers.append(nn.Conv2d(before, channels, _odd(kernel), padding=kernel // 2, bias=False))
            if not linear and layer < depth - 1:
                layers.append(nn.ReLU())
        super().__init__(*layers)
        self.linear, self.weights = linear, weights
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weights, drawn from torch's current generator."""
        for layer in self:
            if not isinstance(layer, nn.Conv2d):
                continue
            if self.weights == "uniform":
                nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            else:
                nonlinearity: Literal["linear", "relu"] = "linear" if self.linear else "relu"
                nn.init.kaiming_normal_(layer.weight, nonlinearity=nonlinearity)


def conv_stack(
    kernel: int,
    depth: int,
    channels: int = 16,
    inputs: int = 3,
    *,
    linear: bool = False,
    weights: Weights = "he",
    seed: int = 0,
) -> ConvStack:
    """A `ConvStack` whose weights depend on the seed alone; torch's own generator is left as it was.

    >>> conv_stack(3, depth=2, channels=4, inputs=1)(torch.zeros(1, 1, 8, 8)).shape
    torch.Size([1, 4, 8, 8])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConvStack(kernel, depth, channels, inputs, linear=linear, weights=weights)


class DepthwiseBlock(nn.Module):
    """Look wide in each channel, then mix the channels: x + mix(norm(depthwise(x))).

    [batch, channels, height, width] -> the same. The depthwise convolution is the only part that looks
    sideways; the two 1 x 1 convolutions with `expansion` times the channels between them hold most of
    the parameters, which is what makes wide kernels affordable. spatial: another module in place of
    the depthwise convolution and its normalisation. shortcut=False leaves out the x +.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        expansion: int = 4,
        *,
        spatial: nn.Module | None = None,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        self.spatial = spatial or nn.Sequential(
            nn.Conv2d(channels, channels, _odd(kernel), padding=kernel // 2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.mix = nn.Sequential(
            nn.Conv2d(channels, expansion * channels, 1),
            nn.GELU(),
            nn.Conv2d(expansion * channels, channels, 1),
        )
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix(self.spatial(x))
        return x + y if self.shortcut else y

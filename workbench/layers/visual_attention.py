"""The block of visual attention networks: every feature is multiplied by what lies around it.

A gate computes a map A from the features x by wide depthwise convolutions and answers x * A: no softmax, no
sigmoid. The block puts such a gate between two 1 x 1 convolutions, and a feed-forward part that looks at
its neighbours behind it. Networks of this family differ in the gate, so it is a parameter here.
"""

import math
from collections.abc import Callable

from torch import Tensor, nn

from workbench.layers.depthwise_conv import DepthwiseConv2d
from workbench.layers.dilated_depthwise import DilatedDepthwise
from workbench.layers.drop_path import DropPath
from workbench.layers.layer_scale import LayerScale


def depthwise_same(channels: int, kernel: int | tuple[int, int], dilation: int = 1) -> nn.Conv2d:
    """A depthwise convolution with bias that keeps [batch, channels, height, width].

    kernel: odd, one number or (height, width). Weights of variance 2 / taps, as in the original networks.
    """
    kind = DepthwiseConv2d if dilation == 1 else DilatedDepthwise
    return scaled(kind(channels, kernel, dilation=dilation))


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1 x 1 convolution with bias: [batch, inputs, height, width] -> [batch, outputs, height, width]."""
    return scaled(nn.Conv2d(inputs, outputs, 1))


def scaled(conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution with normal weights of variance 2 / fan-out and no bias to begin with."""
    fan_out = conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels // conv.groups
    nn.init.normal_(conv.weight, 0, math.sqrt(2 / fan_out))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class KernelGate(nn.Module):
    """x * A, with A = 1 x 1 (dilated depthwise (depthwise x)): large kernel attention, a square.

    [batch, channels, height, width] -> the same. local: kernel of the first depthwise convolution, without
    gaps. taps, dilation: those of the second. Together they see local + dilation * (taps - 1) pixels.
    """

    def __init__(self, channels: int, local: int = 5, taps: int = 7, dilation: int = 3) -> None:
        super().__init__()
        self.local = depthwise_same(channels, local)
        self.wide = depthwise_same(channels, taps, dilation)
        self.mix = pointwise(channels, channels)

    def attention(self, x: Tensor) -> Tensor:
        """The map A alone, [batch, channels, height, width], of either sign."""
        return self.mix(self.wide(self.local(x)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)


class GatedAttention(nn.Module):
    """x + out(gate(GELU(into x))): the gate between two 1 x 1 convolutions, with a shortcut of its own."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.into = pointwise(channels, channels)
        self.gate = gate
        self.out = pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(self.gate(nn.functional.gelu(self.into(x))))


class ConvFeedForward(nn.Sequential):
    """1 x 1 to `expansion` times the channels, 3 x 3 depthwise, GELU, 1 x 1 back."""

    def __init__(self, channels: int, expansion: float = 4) -> None:
        hidden = round(channels * expansion)
        super().__init__(
            pointwise(channels, hidden), depthwise_same(hidden, 3), nn.GELU(), pointwise(hidden, channels)
        )


class VisualAttentionBlock(nn.Module):
    """x + scale * attention(norm x), then x + scale * feed_forward(norm x).

    [batch, channels, height, width] -> the same. gate(channels) builds the gate; default `KernelGate`.
    expansion: width of the feed-forward part. init: what the two scales of every channel begin at.
    drop: share of images for which training skips a part.
    """

    def __init__(
        self,
        channels: int,
        gate: Callable[[int], nn.Module] = KernelGate,
        expansion: float = 4,
        init: float = 1e-2,
        drop: float = 0.0,
    ) -> None:
        super().__init__()

        def part(*steps: nn.Module) -> nn.Sequential:
            return nn.Sequential(nn.BatchNorm2d(channels), *steps, LayerScale(channels, init), DropPath(drop))

        self.attention = part(GatedAttention(channels, gate(channels)))
        self.feed_forward = part(ConvFeedForward(channels, expansion))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.feed_forward(x)


def gates(net: nn.Module) -> list[nn.Module]:
    """The gates of a network's attention parts, in the order of its layers."""
    return [part.gate for part in net.modules() if isinstance(part, GatedAttention)]

"""The block of ConvNeXt (Liu et al., 2022, https://arxiv.org/abs/2201.03545)."""

from torch import Tensor, nn

from workbench.layers.depthwise_conv import DepthwiseConv2d
from workbench.layers.drop_path import DropPath
from workbench.layers.layer_norm import LayerNorm2d
from workbench.layers.layer_scale import LayerScale


class ConvNeXtBlock(nn.Module):
    """x + drop(scale * narrow(gelu(widen(norm(depthwise(x)))))): look in each channel, then mix the channels.

    [batch, channels, height, width] -> the same. widen and narrow are 1 x 1 with `expansion` times the
    channels between them; drop: rate of stochastic depth.

    Differs from the source: layer scale starts at 1 (the source: 1e-6, which suits 300 epochs and leaves the
    block asleep in a training of some hundred steps), and weights are drawn as torch draws them.
    """

    def __init__(
        self, channels: int, kernel: int = 7, expansion: int = 4, *, scale: float = 1.0, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            DepthwiseConv2d(channels, kernel),
            LayerNorm2d(channels),
            nn.Conv2d(channels, expansion * channels, 1),
            nn.GELU(),
            nn.Conv2d(expansion * channels, channels, 1),
            LayerScale(channels, scale),
            DropPath(drop),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)

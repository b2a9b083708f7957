"""One expensive mixer between cheap layers (Liu et al., EfficientViT, https://arxiv.org/abs/2305.07027)."""

from torch import nn

from workbench.layers.conv_norm import ConvNorm
from workbench.layers.residual import Residual


class FeedForward2d(nn.Sequential):
    """1 x 1 to `expansion` times the channels, ReLU, 1 x 1 back; the last norm starts with 0."""

    def __init__(self, channels: int, expansion: float = 2) -> None:
        hidden = round(expansion * channels)
        super().__init__(ConvNorm(channels, hidden), nn.ReLU(), ConvNorm(hidden, channels, gain=0))


class Slice(nn.Sequential):
    """What the sandwich has on either side: neighbours talk (depthwise 3 x 3), then channels (feed-forward).

    Both are residual. gain: what the norm of the depthwise convolution starts with.
    """

    def __init__(self, channels: int, expansion: float = 2, gain: float = 0) -> None:
        neighbours = ConvNorm(channels, channels, 3, groups=channels, gain=gain)
        super().__init__(Residual(neighbours), Residual(FeedForward2d(channels, expansion)))


class Sandwich(nn.Sequential):
    """`slices` slices, the filling (a mixer that keeps shapes, residual), and as many slices again.

    [batch, channels, height, width] -> the same.
    """

    def __init__(self, channels: int, filling: nn.Module, expansion: float = 2, slices: int = 1) -> None:
        above = [Slice(channels, expansion) for _ in range(slices)]
        below = [Slice(channels, expansion) for _ in range(slices)]
        super().__init__(*above, Residual(filling), *below)

"""The feed-forward half of a transformer block, with a look at the neighbours in its middle."""

from torch import Tensor, nn

from workbench.layers.layer_norm import LayerNorm2d


class PostNormFeedForward(nn.Module):
    """norm(x + narrow(relu(neighbours(widen(x))))): [batch, channels, height, width] -> the same.

    widen and narrow are 1 x 1 to `expansion` times the channels and back, neighbours is depthwise 3 x 3.
    """

    def __init__(self, channels: int, expansion: int = 8) -> None:
        super().__init__()
        hidden = expansion * channels
        self.widen = nn.Conv2d(channels, hidden, 1)
        self.neighbours = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.narrow = nn.Conv2d(hidden, channels, 1)
        self.norm = LayerNorm2d(channels)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """there: [batch, 1, height, width], 0 where x is padding that no neighbour may see."""
        hidden = self.widen(x)
        if there is not None:
            hidden = hidden * there
        return self.norm(x + self.narrow(self.neighbours(hidden).relu()))

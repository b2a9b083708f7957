"""One context for all pixels: Isomer's low levels (https://arxiv.org/abs/2308.06693), GCNet's block."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workbench.layers.layer_norm import LayerNorm2d


class ContextSharing(nn.Module):
    """Attention in which every query has the same row: [batch, channels, height, width] -> the same.

        row = softmax over the pixels of a 1 x 1 convolution        [batch, pixels]
        context = sum over the pixels of row * x                    [batch, channels]
        out = x + mlp(context), the same vector at every pixel

    The mlp widens to `ratio` times the channels (1 x 1, norm, ReLU, 1 x 1); its last layer starts with 0, so
    that at first nothing is added. Work grows with the number of pixels, not with its square.
    """

    def __init__(self, channels: int, ratio: int = 16) -> None:
        super().__init__()
        self.ask = nn.Conv2d(channels, 1, 1)
        last = nn.Conv2d(ratio * channels, channels, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        wide = nn.Conv2d(channels, ratio * channels, 1)
        self.mlp = nn.Sequential(wide, LayerNorm2d(ratio * channels, eps=1e-5), nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        context = (self.row(x) * x).sum((2, 3), keepdim=True)
        return x + self.mlp(context)

    def row(self, x: Tensor) -> Tensor:
        """The row that all queries share, [batch, 1, height, width]; it sums to 1."""
        scores: Tensor = self.ask(x)
        return scores.flatten(2).softmax(-1).view_as(scores)

    def attention_rows(self, x: Tensor, queries: Sequence[int]) -> Tensor:
        """What the queries look at, [batch, 1, queries, keys]: the one row, again and again."""
        return self.row(x).flatten(2)[:, :, None].expand(-1, -1, len(queries), -1)

    def visible(self, height: int, width: int) -> Tensor:
        """Which input (column) an output (row) may depend on: all of them, [tokens, tokens]."""
        return torch.ones(height * width, height * width, dtype=torch.bool)

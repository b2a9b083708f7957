"""Self-attention between all pixels of a map."""

import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError


class SelfAttention2d(nn.Module):
    """Every pixel asks every other one: softmax(queries @ keys.T / root of dim) @ values, in each head.

    [batch, channels, height, width] -> the same. 1 x 1 projections before and after; the channels are shared
    out to `heads`, which must divide them. It knows no positions: exchanging pixels exchanges outputs. The
    work grows with the square of height * width.
    """

    def __init__(self, channels: int, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        self.heads = heads
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.answer = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        asked = self.ask(x).unflatten(1, (3, self.heads, -1)).flatten(4)  # [batch, 3, heads, dim, pixels]
        # in order: torch's fused attention is several times slower on columns that lie apart
        queries, keys, values = asked.transpose(3, 4).contiguous().unbind(1)
        mixed = F.scaled_dot_product_attention(queries, keys, values)  # [batch, heads, pixels, dim]
        return self.answer(mixed.transpose(2, 3).reshape(x.shape))

"""Attention whose heads see different channels, each fed by the head before it.

Liu et al., EfficientViT, 2023, https://arxiv.org/abs/2305.07027.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.conv_norm import ConvNorm

Feed = Literal["cascade", "group", "whole"]


class CascadedGroupAttention(nn.Module):
    """Softmax attention between all pixels of a map of `side` by `side`, head after head.

    [batch, channels, side, side] -> the same. Head j looks at x_j, which `feed` decides:

        cascade   split j of the channels, plus the output of head j - 1
        group     split j of the channels
        whole     all channels, as heads usually do

    From x_j one 1 x 1 convolution makes queries and keys of `key_dim` channels and values of
    channels / heads. The queries then pass a depthwise convolution of kernels[j]. The scores are scaled, and
    a learned number for the distance (|dy|, |dx|) of the two pixels is added. The heads' outputs are
    concatenated, and a ReLU and a 1 x 1 convolution follow, whose norm starts with 0.
    """

    offsets: Tensor

    def __init__(
        self,
        channels: int,
        heads: int = 4,
        side: int = 7,
        *,
        key_dim: int = 16,
        kernels: Sequence[int] = (5, 5, 5, 5),
        feed: Feed = "cascade",
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        if len(kernels) < heads:
            raise WorkbenchError(
                f"each of {heads} heads needs a kernel for its queries, but {len(kernels)} came"
            )
        if feed not in get_args(Feed):
            raise WorkbenchError(f"feed must be one of {', '.join(get_args(Feed))}, but {feed!r} came")
        self.heads, self.side, self.key_dim, self.feed = heads, side, key_dim, feed
        self.split = channels // heads
        seen, made = channels if feed == "whole" else self.split, 2 * key_dim + self.split
        self.ask = nn.ModuleList(ConvNorm(seen, made) for _ in range(heads))
        self.look = nn.ModuleList(
            ConvNorm(key_dim, key_dim, kernel, groups=key_dim) for kernel in kernels[:heads]
        )
        self.project = ConvNorm(heads * self.split, channels, gain=0)
        self.bias = nn.Parameter(torch.zeros(heads, side * side))
        self.register_buffer("offsets", distances(side), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != (self.side, self.side):
            raise WorkbenchError(
                f"this attention was made for maps of {self.side} x {self.side}, but {list(x.shape)} came"
            )
        fed = [x] * self.heads if self.feed == "whole" else x.split(self.split, 1)
        bias = self.bias[:, self.offsets]  # [heads, pixels, pixels]
        outputs: list[Tensor] = []
        for j, (ask, look) in enumerate(zip(self.ask, self.look, strict=True)):
            cascading = self.feed == "cascade" and j > 0
            x_j = fed[j] + outputs[-1] if cascading else fed[j]
            q, k, v = ask(x_j).split((self.key_dim, self.key_dim, self.split), 1)
            q, k, v = look(q).flatten(2), k.flatten(2), v.flatten(2)  # [batch, dim, pixels]
            scores = q.mT @ k * self.key_dim**-0.5 + bias[j]
            outputs.append((v @ scores.softmax(-1).mT).unflatten(2, (self.side, self.side)))
        return self.project(torch.cat(outputs, 1).relu())


def distances(side: int) -> Tensor:
    """For each pair of pixels |dy| * side + |dx|, a number below side**2: int64 [side**2, side**2]."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    y, x = y.flatten(), x.flatten()
    return (y[:, None] - y).abs() * side + (x[:, None] - x).abs()

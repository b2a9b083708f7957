"""Figure and ground attend apart, to a few merged tokens each (Isomer, https://arxiv.org/abs/2308.06693)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.post_norm_feed_forward import PostNormFeedForward


class Gathered(NamedTuple):
    """Members of one kind side by side. tokens: [batch, most, channels], padded where an image has fewer.

    places: int64 [batch, most], where each came from. there: bool [batch, most], False for padding.
    """

    tokens: Tensor
    places: Tensor
    there: Tensor


def gather(tokens: Tensor, member: Tensor) -> Gathered:
    """The members among tokens [batch, n, channels], in their order; member: bool [batch, n]."""
    most = max(int(member.sum(1).max()), 1)
    places = member.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    found = tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[2]))
    return Gathered(found, places, member.gather(1, places))


def scatter(tokens: Tensor, found: Gathered) -> Tensor:
    """tokens [batch, n, channels] with the gathered ones back at their places; padding changes nothing."""
    places = found.places[..., None].expand_as(found.tokens)
    kept = torch.where(found.there[..., None], found.tokens, tokens.gather(1, places))
    return tokens.scatter(1, places, kept)


class Side(nn.Module):
    """What figure and ground have one each of: merging, attention, feed-forward."""

    def __init__(self, channels: int, merged: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.merge = nn.Conv2d(channels, merged, 1)
        nn.init.normal_(self.merge.weight, std=0.01)
        self.ask = nn.Linear(channels, channels)
        self.look = nn.Linear(channels, 2 * channels)
        self.answer = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.feed_forward = PostNormFeedForward(channels, expansion)

    def merged(self, weighted: Tensor) -> Tensor:
        """[batch, channels, height, width] -> [batch, merged, channels]: sums with learned weights."""
        return torch.einsum("bkhw,bchw->bkc", self.merge(weighted), weighted)

    def forward(self, found: Gathered, keys: Tensor) -> Gathered:
        """Every member looks at the merged tokens [batch, merged, channels] of its kind, and only there."""
        queries = self.ask(found.tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.look(keys).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, k, v).transpose(1, 2).flatten(2)
        tokens = self.norm(found.tokens + self.answer(mixed))
        line = tokens.mT[..., None]  # a map of most x 1: members that stand side by side are neighbours
        fed = self.feed_forward(line, found.there[:, None, :, None])
        return found._replace(tokens=fed[..., 0].mT)


class GatheringScattering(nn.Module):
    """[batch, channels, height, width] -> the same; `merged` tokens are what each member looks at.

        heat = sigmoid(1 x 1 convolution)                   how much a pixel belongs to the figure
        figure = heat >= 1/2, ground = the others           hard, for the queries
        keys of the figure: merged out of heat * x          soft, so that the heat learns
        keys of the ground: merged out of (1 - heat) * x

    Members of a kind are gathered, attend to the keys of their kind, go through a feed-forward layer of their
    kind, and are scattered back. An image that is all figure or all ground passes through unchanged.
    """

    def __init__(self, channels: int, merged: int, heads: int = 8, expansion: int = 8) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        if merged < 1:
            raise WorkbenchError(f"at least 1 merged token is needed, but {merged} came")
        self.heat = nn.Conv2d(channels, 1, 1)
        self.figure = Side(channels, merged, heads, expansion)
        self.ground = Side(channels, merged, heads, expansion)

    def forward(self, x: Tensor) -> Tensor:
        heat = self.heat_of(x)
        member = (heat >= 0.5).flatten(1)
        tokens = out = x.flatten(2).mT
        for side, kind, share in ((self.figure, member, heat), (self.ground, ~member, 1 - heat)):
            answer = side(gather(tokens, kind), side.merged(x * share))
            out = scatter(out, answer)
        both = (member.any(1) & ~member.all(1))[:, None, None]
        return torch.where(both, out, tokens).mT.unflatten(2, x.shape[2:])

    def heat_of(self, x: Tensor) -> Tensor:
        """How much each pixel belongs to the figure, [batch, 1, height, width], 0 to 1."""
        return torch.sigmoid(self.heat(x))

    def visible(self, height: int, width: int) -> Tensor:
        """Which input (column) an output (row) may depend on: all, through the merged tokens."""
        return torch.ones(height * width, height * width, dtype=torch.bool)

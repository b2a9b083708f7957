"""Attention whose rows have targets: to the own image, to a reference, and the difference of the two."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError

FLOOR = 1e-4  # inside every logarithm of a probability


class Correlation(NamedTuple):
    """Rows of attention and what they are compared with, both [batch, heads, tokens, tokens], rows sum to 1.

    target: a Gaussian bump about the token's own place, as wide as the token itself asks for.
    """

    found: Tensor
    target: Tensor


class Divergences(NamedTuple):
    """What a token's rows tell, means over heads: [batch, height, width] each, in nats.

    intra, inter: how far the rows to the own image and to the reference are from their targets.
    intra_entropy, inter_entropy: how spread out these rows are.
    """

    intra: Tensor
    inter: Tensor
    intra_entropy: Tensor
    inter_entropy: Tensor


def spreads(raw: Tensor) -> Tensor:
    """Any number -> a width between 0 and 2 tokens: 3 ** (sigmoid(5 raw) + 1e-5) - 1."""
    return 3 ** (torch.sigmoid(5 * raw) + 1e-5) - 1


def gaussian_rows(sigma: Tensor, height: int, width: int) -> Tensor:
    """Each token's bump over all tokens: sigma [..., tokens, 2] (down, across) -> [..., tokens, tokens].

    A bump with axes along those of the grid is a column times a row, so that only height + width powers
    are needed for each token. Each bump sums to 1.
    """
    down, across = (
        _bump(sigma[..., axis], side, axis, (height, width)) for axis, side in enumerate((height, width))
    )
    return (down.unsqueeze(-1) * across.unsqueeze(-2)).flatten(-2)


def _bump(sigma: Tensor, side: int, axis: int, grid: tuple[int, int]) -> Tensor:
    """Along one axis: sigma [..., tokens] -> [..., tokens, side], which sums to 1."""
    places = torch.arange(side, dtype=sigma.dtype, device=sigma.device)
    own = torch.meshgrid(*(torch.arange(n, device=sigma.device) for n in grid), indexing="ij")[axis]
    apart = own.reshape(-1, 1) - places
    return torch.softmax(-(apart**2) / (2 * sigma.unsqueeze(-1) ** 2), -1)


def symmetric_divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p, q) + KL(q, p) of rows [..., n] -> [...]: the sum of (p - q) (log p - log q)."""
    return ((p - q) * (torch.log(p + FLOOR) - torch.log(q + FLOOR))).sum(-1)


def entropy(p: Tensor) -> Tensor:
    """Of rows [..., n] -> [...], in nats."""
    return -(p * torch.log(p + FLOOR)).sum(-1)


def opposed(x: Tensor) -> Tensor:
    """x itself, with the sign of its gradient turned: what is behind it climbs where the rest descends."""
    return 2 * x.detach() - x


class GuidedAttention(nn.Module):
    """Softmax attention of maps to maps that also says which row each query would be expected to have.

    forward(x, source), both [batch, channels, height, width] (the source may have a batch of 1) -> the mixed
    values [batch, channels, height, width] and the `Correlation` of all heads. Each query predicts the
    width of its bump, for each head and each axis.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        self.heads = heads
        self.ask = nn.Linear(channels, channels)
        self.offer = nn.Linear(channels, 2 * channels)
        self.spread = nn.Linear(channels, 2 * heads)
        self.answer = nn.Linear(channels, channels)

    def forward(self, x: Tensor, source: Tensor) -> tuple[Tensor, Correlation]:
        if x.shape[1:] != source.shape[1:]:
            raise WorkbenchError(
                f"x and its source must have one shape, but {list(x.shape)} and {list(source.shape)} came"
            )
        height, width = x.shape[-2:]
        tokens = x.flatten(2).mT
        query = self._by_head(self.ask(tokens))
        key, value = map(self._by_head, self.offer(source.flatten(2).mT).chunk(2, -1))
        found = torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1)
        sigma = spreads(self._by_head(self.spread(tokens)))
        mixed = (found @ value).transpose(1, 2).flatten(2)  # [batch, tokens, channels]
        out = self.answer(mixed).mT.reshape(x.shape)
        return out, Correlation(found, gaussian_rows(sigma, height, width))

    def _by_head(self, x: Tensor) -> Tensor:
        """[batch, tokens, heads * n] -> [batch, heads, tokens, n]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class IntraInterCorrelation(nn.Module):
    """One layer: what the own image says less what the reference says, then a feed-forward net.

    forward(x, reference), both [batch, channels, height, width] -> the next map, and the two correlations.
    Norms stand behind the sums. With `difference=False` no reference is looked at and the layer is that of
    a plain transformer, and None stands for the correlation with it.
    """

    def __init__(self, channels: int, heads: int, expansion: int = 4, *, difference: bool = True) -> None:
        super().__init__()
        self.within = GuidedAttention(channels, heads)
        self.across = GuidedAttention(channels, heads) if difference else None
        self.norm = nn.LayerNorm(channels)
        self.feed = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )
        self.last_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, reference: Tensor) -> tuple[Tensor, Correlation, Correlation | None]:
        seen, intra = self.within(x, x)
        inter = None
        mixed = x + seen
        if self.across is not None:
            expected, inter = self.across(x, reference)
            mixed = mixed - (x + expected)
        tokens = self.norm(mixed.flatten(2).mT)
        out = self.last_norm(tokens + self.feed(tokens))
        return out.mT.reshape(x.shape), intra, inter

    def visible(self, height: int, width: int) -> Tensor:
        """Every token may depend on every token: bool [tokens, tokens], all True."""
        return torch.ones(height * width, height * width, dtype=torch.bool)


def divergences(intra: Correlation, inter: Correlation, height: int, width: int) -> Divergences:
    """The numbers of each token, whose gradients play the game of the two correlations.

    To descend on intra + inter is then: targets approach the intra rows and flee the inter rows, while the
    intra rows flee their targets and the inter rows approach theirs.
    """
    numbers = (
        symmetric_divergence(opposed(intra.found), intra.target),
        symmetric_divergence(inter.found, opposed(inter.target)),
        entropy(intra.found),
        entropy(inter.found),
    )
    return Divergences(*(number.mean(1).unflatten(-1, (height, width)) for number in numbers))

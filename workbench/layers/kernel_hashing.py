"""Codes of zeros and ones, learned so that similar tokens get similar codes: kernel-based supervised hashing.

A token is first described by its similarity to a few *anchors*, other tokens, with a Gaussian kernel. A bit
is a weighted sum of these similarities above zero. Bits are learned one after the other: each one is fitted
to what the bits before it have left of the table S of pairs, where 1 stands for pairs that should share
their bits and -1 for pairs that should not.
"""

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError

ROUNDS, RATE, MOMENTUM = 100, 5e-4, 0.9  # of gradient descent, for each bit


class KernelHash(nn.Module):
    """Real vectors to codes: [batch, heads, tokens, dim] -> [batch, heads, tokens, bits] of zeros and ones.

    bits: length of a code. anchors: with how many tokens each token is compared. Until `fit` has been called
    the anchors are random vectors and the bits random, too: a hash that knows nothing of the data.
    Gradients pass a bit where its sum lies between 0 and 1.
    """

    weights: Tensor
    anchors: Tensor
    means: Tensor

    def __init__(self, heads: int, dim: int, *, bits: int = 16, anchors: int = 20) -> None:
        super().__init__()
        if min(heads, dim, bits, anchors) < 1:
            raise WorkbenchError(
                f"heads, dim, bits and anchors must be at least 1, but {heads}, {dim}, {bits}, {anchors} came"
            )
        places = torch.randn(heads, anchors, dim)
        self.register_buffer("anchors", places / places.norm(dim=-1, keepdim=True))
        self.register_buffer("weights", torch.randn(heads, bits, anchors))
        self.register_buffer("means", torch.zeros(heads, 1, anchors))

    def similarities(self, x: Tensor) -> Tensor:
        """A Gaussian of the distance to each anchor, as wide as the distances are on average."""
        lengths = x.square().sum(-1, keepdim=True) + self.anchors.square().sum(-1).unsqueeze(-2)
        squares = (lengths - 2 * x @ self.anchors.mT).clamp_min(0)
        width = squares.mean((-2, -1), keepdim=True).clamp_min(1e-12)
        return torch.exp(-squares / (2 * width))

    def sums(self, x: Tensor) -> Tensor:
        """What is compared with zero: [batch, heads, tokens, bits]."""
        return (self.similarities(x) - self.means) @ self.weights.mT

    def forward(self, x: Tensor) -> Tensor:
        sums = self.sums(x)
        inside = sums.clamp(0, 1)
        return inside + ((sums > 0).to(x.dtype) - inside).detach()

    @torch.no_grad()
    def fit(self, x: Tensor, neighbours: int = 10) -> None:
        """Learns anchors and bits from tokens x [batch, heads, tokens, dim].

        Of each token the `neighbours` largest inner products with others (itself included) of its picture are
        called similar, as many of the smallest ones dissimilar. With few tokens it is a quarter of them.
        """
        n, count = x.shape[2], self.anchors.shape[1]
        neighbours = min(neighbours, max(1, n // 4))
        chosen = torch.randint(len(x) * n, (count,))
        self.anchors.copy_(x.transpose(0, 1).flatten(1, 2)[:, chosen])
        own = self.similarities(x)
        self.means.copy_(own.mean((0, 2))[:, None])
        own = own - self.means
        pairs = similar_pairs(x, neighbours) * self.weights.shape[1]
        pairs = (pairs + pairs.mT) / 2  # who calls whom similar makes no difference to their bits
        for bit in range(self.weights.shape[1]):
            before = self.weights[:, bit]
            after = descended(before, own, pairs)
            better = agreement(own, after, pairs) > agreement(own, before, pairs)  # by head
            self.weights[:, bit] = torch.where(better[:, None], after, before)
            code = signs(own, self.weights[:, bit])
            pairs = pairs - code.unsqueeze(-1) * code.unsqueeze(-2)


def similar_pairs(x: Tensor, neighbours: int) -> Tensor:
    """1 for the largest inner products of each token, -1 for the smallest: [batch, heads, tokens, tokens]."""
    products = x @ x.mT
    pairs = torch.zeros_like(products)
    pairs.scatter_(-1, products.topk(neighbours, -1).indices, 1.0)
    return pairs.scatter_(-1, products.topk(neighbours, -1, largest=False).indices, -1.0)


def signs(own: Tensor, weights: Tensor) -> Tensor:
    """One bit as -1 or 1: own [batch, heads, tokens, anchors], weights [heads, anchors]."""
    return torch.where((own @ weights.unsqueeze(-1)).squeeze(-1) > 0, 1.0, -1.0)


def agreement(own: Tensor, weights: Tensor, pairs: Tensor) -> Tensor:
    """How well one bit says what the table of pairs says, for each head; higher is better."""
    code = signs(own, weights)
    return torch.einsum("bhn,bhnm,bhm->h", code, pairs, code)


def descended(weights: Tensor, own: Tensor, pairs: Tensor) -> Tensor:
    """One bit after gradient descent on -agreement, with a smooth step in the place of the sign.

    The step is tanh(z / 2), whose slope is (1 - step^2) / 2; pairs must be symmetric.
    """
    speed, after = torch.zeros_like(weights), weights
    share = 1 / (own.shape[0] * own.shape[1] * own.shape[2])
    for _ in range(ROUNDS):
        code = torch.tanh((own @ after.unsqueeze(-1)) / 2)  # [batch, heads, tokens, 1]
        by_sum = -share * (pairs @ code) * (1 - code.square())
        slope = (own * by_sum).sum((0, 2))
        speed = MOMENTUM * speed + slope
        after = after - RATE * (slope + MOMENTUM * speed)  # Nesterov's look ahead
    return after

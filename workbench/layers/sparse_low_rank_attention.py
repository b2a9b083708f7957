"""Sparse plus low-rank attention: exact weights for a few pairs, random features for all the others.

    exp(q·k) ≈ φ(q)·φ(k)              everywhere, at the price of one product of features
             + exp(q·k) - φ(q)·φ(k)   on the support, pairs that are picked by place or by a hash

What the features say about a pair of the support is subtracted before the exact weight is added. No matrix of
tokens x tokens is formed: the support is [tokens, keys of each], the features are [tokens, features].
"""

import math
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

TINY = 1e-24  # under the logarithm of what is left outside the support

# Random features --------------------------------------------------------------------------------


def orthogonal_rows(rows: int, dim: int, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian vectors of which every `dim` in a row are orthogonal: [rows, dim], float32.

    Their lengths are those of independent normal vectors, so that each row alone is normal.
    """
    blocks = [torch.zeros(0, dim)]
    for _ in range(-(-rows // dim)):
        Q, R = torch.linalg.qr(torch.randn(dim, dim, generator=generator))
        blocks.append((Q * R.diagonal().sign()).mT)  # without the signs, some directions come more often
    lengths = torch.randn(rows, dim, generator=generator).norm(dim=1, keepdim=True)
    return torch.cat(blocks)[:rows] * lengths


def positive_features(x: Tensor, rows: Tensor, *, shared: bool = False) -> tuple[Tensor, Tensor]:
    """exp(±w·x - |x|²/2) / √features for each row w: [..., n, dim] -> [..., n, 2 rows], and a log scale.

    The mean of φ(q)·φ(k) over draws of the rows is exp(q·k). The features come divided by the exponential of
    the log scale, which makes the largest one 1: of each vector, [..., n, 1], as queries need it; of all
    vectors together, [..., 1, 1], where it is `shared`, as the sums over keys need it.
    """
    projected = x @ rows.to(x).mT
    logs = torch.cat([projected, -projected], -1) - x.square().sum(-1, keepdim=True) / 2
    logs = logs - math.log(max(1, logs.shape[-1])) / 2
    log_scale = logs.amax((-2, -1) if shared else -1, keepdim=True)
    return (logs - log_scale).exp(), log_scale


# Which pairs are exact ----------------------------------------------------------------------------


class Support(NamedTuple):
    """The keys that each query sees exactly: int64 [..., queries, keys], and which of them count, bool."""

    keys: Tensor
    counts: Tensor


def window_support(space: tuple[int, ...], window: int) -> Support:
    """The `window` nearest places along every axis of a line or a map, row by row: [tokens, window^axes].

    Places outside do not count, so there is less at the borders. The middle of an even window lies behind it.
    """
    grid = torch.stack(torch.meshgrid(*map(torch.arange, space), indexing="ij"), -1).reshape(
        -1, 1, len(space)
    )
    offsets = torch.arange(window) - window // 2
    steps = torch.cartesian_prod(*[offsets] * len(space)).reshape(1, -1, len(space))
    places, sides = grid + steps, torch.tensor(space)
    counts = ((places >= 0) & (places < sides)).all(-1)
    strides = torch.tensor([math.prod(space[axis + 1 :]) for axis in range(len(space))])
    return Support((places.clamp_min(0).minimum(sides - 1) * strides).sum(-1), counts)


def hashed_support(queries: Tensor, keys: Tensor, size: int, directions: Tensor) -> Support:
    """Equal clusters by a hash for which near means a large product: [..., queries, rounds * size].

    queries [..., n, dim], keys [..., n, dim]; directions [rounds, dim + 2] are random. Both are lifted into
    two more components, so that all get one length and a large product is a small distance; then each round
    puts both in order along its direction, and the c-th `size` queries see the c-th `size` keys. The last
    cluster overlaps the one before if size does not divide n. A pair that a later round finds again does
    not count.
    """
    n = queries.shape[-2]
    if keys.shape[-2] != n or not 1 <= size <= n:
        raise WorkbenchError(
            f"a hash needs as many queries as keys, and clusters of 1 to all of them, "
            f"but {n} queries, {keys.shape[-2]} keys and size {size} came"
        )
    lengths = [x.square().sum(-1, keepdim=True) for x in (queries, keys)]
    longest = sum(length.amax(-2, keepdim=True) for length in lengths)
    lift_q, lift_k = ((longest - length).clamp_min(0).sqrt() for length in lengths)
    lifted_q = torch.cat([queries, torch.zeros_like(lift_q), lift_q], -1)
    lifted_k = torch.cat([keys, lift_k, torch.zeros_like(lift_k)], -1)
    starts = (torch.arange(n, device=keys.device) // size * size).clamp_max(n - size)
    places = starts[:, None] + torch.arange(size, device=keys.device)  # [rank of the query, size]
    found: list[Tensor] = []
    for direction in directions.to(queries):
        ranks = (lifted_q @ direction).argsort(-1).argsort(-1)
        order = (lifted_k @ direction).argsort(-1)
        found.append(order.gather(-1, places[ranks].flatten(-2)).unflatten(-1, (n, size)))
    every = torch.cat(found, -1)
    return Support(every, ~_seen_before(every, size))


def _seen_before(keys: Tensor, size: int) -> Tensor:
    """Whether a key is in an earlier round of its query; keys [..., n, rounds * size]."""
    again = torch.zeros_like(keys, dtype=torch.bool)
    for start in range(size, keys.shape[-1], size):
        now, before = keys[..., start : start + size], keys[..., :start]
        again[..., start : start + size] = (now[..., :, None] == before[..., None, :]).any(-1)
    return again


# Products along the support, one of its columns at a time; a batch is one long list of rows ----------------


def _along(a: Tensor, b: Tensor, keys: Tensor) -> Tensor:
    """The product of a_i and b_j for every pair: [n, dim], [m, dim] -> [n, pairs]."""
    out = a.new_empty(keys.shape)
    for j, column in enumerate(keys.unbind(-1)):
        out[:, j] = (a * b.index_select(0, column)).sum(-1)
    return out


def _weighted(weights: Tensor, b: Tensor, keys: Tensor) -> Tensor:
    """The weighted sum of each query's b_j: [n, pairs], [m, dim] -> [n, dim]."""
    out = b.new_zeros(len(weights), b.shape[-1])
    for weight, column in zip(weights.unbind(-1), keys.unbind(-1), strict=True):
        out.addcmul_(weight[:, None], b.index_select(0, column))
    return out


def _scattered(weights: Tensor, a: Tensor, keys: Tensor, m: int) -> Tensor:
    """What the pairs bring to each key: [n, pairs], [n, dim] -> [m, dim]."""
    out = a.new_zeros(m, a.shape[-1])
    for weight, column in zip(weights.unbind(-1), keys.unbind(-1), strict=True):
        out.index_add_(0, column, weight[:, None] * a)
    return out


class _Along(torch.autograd.Function):
    """The three sums are each other's derivatives, so nothing but their inputs is kept."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, keys: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, keys)
        return _along(a, b, keys)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b, keys = ctx.saved_tensors
        return _weighted(grad, b, keys), _scattered(grad, a, keys, len(b)), None


class _Weighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, b: Tensor, keys: Tensor) -> Tensor:
        ctx.save_for_backward(weights, b, keys)
        return _weighted(weights, b, keys)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weights, b, keys = ctx.saved_tensors
        return _along(grad, b, keys), _scattered(weights, grad, keys, len(b)), None


# The attention ------------------------------------------------------------------------------------------


def sparse_low_rank(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: Tensor,
    support: Support,
    dropout: float = 0.0,
) -> Tensor:
    """Normalised sparse plus low-rank attention: [..., n, dim], [..., m, dim], [..., m, e] -> [..., n, e].

    Queries and keys are scaled already: a score is their plain product. rows: of the random features. Of a
    weight, the exact term alone is dropped, and what the features give stays subtracted: the pair is 0.

    The sum of a row is taken in logarithms, as the exact part and the rest may differ by many powers of ten:
    logaddexp(logsumexp of the scores on the support, log(all features - those of the support) + scale).
    """
    return with_log_sums(queries, keys, values, rows, support, dropout)[0]


def with_log_sums(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: Tensor,
    support: Support,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """What `sparse_low_rank` returns, and the logarithm of each row's sum, [..., n, 1]."""
    among, counts = support
    batch = queries.shape[:-2]
    starts = keys.shape[-2] * torch.arange(math.prod(batch), device=among.device).view(*batch, 1, 1)
    picked = (among + starts).flatten(0, -2)  # the keys' places in the list of all keys of the batch

    def along(a: Tensor, b: Tensor) -> Tensor:
        products: Tensor = _Along.apply(a.flatten(0, -2), b.flatten(0, -2), picked)
        return products.view(*a.shape[:-1], picked.shape[-1])

    phi_q, scale_q = positive_features(queries, rows)
    phi_k, scale_k = positive_features(keys, rows, shared=True)
    scale = scale_q + scale_k  # [..., n, 1]
    exact = along(queries, keys).masked_fill(~counts, -torch.inf)
    twice = along(phi_q, phi_k).masked_fill(~counts, 0)
    rest = phi_q @ phi_k.sum(-2)[..., None] - twice.sum(-1, keepdim=True)
    log_sum = torch.logaddexp(exact.logsumexp(-1, keepdim=True), rest.clamp_min(TINY).log() + scale)
    share = (scale - log_sum).exp()
    weights = F.dropout((exact - log_sum).exp(), dropout) - twice * share
    near: Tensor = _Weighted.apply(weights.flatten(0, -2), values.flatten(0, -2), picked)
    return near.view(*queries.shape[:-1], values.shape[-1]) + phi_q @ (phi_k.mT @ values) * share, log_sum


def empty_support(tokens: int) -> Support:
    """No pair at all: what is left is attention by random features alone."""
    return Support(torch.zeros(tokens, 0, dtype=torch.int64), torch.zeros(tokens, 0, dtype=torch.bool))


SupportKind = Literal["window", "hash"]


class SparseLowRankAttention2d(nn.Module):
    """Every pixel sees some exactly and all roughly: [batch, channels, height, width] -> the same.

    support: "window": the `size` x `size` nearest pixels; "hash": clusters of `size` pixels by content,
    `rounds` times. features: of each head, an even number; default dim * ln(dim). dropout: of the exact
    term, in training. The random draws are made once, by `seed`, and kept with the weights. The work grows
    with tokens * (features + keys of the support).
    """

    rows: Tensor
    directions: Tensor

    def __init__(
        self,
        channels: int,
        heads: int = 1,
        *,
        support: SupportKind = "window",
        size: int = 5,
        rounds: int = 1,
        features: int | None = None,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        if support not in get_args(SupportKind):
            raise WorkbenchError(f"support must be 'window' or 'hash', but {support!r} came")
        dim = channels // heads
        features = max(2, int(dim * math.log(dim)) // 2 * 2) if features is None else features
        if features < 2 or features % 2 or size < 1 or rounds < 1:
            raise WorkbenchError(
                f"features come in pairs, and size and rounds are 1 or more, "
                f"but features={features}, size={size} and rounds={rounds} came"
            )
        self.heads, self.support, self.size, self.dropout = heads, support, size, dropout
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.answer = nn.Conv2d(channels, channels, 1)
        draws = torch.Generator().manual_seed(seed)
        self.register_buffer("rows", orthogonal_rows(features // 2, dim, draws))
        self.register_buffer("directions", torch.randn(rounds, dim + 2, generator=draws))

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = self.asked(x)
        support = self.supported(queries, keys, (x.shape[2], x.shape[3]))
        dropout = self.dropout if self.training else 0.0
        mixed = sparse_low_rank(queries, keys, values, self.rows, support, dropout)
        return self.answer(mixed.mT.reshape(x.shape))

    def asked(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries and keys, both scaled by dim^(-¼), and values: [batch, heads, tokens, dim] each."""
        if x.ndim != 4:
            raise WorkbenchError(f"expected [batch, channels, height, width], but {list(x.shape)} came")
        asked = self.ask(x).unflatten(1, (3, self.heads, -1)).flatten(4).mT
        queries, keys, values = asked.unbind(1)
        root = queries.shape[-1] ** -0.25
        return queries * root, keys * root, values.contiguous()

    @torch.no_grad()
    def supported(self, queries: Tensor, keys: Tensor, space: tuple[int, int]) -> Support:
        """The pairs that are exact."""
        if self.support == "window":
            return window_support(space, self.size)
        return hashed_support(queries, keys, min(self.size, keys.shape[-2]), self.directions)

    def attention_rows(self, x: Tensor, queries: list[int]) -> Tensor:
        """Rows of the attention, without dropout: [batch, heads, len(queries), tokens]."""
        asked, keys, _ = self.asked(x)
        among, counts = self.supported(asked, keys, (x.shape[2], x.shape[3]))
        picked = Support(among[..., queries, :], counts[..., queries, :])
        ones = torch.eye(keys.shape[-2], dtype=x.dtype).expand(*keys.shape[:-1], -1)
        return sparse_low_rank(asked[..., queries, :], keys, ones, self.rows, picked)

    def visible(self, height: int, width: int) -> Tensor:
        """Which tokens an output depends on, bool [tokens, tokens]: all of them."""
        return torch.ones(height * width, height * width, dtype=torch.bool)

    def extra_repr(self) -> str:
        return (
            f"heads={self.heads}, support={self.support!r}, size={self.size}, features={2 * len(self.rows)}"
        )

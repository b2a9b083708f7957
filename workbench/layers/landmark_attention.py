"""Attention through landmarks: a Gaussian similarity, a few tokens between, an inverse by products alone.

    S = exp(-|q_i - q_j|² / 2)        one vector for each token, its query and its key
    Ŝ = P A⁻¹ Pᵀ                      P: tokens to landmarks, A: landmarks to landmarks

This is the Nyström factorisation of a kernel matrix. S has ones on its diagonal and is symmetric and
positive, so A is as well, and A⁻¹ comes from a few products: V ← 2V - VAV.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.layer_norm import LayerNorm2d

Normalise = Literal["nothing", "landmarks", "tokens"]
RIDGE = 0.01  # added to the diagonal of A
HALVINGS = 10  # of the first step of a normalised inverse, at most


def gaussian(queries: Tensor, keys: Tensor) -> Tensor:
    """exp(-|q - k|² / 2): [..., n, d], [..., m, d] -> [..., n, m]."""
    lengths = queries.square().sum(-1, keepdim=True) + keys.square().sum(-1)[..., None, :]
    return (queries @ keys.mT - lengths / 2).clamp(max=0).exp()


def newton_inverse(
    matrix: Tensor, iterations: int = 20, *, ridge: float = RIDGE, factor: float = 0.9
) -> Tensor:
    """The inverse of matrix + ridge * I: [..., m, m] -> the same, by products alone.

    matrix is symmetric, without negative eigenvalues. The first guess is α(matrix + ridge * I), where
    α = factor * 2 / (largest row sum)²: as no eigenvalue exceeds the largest row sum λ, one of α A² lies
    between 0 and 2 factor, and every pass squares its distance from 1. At a factor of 1 an eigenvalue equal
    to λ is at distance 1 and stays there. With `ridge` 0 there is no such safety in the row sum, so α is
    halved, ten times at most, until no column of I - A V has absolute values that sum to more than 1.01.
    (A matrix whose rows are all alone, I, passes at a distance of 1, and the result is 0 instead of I.)

    The way back costs two products, whatever the iterations: -Vᵀ G Vᵀ. Nothing but V is kept for it.
    """
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise WorkbenchError(f"an inverse needs square matrices, but shape {list(matrix.shape)} came")
    if iterations < 1:
        raise WorkbenchError(f"an inverse needs 1 iteration or more, but {iterations} came")
    found: Tensor = _NewtonInverse.apply(matrix, iterations, ridge, factor)
    return found


class _NewtonInverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, iterations: int, ridge: float, factor: float) -> Tensor:
        eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        alpha = 2 * factor / matrix.sum(-1).amax(-1)[..., None, None].square()
        A = matrix + ridge * eye
        if not ridge:
            for _ in range(HALVINGS):
                too_far = (eye - alpha * A @ A).abs().sum(-2).amax(-1)[..., None, None] > 1.01
                alpha = torch.where(too_far, alpha / 2, alpha)
        V = alpha * A
        for _ in range(iterations):
            V = 2 * V - V @ A @ V
        ctx.save_for_backward(V)
        return V

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (V,) = ctx.saved_tensors
        return -V.mT @ grad @ V.mT, None, None, None


def landmark_factors(
    queries: Tensor, landmarks: Tensor, iterations: int = 20, normalise: Normalise = "nothing"
) -> tuple[Tensor, Tensor]:
    """P [..., tokens, landmarks] and M [..., landmarks, landmarks], so that the attention is P M Pᵀ.

    queries: [..., tokens, d], scaled already. landmarks: [..., landmarks, d].

    normalise: "nothing": M = (A + ridge)⁻¹. "landmarks": M = D^(-½) A⁻¹ D^(-½) with D the row sums of A, as
    the source has released it. "tokens": P's rows are divided by the roots of what they would sum to in Ŝ, so
    that no eigenvalue of P M Pᵀ exceeds 1: D^(-½) Ŝ D^(-½), D the row sums of Ŝ (at least 1, as those of S).
    """
    if normalise not in get_args(Normalise):
        raise WorkbenchError(
            f"normalise must be one of {', '.join(map(repr, get_args(Normalise)))}, but {normalise!r} came"
        )
    P, A = gaussian(queries, landmarks), gaussian(landmarks, landmarks)
    if normalise == "landmarks":
        root = A.sum(-1, keepdim=True).rsqrt()
        return P, root * newton_inverse(A, iterations, ridge=0, factor=1) * root.mT
    M = newton_inverse(A, iterations)
    if normalise == "tokens":
        sums = P @ (M @ P.sum(-2, keepdim=True).mT)
        P = P * sums.clamp_min(1).rsqrt()
    return P, M


def landmark_attention(
    queries: Tensor,
    landmarks: Tensor,
    values: Tensor,
    iterations: int = 20,
    normalise: Normalise = "nothing",
) -> Tensor:
    """P M Pᵀ V without any matrix of tokens x tokens: values and the result are [..., tokens, e]."""
    P, M = landmark_factors(queries, landmarks, iterations, normalise)
    return P @ (M @ (P.mT @ values))


class LandmarkAttention2d(nn.Module):
    """Softmax-free attention of every pixel to all others: [batch, channels, height, width] -> the same.

    One projection makes queries and keys, scaled by dim^(-¼). The landmarks of a head are learnt: a
    convolution without bias whose kernel and stride are `ratio`, shared by the heads, then a norm over each
    landmark and a GELU. A depthwise 3 x 3 convolution of the values, one kernel for each head, is added.
    At ratio 1 all tokens are landmarks, and the kernel between them is taken as it is, without an inverse.

    The work grows with tokens * landmarks, tokens / ratio² of them. Rows and columns that ratio does not
    divide are in no landmark, but they still ask, and are still looked at.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 1,
        *,
        ratio: int = 8,
        iterations: int = 20,
        normalise: Normalise = "nothing",
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        if ratio < 1:
            raise WorkbenchError(f"ratio must be 1 or more, but {ratio} came")
        if normalise == "tokens" and ratio == 1:
            raise WorkbenchError("at ratio 1 the kernel is exact and is not normalised by tokens")
        dim = channels // heads
        self.heads, self.ratio, self.iterations = heads, ratio, iterations
        self.normalise: Normalise = normalise
        self.ask = nn.Conv2d(channels, channels, 1)
        self.give = nn.Conv2d(channels, channels, 1)
        self.answer = nn.Conv2d(channels, channels, 1)
        self.merge = nn.Conv2d(dim, dim, ratio, ratio, bias=False)
        self.shape_up = nn.Sequential(LayerNorm2d(dim, eps=1e-5), nn.GELU())
        self.local = nn.Conv2d(heads, heads, 3, padding=1, groups=heads, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        queries, landmarks = self.asked(x)
        values = self.give(x).unflatten(1, (self.heads, -1))  # [batch, heads, dim, height, width]
        lines = values.flatten(3).mT
        if self.ratio == 1:
            mixed = gaussian(landmarks, landmarks) @ lines
        else:
            mixed = landmark_attention(queries, landmarks, lines, self.iterations, self.normalise)
        near = self.local(values.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(x), -1)).transpose(1, 2)
        return self.answer(mixed.mT.reshape(x.shape) + near.reshape(x.shape))

    def asked(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries, also the keys, [batch, heads, tokens, dim], and landmarks [..., landmarks, dim]."""
        if x.ndim != 4 or min(x.shape[2:]) < self.ratio:
            raise WorkbenchError(
                f"expected [batch, channels, height, width], both sides at least {self.ratio}, "
                f"but {list(x.shape)} came"
            )
        q = self.ask(x).unflatten(1, (self.heads, -1))  # [batch, heads, dim, height, width]
        q = q * q.shape[2] ** -0.25
        landmarks = self.shape_up(self.merge(q.flatten(0, 1)))
        return q.flatten(3).mT, landmarks.flatten(2).mT.unflatten(0, (len(x), self.heads))

    def attention_rows(self, x: Tensor, queries: list[int]) -> Tensor:
        """Rows of Ŝ, without the convolution of the values: [batch, heads, len(queries), tokens]."""
        asked, landmarks = self.asked(x)
        if self.ratio == 1:
            return gaussian(landmarks[..., queries, :], landmarks)
        P, M = landmark_factors(asked, landmarks, self.iterations, self.normalise)
        return P[..., queries, :] @ M @ P.mT

    def visible(self, height: int, width: int) -> Tensor:
        """Which tokens an output depends on, bool [tokens, tokens]: all of them."""
        return torch.ones(height * width, height * width, dtype=torch.bool)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, ratio={self.ratio}, normalise={self.normalise!r}"


class LandmarkBlock(nn.Module):
    """A block of the softmax-free transformer, with its norms *after* the sums.

    [batch, channels, height, width] -> the same: norm(x + attention(x)), then norm(x + feed-forward(x)).
    The latter has `expansion` times the channels inside and a GELU by tanh. `drop` is the rate of dropout on
    both branches. The options are those of `LandmarkAttention2d`.
    """

    def __init__(
        self, channels: int, heads: int = 1, *, expansion: int = 4, drop: float = 0.0, **options: Any
    ) -> None:
        super().__init__()
        self.attention = LandmarkAttention2d(channels, heads, **options)
        self.feed = nn.Sequential(
            nn.Conv2d(channels, expansion * channels, 1),
            nn.GELU(approximate="tanh"),
            nn.Conv2d(expansion * channels, channels, 1),
        )
        self.norms = nn.ModuleList(LayerNorm2d(channels, eps=1e-5) for _ in range(2))
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.norms
        x = first(x + self.drop(self.attention(x)))
        out: Tensor = second(x + self.drop(self.feed(x)))
        return out

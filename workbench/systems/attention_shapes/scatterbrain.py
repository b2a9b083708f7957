"""Scatterbrain: Unifying Sparse and Low-rank Attention Approximation.

Beidi Chen, Tri Dao, Eric Winsor, Zhao Song, Atri Rudra, Christopher Ré; NeurIPS 2021,
https://arxiv.org/abs/2110.15343. Original code: https://github.com/HazyResearch/fly, Apache-2.0.
Nothing is copied from it.

    positive_features          random features whose products are exp(q·k) on average       (layers)
    window_support             which pairs are exact: by place                              (layers)
    hashed_support             which pairs are exact: by a hash, in equal clusters (SMYRF)  (layers)
    sparse_low_rank            exact there, features elsewhere, one sum for both            (layers)
    SparseLowRankAttention2d   all of it as a mixer of maps                                 (layers)

A few large weights and many small ones ask for opposite things. A sparse matrix holds the large ones and
calls the rest 0. A matrix of low rank holds the rest and blurs the large ones. The sum of both holds both, if
what the low rank says about a pair is taken off before its exact weight is put on. Here are also the arms
that it is compared with, as whole matrices, and two ways to pick pairs that no one would use: the largest
scores, which takes all scores to know, and chance.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from workbench_datasets import load

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.layers.sparse_low_rank_attention import (
    SparseLowRankAttention2d,
    Support,
    empty_support,
    hashed_support,
    orthogonal_rows,
    positive_features,
    sparse_low_rank,
    window_support,
    with_log_sums,
)

__all__ = [
    "SYSTEM",
    "SparseLowRankAttention2d",
    "errors",
    "exact_map",
    "head_inputs",
    "largest_support",
    "naive_map",
    "positive_features",
    "random_support",
    "relative_error",
    "sparse_low_rank",
    "sparse_map",
    "sum_map",
    "window_support",
]

# Ways to pick pairs, for comparison -----------------------------------------------------------


def largest_support(queries: Tensor, keys: Tensor, size: int) -> Support:
    """The `size` largest scores of each row: what the best of all hashes would find. It takes all scores."""
    among = (queries @ keys.mT).topk(size, -1).indices
    return Support(among, torch.ones_like(among, dtype=torch.bool))


def random_support(queries: Tensor, keys: Tensor, size: int, draws: torch.Generator) -> Support:
    """`size` different keys of each row by chance."""
    among = torch.rand(*queries.shape[:-1], keys.shape[-2], generator=draws).topk(size, -1).indices
    return Support(among, torch.ones_like(among, dtype=torch.bool))


# Whole matrices, for looking at and for measuring errors -----------------------------------------


def exact_map(queries: Tensor, keys: Tensor) -> Tensor:
    """softmax of all scores: [..., n, dim], [..., m, dim] -> [..., n, m]."""
    return (queries @ keys.mT).softmax(-1)


def sparse_map(queries: Tensor, keys: Tensor, support: Support) -> Tensor:
    """softmax over the support alone, as if there were no other keys."""
    among, counts = (x.expand(*queries.shape[:-1], -1) for x in support)
    scores = queries @ keys.mT
    seen = torch.zeros_like(scores).scatter_add_(-1, among, counts.to(scores.dtype)) > 0
    return scores.masked_fill(~seen, -torch.inf).softmax(-1)


def sum_map(queries: Tensor, keys: Tensor, rows: Tensor, support: Support) -> Tensor:
    """Sparse plus low rank as a matrix: what `sparse_low_rank` does to the unit vectors."""
    return sparse_low_rank(queries, keys, units(keys), rows, support)


def low_rank_map(queries: Tensor, keys: Tensor, rows: Tensor) -> Tensor:
    """Random features alone (Performer)."""
    return sum_map(queries, keys, rows, empty_support(queries.shape[-2]))


def naive_map(queries: Tensor, keys: Tensor, rows: Tensor, support: Support) -> Tensor:
    """The mistake: the exact weights are added, and nothing is taken off."""
    q, k = queries.double(), keys.double()  # exponentials of large scores are not in range of float32
    return normal(features_map(q, k, rows) + exact_part(q, k, support)).to(queries)


def features_map(queries: Tensor, keys: Tensor, rows: Tensor) -> Tensor:
    """φ(q)·φ(k) of every pair, not normalised."""
    phi_q, scale_q = positive_features(queries, rows)
    phi_k, scale_k = positive_features(keys, rows, shared=True)
    return phi_q @ phi_k.mT * (scale_q + scale_k).exp()


def exact_part(queries: Tensor, keys: Tensor, support: Support) -> Tensor:
    """exp(q·k) on the support and 0 elsewhere, not normalised."""
    among, counts = (x.expand(*queries.shape[:-1], -1) for x in support)
    scores = queries @ keys.mT
    seen = torch.zeros_like(scores).scatter_add_(-1, among, counts.to(scores.dtype)) > 0
    return torch.where(seen, scores.exp(), 0)


def unnormalised_map(queries: Tensor, keys: Tensor, rows: Tensor, support: Support) -> Tensor:
    """Sparse plus low rank before it is divided: what stands for exp(q·k)."""
    weights, log_sums = with_log_sums(queries, keys, units(keys), rows, support)
    return weights * log_sums.exp()


def units(keys: Tensor) -> Tensor:
    """One unit vector for each key, as values that show the weights."""
    return torch.eye(keys.shape[-2], dtype=keys.dtype).expand(*keys.shape[:-1], -1)


def normal(weights: Tensor) -> Tensor:
    """Rows that sum to 1."""
    return weights / weights.sum(-1, keepdim=True)


def relative_error(found: Tensor, exact: Tensor) -> Tensor:
    """Relative Frobenius error of each matrix: [..., n, m] -> [...]."""
    return (found - exact).flatten(-2).norm(dim=-1) / exact.flatten(-2).norm(dim=-1)


# Measuring ------------------------------------------------------------------------------------

LAYERS = (0, 2, 4, 5)  # with 12 heads each
MIDDLE = (0.25, 0.35, 0.5)  # between diffuse rows and sharp ones
BETAS = (0.1, *MIDDLE, 1.0, 2.0)


@cache
def head_inputs(text: int, layer: int, tokens: int, beta: float) -> tuple[Tensor, Tensor]:
    """Queries and keys of 12 heads, both scaled by dim^(-1/4): a score is their product."""
    data = load("attention-bank", text=text % 6, layer=layer, tokens=tokens, beta=beta)
    queries, keys = (torch.from_numpy(data[part]) * 32**-0.25 for part in ("queries", "keys"))
    return queries, keys


@cache
def errors(beta: float, seed: int, budget: str) -> Mapping[str, Tensor]:
    """The relative error of every arm in every head, one tensor for each arm, all heads in one order.

    Each arm stores as many numbers in a row: 2 b of the matrix, 2 b features, or b of each.
    """
    tokens, b, layers = by_budget(
        budget, smoke=(24, 4, LAYERS[:1]), lesson=(256, 32, LAYERS), full=(512, 32, LAYERS)
    )
    draws = torch.Generator().manual_seed(seed)
    found: dict[str, list[Tensor]] = {}
    for layer in layers:
        q, k = head_inputs(seed, layer, tokens, beta)
        exact = exact_map(q, k)
        many, few = orthogonal_rows(b, 32, draws), orthogonal_rows(b // 2, 32, draws)
        hash_of = torch.randn(1, 34, generator=draws)
        largest = largest_support(q, k, b)
        for arm, matrix in {
            "low rank": low_rank_map(q, k, many),
            "sparse, largest": sparse_map(q, k, largest_support(q, k, 2 * b)),
            "sparse, hash": sparse_map(q, k, hashed_support(q, k, 2 * b, hash_of)),
            "sum, largest": sum_map(q, k, few, largest),
            "sum, hash": sum_map(q, k, few, hashed_support(q, k, b, hash_of)),
            "sum, chance": sum_map(q, k, few, random_support(q, k, b, draws)),
            "naive, largest": naive_map(q, k, few, largest),
        }.items():
            found.setdefault(arm, []).append(relative_error(matrix, exact))
    return {arm: torch.cat(parts) for arm, parts in found.items()}


def wins(arm: str, rivals: tuple[str, ...], beta: float, seed: int, budget: str) -> float:
    """The share of heads in which an arm has the lowest error."""
    all_of = errors(beta, seed, budget)
    return float((all_of[arm] < torch.stack([all_of[rival] for rival in rivals]).amin(0)).double().mean())


def wins_in_the_middle(arm: str, seed: int, budget: str) -> float:
    """The largest share of heads that a sum wins between the two regimes."""
    betas = by_budget(budget, smoke=MIDDLE[:1], lesson=MIDDLE)
    return max(wins(arm, ("low rank", "sparse, largest"), beta, seed, budget) for beta in betas)


def wins_alone(arm: str, beta: float, seed: int, budget: str) -> float:
    arms = ("low rank", "sparse, largest", "sum, largest")
    return wins(arm, tuple(one for one in arms if one != arm), beta, seed, budget)


def lead(arm: str, sparse: str, seed: int, budget: str) -> Measured:
    """How many times lower the sum's error is than that of the better half: the median over heads, at the
    temperature where it is largest."""
    best = Measured(0.0)
    for beta in by_budget(budget, smoke=MIDDLE[:1], lesson=BETAS):
        all_of = errors(beta, seed, budget)
        halves = torch.minimum(all_of["low rank"], all_of[sparse])
        one = Measured(
            float((halves / all_of[arm]).median()),
            system=float(all_of[arm].median()),
            baseline=float(halves.median()),
        )
        best = max(best, one, key=lambda found: found.value)
    return best


def clustered(tokens: int, size: int, square: float, draws: torch.Generator) -> Tensor:
    """Points in clusters of `size` around directions drawn evenly, all of one length: [1, tokens, 32]."""
    centres = F.normalize(torch.randn(tokens // size, 1, 32, generator=draws), dim=-1)
    noise = 0.1 * torch.randn(tokens // size, size, 32, generator=draws) / 32**0.5
    return F.normalize(centres + noise, dim=-1).flatten(0, 1)[None] * square**0.5


def lead_in_clusters(by_chance: bool, seed: int, budget: str) -> Measured:
    """The lead on made clusters: the median over draws."""
    tokens, repeats = by_budget(budget, smoke=(128, 1), lesson=(1024, 5))
    b, found = tokens // 8, []
    draws = torch.Generator().manual_seed(seed)
    for _ in range(repeats):
        x = clustered(tokens, 32, 3.0, draws)
        exact = exact_map(x, x)
        support = random_support(x, x, b, draws) if by_chance else largest_support(x, x, b)
        ours = relative_error(sum_map(x, x, orthogonal_rows(b // 2, 32, draws), support), exact)
        halves = (
            relative_error(low_rank_map(x, x, orthogonal_rows(b, 32, draws)), exact),
            relative_error(sparse_map(x, x, largest_support(x, x, 2 * b)), exact),
        )
        found.append((float(min(halves) / ours), float(ours), float(min(halves))))
    return Measured(*sorted(found)[len(found) // 2])


def worst_against_features(naive: bool, seed: int, budget: str) -> float:
    """The largest error of the sum over that of its features alone, of all heads and draws, unnormalised."""
    tokens, b, repeats = by_budget(budget, smoke=(24, 4, 1), lesson=(128, 16, 8))
    draws, worst = torch.Generator().manual_seed(seed), 0.0
    q, k = (x.double() for x in head_inputs(seed, 2, tokens, 1.0))
    exact = (q @ k.mT).exp()
    for _ in range(repeats):
        rows = orthogonal_rows(b // 2, 32, draws)
        support = hashed_support(q, k, b, torch.randn(1, 34, generator=draws))
        alone = features_map(q, k, rows)
        ours = alone + exact_part(q, k, support) if naive else unnormalised_map(q, k, rows, support)
        worst = max(worst, float((relative_error(ours, exact) / relative_error(alone, exact)).max()))
    return worst


# As in the source's T2T-ViT: 3136 tokens in heads of 64, 49 of them exact, 24 features.
TOKENS, DIM, WINDOW, FEATURES = 3136, 64, 49, 24


def kept_numbers(run: Callable[[], Tensor], inputs: tuple[Tensor, ...]) -> int:
    """How many numbers a computation keeps for its way back, besides its inputs; a place is a number, too."""
    kept: dict[int, int] = {}
    known = {x.untyped_storage().data_ptr() for x in inputs}

    def keep(x: Tensor) -> Tensor:
        place = x.untyped_storage().data_ptr()
        if place not in known:
            kept[place] = x.untyped_storage().nbytes() // x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = run()
    total = sum(kept.values())
    del out  # the storages must live until they are counted
    return total


def memory(at_once: bool, seed: int, budget: str) -> Measured:
    """Numbers kept, over those of one whole matrix. at_once: the features of all pairs of the support are
    picked before they are multiplied."""
    tokens, window = by_budget(budget, smoke=(64, 9), lesson=(TOKENS, WINDOW))
    draws = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(tokens, DIM, generator=draws).mul_(DIM**-0.25).requires_grad_() for _ in range(3))
    rows, support = orthogonal_rows(FEATURES // 2, DIM, draws), window_support((tokens,), window)

    def picked() -> Tensor:
        (phi_q, _), (phi_k, _) = positive_features(q, rows), positive_features(k, rows, shared=True)
        return (phi_q[:, None] * phi_k[support.keys]).sum(-1)

    def cheap() -> Tensor:
        return sparse_low_rank(q, k, v, rows, support)

    ours = kept_numbers(picked if at_once else cheap, (q, k, v, rows))
    return Measured(ours / tokens**2, system=ours, baseline=tokens**2)


REGIMES = (
    "sparse and low-rank approximations excel in different regimes, set by the softmax temperature, and "
    "their sum can beat both"
)
LOWER = "2.1 times lower error than baselines, in BigGAN and T2T-ViT"

SYSTEM = System(
    key="scatterbrain",
    claims=[
        Claim(
            "diffuse",
            says="With scores a tenth as large as trained (β = 0.1), random features have the lowest error "
            "in half of the heads. Of 256 keys, sparse stores the 64 largest weights of each row, low "
            "rank 64 random features, the sum 32 of each. The control has scores twice as large as trained.",
            paper=REGIMES,
            unit="of the heads",
            bar=AtLeast(0.5),
            measure=partial(wins_alone, "low rank", 0.1),
            control=partial(wins_alone, "low rank", 2.0),
            provenance="counted",
        ),
        Claim(
            "sharp",
            says="With scores twice as large as trained (β = 2), sparse has the lowest error in half of the "
            "heads. The control has scores a tenth as large as trained.",
            paper=REGIMES,
            unit="of the heads",
            bar=AtLeast(0.5),
            measure=partial(wins_alone, "sparse, largest", 2.0),
            control=partial(wins_alone, "sparse, largest", 0.1),
            provenance="counted",
        ),
        Claim(
            "middle",
            says="In between, with scores multiplied by a β between 0.25 and 0.5, there is a β at which the "
            "sum has a lower error than sparse and than random features in 40 % of the heads. The control "
            "adds the exact weights without subtracting what the features say.",
            paper=REGIMES,
            unit="of the heads",
            bar=AtLeast(0.4),
            measure=partial(wins_in_the_middle, "sum, largest"),
            control=partial(wins_in_the_middle, "naive, largest"),
            provenance="counted",
        ),
        Claim(
            "lower-error",
            says="With pairs picked by a hash, the better of sparse and random features, chosen head by "
            "head, has 2.1 times the error of the sum: the median of 48 ratios, at the best of six β. The "
            "control picks by chance.",
            paper=LOWER,
            unit="(error of the better one / error of the sum)",
            against="relative error, the better of sparse and random features",
            bar=AtLeast(2.1, null=1),
            measure=partial(lead, "sum, hash", "sparse, hash"),
            control=partial(lead, "sum, chance", "sparse, hash"),
            provenance="counted",
        ),
        Claim(
            "lower-error-at-best",
            says="With the largest scores as pairs, which no hash can know, the better of sparse and random "
            "features, chosen head by head, has 2.1 times the error of the sum: the median of 48 ratios, at "
            "the best of six β. The control does not subtract what the features say.",
            paper=LOWER + "; the choice of pairs is ours",
            unit="(error of the better one / error of the sum)",
            against="relative error, the better of sparse and random features",
            bar=AtLeast(2.1, null=1),
            measure=partial(lead, "sum, largest", "sparse, largest"),
            control=partial(lead, "naive, largest", "sparse, largest"),
            provenance="counted",
        ),
        Claim(
            "lower-error-in-clusters",
            says="On 1024 made points in clusters of 32, with squared length 3, and 256 weights or features "
            "a row, the better of sparse and random features has 2.1 times the error of the sum. Pairs are "
            "the largest scores. The control picks by chance.",
            paper=LOWER + "; ours: data on which it can hold",
            unit="(error of the better one / error of the sum)",
            against="relative error, the better of sparse and random features",
            bar=AtLeast(2.1, null=1),
            measure=partial(lead_in_clusters, False),
            control=partial(lead_in_clusters, True),
            provenance="counted",
        ),
        Claim(
            "never-worse",
            says="Before rows are divided by their sums, the error of the sum is never above that of the "
            "same features alone, in any head and any draw: on the support it is 0. The value is the largest "
            "ratio of the two. After the division, or against twice as many features, the sum may be worse. "
            "The control does not subtract.",
            paper="unbiased, with provably lower error",
            unit="(error of the sum / error of its features alone)",
            bar=AtMost(1 + 1e-9),
            measure=partial(worst_against_features, False),
            control=partial(worst_against_features, True),
            provenance="counted",
        ),
        Claim(
            "memory",
            says="For 3136 tokens, with 49 exact keys and 24 features, the numbers that a head keeps for the "
            "way back are at most 2 % of those of one whole matrix. The control picks the features of all "
            "pairs before it multiplies them.",
            paper="98 % of attention memory is saved in T2T-ViT; window and features are those of its code",
            unit="of the matrix",
            against="numbers, whole matrix",
            bar=AtMost(0.02, null=1),
            measure=partial(memory, False),
            control=partial(memory, True),
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "accuracy",
            says="In the place of full attention in a trained T2T-ViT, without further training, it gets "
            "81.1 % of ImageNet right, where full attention gets 81.7 %.",
            paper="81.1 %, against 80.6 % (sparse), 77.8 to 79.0 % (low rank) and 81.7 % (full)",
            unit="% right",
            bar=AtLeast(81.1),
            needs="hardware",
        ),
    ],
    deviations=[
        "The setting of `lower-error-in-clusters` was found by a small search on other seeds; it shows where "
        "the verdict flips, with pairs that an oracle picks.",
        "No T2T-ViT, BigGAN, language model or long-range benchmark: the matrices are those of 48 trained "
        "heads that read prose, and made clusters. β, the inverse temperature, is turned by hand.",
        "Sums over pairs run over the support's columns on a CPU; the source has CUDA kernels.",
        "A window on a map is a square of pixels; the source's is a stretch of the sequence.",
        "Hash clusters that do not divide the tokens overlap at the end; the source pads.",
        "A pair found by several rounds counts once; the source divides it among the rounds.",
        "In the source's hashed variant dropout takes the difference of exact and features; here, as in its "
        "windowed one, the exact term alone.",
        "Random draws are made once and kept with the weights, those of the hash as well; the source draws "
        "the hash anew at every call.",
        "No causal attention and no masks of padding.",
        "Paper scale: pretrained T2T-ViT on ImageNet, BigGAN, and training on Wikitext-103 and the "
        "long-range arena.",
    ],
)

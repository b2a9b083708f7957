"""How far apart two populations of filters are: the published shift, and the shift without its bias.

The shift D of two finite samples of *one* population is not zero, but about 2 (B - 1) / n with B bins and n
filters in each: small groups look far apart. And filters of one model are relatives, not independent draws,
so that what varies is models. `debiased_shift` therefore takes models, subtracts the shift between two
halves of the same models, resamples models for its interval, and exchanges models for its null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.probes.filter_components import BINS, Components, components, counted
from workbench.probes.filter_sets import Filters, models_of

Floats = NDArray[np.float64]
EMPTY = float(np.finfo(np.float32).eps)  # the density of an empty bin
HALVINGS = 8
LEVEL = 0.95


def distributions(counts: NDArray[Any], width: float) -> Floats:
    """Counts [..., bins] as shares that are nowhere zero: [..., bins].

    Counts become densities over bins of that width, an empty bin gets the density of float32's epsilon, and
    all are divided by their sum.
    """
    totals = counts.sum(axis=-1, keepdims=True)
    density = counts / (totals * width)
    density = np.where(density == 0, EMPTY, density)
    return density / density.sum(axis=-1, keepdims=True)


def divergence(P: Floats, Q: Floats, ratios: Floats) -> Floats:
    """D = Σ_i ratios_i [KL(p_i‖q_i) + KL(q_i‖p_i)] of shares [..., p, bins], in nats.

    Both divergences together are Σ (p - q) (log p - log q), in which no term is negative.
    """
    both = ((P - Q) * (np.log(P) - np.log(Q))).sum(axis=-1)
    return both @ ratios


def shift(first: Filters, second: Filters, along: Components | None = None, bins: int = BINS) -> float:
    """The published shift D between two populations of filters, as it is, with its bias (see `shift_bias`).

    first, second: [n, *k] each. along: the components of all filters that are compared in one study;
    without them, those of these two populations together. Filters are scaled by their largest magnitude,
    coefficients counted in `bins` bins over one range, and the divergences weighted by the explained
    variance.

    >>> X = np.random.default_rng(0).normal(size=(200, 3, 3))
    >>> shift(X, X[::-1]), round(shift(X, 5 * X), 9)
    (0.0, 0.0)
    """
    one, other = _all(first), _all(second)
    along = along or components(_joined([one, other]))
    width = (along.high - along.low) / bins
    P, Q = (distributions(along.histograms(some, bins), width) for some in (one, other))
    return float(divergence(P, Q, along.ratios))


def shift_bias(n: int, other: int | None = None, bins: int = BINS) -> float:
    """The shift that two independent samples of one population show on average: (B - 1) (1/n + 1/m).

    n, other: filters in each sample, default alike, which makes it 2 (B - 1) / n. It holds where all bins
    are well filled; below some thousand filters, empty bins add to it.
    """
    m = n if other is None else other
    if min(n, m) < 1 or bins < 2:
        raise WorkbenchError(
            f"expected samples of at least one filter and two bins or more, but {n}, {m} and {bins} came"
        )
    return (bins - 1) * (1 / n + 1 / m)


@dataclass(frozen=True)
class Shift:
    """What `debiased_shift` found.

    value: the shift without the bias of finite samples; around 0 for one population, below it by chance.
    raw: the published shift of samples of n filters. bias: the shift between halves of the same models,
    which was subtracted. n: filters in each sample. models: how many each population has. low, high: 95 %
    of what as many other models of the same kinds would give, None where a population has one model. null:
    values after exchanging models at random between the populations, empty where fewer than three models
    are there.
    """

    value: float
    raw: float
    bias: float
    n: int
    models: tuple[int, int]
    low: float | None
    high: float | None
    null: Floats = field(repr=False, compare=False)

    @property
    def limit(self) -> float | None:
        """The value that 95 % of the exchanges stay below."""
        return float(np.quantile(self.null, LEVEL)) if len(self.null) else None

    @property
    def p_value(self) -> float | None:
        """How often an exchange of models makes a shift as large."""
        return float((1 + (self.null >= self.value).sum()) / (1 + len(self.null))) if len(self.null) else None


def debiased_shift(
    first: Filters | Sequence[Filters],
    second: Filters | Sequence[Filters],
    along: Components | None = None,
    *,
    n: int | None = None,
    bins: int = BINS,
    resamples: int = 200,
    seed: int = 0,
) -> Shift:
    """The shift between two populations of models without the bias of finite samples.

    first, second: one array of filters [n, *k] (or `FilterSet`) for each model. along: as for `shift`.
    n: filters in each sample, the same for both, equally many from each model; default as many as both
    have. resamples: of models for the interval, and exchanges for the null; 0 leaves both out.

    Each model's filters are halved at random. Let A, A′ and B, B′ be the halves of both populations. Then
    value = mean D(A or A′, B or B′) - (D(A, A′) + D(B, B′)) / 2, averaged over several halvings: what
    chance adds to each term cancels. What does not cancel are bins that one population fills and the other
    hardly does: where populations do differ, the value still falls with n. So compare at one n, of 4000 or
    more.
    """
    populations = [models_of(first), models_of(second)]
    along = along or components(_joined(populations[0] + populations[1]))
    groups = [len(models) for models in populations]
    n, each = _sample_size(populations, n)
    stream = np.random.default_rng([seed, *groups, n])
    width = (along.high - along.low) / bins
    places = [along.places(model, bins) for models in populations for model in models]
    halvings = [_halves(places, each, bins, stream) for _ in range(HALVINGS)]
    of_first, of_second = np.arange(groups[0]), np.arange(groups[0], sum(groups))

    def estimate(halving: int, a: NDArray[Any], b: NDArray[Any]) -> Floats:
        """Raw shift and bias of the populations made of the models a and b."""
        counts = halvings[halving % HALVINGS]
        A, B = (
            distributions(counts[side][some].sum(axis=0), width) for side, some in enumerate((a, b))
        )  # [2 halves, p, bins] each
        across = np.mean([divergence(A[i], B[j], along.ratios) for i in range(2) for j in range(2)])
        within = [divergence(half[0], half[1], along.ratios) for half in (A, B)]
        return np.array([across, np.mean(within)])

    raw, bias = np.mean([estimate(i, of_first, of_second) for i in range(HALVINGS)], axis=0)
    low = high = None
    if resamples and min(groups) > 1:
        drawn = [
            estimate(i, stream.choice(of_first, groups[0]), stream.choice(of_second, groups[1]))
            for i in range(resamples)
        ]
        values = np.array([across - within for across, within in drawn])
        ends = np.quantile(values - values.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = (raw - bias + ends).tolist()
    null = []
    for i in range(resamples if sum(groups) > 2 else 0):
        order = stream.permutation(sum(groups))
        across, within = estimate(i, order[: groups[0]], order[groups[0] :])
        null.append(across - within)
    return Shift(
        float(raw - bias), float(raw), float(bias), n, (groups[0], groups[1]), low, high, np.array(null)
    )


def _sample_size(populations: list[list[Any]], n: int | None) -> tuple[int, tuple[int, int]]:
    """Filters in a sample, and how many of them each model of the first and of the second population gives.

    Any model may come to stand in either population, so the smallest one limits both.
    """
    half = min(len(model) for models in populations for model in models) // 2
    counts = [len(models) for models in populations]
    wanted = half * min(counts) if n is None else n
    each = (wanted // counts[0], wanted // counts[1])
    if min(each) < 1 or max(each) > half:
        raise WorkbenchError(
            f"populations of {counts[0]} and {counts[1]} models with at least {2 * half} filters each allow "
            f"samples of {max(counts)} to {half * min(counts)} filters, but n = {wanted} came"
        )
    return min(each[0] * counts[0], each[1] * counts[1]), each


def _halves(
    places: list[NDArray[np.int32]], each: tuple[int, int], bins: int, stream: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Counts of two disjoint random parts of each model's filters: for both sides [models, 2, p, bins]."""
    sides: tuple[list[Any], list[Any]] = ([], [])
    for model in places:
        order = stream.permutation(len(model))[: 2 * max(each)]
        for side, m in zip(sides, each, strict=True):
            side.append([counted(model[order[:m]], bins), counted(model[order[m : 2 * m]], bins)])
    return [np.array(side) for side in sides]


@dataclass(frozen=True)
class Shifts:
    """Shifts between all pairs of several populations.

    names: of the populations. pairs: what was found for two of them, by (row, column) with row < column.
    """

    names: tuple[str, ...]
    pairs: Mapping[tuple[int, int], Shift] = field(repr=False)

    def matrix(self, what: str = "value") -> Floats:
        """One number of each pair, symmetric: [populations, populations].

        what: value, raw, bias, low, high, limit or p_value. The diagonal, and what is not known of a pair, is
        NaN.
        """
        M = np.full((len(self.names),) * 2, np.nan)
        for (i, j), found in self.pairs.items():
            number = getattr(found, what)
            M[i, j] = M[j, i] = np.nan if number is None else number
        return M

    def in_null(self, i: int, j: int) -> bool | None:
        """Whether the shift of a pair is one that exchanges of models make, too; None if it has no null."""
        found = self.pairs[min(i, j), max(i, j)]
        return None if found.limit is None else found.value <= found.limit


def shifts(
    populations: Mapping[str, Filters | Sequence[Filters]], along: Components | None = None, **options: Any
) -> Shifts:
    """`debiased_shift` between all pairs of populations, along the components of all of them together.

    populations: by name, one array of filters (or `FilterSet`) for each model. options: as for
    `debiased_shift`; give n, so that all pairs are compared at the same one.
    """
    if len(populations) < 2:
        raise WorkbenchError(f"a comparison needs at least two populations, but {len(populations)} came")
    models = {str(name): models_of(population) for name, population in populations.items()}
    along = along or components(_joined([model for several in models.values() for model in several]))
    names = tuple(models)
    pairs = {
        (i, j): debiased_shift(models[names[i]], models[names[j]], along, **options)
        for i, j in combinations(range(len(names)), 2)
    }
    return Shifts(names, pairs)


def _all(population: Filters) -> NDArray[Any]:
    return np.concatenate(models_of(population))


def _joined(models: list[Any]) -> NDArray[Any]:
    return np.concatenate(models_of(models))

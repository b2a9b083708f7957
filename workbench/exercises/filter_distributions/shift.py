"""How far apart two populations of filters are: scaled, along common axes, in common bins, both ways."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

EMPTY = float(np.finfo(np.float32).eps)


def shift(first: np.ndarray, second: np.ndarray, bins: int) -> float:
    X = np.concatenate([first, second]).reshape(-1, 9)
    top = np.abs(X).max(axis=1, keepdims=True)
    X = X / np.where(top == 0, 1, top)
    X = X - X.mean(axis=0)
    variances, axes = np.linalg.eigh(X.T @ X)
    C = X @ axes
    edges = np.linspace(-np.abs(C).max(), np.abs(C).max(), bins + 1)
    D = 0.0
    for variance, c in zip(variances, C.T, strict=True):
        p, q = shares(c[: len(first)], edges), shares(c[len(first) :], edges)
        D += variance * ((p - q) * np.log(p / q)).sum()
    return float(D / variances.sum())


def shares(c: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """A histogram as shares that are nowhere zero."""
    density = np.histogram(c, edges)[0] / (len(c) * (edges[1] - edges[0]))
    density[density == 0] = EMPTY
    return density / density.sum()


def by_both_divergences(first, second, bins):
    """Singular vectors for the axes, and each of the two divergences by itself."""
    X = [np.array([f / (np.abs(f).max() or 1) for f in some.reshape(-1, 9)]) for some in (first, second)]
    middle = np.concatenate(X).mean(axis=0)
    _, s, axes = np.linalg.svd(np.concatenate(X) - middle)
    both = [(some - middle) @ axes.T for some in X]
    m = max(np.abs(c).max() for c in both)
    total = 0.0
    for i, length in enumerate(s):
        p, q = (shares(c[:, i], np.linspace(-m, m, bins + 1)) for c in both)
        total += length**2 * (sum(p * np.log(p / q)) + sum(q * np.log(q / p)))
    return total / sum(s**2)


def bin_by_bin(first, second, bins):
    """Numbers of bins by arithmetic, counted one by one."""
    X = np.concatenate([first, second]).reshape(-1, 9)
    X = X / np.maximum(np.abs(X).max(axis=1, keepdims=True), 1e-300)
    variances, axes = np.linalg.eigh(np.cov(X.T, bias=True))
    C = (X - X.mean(axis=0)) @ axes
    m = np.abs(C).max()
    places = np.minimum((C + m) / (2 * m) * bins, bins - 1).astype(int)
    D = 0.0
    for i in range(9):
        density = np.zeros((2, bins))
        for row, place in enumerate(places[:, i]):
            group = int(row >= len(first))
            density[group, place] += 1 / (len(second) if group else len(first)) * bins / (2 * m)
        density[density == 0] = EMPTY
        p, q = density / density.sum(axis=1, keepdims=True)
        D += variances[i] * np.sum((p - q) * (np.log(p) - np.log(q)))
    return D / variances.sum()


# Mistakes ---------------------------------------------------------------------------------------


def scaled(X):
    top = np.abs(X).max(axis=1, keepdims=True)
    return X / np.where(top == 0, 1, top)


def both_ways(p, q):
    return ((p - q) * np.log(p / q)).sum()


def compared(pair, bins, histogram=shares, divergence=both_ways, *, centred=True, weighted=True):
    """The reference behind the scaling, with parts that can be exchanged."""
    n, both = len(pair[0]), np.concatenate(pair)
    both = both - both.mean(axis=0) * centred
    variances, axes = np.linalg.eigh(both.T @ both)
    C = both @ axes
    edges = np.linspace(-np.abs(C).max(), np.abs(C).max(), bins + 1)
    columns = [(histogram(c[:n], edges), histogram(c[n:], edges)) for c in C.T]
    weights = variances / variances.sum() if weighted else np.full(9, 1 / 9)
    return float(sum(w * divergence(p, q) for w, (p, q) in zip(weights, columns, strict=True)))


def flat(first, second):
    return first.reshape(-1, 9), second.reshape(-1, 9)


def patterns(first, second):
    return [scaled(some) for some in flat(first, second)]


def own_axes(first, second, bins):
    X, Y = (some - some.mean(axis=0) for some in patterns(first, second))
    (variances, axes), (_, other) = np.linalg.eigh(X.T @ X), np.linalg.eigh(Y.T @ Y)
    C, E = X @ axes, Y @ other
    m = max(np.abs(C).max(), np.abs(E).max())
    edges = np.linspace(-m, m, bins + 1)
    found = [both_ways(shares(c, edges), shares(e, edges)) for c, e in zip(C.T, E.T, strict=True)]
    return float(variances @ found / variances.sum())


def own_range(first, second, bins):
    def histogram(c, edges):
        top = np.abs(c).max()
        return shares(c, np.linspace(-top, top, len(edges)) if top else edges)

    return compared(patterns(first, second), bins, histogram)


def range_of_each_component(first, second, bins):
    X = np.concatenate(patterns(first, second))
    X = X - X.mean(axis=0)
    variances, axes = np.linalg.eigh(X.T @ X)
    total = 0.0
    for variance, c in zip(variances, (X @ axes).T, strict=True):
        edges = np.linspace(-np.abs(c).max(), np.abs(c).max(), bins + 1)
        total += variance * both_ways(shares(c[: len(first)], edges), shares(c[len(first) :], edges))
    return float(total / variances.sum())


def one_way(first, second, bins):
    def divergence(p, q):
        return (p * np.log(p / q)).sum()

    return compared(patterns(first, second), bins, divergence=divergence)


def by_the_layer(first, second, bins):
    return compared([some / (np.abs(some).max() or 1) for some in flat(first, second)], bins)


def not_scaled(first, second, bins):
    return compared(flat(first, second), bins)


def scaled_to_unit_length(first, second, bins):
    lengths = [np.linalg.norm(some, axis=1, keepdims=True) for some in flat(first, second)]
    pairs = zip(flat(first, second), lengths, strict=True)
    return compared([some / np.where(length == 0, 1, length) for some, length in pairs], bins)


def not_centred(first, second, bins):
    return compared(patterns(first, second), bins, centred=False)


def all_components_alike(first, second, bins):
    return compared(patterns(first, second), bins, weighted=False)


def empty_bins_left_out(first, second, bins):
    def histogram(c, edges):
        return np.histogram(c, edges)[0] / len(c)

    def divergence(p, q):
        there = (p > 0) & (q > 0)
        return both_ways(p[there], q[there])

    return compared(patterns(first, second), bins, histogram, divergence)


def eps_as_a_share(first, second, bins):
    def histogram(c, edges):
        p = np.histogram(c, edges)[0] / len(c)
        p[p == 0] = EMPTY
        return p / p.sum()

    return compared(patterns(first, second), bins, histogram)


def zeros_dropped(first, second, bins):
    alive = [some[np.abs(some).max(axis=1) > 0] for some in flat(first, second)]
    return compared(list(map(scaled, alive)), bins)


# The exercise -----------------------------------------------------------------------------------


def drawn(n: int, seed: int, tilt: float, zeros: int = 0) -> np.ndarray:
    """Filters [n, 3, 3] of any loudness, some of which lean to one side, and a few of zeros."""
    stream = np.random.default_rng(seed)
    X = stream.normal(size=(n, 3, 3)) + tilt * stream.normal(size=(n, 1, 1)) * np.array([-1.0, 0.2, 1.1])
    X = (X + 0.3) * np.exp(stream.normal(size=(n, 1, 1)))
    X[:zeros] = 0
    return X


@st.composite
def groups(draw: st.DrawFn) -> tuple[Any, ...]:
    """Two groups of unequal size, some filters being zero."""
    seed = draw(st.integers(0, 2**16))
    sizes = draw(st.integers(20, 120)), draw(st.integers(20, 120))
    tilts = draw(st.floats(0, 2)), draw(st.floats(0, 2))
    zeros = draw(st.integers(0, 3))
    first, second = (drawn(sizes[i], seed + i, tilts[i], zeros * i) for i in range(2))
    return first, second, draw(st.integers(5, 70))


EXERCISE = Exercise(
    "filter-distributions/shift",
    shift,
    groups(),
    signature="shift(first, second, bins) -> float",
    ask="""
    `first` [n, 3, 3] and `second` [m, 3, 3] are filters of two populations. Divide every filter by its own
    largest magnitude; a filter of zeros stays as it is. Find the nine principal components of *all* of them
    together. Count the coefficients of each population along each component in `bins` bins from -c to c,
    where c is the largest magnitude of all coefficients. Counts become densities, count / (number of filters
    · width of a bin); an empty bin gets the density `np.finfo(np.float32).eps`; then a population's densities
    are divided by their sum. Return D = Σᵢ wᵢ [KL(pᵢ, qᵢ) + KL(qᵢ, pᵢ)], where wᵢ is the share of the
    variance along component i, KL(p, q) = Σ p ln(p / q), and p and q are the two populations.
    """,
    examples=[
        (drawn(60, 1, 0.0), drawn(40, 2, 1.5), 20),
        (drawn(30, 3, 1.0, zeros=2), drawn(90, 4, 1.0, zeros=5), 70),
        (drawn(25, 5, 0.5), 3 * drawn(25, 5, 0.5)[::-1], 10),
        (drawn(100, 6, 2.0)[:, ::-1], drawn(20, 7, 0.0), 2),
    ],
    wrong_answers={
        "each population has principal components of its own": (
            own_axes,
            "The first coefficient of one population is then along another pattern than the first one of the "
            "other: the axes differ. What do you compare?",
        ),
        "each population has a range of its own": (
            own_range,
            "Bin 7 of one histogram then holds other coefficients than bin 7 of the other. A population that "
            "is twice as spread out would look the same.",
        ),
        "each component has a range of its own": (
            range_of_each_component,
            "c is the largest magnitude of all coefficients, along all nine components. Where do you take "
            "the maximum?",
        ),
        "one divergence instead of both": (
            one_way,
            "Exchange the two populations. Does your number stay the same?",
        ),
        "a population is divided by its largest weight": (
            by_the_layer,
            "A loud filter and a quiet one with the same pattern should be the same point. By which maximum "
            "do you divide, that of the population or that of the filter?",
        ),
        "filters are not scaled": (
            not_scaled,
            "Multiply one filter by ten. Its pattern is the same. Is your shift?",
        ),
        "filters are scaled to unit length": (
            scaled_to_unit_length,
            "Divide by the largest magnitude of the filter's nine weights, not by its Euclidean length.",
        ),
        "the mean is not subtracted": (
            not_centred,
            "Principal components are directions of the *variance*: from where are the deviations counted?",
        ),
        "all components count alike": (
            all_components_alike,
            "The last component hardly varies, and its histogram is mostly noise. Which weight has it in D?",
        ),
        "empty bins are left out": (
            empty_bins_left_out,
            "A bin that one population fills and the other one never reaches is where they differ most.",
        ),
        "eps is put into shares instead of densities": (
            eps_as_a_share,
            "First densities, count / (filters · width of a bin), then eps where they are 0, then the "
            "division by the sum. In which order do you go?",
        ),
        "filters of zeros are dropped": (
            zeros_dropped,
            "A dead filter is a finding. Divide by 1 where the largest magnitude is 0, and keep it.",
        ),
    },
    also_right=[by_both_divergences, bin_by_bin],
    hints=[
        "One array with all filters as rows of nine: scale the rows, subtract the mean row, and "
        "`np.linalg.eigh(X.T @ X)` gives variances and axes. `X @ axes` are all coefficients.",
        "`np.histogram(c, edges)[0]` counts. Use the same `edges = np.linspace(-c, c, bins + 1)` throughout.",
        "Both divergences together are `((p - q) * np.log(p / q)).sum()`. Add them up with the variances as "
        "weights, and divide by the sum of the variances.",
    ],
    explanation="""
    All filters share the axes, the range and the bins, so that whatever differs between p and q differs
    between the populations. No term of (p - q) ln(p / q) is negative, so D is zero only where all histograms
    agree. For two finite samples of one population they never quite do: D is then about
    (bins - 1)(1/n + 1/m), and that has to be subtracted before anything is said about small groups.
    """,
    rtol=1e-6,
)

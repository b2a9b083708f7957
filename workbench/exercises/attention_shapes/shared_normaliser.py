"""Exact weights on a support and random features elsewhere, with one sum for both."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]


def shared_normaliser(
    scores: np.ndarray,
    support: np.ndarray,
    phi_q: np.ndarray,
    phi_k: np.ndarray,
    scale_q: np.ndarray,
    scale_k: float,
) -> np.ndarray:
    rough = np.log(phi_q @ phi_k.T) + scale_q[:, None] + scale_k
    logs = np.where(support, scores, rough)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def as_the_source(scores, support, phi_q, phi_k, scale_q, scale_k):
    """Exact part and rest are summed apart, then joined by logaddexp."""
    rough = phi_q @ phi_k.T
    scale = (scale_q + scale_k)[:, None]
    hidden = np.where(support, scores, -np.inf)
    top = np.maximum(hidden.max(axis=1, keepdims=True), -1e300)
    with np.errstate(divide="ignore"):
        exact = top + np.log(np.exp(hidden - top).sum(axis=1, keepdims=True))
        rest = np.log(np.where(support, 0, rough).sum(axis=1, keepdims=True)) + scale
    log_sum = np.logaddexp(exact, rest)
    weights = np.zeros(scores.shape)
    for i, j in np.ndindex(scores.shape):
        log = scores[i, j] if support[i, j] else np.log(rough[i, j]) + scale[i, 0]
        weights[i, j] = np.exp(log - log_sum[i, 0])
    return weights


def row_by_row(scores, support, phi_q, phi_k, scale_q, scale_k):
    """Ratios to the largest term of each row; nothing else is exponentiated."""
    out = []
    for i, row in enumerate(support):
        rough = [np.log(np.sum(phi_q[i] * k)) + scale_q[i] + scale_k for k in phi_k]
        logs = np.array([s if seen else r for s, seen, r in zip(scores[i], row, rough, strict=True)])
        out.append(np.exp(logs - np.logaddexp.reduce(logs)))
    return np.array(out)


def _parts(scores, support, phi_q, phi_k, scale_q, scale_k):
    """Exact weights on the support, rough ones everywhere, both over the exponential of a row's largest."""
    rough = np.log(phi_q @ phi_k.T) + scale_q[:, None] + scale_k
    top = np.maximum(np.where(support, scores, -np.inf), rough).max(axis=1, keepdims=True)
    return np.where(support, np.exp(np.minimum(scores - top, 0)), 0), np.exp(rough - top)


def never_subtracted(scores, support, phi_q, phi_k, scale_q, scale_k):
    exact, rough = _parts(scores, support, phi_q, phi_k, scale_q, scale_k)
    return (exact + rough) / (exact + rough).sum(axis=1, keepdims=True)


def halves_averaged(scores, support, phi_q, phi_k, scale_q, scale_k):
    rough = np.where(support, 0, phi_q @ phi_k.T)
    hidden = np.where(support, scores, -np.inf)
    exact = np.where(support, np.exp(scores - np.maximum(hidden.max(axis=1, keepdims=True), -1e300)), 0)
    halves = [x / np.maximum(x.sum(axis=1, keepdims=True), 1e-300) for x in (exact, rough)]
    return (halves[0] + halves[1]) / 2


def no_scales(scores, support, phi_q, phi_k, scale_q, scale_k):
    return shared_normaliser(scores, support, phi_q, phi_k, 0 * scale_q, 0.0)


def queries_scale_only(scores, support, phi_q, phi_k, scale_q, scale_k):
    return shared_normaliser(scores, support, phi_q, phi_k, scale_q, 0.0)


def scales_taken_off(scores, support, phi_q, phi_k, scale_q, scale_k):
    return shared_normaliser(scores, support, phi_q, phi_k, -scale_q, -scale_k)


def support_alone(scores, support, phi_q, phi_k, scale_q, scale_k):
    exact, rough = _parts(scores, support, phi_q, phi_k, scale_q, scale_k)
    return np.where(support, exact, rough) / np.maximum(exact.sum(axis=1, keepdims=True), 1e-300)


def divided_by_all_features(scores, support, phi_q, phi_k, scale_q, scale_k):
    exact, rough = _parts(scores, support, phi_q, phi_k, scale_q, scale_k)
    return np.where(support, exact, rough) / (exact + rough).sum(axis=1, keepdims=True)


def not_in_logarithms(scores, support, phi_q, phi_k, scale_q, scale_k):
    with np.errstate(all="ignore"):
        rough = phi_q @ phi_k.T * np.exp(scale_q[:, None] + scale_k)
        weights = np.where(support, np.exp(scores), rough)
        return weights / weights.sum(axis=1, keepdims=True)


def _drawn(rng: np.random.Generator, n: int, m: int, features: int, large: float, share: float) -> Case:
    """Scores about `large`, features whose products with their scales are not far from them."""
    scores = large + 2 * rng.standard_normal((n, m))
    phi_q, phi_k = rng.uniform(0.05, 1, (n, features)), rng.uniform(0.05, 1, (m, features))
    scale_q = large / 2 + 1 + rng.standard_normal(n)
    return scores, rng.random((n, m)) < share, phi_q, phi_k, scale_q, float(large / 2 - 1 + rng.random())


@st.composite
def rows(draw: st.DrawFn) -> Case:
    """A few queries and keys; supports from none to all; scores that no exponential can hold, too."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, m, features = (draw(st.integers(1, 6)) for _ in range(3))
    large = draw(st.sampled_from([0.0, 3.0, 900.0, -900.0]))
    return _drawn(rng, n, m, features, large, draw(st.sampled_from([0.0, 0.3, 0.6, 1.0])))


RNG = np.random.default_rng(9)

EXERCISE = Exercise(
    "attention-shapes/shared-normaliser",
    shared_normaliser,
    rows(),
    signature="shared_normaliser(scores, support, phi_q, phi_k, scale_q, scale_k) -> weights",
    ask="""
    Query i and key j have the score `scores[i, j]`. Where `support[i, j]` is True, the weight of the pair is
    the exponential of its score. Elsewhere it is what the random features say: the product of `phi_q[i]` and
    `phi_k[j]`, times the exponential of `scale_q[i] + scale_k`. Divide each row of weights by its sum, and
    return them: [n, m], rows that sum to 1. Shapes: `scores` and `support` (bool) [n, m], `phi_q` [n, f],
    `phi_k` [m, f] (all features are above 0), `scale_q` [n], `scale_k` one number; n, m and f are 1 or more.
    A row may have no key in the support, or all. Scores and scales may be near 900 or -900, and no
    exponential of those fits into float64: your result must not overflow, and must not be 0 / 0.
    """,
    examples=[
        _drawn(RNG, 3, 5, 4, 0.0, 0.4),
        _drawn(RNG, 2, 4, 3, 900.0, 0.5),
        _drawn(RNG, 4, 3, 2, -900.0, 0.5),
        _drawn(RNG, 2, 3, 2, 3.0, 0.0),
        _drawn(RNG, 2, 3, 2, 3.0, 1.0),
        _drawn(RNG, 1, 1, 1, 0.0, 0.5),
    ],
    wrong_answers={
        "nothing is subtracted": (
            never_subtracted,
            "A pair of the support counts twice: once by its score, and once more by its features.",
        ),
        "both halves are normalised and averaged": (
            halves_averaged,
            "How much of a row belongs to the support? Your answer is one half, whatever the scores.",
        ),
        "the scales are missing": (
            no_scales,
            "The features alone are not comparable with the exponential of a score. What multiplies them?",
        ),
        "the keys' scale is missing": (
            queries_scale_only,
            "The scale of a query is there. Features of keys have one, too.",
        ),
        "the scales have the wrong sign": (
            scales_taken_off,
            "A large scale stands for large features. Do yours become larger or smaller?",
        ),
        "the sum runs over the support alone": (
            support_alone,
            "Do your rows sum to 1? The pairs outside the support belong to the sum.",
        ),
        "the sum has all features in it": (
            divided_by_all_features,
            "Your weights are right, their sum is not: it still has the features of the support in it.",
        ),
        "the exponential of a score overflows": (
            not_in_logarithms,
            "Take logarithms of all weights first. Then subtract the largest one of a row before `np.exp`.",
        ),
    },
    also_right=[as_the_source, row_by_row],
    hints=[
        "Write down the logarithm of the weight of a pair, once for the support and once for elsewhere.",
        "Elsewhere it is `np.log(phi_q @ phi_k.T) + scale_q[:, None] + scale_k`. `np.where` joins the two.",
        "With logarithms `L`: `W = np.exp(L - L.max(axis=1, keepdims=True))`, then divide by the row sums.",
    ],
    explanation="""
    The whole point is that the two parts share one sum. How much of a row belongs to its exact part is not
    known before: it follows from the scores, from the features, and from scales that may differ by hundreds
    in the exponent. The layer does the same without a matrix: it adds up all features by one product, takes
    off those of the support, and joins both sums by `logaddexp`.
    """,
    rtol=1e-9,
    atol=1e-12,
)

"""How evenly the filters of a layer vary in all directions: variance entropy."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def entropy(layer: np.ndarray) -> float:
    X = layer.reshape(-1, 9)
    lengths = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    if not lengths.any():
        return 0.0
    p = lengths**2 / (lengths**2).sum()
    p = p[p > 0]
    return float(-(p * np.log10(p)).sum())


def by_covariance(layer):
    """Variances along the principal axes are the eigenvalues of the covariance."""
    if len(layer.reshape(-1, 9)) < 2:
        return 0.0
    variances = np.clip(np.linalg.eigvalsh(np.cov(layer.reshape(-1, 9).T)), 0, None)
    if variances.sum() == 0:
        return 0.0
    return sum(-v * np.log10(v) for v in variances / variances.sum() if v > 0)


def not_centred(layer):
    lengths = np.linalg.svd(layer.reshape(-1, 9), compute_uv=False)
    return of(lengths**2)


def lengths_instead_of_variances(layer):
    return of(singular(layer))


def natural_logarithm(layer):
    return entropy(layer) * np.log(10)


def bits(layer):
    return entropy(layer) / np.log10(2)


def scaled_filter_by_filter(layer):
    X = layer.reshape(-1, 9)
    top = np.abs(X).max(axis=1, keepdims=True)
    return entropy(X / np.where(top == 0, 1, top))


def centred_within_each_filter(layer):
    X = layer.reshape(-1, 9)
    lengths = np.linalg.svd(X - X.mean(axis=1, keepdims=True), compute_uv=False)
    return of(lengths**2)


def variance_of_each_weight(layer):
    return of(layer.reshape(-1, 9).var(axis=0))


def sign_forgotten(layer):
    return -entropy(layer)


def singular(layer):
    X = layer.reshape(-1, 9)
    return np.linalg.svd(X - X.mean(axis=0), compute_uv=False)


def of(values):
    if not values.any():
        return 0.0
    p = values / values.sum()
    p = p[p > 0]
    return float(-(p * np.log10(p)).sum())


def drawn(shape: tuple[int, ...], seed: int, tilt: float) -> np.ndarray:
    """A layer [c_out, c_in, 3, 3] whose filters vary more in one direction, some being louder."""
    stream = np.random.default_rng(seed)
    lean = tilt * stream.normal(size=(*shape, 1, 1)) * np.array([-1.0, 0.2, 1.1])
    return (stream.normal(size=(*shape, 3, 3)) + lean + 0.4) * np.exp(stream.normal(size=(*shape, 1, 1)))


@st.composite
def layers(draw: st.DrawFn) -> tuple[Any, ...]:
    """Layers of few and many filters."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return (drawn(shape, draw(st.integers(0, 2**16)), draw(st.floats(0, 3))),)


EXERCISE = Exercise(
    "filter-distributions/entropy",
    entropy,
    layers(),
    signature="entropy(layer) -> float",
    ask="""
    `layer` [c_out, c_in, 3, 3] holds the weights of a convolution, unscaled. Take its c_out · c_in filters as
    rows of nine numbers and subtract the mean row. p is the share of the variance along each principal axis.
    Return the variance entropy, -Σ p log₁₀ p, where 0 log₁₀ 0 = 0. Where nothing varies, return 0.
    """,
    examples=[
        (drawn((8, 4), 1, 0.0),),
        (drawn((2, 3), 2, 2.0),),
        (np.ones((3, 2, 3, 3)),),
        (np.eye(9).reshape(9, 1, 3, 3),),
    ],
    wrong_answers={
        "the mean is not subtracted": (
            not_centred,
            "Three equal filters do not vary at all. What does your function say of them?",
        ),
        "singular values are not squared": (
            lengths_instead_of_variances,
            "A singular value is a length, a variance is the square of one (over the number of filters).",
        ),
        "the natural logarithm": (
            natural_logarithm,
            "Nine equal shares should give log₁₀ 9. Which logarithm do you take?",
        ),
        "the logarithm to base 2": (
            bits,
            "Nine equal shares should give log₁₀ 9, and yours are counted in bits.",
        ),
        "every filter is scaled first": (
            scaled_filter_by_filter,
            "Scaling is for comparing populations. A layer that lives on a few loud filters should show it: "
            "leave the weights as they are.",
        ),
        "each filter's own mean is subtracted": (
            centred_within_each_filter,
            "The mean over filters (rows), not the mean over the nine weights of one filter.",
        ),
        "variances of the weights instead of the principal axes": (
            variance_of_each_weight,
            "Weights may vary together. Along the principal axes they do not.",
        ),
        "the minus sign is missing": (
            sign_forgotten,
            "The logarithm of a share is negative. An entropy is not.",
        ),
    },
    also_right=[by_covariance],
    hints=[
        "`layer.reshape(-1, 9)` has a filter in each row. The mean row is `X.mean(axis=0)`.",
        "`np.linalg.svd(X - mean, compute_uv=False)` gives singular values; their squares are proportional "
        "to the variances along the principal axes.",
        "Divide by the sum, leave out shares that are 0, then `-(p * np.log10(p)).sum()`. Ask first whether "
        "anything varies.",
    ],
    explanation="""
    With equal variance in all nine directions H is log₁₀ 9, with one direction 0. n filters drawn at random
    stay below log₁₀ 9, the more so the fewer they are: a few points cannot spread evenly by chance. So
    compare H with random layers of the same n.
    """,
    rtol=1e-6,
    atol=1e-9,
)

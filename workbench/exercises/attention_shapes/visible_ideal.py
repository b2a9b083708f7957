"""How well can a token know its region's value if it sees some tokens only? The ideal of a visible set."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def visible_ideal(visible: np.ndarray, labels: np.ndarray, noise: float) -> np.ndarray:
    same = labels[:, None] == labels[None, :]
    count = (visible & same).sum(axis=1)
    return noise**2 / (noise**2 + count)


def by_loops(visible: np.ndarray, labels: np.ndarray, noise: float) -> np.ndarray:
    """Reading by reading: each adds 1 / noise**2 to the precision, which begins at 1."""
    left = np.empty(len(labels))
    for token, row in enumerate(visible):
        precision = 1.0
        for other, seen in enumerate(row):
            if seen and labels[other] == labels[token]:
                precision += 1 / noise**2
        left[token] = 1 / precision
    return left


def by_conditioning(visible: np.ndarray, labels: np.ndarray, noise: float) -> np.ndarray:
    """A Gaussian process: the kernel is 1 inside a region and 0 between two; readings have noise."""
    K = (labels[:, None] == labels[None, :]).astype(float)
    left = np.ones(len(labels))
    for token, row in enumerate(visible):
        seen = np.flatnonzero(row)
        if seen.size:
            inside = K[np.ix_(seen, seen)] + noise**2 * np.eye(seen.size)
            left[token] -= K[token, seen] @ np.linalg.solve(inside, K[seen, token])
    return left


def _count(visible, labels):
    return (visible & (labels[:, None] == labels[None, :])).sum(axis=1)


def all_that_is_seen(visible, labels, noise):
    return noise**2 / (noise**2 + visible.sum(axis=1))


def the_whole_region(visible, labels, noise):
    return noise**2 / (noise**2 + (labels[:, None] == labels[None, :]).sum(axis=1))


def transposed(visible, labels, noise):
    return visible_ideal(visible.T, labels, noise)


def oneself_always(visible, labels, noise):
    return visible_ideal(visible | np.eye(len(labels), dtype=bool), labels, noise)


def plain_mean(visible, labels, noise):
    return noise**2 / np.maximum(_count(visible, labels), 1)


def variance_of_one(visible, labels, noise):
    return 1 / (1 + _count(visible, labels))


def not_squared(visible, labels, noise):
    return noise / (noise + _count(visible, labels))


def what_is_known(visible, labels, noise):
    return 1 - visible_ideal(visible, labels, noise)


def root(visible, labels, noise):
    return np.sqrt(visible_ideal(visible, labels, noise))


def averaged(visible, labels, noise):
    return np.full(len(labels), visible_ideal(visible, labels, noise).mean())


def from_the_mean_count(visible, labels, noise):
    return np.full(len(labels), noise**2 / (noise**2 + _count(visible, labels).mean()))


def nothing_seen_nothing_wrong(visible, labels, noise):
    return np.where(_count(visible, labels) == 0, 0.0, visible_ideal(visible, labels, noise))


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """A few tokens of a few regions, any visible set, noise of any size."""
    tokens, kinds = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    visible = generator.random((tokens, tokens)) < draw(st.sampled_from((0.2, 0.5, 0.9)))
    noise = draw(st.sampled_from((0.3, 0.8, 1.0, 2.0)))
    return visible, generator.integers(kinds, size=tokens), noise


def _fixed(tokens: int, kinds: int, noise: float) -> tuple[np.ndarray, np.ndarray, float]:
    generator = np.random.default_rng(tokens + 10 * kinds)
    return generator.random((tokens, tokens)) < 0.5, generator.integers(kinds, size=tokens), noise


EXERCISE = Exercise(
    "attention-shapes/visible-ideal",
    visible_ideal,
    maps(),
    signature="visible_ideal(visible, labels, noise) -> [tokens]",
    ask="""
    Token i belongs to the region `labels[i]` (int64 [tokens]). Each region has one value, drawn from a normal
    law with mean 0 and variance 1, and every token shows a reading: its region's value plus noise of its
    own, normal with mean 0 and standard deviation `noise`, a positive number. Token i may use the readings
    of those tokens j for which `visible[i, j]` is True (bool [tokens, tokens]; its own reading is one of
    them only if `visible[i, i]` is True), and it knows all labels. It answers with the best guess of its
    own region's value. Return for each token the mean squared error of that guess, float64 [tokens].
    """,
    examples=[
        _fixed(6, 2, 1.0),
        _fixed(7, 3, 2.0),
        _fixed(8, 2, 0.5),
        (np.zeros((3, 3), bool), np.array([0, 1, 0]), 1.0),
        (np.ones((4, 4), bool), np.array([0, 1, 1, 1]), 0.7),
        (
            np.array([[False, True, True], [False, True, False], [False, False, True]]),
            np.array([0, 0, 0]),
            2.0,
        ),
        (np.ones((1, 1), bool), np.array([5]), 1.0),
        (np.triu(np.ones((5, 5), bool)), np.array([0, 0, 1, 1, 0]), 0.6),
    ],
    wrong_answers={
        "all visible tokens count": (
            all_that_is_seen,
            "A reading of another region says nothing about your region's value. Count only those of the "
            "same label.",
        ),
        "the whole region counts": (
            the_whole_region,
            "Some tokens of the region are out of sight. Which readings may token i use?",
        ),
        "rows and columns of visible exchanged": (
            transposed,
            "`visible[i, j]`: i looks, j is looked at. Over which axis do you count?",
        ),
        "the own reading always counts": (
            oneself_always,
            "Whether a token sees its own reading stands on the diagonal of `visible`, like any other pair.",
        ),
        "the plain mean": (
            plain_mean,
            "noise² / count is the error of the plain mean. Values lie around 0, so a guess nearer to 0 is "
            "better, most of all where few readings are in sight.",
        ),
        "noise taken as 1": (
            variance_of_one,
            "With more noise each reading says less. Where is `noise` in your formula?",
        ),
        "noise not squared": (
            not_squared,
            "Variances add, standard deviations do not. `noise` is a standard deviation.",
        ),
        "what is known in place of what is left": (
            what_is_known,
            "More readings must make the error smaller. Yours grows: it is the part of the variance that the "
            "guess explains.",
        ),
        "the root of the error": (
            root,
            "The error is a mean of squares, and no root is asked for.",
        ),
        "one number for all tokens": (
            averaged,
            "Each token has its own visible set, so each has its own error. Do not average.",
        ),
        "from the mean count": (
            from_the_mean_count,
            "The error of the mean count is not the mean of the errors, and one number for each token is "
            "asked for.",
        ),
        "no reading, no error": (
            nothing_seen_nothing_wrong,
            "Who sees no reading of the region guesses 0. How far is the value from 0, squared, on average?",
        ),
    },
    also_right=[by_loops, by_conditioning],
    hints=[
        "First count: how many tokens are visible to i and have i's label? A comparison of `labels[:, None]` "
        "with `labels` says for each pair whether the labels are the same.",
        "The best guess is sum of these readings / (count + noise²): a mean, shrunk towards 0.",
        "What is left of the variance of 1 is noise² / (noise² + count).",
    ],
    explanation="""
    Precision is 1 / variance, and precisions add: 1 from the law of the values, 1 / noise² from each
    reading. So the error depends on nothing but the number of readings of the own region that are in sight.
    That is why a rule of who may see whom has an ideal before any network is trained.
    """,
    rtol=0,
    atol=1e-9,
)

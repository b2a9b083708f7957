"""What one module may tell the other: its belief without the part that had come from there."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def extrinsic(posterior: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return posterior * (1 - prior) / (prior + (1 - 2 * prior) * posterior)


def by_odds(posterior, prior):
    """Odds are divided."""
    odds = posterior / (1 - posterior) / (prior / (1 - prior))
    return odds / (1 + odds)


def by_log_odds(posterior, prior):
    """Log-odds are subtracted."""
    L = np.log(posterior) - np.log1p(-posterior) - np.log(prior) + np.log1p(-prior)
    return np.exp(-np.logaddexp(0, -L))


def full_marginal(posterior, prior):
    return posterior + 0.0


def product_with_the_prior(posterior, prior):
    return posterior * prior / (posterior * prior + (1 - posterior) * (1 - prior))


def one_prior_too_few(posterior, prior):
    return posterior * (1 - prior) / (prior + (1 - prior) * posterior)


def not_normalised(posterior, prior):
    return posterior / prior


def turned_round(posterior, prior):
    return extrinsic(prior, posterior)


def difference(posterior, prior):
    return posterior - prior


def odds_left_as_they_are(posterior, prior):
    return posterior / (1 - posterior) * (1 - prior) / prior


@st.composite
def beliefs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities well inside 0 and 1, of any shape with two axes."""
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.uniform(0.02, 0.98, shape), rng.uniform(0.02, 0.98, shape)


EXERCISE = Exercise(
    "filter-distributions/extrinsic-message",
    extrinsic,
    beliefs(),
    signature="extrinsic(posterior, prior) -> array",
    ask="""
    `prior` [rows, columns] holds what the neighbours said: for each weight, a probability that it stays.
    `posterior`, of the same shape, is what module A believes after it has combined this prior with its own
    evidence, the weight itself: posterior odds = evidence odds times prior odds, where the odds of p are
    p / (1 - p). Return the evidence alone, as probabilities. All numbers lie strictly between 0 and 1.
    """,
    examples=[
        (np.array([[0.5, 0.9, 0.2]]), np.array([[0.5, 0.5, 0.5]])),
        (np.array([[0.9, 0.3], [0.05, 0.6]]), np.array([[0.9, 0.8], [0.05, 0.1]])),
        (np.full((1, 1), 0.75), np.full((1, 1), 0.25)),
    ],
    wrong_answers={
        "the whole belief is sent": (
            full_marginal,
            "Module B would hear its own words again and take them for news. What has to be taken out?",
        ),
        "the prior is counted twice": (
            product_with_the_prior,
            "The posterior already holds the prior. Multiplying puts it in once more. What takes it out?",
        ),
        "the denominator has one prior too few": (
            one_prior_too_few,
            "Numerator and what is left for the other answer must add up: p (1 - q) + (1 - p) q. "
            "How many times q is p multiplied by in it?",
        ),
        "probabilities are divided": (
            not_normalised,
            "0.9 / 0.5 is no probability. It is the odds that are divided.",
        ),
        "prior and posterior are swapped": (
            turned_round,
            "If the posterior is larger than the prior, did the evidence speak for the weight or against it?",
        ),
        "probabilities are subtracted": (
            difference,
            "A difference may be negative. Of which numbers would a difference be right? Of log-odds.",
        ),
        "odds are returned": (
            odds_left_as_they_are,
            "These are the odds of the evidence. Asked for is its probability: odds / (1 + odds).",
        ),
    },
    also_right=[by_odds, by_log_odds],
    hints=[
        "If module A has learnt nothing, its posterior equals its prior. The evidence is then one half.",
        "Turn both into odds, divide, and turn the result back into a probability.",
        "With p the posterior and q the prior: p (1 - q) / (p (1 - q) + (1 - p) q).",
    ],
    explanation="""
    Odds of independent sources multiply, so that dividing by the odds of one source leaves the other. In
    log-odds it is a difference. The denominator p (1 - q) + (1 - p) q is q + (1 - 2 q) p, written out.
    """,
    rtol=1e-8,
    atol=1e-10,
)

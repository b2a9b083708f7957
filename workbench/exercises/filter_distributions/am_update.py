"""One sweep of alternating minimisation: three factors of a variance, each set to its best value in turn."""

from typing import Any

import numpy as np

from workbench.exercises import Exercise

Gammas = tuple[np.ndarray, np.ndarray, np.ndarray]


def sweep(
    mean: np.ndarray, variance: np.ndarray, gamma1: np.ndarray, gamma2: np.ndarray, gamma3: np.ndarray
) -> Gammas:
    d = variance + np.abs(mean) ** 2
    gamma1 = (d / (gamma2[:, None] * gamma3)).mean((1, 2))
    gamma2 = (d / (gamma1[:, None, None] * gamma3)).mean((0, 2))
    gamma3 = (d / (gamma1[:, None, None] * gamma2[:, None])).mean((0, 1))
    return gamma1, gamma2, gamma3


def by_sums(mean, variance, gamma1, gamma2, gamma3):
    """The same means as sums over two axes, divided by how many entries they had."""
    d = variance + (mean * np.conj(mean)).real
    n1, n2, n3 = d.shape
    gamma1 = np.einsum("ijk,j,k->i", d, 1 / gamma2, 1 / gamma3) / (n2 * n3)
    gamma2 = np.einsum("ijk,i,k->j", d, 1 / gamma1, 1 / gamma3) / (n1 * n3)
    gamma3 = np.einsum("ijk,i,j->k", d, 1 / gamma1, 1 / gamma2) / (n1 * n2)
    return gamma1, gamma2, gamma3


def correcting(mean, variance, gamma1, gamma2, gamma3):
    """How many times too small the product is, on average over a slice, is by how much its factor grows."""
    d, factors = variance + np.abs(mean) ** 2, [gamma1, gamma2, gamma3]
    for axis, others in enumerate([(1, 2), (0, 2), (0, 1)]):
        product = np.einsum("i,j,k->ijk", *factors)
        factors[axis] = factors[axis] * (d / product).mean(others)
    return tuple(factors)


def sums_for_means(mean, variance, gamma1, gamma2, gamma3):
    d = variance + np.abs(mean) ** 2
    gamma1 = (d / (gamma2[:, None] * gamma3)).sum((1, 2))
    gamma2 = (d / (gamma1[:, None, None] * gamma3)).sum((0, 2))
    gamma3 = (d / (gamma1[:, None, None] * gamma2[:, None])).sum((0, 1))
    return gamma1, gamma2, gamma3


def own_factor_too(mean, variance, gamma1, gamma2, gamma3):
    """Each block finds its new value, and divides by it as well."""
    d = variance + np.abs(mean) ** 2
    gamma1 = (d / (gamma2[:, None] * gamma3)).mean((1, 2))
    gamma1 = (d / (gamma1[:, None, None] * gamma2[:, None] * gamma3)).mean((1, 2))
    gamma2 = (d / (gamma1[:, None, None] * gamma3)).mean((0, 2))
    gamma2 = (d / (gamma1[:, None, None] * gamma2[:, None] * gamma3)).mean((0, 2))
    gamma3 = (d / (gamma1[:, None, None] * gamma2[:, None])).mean((0, 1))
    gamma3 = (d / (gamma1[:, None, None] * gamma2[:, None] * gamma3)).mean((0, 1))
    return gamma1, gamma2, gamma3


def own_old_factor_too(mean, variance, gamma1, gamma2, gamma3):
    """Each block divides by the whole product, its own present value included."""
    d = variance + np.abs(mean) ** 2
    gamma1 = (d / (gamma1[:, None, None] * gamma2[:, None] * gamma3)).mean((1, 2))
    gamma2 = (d / (gamma1[:, None, None] * gamma2[:, None] * gamma3)).mean((0, 2))
    gamma3 = (d / (gamma1[:, None, None] * gamma2[:, None] * gamma3)).mean((0, 1))
    return gamma1, gamma2, gamma3


def without_variance(mean, variance, gamma1, gamma2, gamma3):
    return sweep(mean, 0 * variance, gamma1, gamma2, gamma3)


def plain_means(mean, variance, gamma1, gamma2, gamma3):
    d = variance + np.abs(mean) ** 2
    return d.mean((1, 2)), d.mean((0, 2)), d.mean((0, 1))


def all_from_the_old(mean, variance, gamma1, gamma2, gamma3):
    d = variance + np.abs(mean) ** 2
    return (
        (d / (gamma2[:, None] * gamma3)).mean((1, 2)),
        (d / (gamma1[:, None, None] * gamma3)).mean((0, 2)),
        (d / (gamma1[:, None, None] * gamma2[:, None])).mean((0, 1)),
    )


def mean_not_squared(mean, variance, gamma1, gamma2, gamma3):
    return sweep(np.sqrt(np.abs(mean)), variance, gamma1, gamma2, gamma3)


def squared_real_part(mean, variance, gamma1, gamma2, gamma3):
    return sweep(mean.real, variance, gamma1, gamma2, gamma3)


def complex_square(mean, variance, gamma1, gamma2, gamma3):
    d = variance + mean**2
    gamma1 = (d / (gamma2[:, None] * gamma3)).mean((1, 2))
    gamma2 = (d / (gamma1[:, None, None] * gamma3)).mean((0, 2))
    gamma3 = (d / (gamma1[:, None, None] * gamma2[:, None])).mean((0, 1))
    return gamma1, gamma2, gamma3


def case(rng: np.random.Generator) -> tuple[Any, ...]:
    """A posterior over a small cube of odd sizes, real or complex, and factors of very different sizes."""
    shape = tuple(int(n) for n in rng.integers(1, 6, 3))
    mean = rng.standard_normal(shape) * np.exp(rng.standard_normal(shape))
    if rng.random() < 0.5:
        mean = mean + 1j * rng.standard_normal(shape)
    variance = np.exp(rng.standard_normal(shape))
    return mean, variance, *(np.exp(1.5 * rng.standard_normal(n)) for n in shape)


BRICK = np.arange(12.0).reshape(2, 3, 2) / 4 - 1
OLD = np.array([1.0, 2.0]), np.array([1.0, 3.0, 0.5]), np.array([2.0, 4.0])

EXERCISE = Exercise(
    "filter-distributions/am-update",
    sweep,
    case,
    signature="sweep(mean, variance, gamma1, gamma2, gamma3) -> (gamma1, gamma2, gamma3)",
    ask="""
    The posterior of the unknowns is given: `mean` and `variance`, both [n1, n2, n3]; the mean may be complex.
    The prior variance of entry (i, j, k) is `gamma1[i] * gamma2[j] * gamma3[k]`, with three arrays [n1], [n2]
    and [n3]. Let d be the posterior expectation of |x|², and make the sum over all entries of
    `log(prior variance) + d / (prior variance)` smaller: set gamma1 to its best value while the other two
    stay, then gamma2 with the new gamma1, then gamma3 with both new ones. One sweep, no normalising.
    """,
    examples=[
        (BRICK, np.full(BRICK.shape, 0.5), *OLD),
        (BRICK + 1j, np.ones(BRICK.shape), *OLD),
        (np.array([[[3.0]]]), np.array([[[7.0]]]), np.array([2.0]), np.array([4.0]), np.array([0.5])),
    ],
    wrong_answers={
        "the number of entries is missing": (
            sums_for_means,
            "Suppose that d is 1 everywhere and all factors are 1. Nothing should change. How many entries "
            "does your sum for gamma1[i] run over?",
        ),
        "a factor is divided by its own new value": (
            own_factor_too,
            "gamma1 answers for what the *other* two do not explain. Which factors belong below d when "
            "gamma1 is set, and does gamma1 itself?",
        ),
        "a factor is divided by its own old value": (
            own_old_factor_too,
            "That ratio is 1 when the product is right already. By what would you have to multiply it to get "
            "the new gamma1?",
        ),
        "the posterior variance is forgotten": (
            without_variance,
            "d is the expectation of |x|², and x is uncertain. What is E|x|² of something with mean 0 and "
            "variance 1?",
        ),
        "plain means of d": (
            plain_means,
            "That would be right if the other two factors were 1. An entry with a large gamma2[j] is "
            "expected to be large: what must happen to it before it enters a mean?",
        ),
        "all three are set from the old values": (
            all_from_the_old,
            "Three corrections at once correct three times. Which gamma1 does the mean for gamma2 have to "
            "see?",
        ),
        "the mean is not squared": (
            mean_not_squared,
            "Variances have the unit of x². Which unit has your d?",
        ),
        "the imaginary part is dropped": (
            squared_real_part,
            "|3 + 4i|² is 25. What does your function make of it?",
        ),
        "a complex number is squared": (
            complex_square,
            "The mean may be complex, and then its plain square is complex, too. A variance is real: "
            "what is |3 + 4i|²?",
        ),
    },
    also_right=[by_sums, correcting],
    hints=[
        "d is `variance + abs(mean)**2`. Fix gamma2 and gamma3 and look at one number, gamma1[i]: which "
        "entries of d have anything to do with it?",
        "It is in n2·n3 terms `log gamma1[i] + d / (gamma1[i] gamma2[j] gamma3[k])`. Set the derivative by "
        "gamma1[i] to zero.",
        "`gamma1[i]` is the mean over j and k of `d[i, j, k] / (gamma2[j] * gamma3[k])`. The other two go "
        "likewise, each with the newest values.",
    ],
    explanation="""
    The derivative by gamma1[i] is n2·n3 / gamma1[i] minus the sum of d / (gamma2 gamma3) over gamma1[i]²;
    it is zero at the mean of d / (gamma2 gamma3). Nothing can go up, because each of the three steps is the
    best one there is while the others stay.
    """,
    rtol=1e-9,
    atol=1e-12,
)

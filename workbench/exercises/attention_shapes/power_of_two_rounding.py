"""Which power of two does a weight become? The rounding behind a layer that shifts instead of multiplying."""

import math

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def power_of_two(weights: np.ndarray, bits: int) -> np.ndarray:
    lowest = 2 - 2 ** (bits - 1)
    size = np.maximum(np.abs(weights), 2.0 ** (lowest - 1))
    exponents = np.clip(np.rint(np.log2(size)), lowest, 0)
    return np.sign(weights) * 2.0**exponents


def by_nearest_rung(weights: np.ndarray, bits: int) -> np.ndarray:
    """Looks for the nearest of all exponents, weight by weight."""
    rungs = range(2 - 2 ** (bits - 1), 1)
    found = np.zeros(weights.shape)
    for place, weight in np.ndenumerate(weights):
        if weight != 0:
            height = math.log2(abs(weight))
            nearest = min(rungs, key=lambda rung: abs(rung - height))
            found[place] = math.copysign(2.0**nearest, weight)
    return found


def by_borders(weights: np.ndarray, bits: int) -> np.ndarray:
    """Counts how many borders between two rungs lie below the weight; the borders are 2^(rung + 1/2)."""
    lowest = 2 - 2 ** (bits - 1)
    borders = 2.0 ** (np.arange(lowest, 0) + 0.5)
    passed = (np.abs(weights)[..., None] > borders).sum(-1)
    return np.where(weights == 0, 0.0, np.copysign(2.0 ** (lowest + passed), weights))


def _lowest(bits):
    return 2 - 2 ** (bits - 1)


def _heights(weights):
    return np.log2(np.where(weights == 0, 1, np.abs(weights)))


def _signed(weights, exponents):
    return np.where(weights == 0, 0.0, np.copysign(2.0**exponents, weights))


def nearest_in_value(weights, bits):
    rungs = 2.0 ** np.arange(_lowest(bits), 1)
    nearest = np.abs(np.abs(weights)[..., None] - rungs).argmin(-1)
    return np.where(weights == 0, 0.0, np.copysign(rungs[nearest], weights))


def always_down(weights, bits):
    return _signed(weights, np.clip(np.floor(_heights(weights)), _lowest(bits), 0))


def always_up(weights, bits):
    return _signed(weights, np.clip(np.ceil(_heights(weights)), _lowest(bits), 0))


def zero_becomes_smallest(weights, bits):
    return np.where(weights == 0, 2.0 ** _lowest(bits), power_of_two(weights, bits))


def no_cap(weights, bits):
    return _signed(weights, np.maximum(np.rint(_heights(weights)), _lowest(bits)))


def no_floor(weights, bits):
    return _signed(weights, np.minimum(np.rint(_heights(weights)), 0))


def small_ones_vanish(weights, bits):
    kept = np.rint(_heights(weights)) >= _lowest(bits)
    return np.where(kept, power_of_two(weights, bits), 0.0)


def sign_lost(weights, bits):
    return np.abs(power_of_two(weights, bits))


def natural_logarithm(weights, bits):
    heights = np.log(np.where(weights == 0, 1, np.abs(weights)))
    return _signed(weights, np.clip(np.rint(heights), _lowest(bits), 0))


def sign_not_paid(weights, bits):
    return _signed(weights, np.clip(np.rint(_heights(weights)), 2 - 2**bits, 0))


def zero_not_paid(weights, bits):
    return _signed(weights, np.clip(np.rint(_heights(weights)), 1 - 2 ** (bits - 1), 0))


def exponents_only(weights, bits):
    return np.clip(np.rint(_heights(weights)), _lowest(bits), 0)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Weights from far below the lowest rung to far above 1, some zeros, in one or two dimensions."""
    bits = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    shape = draw(st.sampled_from([(7,), (3, 4), (1, 1), (2, 9)]))
    weights = rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.uniform(_lowest(bits) - 3, 3, shape)
    return np.where(rng.random(shape) < 0.15, 0.0, weights), bits


EXERCISE = Exercise(
    "attention-shapes/power-of-two-rounding",
    power_of_two,
    cases(),
    signature="power_of_two(weights, bits) -> float array, shaped as weights",
    ask="""
    Round every weight to a signed power of two. A weight of zero stays zero. Any other weight w becomes
    sign(w) · 2^p, where the exponent p is the whole number that is nearest to log2 |w|. But p must lie
    between `lowest` and 0, both included; what is nearest to another exponent takes the end that is nearer.

    `bits` bits hold 2^`bits` different codes. One code says zero, and one is not used. All others are a sign
    and one of 2^(`bits` − 1) − 1 exponents, so that `lowest` = 2 − 2^(`bits` − 1). With 5 bits that is −14.

    `weights` is a float64 array of any shape, finite; `bits` is a whole number from 2 to 8. No weight lies
    exactly between two exponents. Return a float64 array of the same shape, and leave `weights` unchanged.
    """,
    examples=[
        (np.array([0.7, 0.72, 0.74, 0.76]), 5),
        (np.array([1.0, -0.5, 0.25, -0.0625]), 5),
        (np.array([0.0, 3.0, -100.0, 1.4]), 5),
        (np.array([1e-9, -1e-5, 2.0**-14, 2.0**-15]), 5),
        (np.array([[0.3, -0.3], [0.0, 1e-3]]), 3),
        (np.array([0.9, 0.1, -0.01, 0.0]), 2),
        (np.array([-0.36, 0.18, 0.045, -0.011]), 4),
    ],
    wrong_answers={
        "nearest in value": (
            nearest_in_value,
            "0.72 is nearer to 0.5 than to 1, but log2 0.72 = −0.47 is nearer to 0 than to −1. The rule "
            "speaks of the exponent.",
        ),
        "always rounded down": (
            always_down,
            "Nearest, not below: log2 0.9 = −0.15 belongs to the exponent 0.",
        ),
        "always rounded up": (
            always_up,
            "Nearest, not above: log2 0.3 = −1.74 belongs to the exponent −2.",
        ),
        "zero becomes the smallest weight": (
            zero_becomes_smallest,
            "A weight of zero is switched off. What does its sign multiply the power by?",
        ),
        "no cap at 1": (
            no_cap,
            "The largest exponent is 0. What becomes of a weight of 3?",
        ),
        "no lowest exponent": (
            no_floor,
            "So few bits cannot hold so small an exponent: it has to stop at `lowest`.",
        ),
        "small weights become zero": (
            small_ones_vanish,
            "Only a weight that is zero becomes zero. A tiny one takes the lowest exponent.",
        ),
        "the sign is lost": (sign_lost, "A negative weight becomes a negative power of two."),
        "the natural logarithm": (
            natural_logarithm,
            "The rungs are powers of 2, so the height of a weight is its logarithm to the base 2.",
        ),
        "the sign costs no bit": (
            sign_not_paid,
            "Half of the codes are for negative weights. How many are left for the exponents of one sign?",
        ),
        "zero costs no code": (
            zero_not_paid,
            "Zero needs a code, too, so that each sign has one exponent less: `lowest` is 2 − 2^(bits − 1).",
        ),
        "exponents instead of weights": (
            exponents_only,
            "Return the rounded weights, sign(w) · 2^p, and not the exponents.",
        ),
    },
    also_right=[by_nearest_rung, by_borders],
    hints=[
        "Four steps: the size of each weight, its height log2 of the size, the nearest whole number, the "
        "two ends. The sign comes back at the end.",
        "`np.rint` rounds to the nearest whole number and `np.clip` keeps the exponents between two ends.",
        "log2 of zero is minus infinity. `np.sign(weights)` is 0 there and makes any finite power vanish.",
        "`np.sign(weights) * 2.0 ** np.clip(np.rint(np.log2(size)), lowest, 0)`, where size is |w| or, for "
        "a weight of zero, any positive number.",
    ],
    explanation="""
    Rounding the exponent keeps the *relative* error below a factor of √2, for large and small weights alike.
    Rounding to the nearest value would make the largest error in value smaller. The border between 0.5 and 1
    lies at 2^(−1/2) ≈ 0.707 here, and at 0.75 there.
    """,
    rtol=1e-12,
    atol=0,
)

"""Add e^x to a sum that cannot overflow: mantissa and exponent apart."""

import math

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

LN2 = math.log(2)


def power_of_two(d: float) -> float:
    """2^d for a whole d from -127 to 127, by the bits of a float32; 0 for -127."""
    return float(np.array((int(d) + 127) << 23, np.int32).view(np.float32))


def add_exponential(M: float, N: float, x: float) -> tuple[float, float]:
    n = round(x / LN2)
    m = math.exp(x - n * LN2)
    top = max(N, n)
    return M * power_of_two(max(N - top, -127)) + m * power_of_two(max(n - top, -127)), float(top)


def by_cases(M: float, N: float, x: float) -> tuple[float, float]:
    """One of the two keeps its mantissa as it is."""
    n = float(np.rint(x / np.log(2)))
    m = float(np.exp(x - n * np.log(2)))
    if n > N:
        return m + (M * 2.0 ** (N - n) if N - n > -127 else 0.0), n
    return M + (m * 2.0 ** (n - N) if n - N > -127 else 0.0), N


def by_arrays(M: float, N: float, x: float) -> tuple[float, float]:
    """Both pairs in two arrays."""
    n = np.rint(x / LN2)
    mantissas, exponents = np.array([M, np.exp(x - n * np.log(2))]), np.array([N, n])
    apart = np.maximum(exponents - exponents.max(), -1000)
    return float((mantissas * np.exp2(apart)).sum()), float(exponents.max())


def not_rescaled(M, N, x):
    n = round(x / LN2)
    return M + math.exp(x - n * LN2), float(max(N, n))


def wrong_sign(M, N, x):
    n = round(x / LN2)
    m, top = math.exp(x - n * LN2), max(N, n)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(M * np.exp2(top - N) + m * np.exp2(top - n)), float(top)


def floor_for_round(M, N, x):
    n = math.floor(x / LN2)
    m, top = math.exp(x - n * LN2), max(N, n)
    return M * power_of_two(max(N - top, -127)) + m * power_of_two(max(n - top, -127)), float(top)


def not_clamped(M, N, x):
    n = round(x / LN2)
    m, top = math.exp(x - n * LN2), max(N, n)

    def shifted(d):
        d = max(d, -1e6)  # -inf is no whole number
        with np.errstate(over="ignore"):
            return float((np.array(int(d) + 127, np.int32) << 23).view(np.float32))

    return M * shifted(N - top) + m * shifted(n - top), float(top)


def smaller_exponent(M, N, x):
    n = round(x / LN2)
    m = math.exp(x - n * LN2)
    if math.isinf(N):
        return m, float(n)
    low = min(N, n)
    with np.errstate(over="ignore"):
        return float(M * np.exp2(N - low) + m * np.exp2(n - low)), float(low)


def old_exponent(M, N, x):
    n = round(x / LN2)
    m = math.exp(x - n * LN2)
    if math.isinf(N):
        return m, float(n)
    with np.errstate(over="ignore"):
        return float(M + m * np.exp2(n - N)), float(N)


def empty_exponent(M, N, x):
    n = round(x / LN2)
    m = math.exp(x - n * LN2)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(M * np.exp2(np.subtract(N, N)) + m * np.exp2(n - N)), float(N)


def one_number(M, N, x):
    with np.errstate(over="ignore", invalid="ignore"):
        return float(M * np.exp2(N) + np.exp(x)), 0.0


def natural_powers(M, N, x):
    n = round(x / LN2)
    m, top = math.exp(x - n * LN2), max(N, n)
    return M * math.exp(max(N - top, -700)) + m * math.exp(max(n - top, -700)), float(top)


@st.composite
def additions(draw: st.DrawFn) -> tuple[float, float, float]:
    """Near pairs, where both count; far ones, where one does not; and the empty sum."""
    x = draw(st.floats(-1000, 1000))
    if draw(st.integers(0, 7)) == 0:
        return 0.0, -math.inf, x
    N = round(x / LN2) + draw(st.one_of(st.integers(-12, 12), st.integers(-400, 400)))
    return draw(st.floats(0.75, 100)), float(N), x


EXERCISE = Exercise(
    "attention-cost/pair-addition",
    add_exponential,
    additions(),
    signature="add_exponential(M, N, x) -> (M, N)",
    ask="""
    A sum of exponentials is kept as a pair `(M, N)` with the value M · 2^N. Add e^x to it and return the new
    pair, two floats.

    Split e^x first: n is the whole number *nearest* to x / ln 2, and m = e^(x − n ln 2). The new exponent is
    the larger one of N and n. The new mantissa is the sum of both mantissas, each brought to that exponent. A
    power of two with an exponent of −127 or less may count as 0, but need not: it changes no digit.

    `M` is a float, 0 or positive. `N` is a float with a whole value, or −inf while nothing is summed yet
    (then `M` is 0). `x` is a float from −1000 to 1000. The value M · 2^N itself may lie far outside of what
    any float can hold.
    """,
    examples=[
        (0.0, -math.inf, 3.0),
        (1.25, 4.0, 3.0),
        (1.25, 4.0, -3.0),
        (1.0, 0.0, 0.5),
        (3.5, 1400.0, 968.0),
        (1.0, -1300.0, -900.0),
        (1.0, 500.0, 100.0),
        (1.0, -500.0, 100.0),
    ],
    wrong_answers={
        "mantissas are added without rescaling": (
            not_rescaled,
            "1.5 · 2^3 and 1.5 · 2^0 do not make 3 · 2^3. Bring both to the larger exponent first.",
        ),
        "the wrong sign in the rescaling": (
            wrong_sign,
            "A mantissa that moves to a larger exponent must become smaller: 2^(own exponent − larger one).",
        ),
        "rounded down instead of to the nearest": (
            floor_for_round,
            "Then m lies between 1 and 2, too far from 1 for a polynomial of degree 5. Round to the nearest.",
        ),
        "no clamp: the shift of the bits wraps around": (
            not_clamped,
            "An exponent below −127 does not fit into 8 bits. Raise it to −127 first: its power counts as 0.",
        ),
        "the smaller exponent is kept": (
            smaller_exponent,
            "Then the larger mantissa grows, and overflows again. Which exponent is safe?",
        ),
        "the exponent stays as it was": (
            old_exponent,
            "When e^x is much larger than the sum so far, its mantissa overflows. Who gives the exponent?",
        ),
        "the exponent stays as it was, even that of an empty sum": (
            empty_exponent,
            "An empty sum has the exponent −∞, and −∞ − (−∞) is nan. Let e^x raise the exponent: take the "
            "larger of N and n.",
        ),
        "the pair is made one number": (
            one_number,
            "M · 2^N may be larger than any float. The pair must never become one number.",
        ),
        "powers of e instead of 2": (
            natural_powers,
            "The value of a pair is M · 2^N. What does one step of the exponent mean?",
        ),
    },
    also_right=[by_cases, by_arrays],
    hints=[
        "Three steps: split x into (m, n); take the larger exponent; bring both mantissas to it, and add.",
        "A mantissa with exponent n is brought to a larger exponent by the factor 2^(n − larger), at most 1.",
        "`top = max(N, n)`, then `M * 2.0 ** (N - top) + m * 2.0 ** (n - top)`; −inf − top is −inf, and "
        "2.0 ** −inf is 0.",
    ],
    explanation="""
    The factor of the larger pair is 2^0 = 1, and that of the smaller one is below 1: nothing can overflow.
    What is smaller by 2^127 would be lost in any float anyway, so it may count as 0. In float32 the powers
    are made by writing the bits of the exponent, and there the limit of −127 is needed: a smaller exponent
    would run into the bit of the sign. The powers of Python, `2.0 ** n`, need no limit.
    """,
    rtol=1e-6,
    atol=0,
)

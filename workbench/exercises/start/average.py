"""The first exercise of the book: the weights that average over a square."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def average(size: int) -> np.ndarray:
    return np.full((size, size), 1 / size**2)


def by_outer_product(size: int) -> np.ndarray:
    side = np.ones(size) / size
    return np.outer(side, side)


def not_divided(size):
    return np.ones((size, size))


def divided_by_one_side(size):
    return np.full((size, size), 1 / size)


def a_row(size):
    return np.full(size, 1 / size)


def without_the_centre(size):
    weights = average(size)
    weights[size // 2, size // 2] = 0
    return weights


EXERCISE = Exercise(
    "start/average",
    average,
    st.tuples(st.integers(0, 10).map(lambda n: 2 * n + 1)),
    signature="average(size) -> array [size, size]",
    ask="Return the table of equal weights, `size` by `size`, that leaves a flat picture as bright as it is.",
    examples=[(1,), (3,), (15,)],
    wrong_answers={
        "the weights are not divided": (
            not_divided,
            "On a flat picture every product is the brightness. What do your weights add up to?",
        ),
        "the weights are divided by one side": (
            divided_by_one_side,
            "A square of 3 by 3 has nine weights. What do yours add up to?",
        ),
        "a row instead of a square": (
            a_row,
            "The table has as many rows as columns: what shape does yours have?",
        ),
        "the centre is left out": (
            without_the_centre,
            "A pixel is a neighbour of itself. What do your weights add up to?",
        ),
    },
    also_right=[by_outer_product],
    hints=[
        "All weights are equal, and together they must be one.",
        "There are `size * size` of them. `np.full((rows, columns), value)` makes a table of equal numbers.",
    ],
    explanation="""
    At every place of a flat picture the sum is the brightness times the sum of the weights. It stays the same
    only if the weights add up to one, and equal weights then are `1 / size**2`.
    """,
    rtol=1e-6,
    atol=1e-9,
)

"""Which of several ways is worth choosing, when each has a cost and an error?"""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def worth_choosing(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    cheaper, dearer = cost[None, :] <= cost[:, None], cost[None, :] < cost[:, None]
    righter, surely = error[None, :] <= error[:, None], error[None, :] < error[:, None]
    beaten = cheaper & righter & (dearer | surely)  # [i, j]: j beats i
    return np.logical_not(beaten.any(axis=1))


def by_sweeping(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """From the cheapest on, remembers the least error so far."""
    worth, least = np.zeros(len(cost), dtype=bool), np.inf
    for price in np.unique(cost):
        group = np.flatnonzero(cost == price)
        best = error[group].min()
        if best < least:
            worth[group[error[group] == best]] = True
            least = best
    return worth


def by_loops(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Asks of every pair who beats whom."""
    worth = np.ones(len(cost), dtype=bool)
    for i in range(len(cost)):
        for j in range(len(cost)):
            as_good = cost[j] <= cost[i] and error[j] <= error[i]
            if as_good and (cost[j] != cost[i] or error[j] != error[i]):
                worth[i] = False
    return worth


def better_in_both(cost, error):
    return ~((cost[None, :] < cost[:, None]) & (error[None, :] < error[:, None])).any(axis=1)


def beaten_by_itself(cost, error):
    return ~((cost[None, :] <= cost[:, None]) & (error[None, :] <= error[:, None])).any(axis=1)


def twins_beat_each_other(cost, error):
    as_good = (cost[None, :] <= cost[:, None]) & (error[None, :] <= error[:, None])
    np.fill_diagonal(as_good, False)
    return ~as_good.any(axis=1)


def better_in_either(cost, error):
    return ~((cost[None, :] < cost[:, None]) | (error[None, :] < error[:, None])).any(axis=1)


def error_as_a_score(cost, error):
    return worth_choosing(cost, -error)


def best_product(cost, error):
    product = cost * error
    return product == product.min()


def against_the_next_cheaper(cost, error):
    order = np.lexsort((error, cost))
    worth = np.zeros(len(cost), dtype=bool)
    for place, i in enumerate(order):
        before = order[place - 1]
        worth[i] = (
            place == 0 or error[i] < error[before] or (cost[i], error[i]) == (cost[before], error[before])
        )
    return worth


@st.composite
def offers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Costs and errors with ties and with twins."""
    n = draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    steps = draw(st.sampled_from((2, 4, 100)))
    return rng.integers(1, steps + 1, n) * 1.5, rng.integers(1, steps + 1, n) / 8


EXERCISE = Exercise(
    "receptive-fields/worth-choosing",
    worth_choosing,
    offers(),
    signature="worth_choosing(cost, error) -> array of bool",
    ask="""
    `cost` and `error` [ways] say what each way costs and how wrong it is. One way *beats* another if it is at
    most as dear and at most as wrong, and less in at least one of the two. Return, for every way, True if no
    other way beats it. Two ways that agree in both do not beat each other.
    """,
    examples=[
        (np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0])),
        (np.array([1.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])),
        (np.array([5.0, 5.0]), np.array([4.0, 4.0])),
        (np.array([3.0, 1.0, 2.0, 4.0]), np.array([2.0, 4.0, 5.0, 3.0])),
        (np.array([7.0]), np.array([1.0])),
    ],
    wrong_answers={
        "only a way that is better in both beats": (
            better_in_both,
            "Two ways are equally wrong, and one is cheaper. Would you ever choose the dearer one?",
        ),
        "every way beats itself": (
            beaten_by_itself,
            "Nothing is left? Each way is at most as dear and at most as wrong as itself.",
        ),
        "twins beat each other": (
            twins_beat_each_other,
            "Two ways agree in both cost and error. Neither is less in anything.",
        ),
        "better in either is enough": (
            better_in_either,
            "A way that is cheaper but more wrong does not beat another: somebody may pay for being right.",
        ),
        "the error is taken for a score": (
            error_as_a_score,
            "Is a large error good or bad?",
        ),
        "one product decides": (
            best_product,
            "The product of cost and error chooses one price of being right for everybody. Who beats whom?",
        ),
        "only the next cheaper way is asked": (
            against_the_next_cheaper,
            "A way may be beaten by one that is much cheaper, with a bad one between them.",
        ),
    },
    also_right=[by_sweeping, by_loops],
    hints=[
        "Compare every way with every other: `cost[None, :] <= cost[:, None]` is a table, row i and column j "
        "say whether j costs at most as much as i.",
        "j beats i if three things hold: at most as dear, at most as wrong, and less in one of them.",
        "Way i is worth choosing if no j in its row beats it: `~beaten.any(axis=1)`.",
    ],
    explanation="""
    What is left is called the Pareto front. Going along it from the cheapest way, the error only falls: more
    money always buys something. Which of its ways is the right one depends on what an error costs you, and no
    table can say that.
    """,
    rtol=0,
    atol=0,
)

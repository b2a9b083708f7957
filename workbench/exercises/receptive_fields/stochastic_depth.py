"""Stochastic depth: leave out a whole branch for some pictures while training, and never the shortcut."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles


def stochastic_depth(
    x: np.ndarray, branch: np.ndarray, rate: float, coins: np.ndarray, training: bool
) -> np.ndarray:
    if not training:
        return x + branch
    stays = (coins >= rate).reshape(-1, *[1] * (x.ndim - 1))
    return x + branch * stays / (1 - rate)


def one_picture_at_a_time(
    x: np.ndarray, branch: np.ndarray, rate: float, coins: np.ndarray, training: bool
) -> np.ndarray:
    """Decides for each picture with an if."""
    out = []
    for shortcut, values, coin in zip(x, branch, coins, strict=True):
        if training and coin < rate:
            out.append(shortcut)
        elif training:
            out.append(shortcut + values / (1 - rate))
        else:
            out.append(shortcut + values)
    return np.array(out)


def _stays(coins, x):
    return coins.reshape(-1, *[1] * (x.ndim - 1))


def not_scaled(x, branch, rate, coins, training):
    return x + branch * (_stays(coins, x) >= rate) if training else x + branch


def drops_at_test(x, branch, rate, coins, training):
    return stochastic_depth(x, branch, rate, coins, True)


def one_coin(x, branch, rate, coins, training):
    return stochastic_depth(x, branch, rate, np.full(len(coins), coins[0]), training)


def shortcut_too(x, branch, rate, coins, training):
    return (x + branch) * (_stays(coins, x) >= rate) / (1 - rate) if training else x + branch


def shortcut_for_branch(x, branch, rate, coins, training):
    return stochastic_depth(branch, x, rate, coins, training)


def keeps_with_rate(x, branch, rate, coins, training):
    return x + branch * (_stays(coins, x) < rate) / (1 - rate) if training else x + branch


def divides_by_rate(x, branch, rate, coins, training):
    if not training or rate == 0:
        return x + branch
    return x + branch * (_stays(coins, x) >= rate) / rate


def scaled_at_test(x, branch, rate, coins, training):
    return not_scaled(x, branch, rate, coins, True) if training else x + (1 - rate) * branch


def sum_scaled(x, branch, rate, coins, training):
    if not training:
        return x + branch
    return np.where(_stays(coins, x) >= rate, (x + branch) / (1 - rate), x)


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, bool]:
    """Pictures of one to three axes, a coin for each, none so near the rate that rounding decides."""
    shape = (draw(st.integers(1, 6)), *draw(profiles.shapes(draw(st.integers(1, 3)), most=4)))
    kinds = [name for name in profiles.PROFILES if name != "zeros"]
    x, branch = draw(profiles.arrays(shape, profiles=kinds)), draw(profiles.arrays(shape, profiles=kinds))
    rate = draw(st.sampled_from((0.0, 0.1, 0.25, 0.5, 0.8)))
    coins = np.array([draw(st.integers(0, 999)) / 1000 + 0.0005 for _ in range(shape[0])])
    return x, branch, rate, coins, draw(st.sampled_from((True, True, True, False)))


ONES = np.ones((4, 2))
COINS = np.array([0.05, 0.45, 0.55, 0.95])

EXERCISE = Exercise(
    "receptive-fields/stochastic-depth",
    stochastic_depth,
    batches(),
    signature="stochastic_depth(x, branch, rate, coins, training) -> array",
    ask="""
    A residual block adds what its branch computes to what goes around it. `x` [pictures, ...] goes around,
    `branch` [pictures, ...] is what the branch computed from it. While training, the branch of a picture is
    left out with probability `rate`: where its number in `coins` [pictures], drawn evenly from 0 to 1, is
    below `rate`. Return the sum, scaled so that its mean over the coins is x + branch. Where `training` is
    False, nothing is left to chance.
    """,
    examples=[
        (ONES, 10 * ONES, 0.5, COINS, True),
        (ONES, 10 * ONES, 0.5, COINS, False),
        (ONES, 10 * ONES, 0.25, COINS, True),
        (ONES, 10 * ONES, 0.0, COINS, True),
        (np.arange(24.0).reshape(4, 3, 2, 1), np.ones((4, 3, 2, 1)), 0.8, COINS[::-1], True),
        (np.array([[2.0]]), np.array([[3.0]]), 0.5, np.array([0.9]), True),
    ],
    wrong_answers={
        "the branches that stay are not scaled": (
            not_scaled,
            "With a rate of one half the branch is there half of the time. What is its mean then, and what "
            "should it be?",
        ),
        "branches are left out at test time too": (
            drops_at_test,
            "A picture should get the same answer every time it is tested. Who says whether this is a test?",
        ),
        "one coin decides for the whole batch": (
            one_coin,
            "There are as many coins as pictures. Which one belongs to the third picture?",
        ),
        "the shortcut is left out with the branch": (
            shortcut_too,
            "A picture whose branch is left out should pass the block as it came. What becomes of it here?",
        ),
        "shortcut and branch are swapped": (
            shortcut_for_branch,
            "Look again at which of the two arrays goes around the block.",
        ),
        "branches stay with probability rate": (
            keeps_with_rate,
            "A rate of 0.1 is to leave out few branches. How many stay here?",
        ),
        "divided by the rate": (
            divides_by_rate,
            "A rate near 0 leaves out next to nothing. By what would the branches be scaled here?",
        ),
        "scaled at test time in place of training": (
            scaled_at_test,
            "This is how it was first published, and the means agree. But the mean while "
            "training is asked to "
            "be x + branch here. Where does the factor belong then?",
        ),
        "the shortcut is scaled with the branch": (
            sum_scaled,
            "The shortcut is always there. Which of the two needs to make up for its absences?",
        ),
    },
    also_right=[one_picture_at_a_time],
    hints=[
        "Treat the test first: without training nothing is left out and nothing is scaled.",
        "A picture's branch stays where `coins >= rate`. It stays with probability 1 - rate, so "
        "divide it by that.",
        "One number for each picture meets an array [pictures, ...]: give it as many axes as `x` has with "
        "`stays.reshape(-1, *[1] * (x.ndim - 1))`.",
    ],
    explanation="""
    The branch stays with probability 1 - rate and is divided by 1 - rate where it does, so its mean is what
    it would be without any dropping, and a test needs no correction. The shortcut is never touched: a
    picture whose branch is left out passes the block unchanged, as if the network had one block less.
    """,
    rtol=1e-9,
    atol=1e-12,
)

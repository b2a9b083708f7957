"""Two branches fused pixel by pixel, as a boundary says."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles


def boundary_fusion(detail: np.ndarray, semantic: np.ndarray, boundary: np.ndarray) -> np.ndarray:
    share = 0.5 + 0.5 * np.tanh(boundary / 2)  # the sigmoid, in a form that cannot overflow
    return share * detail + (1 - share) * semantic + detail + semantic


def pixel_by_pixel(detail: np.ndarray, semantic: np.ndarray, boundary: np.ndarray) -> np.ndarray:
    """One number at a time."""
    out = np.zeros(detail.shape)
    for at in np.ndindex(detail.shape):
        b = float(boundary[at])
        share = 1 / (1 + np.exp(-b)) if b > 0 else np.exp(b) / (1 + np.exp(b))
        out[at] = (1 + share) * detail[at] + (2 - share) * semantic[at]
    return out


def as_a_step(detail: np.ndarray, semantic: np.ndarray, boundary: np.ndarray) -> np.ndarray:
    """From the coarse branch a step towards the fine one."""
    share = np.exp(-np.logaddexp(0, -boundary))
    return detail + 2 * semantic + share * (detail - semantic)


def swapped(detail, semantic, boundary):
    return boundary_fusion(semantic, detail, boundary)


def without_the_sum(detail, semantic, boundary):
    return boundary_fusion(detail, semantic, boundary) - detail - semantic


def softmax_over_branches(detail, semantic, boundary):
    share = np.exp(-np.logaddexp(0, semantic - detail))
    return share * detail + (1 - share) * semantic + detail + semantic


def raw_logits(detail, semantic, boundary):
    return boundary * detail + (1 - boundary) * semantic + detail + semantic


def one_share_for_all_channels(detail, semantic, boundary):
    return boundary_fusion(detail, semantic, boundary.mean(0, keepdims=True))


def hard_choice(detail, semantic, boundary):
    return np.where(boundary > 0, detail, semantic) + detail + semantic


def half_the_sum(detail, semantic, boundary):
    return boundary_fusion(detail, semantic, boundary) - (detail + semantic) / 2


@st.composite
def branches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two maps of one size and logits, small, large and of both signs."""
    shape = draw(profiles.shapes(3, most=6))
    kinds = [name for name in profiles.PROFILES if name not in ("zeros", "huge")]
    detail, semantic = (draw(profiles.arrays(shape, profiles=kinds)) for _ in range(2))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return detail, semantic, draw(st.sampled_from((0.5, 2.0, 20.0))) * rng.standard_normal(shape)


ROW = np.arange(1.0, 7.0).reshape(1, 2, 3)
EDGE = np.array([[[-3.0, 0.0, 3.0], [-0.5, 8.0, 0.5]]])

EXERCISE = Exercise(
    "receptive-fields/boundary-fusion",
    boundary_fusion,
    branches(),
    signature="boundary_fusion(detail, semantic, boundary) -> array",
    ask="""
    `detail` and `semantic` [channels, height, width] are the maps of the fine and of the coarse branch.
    `boundary`, of the same shape, holds logits: large where the network sees a boundary. Turn them into
    shares s between 0 and 1 by the sigmoid s = 1 / (1 + exp(-boundary)). Return, at each pixel of each
    channel, s times the fine map plus (1 - s) times the coarse one, and add both maps once more, so that
    neither branch can be shut out.
    """,
    examples=[
        (ROW, -ROW[:, ::-1], EDGE),
        (np.stack([ROW[0], 2 * ROW[0]]), np.ones((2, 2, 3)), np.concatenate([EDGE, -EDGE])),
        (np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 5.0), np.zeros((1, 1, 1))),
        (ROW, ROW / 3, 900 * np.sign(EDGE)),
        (ROW.transpose(0, 2, 1), ROW.transpose(0, 2, 1) ** 2, EDGE.transpose(0, 2, 1)),
    ],
    wrong_answers={
        "the weights are swapped": (
            swapped,
            "At a boundary the pixels beside it matter. Which of the two branches still knows them?",
        ),
        "the sum is missing": (
            without_the_sum,
            "Where s is 0 the fine branch would get no gradient at all. What does the formula add?",
        ),
        "a softmax over the branches decides": (
            softmax_over_branches,
            "The features of the two branches do not say who counts for more. What does?",
        ),
        "the logits are used as shares": (
            raw_logits,
            "A logit may be -3 or 8. What turns it into a share between 0 and 1?",
        ),
        "one share for all channels": (
            one_share_for_all_channels,
            "Every channel has a boundary map of its own. Did you take a mean over them?",
        ),
        "one branch or the other": (
            hard_choice,
            "A logit just above 0 says: perhaps. A choice of one branch would turn it into: surely.",
        ),
        "half of the sum": (
            half_the_sum,
            "Both maps are added once more, whole. Did you add their mean?",
        ),
    },
    also_right=[pixel_by_pixel, as_a_step],
    hints=[
        "The sigmoid of 0 is one half: there, both branches count alike.",
        "Three steps: shares from logits, the mixture of the two maps by these shares, then the sum on top.",
        "`s * detail + (1 - s) * semantic + detail + semantic`, element by element. For logits far below 0, "
        "`np.exp(-boundary)` overflows to infinity, and 1 / (1 + inf) is 0: right, with a warning.",
    ],
    explanation="""
    Collected, the fine branch has the weight 1 + s and the coarse one 2 - s: always between 1 and 2, three
    together. At a boundary the fine one counts twice as much as the coarse one, far from it half as much.
    """,
    rtol=1e-7,
    atol=1e-9,
)

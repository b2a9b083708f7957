"""The waterline: the least time of a row of kernels, and the share of the peak that they can use."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, np.ndarray, float, float]
Answer = tuple[float, float]


def waterline(F: np.ndarray, B: np.ndarray, P: float, W: float) -> Answer:
    x = F / P
    seconds = np.maximum(x, B / W).sum()
    return float(seconds), float(x.sum() / seconds)


def bar_by_bar(F, B, P, W):
    """Width and height of each bar, as the picture has them."""
    seconds = computing = 0.0
    for flops, moved in zip(F, B, strict=True):
        width, waits = flops / P, moved / W
        if not width:
            seconds += waits
            continue
        height = waits / width
        seconds += width * max(1.0, height)
        computing += width
    return seconds, computing / seconds


def what_rises_above(F, B, P, W):
    """The time at the peak, and on top of it what rises above the line."""
    at_the_peak = float(np.sum(F)) / P
    above = np.clip(np.asarray(B) / W - np.asarray(F) / P, 0, None).sum()
    return at_the_peak + above, at_the_peak / (at_the_peak + above)


def one_kernel_of_all(F, B, P, W):
    x = F.sum() / P
    seconds = max(x, B.sum() / W)
    return seconds, x / seconds


def mean_of_efficiencies(F, B, P, W):
    seconds, _ = waterline(F, B, P, W)
    return seconds, float(np.mean((F / P) / np.maximum(F / P, B / W)))


def multiply_adds(F, B, P, W):
    return waterline(F / 2, B, P, W)


def without_the_flopless(F, B, P, W):
    some = F > 0
    return waterline(F[some], B[some], P, W) if some.any() else (0.0, 0.0)


def flopless_counted_as_computing(F, B, P, W):
    seconds, _ = waterline(F, B, P, W)
    return seconds, float(np.where(F > 0, F / P, B / W).sum() / seconds)


def computing_alone(F, B, P, W):
    return float(F.sum() / P), 1.0


def added(F, B, P, W):
    seconds = float((F / P + B / W).sum())
    return seconds, float(F.sum() / P / seconds)


def heights_summed(F, B, P, W):
    x = F / P
    with np.errstate(divide="ignore", invalid="ignore"):
        h = np.where(x > 0, (B / W) / x, 1.0)
    seconds = float(np.maximum(1.0, h).sum())
    return seconds, float(len(F) / seconds)


def upside_down(F, B, P, W):
    seconds, share = waterline(F, B, P, W)
    return seconds, 1 / share if share else 0.0


@st.composite
def rows_of_kernels(draw: st.DrawFn) -> Case:
    """One to five kernels on either side of the ridge; some have no operations, but not all."""
    P = 10 ** draw(st.floats(9, 12))
    W = P * 10 ** draw(st.floats(-2.5, 0))
    many = draw(st.integers(1, 5))
    B = np.array([10 ** draw(st.floats(3, 8)) for _ in range(many)])
    leans = np.array([10 ** draw(st.floats(-1.5, 1.5)) for _ in range(many)])
    computes = np.array([draw(st.integers(0, 3)) > 0 for _ in range(many)])
    computes[draw(st.integers(0, many - 1))] = True
    return np.where(computes, leans * B * P / W, 0.0), B, P, W


EXERCISE = Exercise(
    "roofline/waterline",
    waterline,
    rows_of_kernels(),
    signature="waterline(F, B, P, W) -> (seconds, efficiency)",
    ask="""
    A block is a row of kernels that run one after the other. `F` and `B` are float64 arrays of one
    length, 1 or more: the operations of each kernel, a product and a sum as two, and the bytes that it
    moves. `P` is the peak in operations a second, a product and a sum as two, and `W` the bandwidth in
    bytes a second. While one kernel runs, it computes and moves at the same time; the next one begins
    when it is done. A kernel may have no operations, but at least one of them has some, and all of them
    move bytes. Return the least time of the whole row in seconds, and the share of the peak that it
    uses then, from 0 to 1.
    """,
    examples=[
        (np.array([4e9, 0.0, 1e9]), np.array([1e8, 4e8, 4e8]), 1e11, 2e10),
        (np.array([1e9, 1e9]), np.array([8e8, 1e6]), 1e11, 2e10),
        (np.array([4e9]), np.array([1e8]), 1e11, 2e10),
        (np.array([1e8]), np.array([1e8]), 1e11, 2e10),
        (np.array([2e9, 0.0]), np.array([4e7, 4e7]), 1e11, 1e11),
    ],
    wrong_answers={
        "intensities are averaged": (
            one_kernel_of_all,
            "This takes the block for one kernel with all operations and all bytes. But a kernel that waits "
            "for memory cannot lend its idle processor to the next one. Which limit has each kernel?",
        ),
        "efficiencies are averaged": (
            mean_of_efficiencies,
            "A short kernel counts as much as a long one in your mean. Whose time is it a share of?",
        ),
        "multiply-adds against a peak that counts two": (
            multiply_adds,
            "`F` counts a product and a sum as two, and so does `P`. Do you divide by two somewhere?",
        ),
        "kernels without operations are dropped": (
            without_the_flopless,
            "A kernel without operations still moves bytes. How long does it take?",
        ),
        "moving counts as computing": (
            flopless_counted_as_computing,
            "The bar of a kernel without operations is as wide as its bytes take. Does it use the peak?",
        ),
        "memory is forgotten": (
            computing_alone,
            "This is the time at the peak. What if the bytes of a kernel take longer?",
        ),
        "computing and moving are added": (
            added,
            "A kernel computes and moves at the same time. Which of the two times does it take?",
        ),
        "heights instead of areas": (
            heights_summed,
            "A height is a ratio. Seconds are a width times the larger of 1 and the height.",
        ),
        "the share is upside down": (
            upside_down,
            "The share of the peak is at most 1. What is divided by what?",
        ),
    },
    also_right=[bar_by_bar, what_rises_above],
    hints=[
        "Take one kernel first. At the peak it computes for `F / P` seconds. Its bytes take `B / W`.",
        "It takes the longer of the two. The row takes the sum over its kernels.",
        "At the peak without waiting, the row would take `sum(F) / P`. Divide this by the time it takes.",
    ],
    explanation="""
    With x = F / P and h = (B / W) / x, the time of a kernel is x · max(1, h): the area of its bar,
    filled up to the waterline. `np.maximum(F / P, B / W)` is the same without a division by zero.
    Averaging first, and taking the larger afterwards, is too good: it lets one kernel compute while
    another one moves.
    """,
    rtol=1e-9,
    atol=0,
)

"""A dilated kernel with its norm, as one plain kernel and a constant: what is added into the wide kernel."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles

Branch = tuple[np.ndarray, int, int, float, float, float, float]


def place(
    kernel: np.ndarray, dilation: int, size: int, scale: float, shift: float, mean: float, std: float
) -> tuple[np.ndarray, float]:
    span = dilation * (len(kernel) - 1) + 1
    margin = (size - span) // 2
    wide = np.zeros((size, size))
    wide[margin : margin + span : dilation, margin : margin + span : dilation] = kernel
    factor = scale / std
    return wide * factor, shift - mean * factor


def tap_by_tap(kernel, dilation, size, scale, shift, mean, std):
    """Counts every weight from the middle of both kernels."""
    wide, here, there = np.zeros((size, size)), len(kernel) // 2, size // 2
    for i, row in enumerate(kernel):
        for j, weight in enumerate(row):
            wide[there + dilation * (i - here), there + dilation * (j - here)] += weight * scale / std
    return wide, float(shift - scale * mean / std)


def by_blocks(kernel, dilation, size, scale, shift, mean, std):
    """A block of dilation x dilation for every weight, empty but for its first corner; then a frame."""
    corner = np.zeros((dilation, dilation))
    corner[0, 0] = 1
    span = dilation * (len(kernel) - 1) + 1
    spread = np.kron(kernel, corner)[:span, :span]
    return np.pad(spread, (size - span) // 2) * (scale / std), shift - mean * (scale / std)


def one_off(kernel, dilation, size, scale, shift, mean, std):
    wide, bias = place(kernel, dilation, size, scale, shift, mean, std)
    return np.roll(wide, 1, (0, 1)), bias


def in_the_corner(kernel, dilation, size, scale, shift, mean, std):
    span = dilation * (len(kernel) - 1) + 1
    wide, bias = place(kernel, dilation, size, scale, shift, mean, std)
    return np.roll(wide, -((size - span) // 2), (0, 1)), bias


def undilated(kernel, dilation, size, scale, shift, mean, std):
    return place(kernel, 1, size, scale, shift, mean, std)


def repeated(kernel, dilation, size, scale, shift, mean, std):
    span = dilation * (len(kernel) - 1) + 1
    blocks = np.kron(kernel, np.ones((dilation, dilation)))
    cut = (len(blocks) - span) // 2
    wide = np.pad(blocks[cut : cut + span, cut : cut + span], (size - span) // 2)
    return wide * scale / std, shift - mean * scale / std


def a_zero_too_many(kernel, dilation, size, scale, shift, mean, std):
    wide, reach = np.zeros((size, size)), len(kernel) // 2
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            row, column = size // 2 + (dilation + 1) * i, size // 2 + (dilation + 1) * j
            if 0 <= row < size and 0 <= column < size:
                wide[row, column] = kernel[reach + i, reach + j] * scale / std
    return wide, shift - mean * scale / std


def turned(kernel, dilation, size, scale, shift, mean, std):
    return place(kernel[::-1, ::-1], dilation, size, scale, shift, mean, std)


def without_the_mean(kernel, dilation, size, scale, shift, mean, std):
    return place(kernel, dilation, size, scale, shift, 0.0, std)


def without_the_std(kernel, dilation, size, scale, shift, mean, std):
    return place(kernel, dilation, size, scale, shift, mean, 1.0)


def weights_before_the_std(kernel, dilation, size, scale, shift, mean, std):
    wide, _ = place(kernel, dilation, size, scale, shift, mean, 1.0)
    return wide, shift - mean * scale / std


def mean_as_it_is(kernel, dilation, size, scale, shift, mean, std):
    wide, _ = place(kernel, dilation, size, scale, shift, mean, std)
    return wide, shift - mean


def weights_as_they_are(kernel, dilation, size, scale, shift, mean, std):
    wide, _ = place(kernel, dilation, size, 1.0, shift, mean, 1.0)
    return wide, shift - mean * scale / std


@st.composite
def branches(draw: st.DrawFn) -> Branch:
    """Odd kernels with any dilation, in a wide kernel with room or with none; norms far from the identity."""
    length, dilation = draw(st.sampled_from((1, 3, 5))), draw(st.integers(1, 4))
    size = dilation * (length - 1) + 1 + 2 * draw(st.integers(0, 3))
    kernel = draw(profiles.arrays((length, length), profiles=("mixed", "positive", "spikes")))
    scale, shift, mean = (draw(st.floats(-3, 3).filter(lambda x: abs(x) > 0.2)) for _ in range(3))
    return (
        kernel,
        dilation,
        size,
        scale,
        shift,
        mean,
        draw(st.floats(0.2, 4).filter(lambda x: abs(x - 1) > 0.1)),
    )


COUNT = np.arange(1.0, 10.0).reshape(3, 3)

EXERCISE = Exercise(
    "receptive-fields/dilated-place",
    place,
    branches(),
    signature="place(kernel, dilation, size, scale, shift, mean, std) -> (wide, bias)",
    ask="""
    A branch filters a channel with `kernel` [k, k], its weights `dilation` pixels apart, and its norm then
    computes `scale * (y - mean) / std + shift`. Return the kernel `wide` [size, size] without dilation and
    the number `bias` that do the same: filter with `wide`, then add `bias`. k and `size` are odd, the
    middles of both kernels agree, and `size` is large enough. Zeros stand wherever `kernel` has no weight.
    """,
    examples=[
        (COUNT, 2, 7, 2.0, 0.5, 3.0, 4.0),
        (COUNT, 1, 3, 2.0, -0.5, 3.0, 4.0),
        (COUNT, 5, 13, -1.5, 0.5, -3.0, 0.5),
        (np.ones((1, 1)), 3, 5, 2.0, 0.5, 3.0, 4.0),
        (np.arange(49.0).reshape(7, 7), 2, 13, 0.5, 1.0, 2.0, 0.25),
    ],
    wrong_answers={
        "one pixel off the middle": (
            one_off,
            "The spread kernel spans dilation · (k − 1) + 1 pixels. What is left of `size` is shared equally "
            "by both sides.",
        ),
        "in the corner instead of the middle": (
            in_the_corner,
            "A kernel is read around its middle. Where does the middle of `kernel` belong in `wide`?",
        ),
        "the dilation is forgotten": (
            undilated,
            "The weights of the branch do not stand side by side. How far apart are they?",
        ),
        "weights are repeated instead of spaced by zeros": (
            repeated,
            "A dilated kernel skips the pixels between its weights. Which weight do skipped pixels have?",
        ),
        "one zero too many between two weights": (
            a_zero_too_many,
            "With dilation 1 there is no zero between two weights. How many are there with dilation 2?",
        ),
        "the kernel is turned": (
            turned,
            "Both filters are read in the same direction, so the first weight stays the first.",
        ),
        "the mean is left out": (
            without_the_mean,
            "The norm subtracts `mean` before it scales. What becomes of this constant?",
        ),
        "std is left out": (
            without_the_std,
            "The norm divides by `std`. Which numbers does this change?",
        ),
        "weights are folded before the division by std": (
            weights_before_the_std,
            "The bias knows `std`, the weights do not. Both go through the same norm.",
        ),
        "the mean is neither scaled nor divided": (
            mean_as_it_is,
            "Write the norm as factor · y + constant. The mean is inside the bracket: what multiplies it?",
        ),
        "the norm changes the bias alone": (
            weights_as_they_are,
            "Twice the scale doubles the output of the branch. Which weights does its filter then need?",
        ),
    },
    also_right=[tap_by_tap, by_blocks],
    hints=[
        "Two steps that do not meet: first put the weights in their places, then think about the norm.",
        "The weights span `dilation * (k - 1) + 1` pixels. In a slice `start:stop:dilation` along both axes "
        "of an array of zeros they all find their places.",
        "scale · (y − mean) / std + shift = f · y + (shift − f · mean) with f = scale / std. The filter is "
        "linear, so f · y is the output of the kernel times f.",
    ],
    explanation="""
    Filtering with gaps reads every `dilation`-th pixel, which is what a wide kernel does whose other weights
    are zero. The norm multiplies what the filter found by `scale / std`, and as the filter is linear, its
    weights may be multiplied instead. What is left, `shift - mean * scale / std`, is the same everywhere.
    """,
    rtol=1e-9,
    atol=1e-9,
)

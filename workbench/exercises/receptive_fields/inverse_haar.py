"""One step back through a Haar transform: four bands become the picture that they were made of."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles


def inverse(
    LL: np.ndarray, LH: np.ndarray, HL: np.ndarray, HH: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    x = np.empty((2 * LL.shape[0], 2 * LL.shape[1]))
    x[0::2, 0::2] = (LL + LH + HL + HH) / 2
    x[0::2, 1::2] = (LL + LH - HL - HH) / 2
    x[1::2, 0::2] = (LL - LH + HL - HH) / 2
    x[1::2, 1::2] = (LL - LH - HL + HH) / 2
    return x[: size[0], : size[1]]


def by_matrix(LL, LH, HL, HH, size):
    """The matrix of the transform is its own inverse; the four pixels are then put into their squares."""
    signs = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    pixels = np.tensordot(signs / 2, np.stack([LL, LH, HL, HH]), axes=1).reshape(2, 2, *LL.shape)
    return pixels.transpose(2, 0, 3, 1).reshape(2 * LL.shape[0], 2 * LL.shape[1])[: size[0], : size[1]]


def pixel_by_pixel(LL, LH, HL, HH, size):
    """Each pixel asks its square, and takes its details with the sign of its place in it."""
    x = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            square = i // 2, j // 2
            row, column = 1 - 2 * (i % 2), 1 - 2 * (j % 2)
            details = row * LH[square] + column * HL[square] + row * column * HH[square]
            x[i, j] = 0.5 * (LL[square] + details)
    return x


def horizontal_sign(LL, LH, HL, HH, size):
    return inverse(LL, -LH, HL, HH, size)


def vertical_sign(LL, LH, HL, HH, size):
    return inverse(LL, LH, -HL, HH, size)


def diagonal_sign(LL, LH, HL, HH, size):
    return inverse(LL, LH, HL, -HH, size)


def bands_swapped(LL, LH, HL, HH, size):
    return inverse(LL, HL, LH, HH, size)


def no_half(LL, LH, HL, HH, size):
    return 2 * inverse(LL, LH, HL, HH, size)


def quarter(LL, LH, HL, HH, size):
    return inverse(LL, LH, HL, HH, size) / 2


def quadrants(LL, LH, HL, HH, size):
    """All first pixels in one corner of the picture, all second ones in the next."""
    x = inverse(LL, LH, HL, HH, (2 * LL.shape[0], 2 * LL.shape[1]))
    rows = np.block([[x[0::2, 0::2], x[0::2, 1::2]], [x[1::2, 0::2], x[1::2, 1::2]]])
    return rows[: size[0], : size[1]]


def even_only(LL, LH, HL, HH, size):
    return inverse(LL, LH, HL, HH, (size[0] // 2 * 2, size[1] // 2 * 2))


def never_cut(LL, LH, HL, HH, size):
    return inverse(LL, LH, HL, HH, (2 * LL.shape[0], 2 * LL.shape[1]))


def averages_alone(LL, LH, HL, HH, size):
    return inverse(LL, 0 * LH, 0 * HL, 0 * HH, size)


@st.composite
def transforms(draw: st.DrawFn) -> tuple[Any, ...]:
    """Bands of pictures of any size, odd ones too, and that size."""
    height, width = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    x = draw(profiles.arrays((height, width)))
    return (*forward(x), (height, width))


def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The step that is to be undone; odd sizes get a row or a column of zeros."""
    x = np.pad(x, [(0, n % 2) for n in x.shape])
    a, b, c, d = x[0::2, 0::2], x[0::2, 1::2], x[1::2, 0::2], x[1::2, 1::2]
    return (a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2


COUNTED = np.arange(24.0).reshape(4, 6) ** 1.5

EXERCISE = Exercise(
    "receptive-fields/inverse-haar",
    inverse,
    transforms(),
    signature="inverse(LL, LH, HL, HH, size) -> x",
    ask="""
    A Haar transform took a picture apart. From every square of 2×2 pixels `a b / c d` it made
    `LL = (a + b + c + d) / 2`, `LH = (a + b - c - d) / 2`, `HL = (a - b + c - d) / 2` and
    `HH = (a - b - c + d) / 2`. You get these four arrays, [h, w] each, and `size`, the (height, width) of
    the picture. Return the picture. Where a side was odd, a row of zeros below or a column of zeros on the
    right had been added first; it does not belong to the picture.
    """,
    examples=[
        (*forward(COUNTED), (4, 6)),
        (*forward(COUNTED[:3, :5]), (3, 5)),
        (*forward(np.array([[3.0]])), (1, 1)),
        (*forward(np.eye(2)), (2, 2)),
    ],
    wrong_answers={
        "LH has the wrong sign": (
            horizontal_sign,
            "LH is what the upper two pixels have more than the lower two. Which pixels get it with a plus?",
        ),
        "HL has the wrong sign": (
            vertical_sign,
            "HL is what the left two pixels have more than the right two. Which pixels get it with a plus?",
        ),
        "HH has the wrong sign": (
            diagonal_sign,
            "In HH the pixels a and d have a plus. Which sign does HH have in them on the way back?",
        ),
        "LH and HL are exchanged": (
            bands_swapped,
            "One of them tells rows apart, the other one columns. Try a picture that is bright above and "
            "dark below: which band is not zero?",
        ),
        "the half is missing": (
            no_half,
            "Put a = b = c = d = 1 in. LL is 2 and the rest is 0. What does your pixel a come to?",
        ),
        "a quarter instead of a half": (
            quarter,
            "The sum of the four bands is 2a, not 4a, because each band has been halved already.",
        ),
        "the pixels are not woven together": (
            quadrants,
            "a, b, c, d are neighbours in the picture. At which rows and columns do all the a's stand?",
        ),
        "odd sizes lose their last row or column": (
            even_only,
            "A picture of 3 rows has 2 rows of squares, and the last of them has one row of the picture. Is "
            "it in what you return?",
        ),
        "the added zeros are not cut off": (
            never_cut,
            "Four rows come out where the picture had three. `size` tells how many belong to it.",
        ),
        "the details are left out": (
            averages_alone,
            "That is a picture of half the resolution. Which three arrays have you not used?",
        ),
    },
    also_right=[by_matrix, pixel_by_pixel],
    hints=[
        "Add all four bands: what is left of a, b, c and d? Then change the signs to keep b, c or d instead.",
        "`a = (LL + LH + HL + HH) / 2`. The signs of b, c and d are the columns of the same table.",
        "All pixels a stand at `x[0::2, 0::2]`, all pixels b at `x[0::2, 1::2]`. Cut with `size` at the end.",
    ],
    explanation="""
    The table of signs has orthogonal rows of length 2, and with the half of length 1. So its transpose is
    its inverse, and as it is symmetric, it is its own inverse: the same four sums lead back. What is left is
    to put the four pixels of every square where they were.
    """,
    rtol=1e-9,
    atol=1e-9,
)

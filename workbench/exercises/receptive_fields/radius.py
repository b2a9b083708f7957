"""How far does one output look? The radius of the square that holds a share of the gradient's mass."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles


def radius(field: np.ndarray, share: float) -> float:
    mass = np.abs(field)
    y, x = np.indices(field.shape)
    middle_y, middle_x = (field.shape[0] - 1) / 2, (field.shape[1] - 1) / 2
    distance = np.maximum(np.abs(y - middle_y), np.abs(x - middle_x))
    wanted = share * mass.sum() * (1 - 1e-9)  # a hair less, for rounding in the sums
    for r in np.unique(distance):
        if mass[distance <= r].sum() >= wanted:
            return float(r)
    return float(distance.max())


def by_growing_squares(field: np.ndarray, share: float) -> float:
    """Cuts out the central square, one ring larger each time."""
    mass = [[abs(float(value)) for value in row] for row in field]
    height, width = len(mass), len(mass[0])
    total = sum(map(sum, mass))
    doubled = 0  # twice the radius, which is whole for odd sizes and ends in .5 for even ones
    while True:
        inside = sum(
            mass[i][j]
            for i in range(height)
            for j in range(width)
            if abs(2 * i - height + 1) <= doubled and abs(2 * j - width + 1) <= doubled
        )
        if inside >= share * total * (1 - 1e-9):
            return doubled / 2
        doubled += 1


def by_sorting(field: np.ndarray, share: float) -> float:
    """Sorts the pixels by distance and reads the running sum."""
    height, width = field.shape
    rows, columns = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    distance = np.maximum.outer(np.abs(rows), np.abs(columns)).ravel()
    order = np.argsort(distance, kind="stable")
    running = np.cumsum(np.abs(field).ravel()[order])
    return float(distance[order][np.searchsorted(running, share * running[-1] * (1 - 1e-9))])


def log_first(field, share):
    return radius(np.log10(np.abs(field) + 1), share)


def corner_of_the_middle(field, share):
    height, width = field.shape
    y, x = np.indices(field.shape)
    return _within(np.abs(field), np.maximum(np.abs(y - height // 2), np.abs(x - width // 2)), share)


def whole_radii(field, share):
    """Grows r by one from zero, also where the middle lies between two pixels."""
    mass = np.abs(field)
    y, x = np.abs(np.indices(field.shape) - np.reshape([(n - 1) / 2 for n in field.shape], (2, 1, 1)))
    r = 0
    while mass[np.maximum(y, x) <= r].sum() < share * mass.sum() * (1 - 1e-9):
        r += 1
    return float(r)


def half_a_pixel_off(field, share):
    height, width = field.shape
    y, x = np.indices(field.shape)
    return _within(np.abs(field), np.maximum(np.abs(y - height / 2), np.abs(x - width / 2)), share)


def signed(field, share):
    y, x = np.indices(field.shape)
    distance = np.maximum(np.abs(y - (field.shape[0] - 1) / 2), np.abs(x - (field.shape[1] - 1) / 2))
    return _within(field, distance, share)


def squared(field, share):
    return radius(field**2, share)


def side(field, share):
    return 2 * radius(field, share) + 1


def disc(field, share):
    y, x = np.indices(field.shape)
    return _within(np.abs(field), np.hypot(y - (field.shape[0] - 1) / 2, x - (field.shape[1] - 1) / 2), share)


def share_of_the_peak(field, share):
    y, x = np.indices(field.shape)
    distance = np.maximum(np.abs(y - (field.shape[0] - 1) / 2), np.abs(x - (field.shape[1] - 1) / 2))
    return float(distance[np.abs(field) >= share * np.abs(field).max()].max())


def more_than_the_share(field, share):
    return radius(field, share + 1e-7)


def _within(mass: np.ndarray, distance: np.ndarray, share: float) -> float:
    for r in np.unique(distance):
        if mass[distance <= r].sum() >= share * mass.sum() * (1 - 1e-9):
            return float(r)
    return float(distance.max())


@st.composite
def fields(draw: st.DrawFn) -> tuple[np.ndarray, float]:
    """Gradients of any size and sign, flat or gathered in the middle, that decide without a tie."""
    shape = draw(profiles.shapes(2, most=12))
    field = draw(profiles.arrays(shape, profiles=[name for name in profiles.PROFILES if name != "zeros"]))
    if width := draw(st.sampled_from((None, 1.0, 2.0, 4.0))):
        rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape)
        field *= np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * width**2))
    share = draw(st.sampled_from((0.2, 0.5, 0.9))) if draw(st.booleans()) else draw(st.floats(0.05, 0.98))
    mass = np.abs(field)
    assume(mass.sum() > 0)
    y, x = np.abs(np.indices(shape) - np.reshape([(n - 1) / 2 for n in shape], (2, 1, 1)))
    rings = [mass[np.maximum(y, x) <= r].sum() / mass.sum() for r in np.unique(np.maximum(y, x))]
    assume(min(abs(ring - share) for ring in rings) > 1e-6)  # rounding must not decide
    return field, share


TIE = np.array([[1.0, 1.0, 1.0], [1.0, 8.0, 1.0], [1.0, 1.0, 1.0]])  # exactly one half in the middle
GAUSS = np.exp(-((np.arange(15)[:, None] - 7) ** 2 + (np.arange(15) - 7) ** 2) / 18)

EXERCISE = Exercise(
    "receptive-fields/radius",
    radius,
    fields(),
    signature="radius(field, share) -> float",
    ask="""
    `field` [height, width] holds the gradients of one output by the pixels of the image, raw and with
    their signs. Return the smallest distance r from the middle of the map so that the square of all
    pixels with |y - middle| ≤ r and |x - middle| ≤ r holds at least `share` of the sum of |field|. The
    middle of n pixels lies at (n - 1) / 2: on a pixel for odd n, between two for even n. So r is one of
    the distances of the pixels' centres: 0, 1, 2, … or 0.5, 1.5, …
    """,
    examples=[
        (np.ones((3, 3)), 0.5),
        (np.ones((4, 4)), 0.5),
        (TIE, 0.5),
        (GAUSS, 0.5),
        (1e4 * GAUSS, 0.5),
        (np.ones((1, 1)), 0.5),
        (-1e3 * GAUSS[:, :14], 0.9),
    ],
    wrong_answers={
        "the logarithm is taken before the share": (
            log_first,
            "A logarithm makes small gradients count nearly as much as large ones, and the answer then "
            "depends on the unit of the gradients. Which mass is to be shared?",
        ),
        "the middle is a pixel also where the size is even": (
            corner_of_the_middle,
            "Four pixels have indices 0 to 3. Where is their middle, and is it a pixel?",
        ),
        "only whole radii are tried": (
            whole_radii,
            "Four pixels have their middle between the second and the third. How far from it are these two?",
        ),
        "the middle is off by half a pixel": (
            half_a_pixel_off,
            "Three pixels have indices 0, 1, 2. Does your middle fall onto 1?",
        ),
        "gradients of different sign cancel": (
            signed,
            "A pixel that pushes the output down is seen as well as one that pushes it up. What is its mass?",
        ),
        "gradients are squared": (
            squared,
            "Squares make the peak count for more than it has. The mass of a pixel is its gradient's size.",
        ),
        "the side of the square is returned": (
            side,
            "A square that reaches r pixels to every side of a pixel is 2r + 1 wide. Which of the two is "
            "asked for?",
        ),
        "a disc instead of a square": (
            disc,
            "The corners belong to a square as much as its sides do. Which distance is r everywhere on its "
            "border?",
        ),
        "a share of the peak instead of the mass": (
            share_of_the_peak,
            "How far pixels stay above a part of the largest one says little about the sum. Add up what lies "
            "inside.",
        ),
        "more than the share is asked for": (
            more_than_the_share,
            "A square that holds exactly the share is large enough: at least, not more than.",
        ),
    },
    also_right=[by_growing_squares, by_sorting],
    hints=[
        "Take absolute values first. Find the distance of every pixel from the middle, along y and along x.",
        "A pixel lies in the square of radius r when the larger of its two distances is at most r.",
        "Only the distances of pixels can be answers: go through `np.unique(distance)` and stop at the first "
        "whose mass `mass[distance <= r].sum()` is at least `share * mass.sum()`.",
    ],
    explanation="""
    The larger of the two distances is the same all along the border of a square, so `distance <= r`
    cuts out a square. Its mass only grows with r, so the first r that holds the share is the smallest.
    There is no logarithm and no threshold: multiplying all gradients by any number but zero leaves the
    answer as it is.
    """,
    rtol=0,
    atol=1e-9,
)

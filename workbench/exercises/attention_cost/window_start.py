"""Where a window starts: every query sees exactly its nearest keys, also at the borders."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def window_keys(i: int, length: int, window: int, dilation: int) -> np.ndarray:
    residue, place = i % dilation, i // dilation
    members = (length - residue + dilation - 1) // dilation
    start = min(max(place - window // 2, 0), members - window)
    return residue + dilation * np.arange(start, start + window)


def by_distance(i: int, length: int, window: int, dilation: int) -> np.ndarray:
    """The nearest ones of the class; of two that are equally near, the one before."""
    members = range(i % dilation, length, dilation)
    return np.array(sorted(sorted(members, key=lambda key: (abs(key - i), key))[:window]))


def by_slices(i: int, length: int, window: int, dilation: int) -> np.ndarray:
    """A slice of the class, moved back where it would run over the end."""
    members = np.arange(length)[i % dilation :: dilation]
    start = int(np.clip(np.searchsorted(members, i) - window // 2, 0, len(members) - window))
    return members[start : start + window]


def zero_padding(i, length, window, dilation):
    keys = i + dilation * (np.arange(window) - window // 2)
    return np.where((keys < 0) | (keys >= length), -1, keys)


def shrinking(i, length, window, dilation):
    keys = i + dilation * (np.arange(window) - window // 2)
    return keys[(keys >= 0) & (keys < length)]


def index_clamped(i, length, window, dilation):
    return np.clip(i + dilation * (np.arange(window) - window // 2), 0, length - 1)


def wrong_side(i, length, window, dilation):
    residue, place = i % dilation, i // dilation
    members = (length - residue + dilation - 1) // dilation
    start = min(max(place - (window - 1) // 2, 0), members - window)
    return residue + dilation * np.arange(start, start + window)


def dilation_first(i, length, window, dilation):
    start = min(max(i - dilation * (window // 2), 0), length - dilation * (window - 1) - 1)
    return start + dilation * np.arange(window)


def dilation_first_by_class(i, length, window, dilation):
    start = min(max(i - dilation * (window // 2), 0), length - dilation * window)
    return start + dilation * np.arange(window)


def dilation_first_by_length(i, length, window, dilation):
    start = min(max(i - dilation * (window // 2), 0), length - window)
    return start + dilation * np.arange(window)


def clamp_first(i, length, window, dilation):
    start = min(max(i - window // 2, 0), length - window)
    return start + dilation * np.arange(window)


def no_dilation(i, length, window, dilation):
    start = min(max(i - window // 2, 0), length - window)
    return np.arange(start, start + window)


def equal_classes(i, length, window, dilation):
    residue, place = i % dilation, i // dilation
    start = min(max(place - window // 2, 0), length // dilation - window)
    return residue + dilation * np.arange(start, start + window)


def one_border(i, length, window, dilation):
    residue, place = i % dilation, i // dilation
    return residue + dilation * np.arange(max(place - window // 2, 0), max(place - window // 2, 0) + window)


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Any query, often at a border; windows that just fit; classes that differ in length by one."""
    window, dilation = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    length = window * dilation + draw(st.integers(0, 12))
    near = st.sampled_from([0, 1, length - 1, max(length - 2, 0)])
    return min(draw(st.one_of(near, st.integers(0, length - 1))), length - 1), length, window, dilation


EXERCISE = Exercise(
    "attention-cost/window-start",
    window_keys,
    places(),
    signature="window_keys(i, length, window, dilation) -> keys",
    ask="""
    Positions 0 to `length` − 1 stand in a row. The query at position `i` sees exactly `window` keys, also at
    the borders: there the window shifts inwards, it never shrinks. Return the positions of these keys, a
    numpy array of `window` whole numbers in rising order.

    With a `dilation` of 1 they are neighbours, and `window // 2` of them come before `i` where there is room:
    an odd window has `i` in its middle, an even one holds one key more before `i` than after it. With a
    dilation d, only positions with the same remainder as `i` in the division by d count. Among these alone,
    in their order, the same rule holds. So two keys that follow each other are d apart.

    All four are whole numbers: 0 ≤ `i` < `length`, `window` and `dilation` at least 1, and `window` times
    `dilation` at most `length`.
    """,
    examples=[
        (5, 12, 3, 1),
        (0, 12, 5, 1),
        (11, 12, 5, 1),
        (5, 12, 4, 1),
        (1, 12, 3, 2),
        (11, 13, 3, 4),
        (12, 13, 3, 4),
        (3, 8, 8, 1),
        (4, 9, 1, 3),
    ],
    wrong_answers={
        "zero padding: places outside of the row": (
            zero_padding,
            "There is nothing to see outside of the row. Move the whole window inwards.",
        ),
        "the window shrinks at the border": (
            shrinking,
            "A query at the border sees as many keys as all others. Move the whole window inwards.",
        ),
        "each index is clamped, not the window": (
            index_clamped,
            "Then the outermost key comes several times. Clamp the start of the window, once.",
        ),
        "an even window leans to the wrong side": (
            wrong_side,
            "With 4 keys, 2 come before the query and 1 after it. Which start is that?",
        ),
        "dilation is applied before the clamp": (
            dilation_first,
            "At the border your keys leave the class of i. Clamp inside the class first, then spread it out.",
        ),
        "dilation is applied before the clamp, to length - dilation * window": (
            dilation_first_by_class,
            "A start clamped to 0, or to length - dilation * window, may be of another class than i. Count "
            "places inside the class of i, clamp there, then spread them out.",
        ),
        "dilation is applied before the clamp, to length - window": (
            dilation_first_by_length,
            "Spread out, a window needs more room than `window` positions, and at the first border your keys "
            "leave the class of i. Clamp inside the class first, then spread it out.",
        ),
        "the clamp is done as if there were no dilation": (
            clamp_first,
            "Your start is that of neighbours, only then come the gaps. Count places inside the class of i.",
        ),
        "dilation is left out": (
            no_dilation,
            "Two keys that follow each other are `dilation` apart.",
        ),
        "all classes are equally long": (
            equal_classes,
            "13 positions with a dilation of 4: remainder 0 has 4 of them, the others 3. How many has yours?",
        ),
        "only the first border is looked after": (
            one_border,
            "The window may run over the other end as well. What is the last start that fits?",
        ),
    },
    also_right=[by_distance, by_slices],
    hints=[
        "Without dilation: which start would you want, and what is the smallest and the largest that fits?",
        "`start = min(max(i - window // 2, 0), length - window)`. With a dilation: inside the class of i.",
        "The class of i is `range(i % dilation, length, dilation)`, and i is number `i // dilation` in it.",
    ],
    explanation="""
    Sorting the positions by remainder turns a dilated window into a plain one: in its class, i has the place
    i // d, and the class is as long as `len(range(i % d, length, d))`. Clamp there, then multiply by d and
    add the remainder. Another way: take the `window` members of the class that are nearest to i.
    """,
    rtol=0,
    atol=0,
)

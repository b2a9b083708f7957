"""A block in bands: all layers for a few pixels at a time, and the same result as layer by layer."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]


def in_bands(
    x: np.ndarray, look: np.ndarray, expand: np.ndarray, project: np.ndarray, band: int
) -> np.ndarray:
    half = len(look) // 2
    padded = np.pad(x, ((half, half), (0, 0)))
    out = np.empty_like(x)
    for first in range(0, len(x), band):
        last = min(first + band, len(x))
        near = sum(look[t] * padded[first + t : last + t] for t in range(len(look)))
        wide = np.maximum(near @ expand, 0)
        out[first:last] = x[first:last] + wide @ project
    return out


def layer_by_layer(x, look, expand, project, band):
    """One band as long as the row."""
    half, near = len(look) // 2, np.zeros_like(x)
    for t, weights in enumerate(look):
        for p in range(len(x)):
            if 0 <= p + t - half < len(x):
                near[p] += weights * x[p + t - half]
    return x + np.maximum(near @ expand, 0) @ project


def with_overlap(x, look, expand, project, band):
    """Each band is cut out with its neighbours, computed whole, and trimmed."""
    half, parts = len(look) // 2, []
    for first in range(0, len(x), band):
        last = min(first + band, len(x))
        low, high = max(0, first - half), min(len(x), last + half)
        parts.append(layer_by_layer(x[low:high], look, expand, project, band)[first - low : last - low])
    return np.concatenate(parts)


def zeros_at_the_edges(x, look, expand, project, band):
    parts = [x[first : first + band] for first in range(0, len(x), band)]
    return np.concatenate([layer_by_layer(part, look, expand, project, band) for part in parts])


def only_before(x, look, expand, project, band):
    """The pixels before a band are kept, those after it are not there yet."""
    half, parts = len(look) // 2, []
    for first in range(0, len(x), band):
        low, last = max(0, first - half), min(first + band, len(x))
        parts.append(layer_by_layer(x[low:last], look, expand, project, band)[first - low :])
    return np.concatenate(parts)


def last_band_lost(x, look, expand, project, band):
    out, whole = np.zeros_like(x), len(x) // band * band
    out[:whole] = layer_by_layer(x, look, expand, project, band)[:whole]
    return out


def wrapped_around(x, look, expand, project, band):
    half = len(look) // 2
    near = sum(look[t] * np.roll(x, half - t, axis=0) for t in range(len(look)))
    return x + np.maximum(near @ expand, 0) @ project


def turned_round(x, look, expand, project, band):
    return layer_by_layer(x, look[::-1], expand, project, band)


def input_forgotten(x, look, expand, project, band):
    return layer_by_layer(x, look, expand, project, band) - x


def activated_early(x, look, expand, project, band):
    half = len(look) // 2
    padded = np.pad(x, ((half, half), (0, 0)))
    near = sum(look[t] * padded[t : t + len(x)] for t in range(len(look)))
    return x + np.maximum(near, 0) @ expand @ project


@st.composite
def rows_of_pixels(draw: st.DrawFn) -> Case:
    """A row of pixels, a few channels, three or five taps, and a band that need not divide the row."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    pixels, channels, wide = draw(st.integers(1, 14)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    taps, band = draw(st.sampled_from((1, 3, 5))), draw(st.integers(1, 6))
    return _case(rng, pixels, channels, wide, taps, band)


def _case(rng: np.random.Generator, pixels: int, channels: int, wide: int, taps: int, band: int) -> Case:
    shapes = (pixels, channels), (taps, channels), (channels, wide), (wide, channels)
    x, look, expand, project = (rng.standard_normal(shape) for shape in shapes)
    return x, look, expand, project, band


RNG = np.random.default_rng(15)

EXERCISE = Exercise(
    "roofline/block-in-bands",
    in_bands,
    rows_of_pixels(),
    signature="in_bands(x, look, expand, project, band) -> out",
    ask="""
    `x` [pixels, channels] is one row of pixels. Compute the block `band` pixels at a time: the first
    `band` pixels through all layers, then the next ones. The last band may be shorter. For each pixel:
    *near* is the sum over the taps t of `look[t]` times pixel p + t − taps // 2, channel by channel;
    beyond both ends of the row lie zeros. `look` is [taps, channels] with an odd number of taps. Then
    `near @ expand`, negative numbers set to 0, then `@ project`, and the pixel itself is added.
    `expand` is [channels, wide] and `project` [wide, channels]. All are float64; there is at least one
    of everything. Return out [pixels, channels], and do not change what came in.
    """,
    examples=[
        _case(RNG, 8, 2, 4, 3, 4),
        _case(RNG, 7, 2, 4, 3, 3),
        _case(RNG, 9, 1, 3, 5, 2),
        _case(RNG, 1, 2, 2, 3, 4),
        _case(RNG, 6, 2, 3, 3, 1),
        _case(RNG, 5, 2, 3, 1, 2),
    ],
    wrong_answers={
        "zeros at the edges of a band": (
            zeros_at_the_edges,
            "A band ends, but the row goes on. What does the window of its first pixel see to the left?",
        ),
        "only what came before is seen": (
            only_before,
            "The window looks both ways. The input after the band is in memory already: read it.",
        ),
        "the last band is lost": (
            last_band_lost,
            "`band` need not divide the pixels. How long is the last band?",
        ),
        "the row is a ring": (
            wrapped_around,
            "Beyond the ends of the row lie zeros. Does your first pixel see the last one?",
        ),
        "the taps are turned round": (
            turned_round,
            "Tap 0 belongs to the pixel furthest to the left. To which one does yours belong?",
        ),
        "the pixel itself is not added": (input_forgotten, "What is added at the end?"),
        "activated before widening": (
            activated_early,
            "Negative numbers are set to 0 in the wide tensor. Where do you do it?",
        ),
    },
    also_right=[layer_by_layer, with_overlap],
    hints=[
        "Pad `x` once with taps // 2 rows of zeros on both sides. Then every window of the row exists.",
        "Of the padded row, tap t of the pixels `first` to `last` sees the rows `first + t` to `last + t`.",
        "In the loop: `near` as a sum over the taps, `wide = np.maximum(near @ expand, 0)`, and "
        "`out[first:last] = x[first:last] + wide @ project`, with `last = min(first + band, len(x))`.",
    ],
    explanation="""
    Only the first layer looks at other pixels, and it reads them from the input. So a band needs taps
    // 2 more pixels on either side, and no result of its neighbours. `wide` is never longer than the
    band: it can live in a cache and never see the memory.
    """,
    rtol=1e-9,
    atol=1e-9,
)

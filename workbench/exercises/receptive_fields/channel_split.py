"""The token mixer of InceptionNeXt: which channels stay, and which kernel meets the others."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise
from workbench.judge import profiles

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]


def split_mix(
    x: np.ndarray, square: np.ndarray, across: np.ndarray, down: np.ndarray, ratio: float
) -> np.ndarray:
    g = int(len(x) * ratio)
    first = len(x) - 3 * g
    out = np.array(x)
    for number, kernel in enumerate((square, across[None, :], down[:, None])):
        group = slice(first + number * g, first + (number + 1) * g)
        out[group] = _filtered(x[group], kernel)
    return out


def by_concatenation(x, square, across, down, ratio):
    g = int(len(x) * ratio)
    parts = np.split(x, [len(x) - 3 * g, len(x) - 2 * g, len(x) - g])
    kernels = (square, across.reshape(1, -1), down.reshape(-1, 1))
    branches = [_filtered(part, kernel) for part, kernel in zip(parts[1:], kernels, strict=True)]
    return np.concatenate([parts[0], *branches])


def pixel_by_pixel(x, square, across, down, ratio):
    """Every output is a sum over the taps that lie inside of the image."""
    channels, height, width = x.shape
    g = int(channels * ratio)
    out = np.zeros_like(x)
    for c in range(channels):
        which = (c - (channels - 3 * g)) // g if g else -1
        kernel = (square, across[None, :], down[:, None])[which] if which >= 0 else np.ones((1, 1))
        kh, kw = kernel.shape
        for i in range(height):
            for j in range(width):
                for q in range(max(0, kh // 2 - i), min(kh, height + kh // 2 - i)):
                    for t in range(max(0, kw // 2 - j), min(kw, width + kw // 2 - j)):
                        out[c, i, j] += kernel[q, t] * x[c, i + q - kh // 2, j + t - kw // 2]
    return out


def _filtered(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlation of images [n, height, width] with one kernel [kh, kw], zeros outside, to the same size."""
    (kh, kw), (_, height, width) = kernel.shape, images.shape
    padded = np.pad(images, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2)))
    out = np.zeros_like(images)
    for q in range(kh):
        for t in range(kw):
            out += kernel[q, t] * padded[:, q : q + height, t : t + width]
    return out


def identity_last(x, square, across, down, ratio):
    g = int(len(x) * ratio)
    out = np.array(x)
    for number, kernel in enumerate((square, across[None, :], down[:, None])):
        group = slice(number * g, (number + 1) * g)
        out[group] = _filtered(x[group], kernel)
    return out


def _with_share(x, square, across, down, g):
    """The mixer with g channels a branch, as far as there are channels."""
    out, first = np.array(x), max(0, len(x) - 3 * g)
    for number, kernel in enumerate((square, across[None, :], down[:, None])):
        group = slice(first + number * g, first + (number + 1) * g)
        out[group] = _filtered(x[group], kernel)
    return out


def rounded(x, square, across, down, ratio):
    return _with_share(x, square, across, down, round(len(x) * ratio))


def rounded_up(x, square, across, down, ratio):
    return _with_share(x, square, across, down, int(np.ceil(len(x) * ratio)))


def nothing_left_alone(x, square, across, down, ratio):
    return _with_share(x, square, across, down, len(x) // 3)


def every_branch_on_every_channel(x, square, across, down, ratio):
    return _filtered(_filtered(_filtered(x, square), across[None, :]), down[:, None])


def padded_on_the_wrong_axis(x, square, across, down, ratio):
    """The row of taps is slid along x; the zeros are above and below: the output changes its size."""
    g = int(len(x) * ratio)
    out, half = split_mix(x, square, across, down, ratio), len(across) // 2
    group = slice(len(x) - 2 * g, len(x) - g)
    height, width = x.shape[1:]
    padded = np.pad(x[group], ((0, 0), (half, half), (0, 0)))
    out[group] = sum(tap * padded[:, :height, t : t + width] for t, tap in enumerate(across))
    return out


def across_and_down_swapped(x, square, across, down, ratio):
    return (
        split_mix(x, square, down, across, ratio)
        if len(across) != len(down)
        else _swapped(x, square, across, down, ratio)
    )


def _swapped(x, square, across, down, ratio):
    g = int(len(x) * ratio)
    out, first = np.array(x), len(x) - 3 * g
    for number, kernel in enumerate((square, across[:, None], down[None, :])):
        group = slice(first + number * g, first + (number + 1) * g)
        out[group] = _filtered(x[group], kernel)
    return out


def identity_erased(x, square, across, down, ratio):
    out = split_mix(x, square, across, down, ratio)
    out[: len(x) - 3 * int(len(x) * ratio)] = 0
    return out


@st.composite
def maps(
    draw: st.DrawFn,
) -> Case:
    """Maps of 1 to 20 channels, smaller and larger than the kernels, and shares that do not come out even."""
    channels = draw(st.integers(1, 20))
    shape = (channels, *draw(profiles.shapes(2, most=9)))
    band = draw(st.sampled_from((1, 3, 5, 11)))
    kernels = [draw(profiles.arrays(s, profiles=("mixed",))) for s in ((3, 3), (band,), (band,))]
    x = draw(profiles.arrays(shape, profiles=("mixed", "positive", "spikes")))
    return x, kernels[0], kernels[1], kernels[2], draw(st.sampled_from((1 / 8, 1 / 4, 1 / 16, 1 / 3)))


def _example(channels: int, height: int, width: int, band: int, ratio: float) -> Case:
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((channels, height, width))
    return x, rng.standard_normal((3, 3)), rng.standard_normal(band), rng.standard_normal(band), ratio


EXERCISE = Exercise(
    "receptive-fields/channel-split",
    split_mix,
    maps(),
    signature="split_mix(x, square, across, down, ratio) -> out",
    ask="""
    `x` [channels, height, width] holds features. Each of three branches gets `channels * ratio` channels,
    rounded down. Of all channels, the first ones stay as they are; then come those for the kernel `square`
    [3, 3], then those for `across` [band], a row of taps, and at last those for `down` [band], a column of
    taps. Every channel of a branch meets the same kernel, which is not flipped; outside of the image there
    are zeros, and the size stays. Return the new features, with the channels in the same order.
    """,
    examples=[
        _example(8, 6, 7, 5, 1 / 8),
        _example(15, 5, 4, 3, 1 / 8),
        _example(7, 4, 4, 3, 1 / 8),
        _example(9, 8, 3, 11, 1 / 4),
        _example(1, 1, 1, 1, 1 / 8),
    ],
    wrong_answers={
        "the untouched channels come last": (
            identity_last,
            "The branches work on the last channels, and the first ones stay. In which order do the four "
            "groups lie?",
        ),
        "the share is rounded to the nearest": (
            rounded,
            "Fifteen channels and an eighth: 1.875. How many channels does a branch get when it is rounded "
            "down?",
        ),
        "the share is rounded up": (
            rounded_up,
            "Seven channels and an eighth: 0.875. Rounded down, no branch gets any channel.",
        ),
        "no channel is left alone": (
            nothing_left_alone,
            "A third of the channels for each branch leaves none as it is. What is `ratio` for?",
        ),
        "every branch works on every channel": (
            every_branch_on_every_channel,
            "The three kernels do not follow one another: each meets channels of its own, and most channels "
            "meet none.",
        ),
        "across is padded above and below": (
            padded_on_the_wrong_axis,
            "A row of taps reaches out to the left and to the right. On which axis does it need zeros?",
        ),
        "across and down are swapped": (
            across_and_down_swapped,
            "A kernel of 1 × band looks along a row, one of band × 1 along a column. Which is which?",
        ),
        "the untouched channels are lost": (
            identity_erased,
            "Untouched does not mean empty: these channels are in the output as they came.",
        ),
    },
    also_right=[by_concatenation, pixel_by_pixel],
    hints=[
        "First the numbers: `g = int(channels * ratio)`, and `channels - 3 * g` channels stay.",
        "Copy `x`, so that the untouched channels are done. Then fill three slices of g channels each.",
        "A row of taps is a kernel of shape [1, band] and needs `band // 2` zeros left and right; a column "
        "is [band, 1] and needs them above and below. Add one shifted and weighted image for each tap.",
    ],
    explanation="""
    Whatever is not assigned stays as it was, so the copy holds the identity channels already. `int` rounds
    down, and below 1 / ratio channels nothing is left for the branches. A kernel of kh × kw needs kh // 2
    rows of zeros above and below and kw // 2 columns on either side; for a row of taps the first number is
    zero.
    """,
    rtol=0,
    atol=1e-9,
)

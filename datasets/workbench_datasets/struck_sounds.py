"""Spectrograms of struck strings, bars and drums: what a body is, heard in how its tones are spaced.

A struck body sounds in its modes: y(t) = Σ aₖ exp(-γₖ t) sin(2π fₖ t). Ideal bodies space the frequencies
by one law each, whatever the pitch f₁ is:

    string     fₖ / f₁ = k
    bar        fₖ / f₁ = (βₖ / β₁)², where cosh β cos β = 1 (both ends free)
    membrane   fₖ / f₁ = jₖ / j₁, the zeros of the Bessel functions J₀, J₁, J₂, ... in order (round, held at
               the rim)

The amplitudes depend on where the blow falls, for which an even draw stands in, and on its hardness: a soft
one leaves the high modes out, in the same way for every body. Damping grows with the frequency.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import PART_OPTION, SEED_OPTION, code, generator, whole

BODIES = ("string", "bar", "membrane")
RATE = 8000  # samples a second
SAMPLES = 4096
PITCHES = (150.0, 450.0)  # hertz, of the lowest mode
HIGHEST = 12.0  # f / f₁ of the modes that are kept, if they lie below half the rate
WINDOW = 256  # samples of one spectrum
FLOOR = -60.0  # decibels below the loudest of a sound that are drawn as 0
HARDNESS = (1.2, 2.4)  # f / f₁ over which a blow loses a factor e
DAMPING = (2.0, 6.0)  # a second, of a mode near 0 hertz
NOISE = 0.003  # standard deviation, where the strongest mode starts at 1


def struck_sounds(images: int = 300, part: str = "train", seed: int = 0) -> dict[str, NDArray[Any]]:
    """`images`: float32 [n, 64, 31] in [0, 1]; `labels`: int64 [n], 0 string, 1 bar, 2 membrane; `pitches`:
    float32 [n] in hertz; `sounds`: float32 [n, 4096], 8000 samples a second, at most 1.

    A spectrogram's rows are frequencies, 62.5 hertz apart with the lowest first; its columns are times,
    16 milliseconds apart; 1 is the loudest, 0 is 60 decibels below or less.
    """
    count = whole("images", images, 1, 10_000)
    draws = generator("struck-sounds", part, seed)
    labels = draws.integers(len(BODIES), size=count)
    pitches = PITCHES[0] * (PITCHES[1] / PITCHES[0]) ** draws.random(count)
    hardness = draws.uniform(*HARDNESS, size=count)
    damping = draws.uniform(*DAMPING, size=count)
    sounds = np.empty((count, SAMPLES))
    for label, body in enumerate(BODIES):
        rows = labels == label
        of_mode = ratios(body)
        frequencies = pitches[rows, None] * of_mode
        strengths = draws.uniform(0.2, 1, size=frequencies.shape) * np.exp(-of_mode / hardness[rows, None])
        strengths[frequencies >= RATE / 2] = 0
        strengths /= strengths.max(axis=1, keepdims=True)
        sounds[rows] = synthesis(frequencies, strengths, damping[rows, None] * (1 + frequencies / 1000))
    sounds += NOISE * draws.standard_normal(sounds.shape)
    sounds /= np.abs(sounds).max(axis=1, keepdims=True)
    return {
        "images": spectrogram(sounds),
        "labels": labels,
        "pitches": pitches.astype(np.float32),
        "sounds": sounds.astype(np.float32),
    }


@cache
def ratios(body: str) -> NDArray[np.float64]:
    """Frequencies of the kept modes over the lowest one, in order, read-only: [modes]."""
    from scipy.optimize import brentq
    from scipy.special import jn_zeros

    counts = np.arange(1, int(HIGHEST) + 1)
    if body == "string":
        found = counts.astype(float)
    elif body == "bar":
        # cos β = 1 / cosh β has one solution near each (k + 1/2) π, and none else above 0.
        middles = (counts + 0.5) * np.pi
        betas = [brentq(lambda b: np.cos(b) - 1 / np.cosh(b), m - 1, m + 1, xtol=1e-12) for m in middles]
        found = np.square(betas) / betas[0] ** 2
    else:
        # The zeros of one function lie more than 3 apart or a little less, and those of Jₘ above m.
        lowest = jn_zeros(0, 1)[0]
        bound = int(HIGHEST * lowest) + 1
        found = np.sort(np.concatenate([jn_zeros(order, bound // 3 + 2) for order in range(bound)])) / lowest
    found = found[found <= HIGHEST]
    found.flags.writeable = False
    return found


def synthesis(
    frequencies: NDArray[np.float64], strengths: NDArray[np.float64], damping: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Σ a exp(-γ t) sin(2π f t) over the modes: [n, modes] each -> [n, 4096].

    A mode is the imaginary part of 1, z, z², ...: the first 64 powers times every 64th.
    """
    step = (-damping + 2j * np.pi * frequencies) / RATE
    near, far = np.arange(64), 64 * np.arange(SAMPLES // 64)
    short = np.exp(step[..., None] * near)  # [n, modes, 64]
    long = strengths[..., None] * np.exp(step[..., None] * far)
    return np.matmul(long.swapaxes(1, 2), short).imag.reshape(len(frequencies), SAMPLES)


def spectrogram(sounds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Decibels below the loudest, FLOOR to 0 drawn as 0 to 1: [n, 4096] -> [n, frequencies 64, times 31].

    Hann windows of 256 samples, half overlapping; two lines of 31.25 hertz each are added up to one row.
    """
    windows = np.lib.stride_tricks.sliding_window_view(sounds, WINDOW, axis=1)[:, :: WINDOW // 2]
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=-1)))[..., : WINDOW // 2]
    power = power.reshape(*power.shape[:2], -1, 2).sum(axis=-1).swapaxes(1, 2)
    loudest = power.max(axis=(1, 2), keepdims=True)
    decibels = 10 * np.log10(np.maximum(power / loudest, 10 ** (FLOOR / 10)))
    return (1 - decibels / FLOOR).astype(np.float32)


DATA_SETS = [
    DataSet(
        Card(
            name="struck-sounds",
            title="Spectrograms of struck strings, bars and membranes",
            origin="made: y(t) = Σ aₖ exp(-γₖ t) sin(2π fₖ t) with the modes of ideal bodies up to "
            f"{HIGHEST:g} f₁: fₖ / f₁ = k (string), (βₖ / β₁)² with cosh β cos β = 1 (bar with free ends), "
            "the ordered zeros of Bessel functions over the first (round membrane); f₁ from "
            f"{PITCHES[0]:g} to {PITCHES[1]:g} hertz, evenly in its logarithm; aₖ even from 0.2 to 1 times "
            f"exp(-fₖ / (f₁ h)), h even from {HARDNESS[0]} to {HARDNESS[1]}; γₖ = g (1 + fₖ / 1000 hertz), "
            f"g even from {DAMPING[0]:g} to {DAMPING[1]:g} a second; noise of {NOISE} times the strongest "
            f"mode; Hann windows of {WINDOW} samples",
            licence="made by this project",
            shapes={
                "images": "float32 [300, 64, 31]",
                "labels": "int64 [300]",
                "pitches": "float32 [300]",
                "sounds": "float32 [300, 4096]",
            },
            units="sound, frequency (62.5 hertz a row, low first), time (16 ms a column); 1 loudest, 0 "
            f"for 60 decibels less; labels 0 to 2: {', '.join(BODIES)}; pitches in hertz; {RATE} samples a "
            "second",
            good_for="pictures that are no photographs: patterns long in one direction, whatever the pitch",
            sources=lambda: code("struck_sounds"),
            options={"images": "how many sounds", "part": PART_OPTION, "seed": SEED_OPTION},
            members=BODIES,
        ),
        struck_sounds,
    )
]

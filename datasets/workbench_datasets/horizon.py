"""Equal discs above and below a line that shows at the two borders alone: a task of pure reach.

The line is where the light sky meets the dark ground, and only two strips at the sides show which is which.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import PART_OPTION, SEED_OPTION, code, generator, number, whole
from .images import Image

STRIP = 5  # pixels at the left and at the right border in which the line shows
RADIUS = 3.0  # of every disc, in pixels
DISCS = 5  # at most, in one image
TRIES = 40
PLAIN, DISC, NOISE = 0.3, 0.65, 0.04  # brightness of the plain and of a disc; a standard deviation
SKY = 0.2  # how much lighter a strip is above the line, and how much darker below it
BAND = (0.3, 0.7)  # where the centres of discs lie, in sides of the image
HEIGHTS = ((0.1, 0.2), (0.35, 0.65), (0.8, 0.9))  # where the line lies, in sides of the image...
SHARES = (0.35, 0.3, 0.35)  # ...and how often


def horizon(
    size: int = 48, images: int = 700, strips: float = 1.0, part: str = "train", seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [n, size, size] in [0, 1]; `labels`: int64 [n, size, size]; `heights`: float32 [n].

    Labels are 0 for the plain, 1 for a disc above the line, 2 for a disc below it; `heights` are the rows of
    the line. Lighter above it and darker below, as much as `strips` says, are the outer 5 columns on both
    sides only; no disc is there.
    """
    size, count = whole("size", size, 32, 256), whole("images", images, 1, 100_000)
    strips = number("strips", strips, 0, 1)
    draws = generator("horizon", part, seed)
    heights = _heights(count, size, draws)
    centres, there = _discs(heights, size, draws)
    pictures = np.full((count, size, size), PLAIN, np.float32)
    labels = np.zeros((count, size, size), np.int64)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    for centre, drawn in zip(centres.swapaxes(0, 1), there.T, strict=True):
        row, column = centre[:, :1, None], centre[:, 1:, None]
        outside = np.hypot(y - row, x - column) - np.float32(RADIUS)
        cover = np.clip(0.5 - outside, 0, 1) * drawn[:, None, None]  # the edge shades over one pixel
        pictures += cover * (DISC - PLAIN)
        side = np.where(row < heights[:, None, None], 1, 2)  # row 0 is at the top
        labels = np.where(cover >= 0.5, side, labels)
    above = 2 * np.clip(heights[:, None, None] - y[:, :1], -0.5, 0.5)  # 1 above the line, -1 below
    for border in (slice(STRIP), slice(size - STRIP, size)):
        pictures[:, :, border] += strips * SKY * above
    pictures += NOISE * draws.standard_normal(pictures.shape, dtype=np.float32)
    return {"images": np.clip(pictures, 0, 1), "labels": labels, "heights": heights}


def _heights(count: int, size: int, draws: np.random.Generator) -> Image:
    """Rows of the lines. Often far up or far down, so that a disc's own height says little about its side."""
    low, high = np.array(HEIGHTS)[draws.choice(len(HEIGHTS), size=count, p=SHARES)].T
    return ((size - 1) * draws.uniform(low, high)).astype(np.float32)


def _discs(heights: Image, size: int, draws: np.random.Generator) -> tuple[Image, NDArray[np.bool_]]:
    """Centres (row, column) of up to `DISCS` discs, float32 [n, DISCS, 2], and which of them are there.

    Out of 40 evenly drawn places the first that stand clear of the line and of the discs before them.
    """
    count, border = len(heights), STRIP + RADIUS + 1
    rows = (size - 1) * draws.uniform(*BAND, size=(TRIES, count))
    columns = draws.uniform(border, size - 1 - border, size=(TRIES, count))
    centres = np.full((count, DISCS, 2), -np.inf, np.float32)
    found = np.zeros(count, np.intp)
    for place in np.stack([rows, columns], -1).astype(np.float32):
        away = np.hypot(*np.moveaxis(centres - place[:, None], -1, 0)).min(axis=1)
        clear = (away > 2 * RADIUS + 2) & (np.abs(place[:, 0] - heights) > RADIUS + 1) & (found < DISCS)
        centres[clear, found[clear]] = place[clear]
        found[clear] += 1
    there = np.arange(DISCS) < found[:, None]
    return np.where(there[..., None], centres, 0), there


DATA_SETS = [
    DataSet(
        Card(
            name="horizon",
            title="Discs above and below a line that shows at the borders alone",
            origin="made: one line an image, its row drawn evenly from "
            + ", ".join(
                f"{low} to {high} sides (in {share:.0%} of images)"
                for (low, high), share in zip(HEIGHTS, SHARES, strict=True)
            )
            + f"; then up to {DISCS} discs of radius {RADIUS:g} pixels between {BAND[0]} and {BAND[1]} "
            "sides, clear of the line, of one another and of the strips. A disc's own row tells its side 62 "
            "times in 100; about a fifth of the images have discs on both sides",
            licence="made by this project",
            shapes={
                "images": "float32 [700, 48, 48]",
                "labels": "int64 [700, 48, 48]",
                "heights": "float32 [700]",
            },
            units=f"image, height, width; plain {PLAIN}, strips {SKY} more above the line and less below, "
            f"discs {DISC}, noise {NOISE}; labels 0 plain, 1 disc above, 2 disc below; heights in rows "
            "from the top",
            good_for="labelling every pixel where only reach helps: a disc looks the same on both sides",
            sources=lambda: code("horizon", "images"),
            options={
                "size": "side of an image in pixels, 32 to 256",
                "images": "how many images",
                "strips": "how clearly the line shows in the strips, 0 (erased) to 1",
                "part": PART_OPTION,
                "seed": SEED_OPTION,
            },
            members=("plain", "disc above", "disc below"),
        ),
        horizon,
    )
]

"""Six shapes filled with six photographed textures: which of the two does a network go by?

In the mode `free` the texture says nothing about the shape. In `matched` it says everything, so a network
may learn either; `conflict` then pits them against each other.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import PART_OPTION, SEED_OPTION, code, generator, one_of, whole
from .textures import LARGEST, NAMES, WHERE, cut, photographs, standardised

SHAPES = ("disc", "square", "triangle", "plus", "ring", "bar")
MODES = ("free", "matched", "conflict")
RADIUS = (0.28, 0.38)  # of a shape, in sides of the image
NOISE = 0.05  # standard deviation of the background


def shape_textures(
    size: int = 32, images: int = 900, mode: str = "free", part: str = "train", seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [n, size, size]; `labels` and `textures`: int64 [n], 0 to 5; `masks`: bool images.

    Inside the mask an image is a crop of its texture with mean 0 and standard deviation 1, outside it is 0
    with slight noise. Shape, place, radius and turn are independent of one another and of the texture
    (in `matched` and `conflict`: but for the label).
    """
    size, count = whole("size", size, 16, LARGEST), whole("images", images, 1, 100_000)
    one_of("mode", mode, MODES)
    draws = generator("shape-textures", part, seed)
    labels = draws.integers(len(SHAPES), size=count)
    masks = _shapes(labels, size, draws)
    textures = {
        "free": draws.integers(len(NAMES), size=count),
        "matched": labels.copy(),
        "conflict": (labels + draws.integers(1, len(NAMES), size=count)) % len(NAMES),
    }[mode]
    inside = standardised(cut(textures, size, part, draws), masks)
    outside = NOISE * draws.standard_normal((count, size, size), dtype=np.float32)
    return {
        "images": np.where(masks, inside, outside),
        "labels": labels,
        "textures": textures,
        "masks": masks,
    }


def _shapes(labels: NDArray[np.int64], size: int, draws: np.random.Generator) -> NDArray[np.bool_]:
    """Shapes of the labels, with any centre that keeps them inside, any radius and any turn."""
    radius = size * draws.uniform(*RADIUS, size=(len(labels), 1, 1))
    reach = size / 2 - radius
    down, across = reach * draws.uniform(-1, 1, size=(2, len(labels), 1, 1))
    turn = draws.uniform(0, 2 * np.pi, size=(len(labels), 1, 1))
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    y, x = (y - down) / radius, (x - across) / radius
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    masks = np.empty((len(labels), size, size), bool)
    for label, shape in enumerate(SHAPES):
        rows = labels == label
        masks[rows] = _inside(shape, u[rows], v[rows])
    return masks


def _inside(shape: str, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a point lies in a shape of radius 1 about the origin."""
    wide, high = np.abs(u), np.abs(v)
    if shape == "disc":
        return np.hypot(u, v) <= 0.9
    if shape == "square":
        return np.maximum(wide, high) <= 0.7
    if shape == "triangle":  # v >= -1/2 and its two turns by 120 degrees
        return np.minimum(v, -v / 2 - np.sqrt(3) / 2 * wide) >= -0.5
    if shape == "plus":
        return (np.minimum(wide, high) <= 0.28) & (np.maximum(wide, high) <= 0.95)
    if shape == "ring":
        return np.abs(np.hypot(u, v) - 0.75) <= 0.22
    return (wide <= 0.95) & (high <= 0.3)  # bar


DATA_SETS = [
    DataSet(
        Card(
            name="shape-textures",
            title="Six shapes filled with six photographed textures",
            origin="made: shape, centre, radius (0.28 to 0.38 sides) and turn are drawn evenly and "
            "independently; the texture is drawn independently (free), is that of the same number (matched) "
            "or evenly one of the five others (conflict); crops from scikit-image's photographs, those of "
            "training and of test from regions without a common pixel: " + WHERE,
            licence="CC0; galaxies: public domain (NASA)",
            shapes={
                "images": "float32 [900, 32, 32]",
                "labels": "int64 [900]",
                "textures": "int64 [900]",
                "masks": "bool [900, 32, 32]",
            },
            units="image, height, width; inside the mask mean 0 and standard deviation 1, outside 0 with "
            f"noise of {NOISE}; labels 0 to 5: {', '.join(SHAPES)}; textures 0 to 5: {', '.join(NAMES)}",
            good_for="shape or texture: what wide kernels and small ones go by; a task that needs reach",
            sources=lambda: [*photographs(), *code("shape_textures", "textures", "images")],
            options={
                "size": f"side of an image in pixels, 16 to {LARGEST}",
                "images": "how many images",
                "mode": "'free', 'matched' or 'conflict': what the texture has to do with the shape",
                "part": PART_OPTION + " and no pixel of a photograph",
                "seed": SEED_OPTION,
            },
            members=SHAPES,
        ),
        shape_textures,
    )
]

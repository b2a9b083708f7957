"""Attractors of random affine maps, drawn by the chaos game: pictures with detail at every scale, by a law.

A class is a handful of contractions x -> A x + b of the plane. A point that is sent again and again through
one of them, chosen at random with probability proportional to |det A|, wanders over the attractor; how often
it visits a pixel is the picture. Pictures of one class differ by a jitter of the maps, a turn and the draws.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import PART_OPTION, SEED_OPTION, code, generator, whole

CLASSES = 8
MAPS = 3
VISITS, SETTLE = 700, 20  # points that count, and those before them that do not
SCALES = (0.35, 0.8)  # singular values of A
JITTER = 0.1  # relative, of all coefficients
TURN = 0.3  # radians, at most, to either side
INSIDE = 0.02  # share of the visits cut off at each side of the frame

Array = NDArray[np.float64]


def fractals(
    size: int = 16, images: int = 600, part: str = "train", seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [images, size, size] in [0, 1]; `labels`: int64 [images], 0 to 7."""
    size, images = whole("size", size, 8, 128), whole("images", images, 1, 20_000)
    draws = generator("fractals", part, seed)
    labels = draws.integers(CLASSES, size=images)
    A, b = (np.stack(coefficients)[labels] for coefficients in zip(*map(maps, range(CLASSES)), strict=True))
    A = A * (1 + JITTER * draws.uniform(-1, 1, A.shape))
    b = b * (1 + JITTER * draws.uniform(-1, 1, b.shape))
    places = visits(A, b, draws)
    angle = draws.uniform(-TURN, TURN, images)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # [2, 2, images]
    return {"images": drawn(np.einsum("xyi,viy->vix", turn, places), size), "labels": labels}


def maps(label: int) -> tuple[Array, Array]:
    """The contractions of a class: A [maps, 2, 2] and b [maps, 2]; every class has its own draws for good."""
    draws = generator("fractals, maps", seed=label)
    first, second = draws.uniform(0, 2 * np.pi, (2, MAPS))
    scales = draws.uniform(*SCALES, (MAPS, 2))
    A = _turns(first) @ (scales[:, :, None] * _turns(second))
    return A, draws.uniform(-1, 1, (MAPS, 2))


def visits(A: Array, b: Array, draws: np.random.Generator) -> Array:
    """The chaos game of many pictures at once: A [images, maps, 2, 2], b [images, maps, 2] ->
    [visits, images, 2]."""
    images = np.arange(len(A))
    shares = np.abs(np.linalg.det(A))
    limits = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    point, places = np.zeros((len(A), 2)), np.empty((VISITS, len(A), 2))
    for step in range(-SETTLE, VISITS):
        chosen = (draws.random(len(A))[:, None] > limits[:, :-1]).sum(axis=1)
        point = np.einsum("ixy,iy->ix", A[images, chosen], point) + b[images, chosen]
        places[max(step, 0)] = point
    return places


def drawn(places: Array, size: int) -> NDArray[np.float32]:
    """log(1 + visits) of each pixel over its largest, in a frame that holds nearly all visits."""
    low, high = np.quantile(places, [INSIDE, 1 - INSIDE], axis=0)
    pixels = np.floor((places - low) / np.maximum(high - low, 1e-9) * size).astype(np.int64)
    inside = ((pixels >= 0) & (pixels < size)).all(axis=2)
    images = places.shape[1]
    cell = (np.arange(images) * size + pixels[..., 1]) * size + pixels[..., 0]
    counts = np.bincount(cell[inside], minlength=images * size**2).reshape(images, size, size)
    light = np.log1p(counts)
    return (light / light.max(axis=(1, 2), keepdims=True)).astype(np.float32)


def _turns(angles: Array) -> Array:
    """Rotations: [n] -> [n, 2, 2]."""
    c, s = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


DATA_SETS = [
    DataSet(
        Card(
            name="fractals",
            title="Attractors of random affine maps, with labels",
            origin=f"made: a class is {MAPS} maps x -> A x + b with singular values of A uniform in "
            f"{SCALES[0]} to {SCALES[1]}, angles uniform and b uniform in the square -1 to 1; a picture "
            f"jitters every coefficient by up to {JITTER:.0%}, plays the chaos game for {VISITS} visits "
            f"(maps chosen with probability proportional to |det A|), turns by up to {TURN} radians, and "
            "shows log(1 + visits) of each pixel over its largest",
            licence="made by this project",
            shapes={"images": "float32 [600, 16, 16]", "labels": "int64 [600]"},
            units="picture, height, width; 0 never visited to 1 most often; labels 0 to 7",
            good_for="detail at every scale without a photographer; what depends on natural pictures",
            sources=lambda: code("fractals"),
            options={
                "size": "side of a picture in pixels, 8 to 128",
                "images": "how many pictures",
                "part": PART_OPTION,
                "seed": SEED_OPTION,
            },
        ),
        fractals,
    )
]

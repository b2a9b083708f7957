"""Stick figures with six joints, turned by any angle; left and right are told by the head alone.

The figure faces the viewer: upright, its left hand is on the right of the picture. It is turned but never
mirrored, so at any angle: looking from the hip to the head, what belongs to its left lies to the right.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._made import PART_OPTION, SEED_OPTION, code, generator, number, whole
from .images import Image

JOINTS = ("head", "hip", "left hand", "right hand", "left foot", "right foot")
MOST = 4  # people in one image
THICK = 0.9  # half the thickness of a stroke, in pixels of a 48-pixel image
GROUND, NOISE = 0.15, 0.03
# A figure of height 1, upright with the hip in the origin: lengths and, from straight up, angles in degrees.
NECK, HEAD, HEAD_RADIUS = 0.32, 0.5, 0.085
ARM, LEG = (0.26, 0.34), (0.36, 0.46)
ARM_ANGLE, LEG_ANGLE = (35.0, 145.0), (145.0, 172.0)
STRETCH = (0.52, 0.66)  # the height of one figure alone, in sides of the image


def stick_figures(
    size: int = 48,
    images: int = 1500,
    turn: float = 180.0,
    people: int = 1,
    part: str = "train",
    seed: int = 0,
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [n, size, size] in [0, 1]; `joints`: float32 [n, people, 6, 2] as (row, column);
    `visible`: bool [n, people, 6], False where a joint lies outside the image.

    Every image has one more stroke that belongs to nobody. `turn` is the largest turn either way, in
    degrees: 180 for all directions, 0 for upright figures.
    """
    size, count = whole("size", size, 32, 256), whole("images", images, 1, 100_000)
    turn, people = number("turn", turn, 0, 180), whole("people", people, 1, MOST)
    draws = generator("stick-figures", part, seed)
    joints, necks, radii = _figures(count, people, size, np.deg2rad(turn), draws)
    head, hip, left_hand, right_hand, left_foot, right_foot = np.moveaxis(joints, 2, 0)
    limbs = [(hip, necks), (necks, head)]
    limbs += [(necks, left_hand), (necks, right_hand), (hip, left_foot), (hip, right_foot)]
    starts, ends = (np.stack(side, 2).reshape(count, -1, 2) for side in zip(*limbs, strict=True))
    stray = _stray(count, size, draws)
    starts, ends = np.concatenate([starts, stray[:, :1]], 1), np.concatenate([ends, stray[:, 1:]], 1)
    pictures = _draw(starts, ends, head, radii, size)
    pictures = GROUND + draws.uniform(0.5, 0.75, size=(count, 1, 1)).astype(np.float32) * pictures
    pictures += NOISE * draws.standard_normal(pictures.shape, dtype=np.float32)
    visible = np.all((joints >= 0) & (joints <= size - 1), axis=-1)
    return {"images": np.clip(pictures, 0, 1).astype(np.float32), "joints": joints, "visible": visible}


def _figures(
    count: int, people: int, size: int, turn: float, draws: np.random.Generator
) -> tuple[Image, Image, Image]:
    """Joints [n, people, 6, 2], necks [n, people, 2] and radii of heads [n, people], in pixels."""
    shape = (count, people)
    sides = np.array(
        [1, -1]
    )  # left, right: an angle counts clockwise from straight up, as the viewer sees it

    def limb(lengths: tuple[float, float], angles: tuple[float, float]) -> NDArray[np.float64]:
        length = draws.uniform(*lengths, size=(*shape, 2))
        angle = sides * np.deg2rad(draws.uniform(*angles, size=(*shape, 2)))
        return length[..., None] * np.stack([-np.cos(angle), np.sin(angle)], -1)  # row, column

    neck = np.broadcast_to([-NECK, 0.0], (*shape, 2))
    head = np.broadcast_to([-HEAD, 0.0], (*shape, 2))
    hands, feet = neck[:, :, None] + limb(ARM, ARM_ANGLE), limb(LEG, LEG_ANGLE)
    points = np.concatenate([head[:, :, None], np.zeros((*shape, 1, 2)), hands, feet, neck[:, :, None]], 2)
    height = size / np.sqrt(people) * draws.uniform(*STRETCH, size=(*shape, 1, 1)) / (HEAD + LEG[1])
    angle = draws.uniform(-turn, turn, size=(*shape, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    row, column = points[..., 0], points[..., 1]
    points = np.stack([cos * row + sin * column, cos * column - sin * row], -1)
    points = height * points + _places(count, people, size, draws)[:, :, None]
    points = points.astype(np.float32)
    joints, neck = np.ascontiguousarray(points[:, :, :6]), points[:, :, 6]
    return joints, neck, (HEAD_RADIUS * height[..., 0, 0]).astype(np.float32)


def _places(count: int, people: int, size: int, draws: np.random.Generator) -> NDArray[np.float64]:
    """Where the hips are: near the middle, or for several people about a circle round it: [n, people, 2]."""
    wobble = (0.14 if people == 1 else 0.05) * size
    places = (size - 1) / 2 + draws.uniform(-wobble, wobble, size=(count, people, 2))
    if people > 1:
        first = draws.uniform(0, 2 * np.pi, size=(count, 1))
        around = first + 2 * np.pi * np.arange(people) / people
        places += 0.25 * size * np.stack([np.sin(around), np.cos(around)], -1)
    return places


def _stray(count: int, size: int, draws: np.random.Generator) -> Image:
    """Both ends of one stroke anywhere, as long as a limb: [n, 2, 2]."""
    start = draws.uniform(0, size - 1, size=(count, 2))
    length, angle = draws.uniform(0.15, 0.25, size=count) * size, draws.uniform(0, 2 * np.pi, size=count)
    end = start + length[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)
    return np.stack([start, end], 1).astype(np.float32)


def _draw(starts: Image, ends: Image, heads: Image, radii: Image, size: int) -> Image:
    """How much of every pixel is covered by strokes [n, strokes, 2] and round heads [n, people, 2]."""
    thick = np.float32(max(THICK, THICK * size / 48))
    pictures = np.empty((len(starts), size, size), np.float32)
    row, column = np.arange(size, dtype=np.float32)[:, None], np.arange(size, dtype=np.float32)
    for start, end, head, radius, picture in zip(starts, ends, heads, radii, pictures, strict=True):
        nearest = np.full((size, size), np.inf, np.float32)  # squared distance to the nearest stroke
        for (top, left), (down, across), length in zip(
            start, end - start, np.square(end - start).sum(axis=-1), strict=True
        ):
            along = np.clip(((row - top) * down + (column - left) * across) / length, 0, 1)
            away = np.square(row - top - along * down) + np.square(column - left - along * across)
            np.minimum(nearest, away, out=nearest)
        outside = np.sqrt(nearest) - thick
        for (top, left), wide in zip(head, radius, strict=True):
            np.minimum(outside, np.hypot(row - top, column - left) - wide, out=outside)
        np.clip(0.5 - outside, 0, 1, out=picture)  # the edge shades over one pixel
    return pictures


DATA_SETS = [
    DataSet(
        Card(
            name="stick-figures",
            title="Stick figures with six joints, turned by any angle",
            origin="made: arms and legs of evenly drawn lengths and angles on a straight body, evenly "
            "turned, moved and scaled, never mirrored; strokes and filled heads, and one more stroke that "
            "belongs to nobody. The figures face the viewer: upright, the left hand is on the right",
            licence="made by this project",
            shapes={
                "images": "float32 [1500, 48, 48]",
                "joints": "float32 [1500, 1, 6, 2]",
                "visible": "bool [1500, 1, 6]",
            },
            units=f"image, height, width; joints: image, person, joint ({', '.join(JOINTS)}), then row and "
            "column in pixels; visible is False where a joint lies outside the image",
            good_for="pose: a hand looks like any other, and which one it is only the far head tells",
            sources=lambda: code("stick_figures", "images"),
            options={
                "size": "side of an image in pixels, 32 to 256",
                "images": "how many images",
                "turn": "largest turn in degrees, 0 (upright) to 180 (all directions)",
                "people": f"figures in every image, 1 to {MOST}",
                "part": PART_OPTION,
                "seed": SEED_OPTION,
            },
            members=JOINTS,
        ),
        stick_figures,
    )
]

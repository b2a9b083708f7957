"""Textures that move over textures, with the exact way that every pixel goes.

A scene has three layers: a ground, a decoy that is glued to it, and in front a figure that goes its own way.
Layers move by whole pixels, so that the flow is exact to the last bit and nothing is ever interpolated.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import shipped
from ._made import PART_OPTION, SEED_OPTION, code, generator, one_of, whole
from .errors import DataError
from .images import Image, area_mean, read, to_gray
from .textures import FILES, NAMES, standardised

TEXTURES = ("brick", "grass", "gravel", "galaxies")
HALVED = ("galaxies",)  # at full size a crop of its photograph is mostly black
REGIONS = {  # first and end column of the photographs as they are used; all rows belong to both parts
    "brick": {"train": (0, 320), "test": (320, 512)},
    "grass": {"train": (0, 320), "test": (320, 512)},
    "gravel": {"train": (0, 320), "test": (320, 512)},
    "galaxies": {"train": (0, 308), "test": (308, 500)},
}
SPEED = 4  # pixels from one frame to the next, at most, down and across
APART = 2  # pixels by which figure and ground differ at least, down or across
LARGEST = 192 - 2 * SPEED  # pixels: what the narrowest region holds, with room to move
CAMERAS = ("still", "moving")
RADII = (0.15, 0.25)  # of figure and decoy, in sides of the image
WAVES = (2, 3, 4)  # how often an outline swings in and out on its way around
SWING = 0.12  # of the radius, at most, for each of the waves

Shift = tuple[int, int]
Layer = tuple[Image, NDArray[np.bool_]]  # texture and where it is, both with room to move


def moving_textures(
    size: int = 64,
    images: int = 300,
    camera: str = "still",
    shuffled: bool = False,
    part: str = "train",
    seed: int = 0,
) -> dict[str, NDArray[Any]]:
    """`images`, `next`: float32 [n, size, size] in [0, 1]; `flow`: float32 [n, 2, size, size];
    `masks`: bool [n, size, size].

    `flow` is where a pixel of `images` is found in `next`: pixels down, pixels to the right. `masks` is where
    the figure is. shuffled: every scene has the flow of another one; all else stays as it is.
    """
    size, count = whole("size", size, 32, LARGEST), whole("images", images, 1, 100_000)
    one_of("camera", camera, CAMERAS)
    if not isinstance(shuffled, bool):
        raise DataError(f"shuffled must be True or False, but {shuffled!r} came")
    if shuffled and count < 2:
        raise DataError("a shuffled flow needs at least 2 images to take it from, but images=1 came")
    draws = generator("moving-textures", part, seed)
    now, after = np.empty((2, count, size, size), np.float32)
    flow = np.empty((count, 2, size, size), np.float32)
    masks = np.empty((count, size, size), bool)
    for i in range(count):
        ground, figure = _shifts(camera, draws)
        layers = _layers(size, part, draws)
        shifts = (ground, ground, figure)  # the decoy is glued to the ground
        now[i], owner = _seen(layers, 3 * [(0, 0)], size)
        after[i], _ = _seen(layers, shifts, size)
        flow[i] = np.moveaxis(np.array(shifts, np.float32)[owner], -1, 0)
        masks[i] = owner == 2
    if shuffled:
        flow = np.roll(flow, 1, axis=0)
    return {"images": now, "next": after, "flow": flow, "masks": masks}


def _shifts(camera: str, draws: np.random.Generator) -> tuple[Shift, Shift]:
    """Pixels down and to the right for the ground and for the figure.

    Under a moving camera both are drawn alike, so that the flow of one pixel does not tell where it lies.
    """
    while True:
        ground, figure = draws.integers(-SPEED, SPEED + 1, size=(2, 2))
        ground = ground if camera == "moving" else np.zeros(2, np.int64)
        if np.abs(figure - ground).max() >= APART:
            return (int(ground[0]), int(ground[1])), (int(figure[0]), int(figure[1]))


def _layers(size: int, part: str, draws: np.random.Generator) -> list[Layer]:
    """Ground, decoy and figure, each with a texture of its own or, by chance, the same."""
    tiles = [_tile(size + 2 * SPEED, part, draws) for _ in range(3)]
    everywhere = np.ones_like(tiles[0], bool)
    return list(zip(tiles, [everywhere, _outline(size, draws), _outline(size, draws)], strict=True))


def _tile(side: int, part: str, draws: np.random.Generator) -> Image:
    """One crop from anywhere in the part's region of one photograph, mean 1/2, standard deviation 1/6."""
    name = TEXTURES[draws.integers(len(TEXTURES))]
    photograph = _photograph(name)
    first, end = REGIONS[name][part]
    top, left = draws.integers((0, first), (photograph.shape[0] - side + 1, end - side + 1))
    crop = standardised(photograph[None, top : top + side, left : left + side])[0]
    return np.clip(0.5 + crop / 6, 0, 1).astype(np.float32)


def _outline(size: int, draws: np.random.Generator) -> NDArray[np.bool_]:
    """Where a shape lies that swings around a disc: [side, side] with room to move."""
    radius = size * draws.uniform(*RADII)
    swings, phases = SWING * draws.uniform(size=len(WAVES)), draws.uniform(0, 2 * np.pi, len(WAVES))
    reach = min(radius * (1 + swings.sum()), size / 2)
    row, column = SPEED + draws.uniform(reach, size - reach, size=2)
    y, x = np.mgrid[: size + 2 * SPEED, : size + 2 * SPEED]
    angle = np.arctan2(y - row, x - column)
    edge = 1 + sum(a * np.cos(k * angle + p) for k, a, p in zip(WAVES, swings, phases, strict=True))
    inside: NDArray[np.bool_] = np.hypot(y - row, x - column) <= radius * edge
    return inside


def _seen(layers: list[Layer], shifts: Any, size: int) -> tuple[Image, NDArray[np.int64]]:
    """The frame after every layer has moved, and the number of the layer that each pixel belongs to."""
    frame, owner = np.zeros((size, size), np.float32), np.zeros((size, size), np.int64)
    for number, ((texture, there), (down, right)) in enumerate(zip(layers, shifts, strict=True)):
        window = np.s_[SPEED - down : SPEED - down + size, SPEED - right : SPEED - right + size]
        frame = np.where(there[window], texture[window], frame)
        owner = np.where(there[window], number, owner)
    return frame, owner


@cache
def _photograph(name: str) -> Image:
    image = to_gray(read(shipped("skimage", "data", FILES[NAMES.index(name)])))
    if name in HALVED:
        image = area_mean(image, (image.shape[0] // 2, image.shape[1] // 2))
    image.flags.writeable = False  # shared by all that is cut from it
    return image


def _sources() -> list[Path]:
    files = [shipped("skimage", "data", FILES[NAMES.index(name)]) for name in TEXTURES]
    return [*files, *code("moving_textures", "textures", "images")]


DATA_SETS = [
    DataSet(
        Card(
            name="moving-textures",
            title="Textures that move over textures, with exact optical flow",
            origin="scikit-image: brick, grass, gravel and hubble_deep_field (galaxies, halved); each "
            "photograph has a card of its own. Training and test scenes come from columns without a common "
            "pixel: "
            + "; ".join(
                f"{name} " + " and ".join(f"{first}:{end}" for first, end in parts.values())
                for name, parts in REGIONS.items()
            )
            + f". Made: a ground; a decoy that is glued to it; in front a figure. Textures are drawn "
            "independently. Figure and decoy have one law: a disc with a radius of "
            f"{RADII[0]} to {RADII[1]} sides, evenly, whose edge swings by up to {SWING} of the radius "
            f"{', '.join(map(str, WAVES[:-1]))} and {WAVES[-1]} times around; both lie inside the image. "
            f"Shifts are whole pixels, evenly from -{SPEED} to {SPEED} down and across; those of figure and "
            f"ground differ by at least {APART} down or across; the ground of a still camera does not move",
            licence="CC0; galaxies: public domain (NASA)",
            shapes={
                "images": "float32 [300, 64, 64]",
                "next": "float32 [300, 64, 64]",
                "flow": "float32 [300, 2, 64, 64]",
                "masks": "bool [300, 64, 64]",
            },
            units="scene, height, width; textures of mean 1/2 and standard deviation 1/6, cut off at 0 and "
            "1; flow in pixels down and to the right, from a pixel of images to the same point in next; "
            "masks: True on the figure",
            good_for="finding what moves by itself: a decoy looks like a figure, and under a moving camera "
            "no pixel's own flow tells",
            sources=_sources,
            options={
                "size": f"side of an image in pixels, 32 to {LARGEST}",
                "images": "how many scenes",
                "camera": "'still', or 'moving': ground and figure are shifted by the same law",
                "shuffled": "True gives each scene the flow of another",
                "part": PART_OPTION + " and no pixel of a photograph",
                "seed": SEED_OPTION,
            },
        ),
        moving_textures,
    )
]

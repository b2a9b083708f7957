"""Small crops of six photographed textures, to learn from one region and to be tested on another.

Brick, grass, gravel and the deep field are halved first, so that a crop of 32 pixels holds several bricks,
stones or galaxies; fur and wood are cut from the parts of their photographs that show nothing else.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import shipped
from ._made import PART_OPTION, SEED_OPTION, code, generator, whole
from .images import Image, area_mean, read, to_gray

NAMES = ("brick", "grass", "gravel", "fur", "galaxies", "wood")
FILES = ("brick.png", "grass.png", "gravel.png", "chelsea.png", "hubble_deep_field.jpg", "coffee.png")
HALVED = ("brick", "grass", "gravel", "galaxies")
LARGEST = 64  # pixels: what the narrowest region holds

Region = tuple[int, int, int, int]  # first row, end row, first column, end column, of the photograph halved
_LEFT, _RIGHT = [(0, 256, 0, 160)], [(0, 256, 160, 256)]
REGIONS: dict[str, dict[str, list[Region]]] = {
    "brick": {"train": _LEFT, "test": _RIGHT},
    "grass": {"train": _LEFT, "test": _RIGHT},
    "gravel": {"train": _LEFT, "test": _RIGHT},
    "fur": {"train": [(0, 85, 40, 205), (154, 230, 125, 205)], "test": [(0, 190, 210, 292)]},
    "galaxies": {"train": [(0, 436, 0, 310)], "test": [(0, 436, 310, 500)]},
    "wood": {"train": [(110, 400, 0, 74), (0, 110, 450, 600)], "test": [(290, 400, 490, 600)]},
}


def _written(part: str) -> str:
    return "; ".join(
        f"{name} " + " and ".join(f"{a}:{b}, {c}:{d}" for a, b, c, d in regions[part])
        for name, regions in REGIONS.items()
    )


WHERE = (
    "rows and columns of the training regions (of the halved photograph for brick, grass, gravel, galaxies): "
    f"{_written('train')}; of the test regions: {_written('test')}"
)


def photographs() -> list[Path]:
    """The files that the textures are cut from."""
    return [shipped("skimage", "data", file) for file in FILES]


def textures(
    size: int = 32, images: int = 600, part: str = "train", seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [images, size, size] in [0, 1]; `labels`: int64 [images], 0 to 5.

    Each crop is brought to mean 1/2 and standard deviation 1/6, so that brightness and contrast do not
    give the texture away; what then lies outside 0 to 1 is cut off.
    """
    draws = generator("textures", part, seed)
    labels = draws.integers(len(NAMES), size=whole("images", images, 1, 100_000))
    crops = standardised(cut(labels, size, part, draws))
    return {"images": np.clip(0.5 + crops / 6, 0, 1).astype(np.float32), "labels": labels}


def cut(labels: NDArray[np.int64], size: int, part: str, draws: np.random.Generator) -> Image:
    """One crop for every label, from anywhere in the part's regions: float32 [n, size, size]."""
    size = whole("size", size, 8, LARGEST)
    crops = np.empty((len(labels), size, size), np.float32)
    for label, name in enumerate(NAMES):
        rows = np.flatnonzero(labels == label)
        corners = _corners(name, part, size)
        top, left = corners[draws.integers(len(corners), size=len(rows))].T
        windows = np.lib.stride_tricks.sliding_window_view(_photograph(name), (size, size))
        crops[rows] = windows[top, left]
    return crops


def standardised(crops: Image, inside: NDArray[np.bool_] | None = None) -> Image:
    """Every crop to mean 0 and standard deviation 1 over the pixels `inside` (all of them by default)."""
    weights = np.ones_like(crops) if inside is None else inside.astype(np.float32)
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    centred = crops - (crops * weights).sum(axis=(1, 2), keepdims=True)
    return centred / np.sqrt((np.square(centred) * weights).sum(axis=(1, 2), keepdims=True))


@cache
def _photograph(name: str) -> Image:
    image = to_gray(read(photographs()[NAMES.index(name)]))
    if name in HALVED:
        image = area_mean(image, (image.shape[0] // 2, image.shape[1] // 2))
    image.flags.writeable = False  # shared by all that is cut from it
    return image


@cache
def _corners(name: str, part: str, size: int) -> NDArray[np.intp]:
    """Top left corners of all crops that lie within the part's regions: [n, 2]."""
    return np.concatenate(
        [
            np.mgrid[top : bottom - size + 1, left : right - size + 1].reshape(2, -1).T
            for top, bottom, left, right in REGIONS[name][part]
        ]
    )


DATA_SETS = [
    DataSet(
        Card(
            name="textures",
            title="Crops of six photographed textures, with labels",
            origin="scikit-image: brick, grass, gravel, chelsea (fur), hubble_deep_field (galaxies) and the "
            "wooden table of coffee; each photograph has a card of its own. Training and test crops come "
            "from regions without a common pixel: " + WHERE,
            licence="CC0; galaxies: public domain (NASA)",
            shapes={"images": "float32 [600, 32, 32]", "labels": "int64 [600]"},
            units="crop, height, width; mean 1/2, standard deviation 1/6, cut off at 0 and 1; "
            "labels 0 to 5 in the order of the members",
            good_for="texture classes told by local statistics alone; a held-out region to test on",
            sources=lambda: [*photographs(), *code("textures", "images")],
            options={
                "size": f"side of a crop in pixels, 8 to {LARGEST}",
                "images": "how many crops",
                "part": PART_OPTION + " and no pixel of a photograph",
                "seed": SEED_OPTION,
            },
            members=NAMES,
        ),
        textures,
    )
]

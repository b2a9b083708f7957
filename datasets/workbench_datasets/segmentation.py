"""Crops of three pictures with what to find in them: coins, stained cells, the vessels of a retina.

The masks are made by a classical procedure from the whole picture, not by people: what a network learns
here is to do as the procedure does, from a small grey crop.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import shipped
from ._made import PART_OPTION, SEED_OPTION, code, generator, one_of, whole
from .images import Image, read, to_gray

FILES = {"coins": "coins.png", "cells": "ihc.png", "retina": "retina.jpg"}
LARGEST = 128  # pixels: what the narrowest region holds
ROWS = {"coins": (0, 303), "cells": (0, 512), "retina": (103, 602)}
COLUMNS = {
    "coins": {"train": (0, 240), "test": (240, 384)},
    "cells": {"train": (0, 340), "test": (340, 512)},
    "retina": {"train": (103, 400), "test": (400, 602)},
}

Mask = NDArray[np.bool_]


def photographs() -> list[Path]:
    """The three files, in the order of the card's members."""
    return [shipped("skimage", "data", file) for file in FILES.values()]


def segmentation(
    picture: str = "coins", size: int = 64, images: int = 200, part: str = "train", seed: int = 0
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [n, size, size] in [0, 1]; `masks`: bool [n, size, size], True for what to find.

    Crops overlap one another, but those of training and of test lie on two sides of one column.
    """
    one_of("picture", picture, tuple(FILES))
    size, count = whole("size", size, 16, LARGEST), whole("images", images, 1, 100_000)
    draws = generator(f"segmentation of {picture}", part, seed)
    (top, bottom), (left, right) = ROWS[picture], COLUMNS[picture][part]
    rows = draws.integers(top, bottom - size + 1, size=count)
    columns = draws.integers(left, right - size + 1, size=count)
    windows = (np.lib.stride_tricks.sliding_window_view(whole_, (size, size)) for whole_ in _whole(picture))
    image, mask = (window[rows, columns] for window in windows)
    return {"images": image, "masks": mask}


@cache
def _whole(picture: str) -> tuple[Image, Mask]:
    """The grey picture and its mask, shared by all crops."""
    colour = read(photographs()[list(FILES).index(picture)])
    if picture == "retina":  # halved: 1411 rows and columns, of which the last ones go
        colour = colour[:1410, :1410].reshape(705, 2, 705, 2, 3).mean(axis=(1, 3))
    image = to_gray(colour)
    mask = {"coins": _coins, "cells": _stained, "retina": _vessels}[picture](colour)
    for array in (image, mask):
        array.flags.writeable = False
    return image, mask


def _coins(image: Image) -> Mask:
    """A flood from what is surely dark and surely bright meets at the strongest edges; holes are filled."""
    from scipy import ndimage
    from skimage.filters import sobel
    from skimage.segmentation import watershed

    seeds = np.where(image > 150 / 255, 2, np.where(image < 30 / 255, 1, 0))
    filled = ndimage.binary_fill_holes(watershed(sobel(image), seeds) == 2)
    return ndimage.binary_opening(filled, iterations=3)


def _stained(colour: Image) -> Mask:
    """Where there is more of the brown stain (diaminobenzidine) than Otsu's threshold of it."""
    from scipy import ndimage
    from skimage.color import rgb2hed
    from skimage.filters import threshold_otsu

    brown = ndimage.gaussian_filter(rgb2hed(colour)[..., 2], 1)
    return ndimage.binary_opening(brown > threshold_otsu(brown))


def _vessels(colour: Image) -> Mask:
    """The tenth of the pixels that lies most on dark ridges of the green channel; pieces below 60 go."""
    from scipy import ndimage
    from skimage.filters import sato

    green = colour[..., 1]
    ridges = sato(green - ndimage.gaussian_filter(green, 12), sigmas=(1, 2, 3), black_ridges=True)
    rows, columns = ROWS["retina"], COLUMNS["retina"]
    inside = ridges[slice(*rows), columns["train"][0] : columns["test"][1]]
    pieces, _ = ndimage.label(ridges > np.quantile(inside, 0.9), structure=np.ones((3, 3)))
    large = np.bincount(pieces.ravel()) >= 60
    large[0] = False  # what is no ridge at all
    return large[pieces]


def _written(part: str) -> str:
    return ", ".join("{} {}:{}".format(picture, *columns[part]) for picture, columns in COLUMNS.items())


DATA_SETS = [
    DataSet(
        Card(
            name="segmentation",
            title="Crops of coins, stained cells and a retina, with masks of what to find",
            origin="scikit-image's coins, immunohistochemistry (cells) and retina, the last halved and its "
            "middle alone; each has a card of its own. The masks are made by a procedure, not by people. "
            "Coins: watershed of the Sobel edges from pixels below 30 and above 150, holes filled. Cells: "
            "the brown stain after separating the stains, above Otsu's threshold. Retina: the tenth with "
            "the most ridge by Sato's filter, where thin vessels are missed and the rim of the optic disc is "
            f"taken for one. Columns of the training part: {_written('train')}; of the test: "
            f"{_written('test')}",
            licence="coins, cells: no known copyright restrictions; retina: CC0 1.0",
            shapes={"images": "float32 [200, 64, 64]", "masks": "bool [200, 64, 64]"},
            units="crop, height, width; images 0 black to 1 white, grey; masks True for coin, stain or "
            "vessel",
            good_for="labelling every pixel of real pictures in seconds: blobs, tissue, thin lines",
            sources=lambda: [*photographs(), *code("segmentation", "images")],
            options={
                "picture": "'coins', 'cells' or 'retina'",
                "size": f"side of a crop in pixels, 16 to {LARGEST}",
                "images": "how many crops",
                "part": PART_OPTION + " and no pixel of a photograph",
                "seed": SEED_OPTION,
            },
            members=tuple(FILES),
        ),
        segmentation,
    )
]

"""The eight picture sets that the zoo learns from, all 16 x 16 and grey, all to mean 0 and similar contrast.

Photographs are cut: every picture is laid out in tiles of 32 pixels, one tile in four belongs to the test
alone, and a crop never leaves its tile. So no pixel is in both parts, and both cover the whole picture.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError

SIDE, TILE = 16, 32
TALL = 192  # rows that a photograph is shrunk to before it is cut
TRAIN, TEST = 1200, 400  # crops
FLAT = 0.1  # added to the standard deviation, so that a crop of sky stays nearly empty

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

SCENES = ("china", "flower", "coffee", "chelsea", "astronaut", "camera")
TEXTURES = ("brick", "grass", "gravel")
MICRO = ("cells", "cell", "retina", "hubble", "moon", "coins")
DOCUMENTS = ("page", "text")


class Pictures(NamedTuple):
    """Images [n, 16, 16] with labels [n]; no pixel of a photograph is in both parts."""

    train: tuple[Images, Labels]
    test: tuple[Images, Labels]

    @property
    def classes(self) -> int:
        return int(max(self.train[1].max(), self.test[1].max())) + 1


@cache
def pictures(name: str) -> Pictures:
    """A picture set by name; the arrays are shared and cannot be written."""
    if name not in PICTURES:
        raise WorkbenchError(f"no picture set is called {name!r}; there are {', '.join(PICTURES)}")
    found = PICTURES[name]()
    parts = [(_levelled(X), np.ascontiguousarray(y, dtype=np.int64)) for X, y in found]
    for part in parts:
        for array in part:
            array.flags.writeable = False
    return Pictures(*parts)


def crops(names: tuple[str, ...], tall: int | None = TALL) -> Pictures:
    """Which picture is this a piece of? Crops from tiles of each, as many of each."""
    draws = np.random.default_rng([SIDE, *map(len, names)])
    images = [_photograph(name, tall) for name in names]
    return Pictures(_cut(images, False, TRAIN, draws), _cut(images, True, TEST, draws))


def digits() -> Pictures:
    """Ten digits, twice as large by linear interpolation; the last third is the test."""
    from workbench_datasets import load

    data = load("digits")
    X, y, cut = _doubled(data["images"]), data["labels"], 1200
    return Pictures((X[:cut], y[:cut]), (X[cut:], y[cut:]))


def faces() -> Pictures:
    """Face or background, shrunk by area, three in ten for the test; the others also mirrored."""
    from workbench_datasets import load
    from workbench_datasets.images import fit

    data = load("faces")
    X, y = np.stack([fit(image, SIDE) for image in data["images"]]), data["labels"]
    test = np.arange(len(X)) % 10 >= 7
    train = np.concatenate([X[~test], X[~test][:, :, ::-1]]), np.tile(y[~test], 2)
    return Pictures(train, (X[test], y[test]))


def made(name: str) -> Pictures:
    """A data set that is drawn by a law, in two parts."""
    from workbench_datasets import load

    parts = [load(name, size=SIDE, images=n, part=part) for part, n in (("train", TRAIN), ("test", TEST))]
    train, test = ((part["images"], part["labels"]) for part in parts)
    return Pictures(train, test)


PICTURES: dict[str, Callable[[], Pictures]] = {
    "digits": digits,
    "scenes": lambda: crops(SCENES),
    "textures": lambda: crops(TEXTURES),
    "micro": lambda: crops(MICRO),
    "faces": faces,
    "documents": lambda: crops(DOCUMENTS, tall=None),
    "waves": lambda: made("wave-snapshots"),
    "fractals": lambda: made("fractals"),
}


def _photograph(name: str, tall: int | None) -> Images:
    from workbench_datasets import load
    from workbench_datasets.images import area_mean

    image = load(name, gray=True)
    if tall is None:
        return image
    return area_mean(image, (tall, round(image.shape[1] * tall / image.shape[0])))


def _cut(images: list[Images], test: bool, n: int, draws: np.random.Generator) -> tuple[Images, Labels]:
    """n crops from the tiles of one part: [n, 16, 16] and which picture each is of."""
    labels = np.arange(n) % len(images)
    X = np.empty((n, SIDE, SIDE), np.float32)
    for label, image in enumerate(images):
        tiles = np.argwhere(_tiles(image, test))
        for row in np.flatnonzero(labels == label):
            top, left = tiles[draws.integers(len(tiles))] * TILE + draws.integers(TILE - SIDE + 1, size=2)
            X[row] = image[top : top + SIDE, left : left + SIDE]
    return X, labels


def _tiles(image: Images, test: bool) -> NDArray[np.bool_]:
    """Which whole tiles belong to a part: one in four, two columns on in each row, is for the test."""
    down, across = np.indices((image.shape[0] // TILE, image.shape[1] // TILE))
    return ((across + 2 * down) % 4 == 0) == test


def _doubled(images: Images) -> Images:
    """[n, h, w] -> [n, 2h, 2w]: linear between the middles of pixels, constant beyond the outermost."""
    for axis in (1, 2):
        size = images.shape[axis]
        before = np.take(images, np.maximum(np.arange(size) - 1, 0), axis)
        after = np.take(images, np.minimum(np.arange(size) + 1, size - 1), axis)
        halves = np.stack([0.75 * images + 0.25 * before, 0.75 * images + 0.25 * after], axis + 1)
        images = halves.reshape(*images.shape[:axis], 2 * size, *images.shape[axis + 1 :])
    return images.astype(np.float32)


def _levelled(X: Images) -> Images:
    """(x - mean) / (standard deviation + 0.1) of every picture: brightness and contrast tell no class."""
    mean, std = X.mean(axis=(1, 2), keepdims=True), X.std(axis=(1, 2), keepdims=True)
    return np.ascontiguousarray((X - mean) / (std + FLAT), dtype=np.float32)

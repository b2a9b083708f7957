"""Regions scattered over a map: tokens that belong together lie apart, and only their codes tell.

Every token shows its region's code and a noisy reading of its region's value, and the value is asked for. A
token that finds c readings of its region answers their shrunken mean. How far off that is depends on c alone,
so that every rule of who may see whom has an error below which no model that keeps the rule can get.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._card import Card, DataSet
from ._made import PART_OPTION, SEED_OPTION, code, generator, number, whole
from .errors import DataError

CODE = 3  # numbers in a code
Floats = NDArray[np.float64]


def scattered_regions(
    side: int = 8,
    images: int = 2000,
    cell: int = 2,
    labels: int = 4,
    code_noise: float = 0.0,
    value_noise: float = 1.0,
    relational: bool = False,
    part: str = "train",
    seed: int = 0,
) -> dict[str, NDArray[Any]]:
    """`inputs`: float32 [n, 4 or 7, side, side]; `targets`: float32 [n, side, side]; and the truth behind.

    Channels 0 to 2 of the inputs are the code of the token's region, channel 3 is a reading of its value, and
    if relational, channels 4 to 6 are the code of the region whose value is asked for. `labels`: int64 [n,
    side, side]; `values`: float32 [n, labels]; `codes`: float32 [n, labels, 3]; `asked`: int64 [n, labels],
    whose value each region asks for, its own unless relational.
    """
    side, count = whole("side", side, 2, 64), whole("images", images, 1, 100_000)
    cell, kinds = whole("cell", cell, 1, side), whole("labels", labels, 1, 64)
    code_noise, value_noise = (
        number("code_noise", code_noise, 0, 10),
        number("value_noise", value_noise, 0, 10),
    )
    if side % cell:
        raise DataError(f"cell must divide side, but a cell of {cell} and a side of {side} came")
    if not isinstance(relational, bool | np.bool_):
        raise DataError(f"relational must be True or False, but {relational!r} came")
    draws = generator("scattered-regions", part, seed)
    cells = draws.integers(kinds, size=(count, side // cell, side // cell))
    members = cells.repeat(cell, 1).repeat(cell, 2)
    codes = draws.standard_normal((count, kinds, CODE), dtype=np.float32)
    values = draws.standard_normal((count, kinds), dtype=np.float32)
    image = np.arange(count)[:, None, None]

    def noisy(truth: NDArray[Any], noise: float) -> NDArray[Any]:
        return truth + np.float32(noise) * draws.standard_normal(truth.shape, dtype=np.float32)

    shown = [noisy(codes[image, members], code_noise), noisy(values[image, members], value_noise)[..., None]]
    asked = np.tile(np.arange(kinds), (count, 1))
    if relational:
        asked = _others(cells.reshape(count, -1), kinds, draws)
        shown.append(noisy(codes[image, asked[image, members]], code_noise))
    return {
        "inputs": np.ascontiguousarray(np.concatenate(shown, -1).transpose(0, 3, 1, 2)),
        "targets": values[image, asked[image, members]],
        "labels": members,
        "values": values,
        "codes": codes,
        "asked": asked,
    }


def _others(cells: NDArray[np.int64], kinds: int, draws: np.random.Generator) -> NDArray[np.int64]:
    """For each region of each image another that the image shows, evenly drawn; its own if there is none."""
    there = (cells[:, :, None] == np.arange(kinds)).any(1)  # [n, kinds]
    wishes = draws.random((len(cells), kinds, kinds))
    wishes[~np.broadcast_to(there[:, None], wishes.shape)] = -1
    wishes[:, np.arange(kinds), np.arange(kinds)] = -0.5  # oneself before somebody who is not there
    return wishes.argmax(-1)


def region_counts(visible: ArrayLike, labels: ArrayLike, asked: ArrayLike | None = None) -> NDArray[np.int64]:
    """How many readings of the value that it is asked for each token may see: int64 [n, height, width].

    visible: bool [tokens, tokens], row: a token, column: whether it may see that one; tokens row by row.
    labels: int [n, height, width]; asked: int [n, kinds], whose value each region asks for (its own).
    """
    members, sees = np.asarray(labels), np.asarray(visible, bool)
    if members.ndim != 3:
        raise DataError(f"labels must be [images, height, width], but {list(members.shape)} came")
    flat = members.reshape(len(members), -1)
    if sees.shape != (flat.shape[1],) * 2:
        raise DataError(
            f"visible must be [{flat.shape[1]}, {flat.shape[1]}] for maps of {members.shape[1]} x "
            f"{members.shape[2]}, but {list(sees.shape)} came"
        )
    kinds = int(flat.max()) + 1 if asked is None else np.asarray(asked).shape[1]
    belongs = (flat[..., None] == np.arange(kinds)).astype(np.float32)  # [n, tokens, kinds]
    seen = np.matmul(sees.astype(np.float32), belongs)  # of each kind; exact below 2**24
    wanted = flat if asked is None else np.take_along_axis(np.asarray(asked), flat, 1)
    found = np.take_along_axis(seen, wanted[..., None], 2)[..., 0]
    return found.astype(np.int64).reshape(members.shape)


def region_ideal(
    visible: ArrayLike, labels: ArrayLike, value_noise: float = 1.0, asked: ArrayLike | None = None
) -> Floats:
    """The smallest mean squared error that any rule confined to a visible set can reach, at every token.

    float64 [n, height, width]; its mean over the last two axes is that of an image, its mean that of all.
    Values are N(0, 1) and c readings of one have independent noise of variance s = value_noise ** 2, so what
    is left of its variance is s / (s + c). Whoever has to guess the regions from noisy codes does no better.
    Arguments as in `region_counts`.
    """
    return _left(region_counts(visible, labels, asked), value_noise)


def region_expectation(
    visible: ArrayLike, side: int = 8, cell: int = 2, labels: int = 4, value_noise: float = 1.0
) -> Floats:
    """`region_ideal` averaged over all maps of regions that can be drawn, exactly: float64 [side, side].

    A token's own cell is of its region; every other one is with probability 1 / labels, whole or not at all.
    The law of the number c of readings is the convolution of these, a product of characteristic functions.
    """
    sees, tokens = np.asarray(visible, bool), side * side
    if side % cell or sees.shape != (tokens, tokens):
        raise DataError(
            f"cell must divide side and visible must be [side ** 2, side ** 2], but a cell of {cell}, a side "
            f"of {side} and {list(sees.shape)} came"
        )
    place = np.arange(tokens)
    cells = place // side // cell * (side // cell) + place % side // cell  # of each token
    turns = np.exp(2j * np.pi * np.arange(tokens + 1) / (tokens + 1))
    product = np.ones((tokens, tokens + 1), complex)
    for k in range((side // cell) ** 2):
        readings = sees[:, cells == k].sum(1)
        chance = np.where(cells == k, 1.0, 1 / labels)[:, None]
        product *= 1 - chance + chance * turns[np.outer(readings, np.arange(tokens + 1)) % (tokens + 1)]
    law = np.fft.fft(product).real / (tokens + 1)  # [tokens, c]
    return (law @ _left(np.arange(tokens + 1), value_noise)).reshape(side, side)


def region_answers(
    visible: ArrayLike,
    labels: ArrayLike,
    readings: ArrayLike,
    value_noise: float = 1.0,
    asked: ArrayLike | None = None,
) -> Floats:
    """The answers that reach `region_ideal`: sum of the readings in sight / (their number + noise variance).

    readings: [n, height, width], channel 3 of the inputs. float64 [n, height, width].
    """
    members = np.asarray(labels)
    read = np.asarray(readings, float).reshape(len(members), -1)
    flat, sees = members.reshape(len(members), -1), np.asarray(visible, bool)
    counts = region_counts(visible, labels, asked)
    wanted = flat if asked is None else np.take_along_axis(np.asarray(asked), flat, 1)
    sums = np.zeros(flat.shape)
    for kind in np.unique(flat):
        of_kind = np.where(flat == kind, read, 0) @ sees.T  # [n, tokens]
        sums += np.where(wanted == kind, of_kind, 0)
    return sums.reshape(members.shape) / np.maximum(counts + value_noise**2, 1e-12)


def _left(counts: NDArray[np.int64], value_noise: float) -> Floats:
    """Of a variance of 1, after so many readings; without noise one reading says everything."""
    variance = number("value_noise", value_noise, 0, 10) ** 2
    return np.where(counts == 0, 1.0, variance / np.maximum(variance + counts, 1e-12))


DATA_SETS = [
    DataSet(
        Card(
            name="scattered-regions",
            title="A value for each of four regions that lie scattered over a map",
            origin="made: a map of 2 x 2 tokens a cell, the label of each cell drawn evenly; for each label "
            "of each image a code of three numbers and a value, all N(0, 1). A token shows its label's code "
            "(plus noise, if asked for) and its value plus N(0, 1). Relational: each label is also given the "
            "code of another label that the image shows, and that one's value is asked for",
            licence="made by this project",
            shapes={
                "inputs": "float32 [2000, 4, 8, 8]",
                "targets": "float32 [2000, 8, 8]",
                "labels": "int64 [2000, 8, 8]",
                "values": "float32 [2000, 4]",
                "codes": "float32 [2000, 4, 3]",
                "asked": "int64 [2000, 4]",
            },
            units="inputs: image, channel (three of the code, the reading, if relational three of the other "
            "code), row, column; targets: the value asked for at each token; values and codes: image, "
            "label; asked: image, label, and in it the label whose value is asked for",
            good_for="comparing who may see whom: `region_ideal` is the smallest error of any visible set",
            sources=lambda: code("scattered_regions"),
            options={
                "side": "tokens along each side, 2 to 64",
                "images": "how many images",
                "cell": "side of a cell in tokens; it must divide side",
                "labels": "how many labels a cell may have, 1 to 64",
                "code_noise": "standard deviation of the noise on every code, 0 to 10",
                "value_noise": "standard deviation of the noise on every reading, 0 to 10",
                "relational": "whether another region's value is asked for: True or False",
                "part": PART_OPTION,
                "seed": SEED_OPTION,
            },
        ),
        scattered_regions,
    )
]

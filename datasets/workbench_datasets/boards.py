"""Boards with parts at fixed places, and what can go wrong with them: missing, swapped, scratched.

A board is a plan of places and kinds of parts. All images of one board show the same plan on another piece of
a photographed material, each part a little off its place. A missing part leaves what is normal elsewhere, and
two swapped parts are both normal elsewhere: only who knows the place can tell. A scratch is normal nowhere.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import shipped
from ._made import PART_OPTION, SEED_OPTION, code, generator, number, whole
from .images import Image, read, to_gray
from .textures import standardised

MATERIALS = ("gravel", "grass", "brick")  # in turn, by the number of the board
SPLIT = 320  # first column of the photographs, of 512, that belongs to the test
KINDS = ("chip", "disc", "ring", "resistor", "capacitor", "plus")
DEFECTS = ("none", "missing", "swapped", "scratched")
SLOTS = 4  # a side
PARTS = 12  # two of each kind
RADIUS = 0.08  # of a part, in sides of the image
REACH = 0.1  # of all that belongs to a part, down and across from its place
SLACK = 0.7 / 96  # how far a part lies off its place at most, down and across, in sides of the image
MEAN, CONTRAST, SCRATCH = 0.45, 0.08, 0.3  # brightness of the material, its deviation, a scratch's own
LIGHT, DARK = 0.85, 0.12

Plan = list[tuple[float, float, int]]
Field = NDArray[np.float64]  # one number for each pixel


def boards(
    size: int = 96,
    images: int = 64,
    board: int = 0,
    defective: float = 0.0,
    part: str = "train",
    seed: int = 0,
) -> dict[str, NDArray[Any]]:
    """`images`: float32 [n, size, size] in [0, 1]; `masks`: bool [n, size, size], True on the defect;
    `labels`: int64 [n], the place of the defect's name in `DEFECTS`.

    A share `defective` of the images, rounded, has one defect each, the three kinds in turn; those images
    come last. The mask of a missing or swapped part is the disc that any part fits into.
    """
    size, count = whole("size", size, 32, 128), whole("images", images, 1, 10_000)
    bad = round(number("defective", defective, 0, 1) * count)
    draws = generator("boards", part, seed)
    parts = plan(whole("board", board, 0, 1_000_000))
    labels = np.concatenate([np.zeros(count - bad, np.int64), 1 + np.arange(bad) % (len(DEFECTS) - 1)])
    kinds = np.tile([kind for _, _, kind in parts], (count, 1))
    touched = np.zeros(kinds.shape, bool)
    for image in np.flatnonzero(labels):
        defect = DEFECTS[labels[image]]
        first = draws.integers(PARTS)
        other = draws.choice(np.flatnonzero(kinds[image] != kinds[image, first]))
        if defect == "missing":
            touched[image, first] = True
        elif defect == "swapped":
            touched[image, [first, other]] = True
            kinds[image, [first, other]] = kinds[image, [other, first]]
    picture = MEAN + CONTRAST * _material(MATERIALS[board % len(MATERIALS)], size, count, part, draws)
    mask = np.zeros(picture.shape, bool)
    shift = SLACK * draws.uniform(-1, 1, size=(2, PARTS, count, 1, 1))
    glow = draws.uniform(0.9, 1.1, size=(PARTS, count, 1, 1))
    grid = (np.mgrid[:size, :size] + 0.5) / size
    missing = labels == DEFECTS.index("missing")
    for slot, (row, column, _) in enumerate(parts):
        top, left = (slice(int(size * (at - REACH)), int(size * (at + REACH)) + 1) for at in (row, column))
        down, across = (
            (grid[axis, top, left] - at - shift[axis, slot]) / RADIUS for axis, at in enumerate((row, column))
        )
        mask[:, top, left] |= (np.hypot(down, across) <= 1) & touched[:, slot, None, None]
        for kind, name in enumerate(KINDS):
            rows = np.flatnonzero((kinds[:, slot] == kind) & ~(missing & touched[:, slot]))
            seen = picture[rows, top, left]
            for outside, tone in _shapes(name, down[rows], across[rows]):
                cover = np.clip(0.5 - outside * RADIUS * size, 0, 1)  # the edge shades over one pixel
                seen += cover * (tone * glow[slot, rows] - seen)
            picture[rows, top, left] = seen
    for image in np.flatnonzero(labels == DEFECTS.index("scratched")):
        cover = _scratch(grid, size, draws)
        picture[image] += SCRATCH * draws.choice((-1, 1)) * cover
        mask[image] = cover >= 0.5
    return {"images": np.clip(picture, 0, 1).astype(np.float32), "masks": mask, "labels": labels}


def plan(board: int) -> Plan:
    """Row and column of the middle of each part, in sides of the image, and the number of its kind.

    Two parts of each kind in 12 of 4 x 4 slots, each part up to a twentieth of a slot's side off the middle.
    """
    draws = np.random.default_rng([board, len(KINDS)])
    slots = draws.choice(SLOTS * SLOTS, size=PARTS, replace=False)
    kinds = draws.permutation(np.repeat(np.arange(len(KINDS)), PARTS // len(KINDS)))
    off = draws.uniform(-0.05, 0.05, size=(PARTS, 2))
    rows, columns = (np.stack(np.divmod(slots, SLOTS), 1) + 0.5 + off).T / SLOTS
    return list(zip(rows.tolist(), columns.tolist(), kinds.tolist(), strict=True))


def _shapes(kind: str, v: Field, u: Field) -> list[tuple[Field, float]]:
    """What a part is painted with, in order: how far a point lies outside a shape, and the shape's tone.

    v, u: rows down and columns across from the middle of the part, in its radius.
    """
    far, high, wide = np.hypot(v, u), np.abs(v), np.abs(u)
    match kind:
        case "chip":
            return [(np.maximum(high, wide) - 0.7, DARK), (np.hypot(v + 0.35, u + 0.35) - 0.25, LIGHT)]
        case "disc":
            return [(far - 0.9, LIGHT), (far - 0.3, DARK)]
        case "ring":
            return [(np.abs(far - 0.7) - 0.25, LIGHT)]
        case "resistor":
            bands = np.abs(wide - 0.4) - 0.15
            return [
                (np.maximum(high - 0.45, wide - 0.85), LIGHT),
                (np.maximum(bands, high - 0.45), DARK),
            ]
        case "capacitor":
            return [(far - 0.9, DARK), (np.maximum(high - 0.2, wide - 0.7), LIGHT)]
    bars = np.minimum(np.maximum(high - 0.3, wide - 0.95), np.maximum(wide - 0.3, high - 0.95))
    return [(bars, LIGHT)]  # plus


def _scratch(grid: Field, size: int, draws: np.random.Generator) -> Field:
    """How much of each pixel a scratch covers: a bent line of two pieces, an eightieth of a side wide."""
    cover: Field = np.zeros(grid.shape[1:])
    at = draws.uniform(0.2, 0.8, size=2)
    turn = draws.uniform(0, 2 * np.pi)
    for _ in range(2):
        step = draws.uniform(0.1, 0.2) * np.array([np.sin(turn), np.cos(turn)])
        along = np.einsum("a,ayx->yx", step, grid - at[:, None, None]) / (step @ step)
        nearest = at[:, None, None] + step[:, None, None] * np.clip(along, 0, 1)
        away = np.hypot(*(grid - nearest)) - 1 / 80
        cover = np.maximum(cover, np.clip(0.5 - away * size, 0, 1))
        at, turn = at + step, turn + draws.uniform(-0.6, 0.6)
    return cover


def _material(name: str, size: int, count: int, part: str, draws: np.random.Generator) -> Image:
    """Pieces of a photograph with mean 0 and standard deviation 1: [count, size, size]."""
    whole_ = _photograph(name)
    half = whole_[:, :SPLIT] if part == "train" else whole_[:, SPLIT:]
    windows = np.lib.stride_tricks.sliding_window_view(half, (size, size))
    rows, columns = (draws.integers(side, size=count) for side in windows.shape[:2])
    return standardised(windows[rows, columns])


@cache
def _photograph(name: str) -> Image:
    image = to_gray(read(shipped("skimage", "data", f"{name}.png")))
    image.flags.writeable = False  # shared by all that is cut from it
    return image


DATA_SETS = [
    DataSet(
        Card(
            name="boards",
            title="Boards of twelve parts on a photographed material, whole and with defects",
            origin="made: the number of a board draws 12 of 4 x 4 slots, two parts of each of six kinds, and "
            "an offset of up to a twentieth of a slot; it picks the material, in turn "
            f"{', '.join(MATERIALS)} (scikit-image, each photograph has a card of its own). An image draws a "
            f"piece of the material (training: columns 0:{SPLIT}, test: {SPLIT}:512), the brightness of "
            "each part (0.9 to 1.1) and its offset (up to 0.7 of 96 pixels down and across). Defects: a part "
            "is missing; two parts of unlike kinds have changed places; a scratch of two straight pieces, "
            "light or dark",
            licence="CC0",
            shapes={
                "images": "float32 [64, 96, 96]",
                "masks": "bool [64, 96, 96]",
                "labels": "int64 [64]",
            },
            units="image, height, width; 0 black to 1 white; masks True on the defect; labels 0 to 3: "
            + ", ".join(DEFECTS),
            good_for="finding what is wrong with an image when only right ones are known: by looks (a "
            "scratch) or by place (a missing or swapped part)",
            sources=lambda: [
                *(shipped("skimage", "data", f"{name}.png") for name in MATERIALS),
                *code("boards", "textures", "images"),
            ],
            options={
                "size": "side of an image in pixels, 32 to 128",
                "images": "how many images",
                "board": "whole number from 0: which plan, which material",
                "defective": "share of the images that have a defect, 0 to 1",
                "part": PART_OPTION + " and no pixel of a photograph",
                "seed": SEED_OPTION,
            },
            members=DEFECTS,
        ),
        boards,
    )
]

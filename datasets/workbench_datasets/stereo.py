"""A real stereo pair with measured disparity."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import shipped
from .images import GRAY_OPTION, SIZE_OPTION, Image, Size, area_mean, fit, read, to_gray, wanted, window

FILES = ("motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz")


def sources() -> list[Path]:
    """Left picture, right picture, disparity."""
    return [shipped("skimage", "data", file) for file in FILES]


def stereo(size: Size = None, gray: bool = False) -> dict[str, Image]:
    """`left` and `right`: [height, width, 3] or [height, width]; `disparity`: [height, width], in pixels.

    The point that the left picture shows at column x, the right one shows at column x - disparity of the
    same row. NaN marks pixels without ground truth. With a `size`, all three are cut by the same window,
    disparity is the mean over the known pixels that an output pixel covers, in output pixels, and NaN
    where fewer than half are known.
    """
    left_path, right_path, disparity_path = sources()
    left, right = read(left_path), read(right_path)
    with np.load(disparity_path) as file:
        disparity = file["arr_0"].astype(np.float32)
    disparity[~np.isfinite(disparity)] = np.nan  # the file marks unknown pixels by infinity
    if gray:
        left, right = to_gray(left), to_gray(right)
    if size is not None:
        disparity = _shrink(disparity, wanted(size))
    return {"left": fit(left, size), "right": fit(right, size), "disparity": disparity}


def _shrink(disparity: NDArray[np.float32], size: tuple[int, int]) -> Image:
    rows, columns = window(disparity.shape, size)
    cut = disparity[rows, columns].astype(np.float64)
    known = np.isfinite(cut)
    share = area_mean(known.astype(np.float64), size)
    total = area_mean(np.where(known, cut, 0), size)
    narrower = size[1] / cut.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(share >= 0.5, total / share * narrower, np.nan).astype(np.float32)


DATA_SETS = [
    DataSet(
        Card(
            name="stereo",
            title="Motorcycle: a rectified stereo pair with measured disparity",
            origin="Middlebury 2014 stereo benchmark (Scharstein and others, GCPR 2014), reduced by 4 for "
            "scikit-image; focal length 994.978 pixels, baseline 193.001 mm, "
            "principal points 31.086 pixels apart",
            licence="unknown, shipped with scikit-image",
            shapes={
                "left": "float32 [500, 741, 3]",
                "right": "float32 [500, 741, 3]",
                "disparity": "float32 [500, 741]",
            },
            units="height, width, colour, 0 black to 1 full; disparity in pixels (left column minus right "
            "column), NaN where unknown",
            good_for="matching, cost volumes, depth edges, warping",
            sources=sources,
            options={"size": SIZE_OPTION + "; None keeps the stored size", "gray": GRAY_OPTION},
        ),
        stereo,
    )
]

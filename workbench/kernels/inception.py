"""The token mixer of InceptionNeXt: four groups of channels, of which one is not touched.

    [ identity | square kh x kh | across 1 x band | down band x 1 ]

The channels [channels - 3 g, g, g, g] lie in this order. Identity is free only where nothing is copied.
`inception_concatenated` does what a framework does: every branch writes an array of its own, and these are
copied together with the untouched channels. `inception_in_place` overwrites the 3 g channels that change and
never looks at the others; `inception_mixer` does this for a batch on all threads.
"""

import numpy as np
from numba import njit, prange

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.convolution import _depthwise_conv2d
from workbench.kernels.cost import Cost
from workbench.kernels.line_ring import depthwise_lines


def inception_mixer(
    x: np.ndarray, square: np.ndarray, across: np.ndarray, down: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Overwrites the last 3 g channels of x [batch, channels, height, width], on all threads; returns x.

    square [g, k, k], across [g, 1, band], down [g, band, 1] with odd sides, bias [3, g]; all float32 or all
    float64, x C-contiguous. The identity channels are neither read nor written. The readable twin is
    `_inception_mixer`.
    """
    g = len(square)
    shapes = {"square": square.shape, "across": across.shape, "down": down.shape, "bias": bias.shape}
    odd = all(side % 2 for w in (square, across, down) if w.ndim == 3 for side in w.shape[1:])
    bands = (g, 1, across.shape[-1]), (g, down.shape[1] if down.ndim == 3 else 0, 1)
    if x.ndim != 4 or 3 * g > x.shape[1] or not x.flags.c_contiguous:
        raise WorkbenchError(
            f"x must be a C-contiguous array [batch, at least {3 * g} channels, height, width], "
            f"but {x.shape} came"
        )
    if square.ndim != 3 or (across.shape, down.shape) != bands or bias.shape != (3, g) or not odd:
        raise WorkbenchError(
            "square must be [g, k, k], across [g, 1, band], down [g, band, 1] with odd sides and bias [3, "
            "g], "
            f"but {shapes} came"
        )
    if x.dtype not in (np.float32, np.float64) or any(
        w.dtype != x.dtype for w in (square, across, down, bias)
    ):
        raise WorkbenchError(f"x, kernels and bias must be all float32 or all float64, but x is {x.dtype}")
    if g and x.size:
        weights = (np.ascontiguousarray(w) for w in (square, across, down, bias))
        _all_images(x, *weights)
    return x


@kernel(cache=True)
def inception_in_place(x, square, across, down, bias):
    """One image x [channels, height, width], overwritten; kernels and bias as in `inception_mixer`."""
    g = square.shape[0]
    first = x.shape[0] - 3 * g
    one, two, three = x[first : first + g], x[first + g : first + 2 * g], x[first + 2 * g :]
    depthwise_lines(one, square, bias[0], one, 1)
    depthwise_lines(two, across, bias[1], two, 1)
    depthwise_lines(three, down, bias[2], three, 1)


@kernel(cache=True)
def inception_concatenated(x, square, across, down, bias, parts, out):
    """The same into out [channels, height, width], by way of parts [3 g, height, width]."""
    g = square.shape[0]
    first = x.shape[0] - 3 * g
    depthwise_lines(x[first : first + g], square, bias[0], parts[:g], 1)
    depthwise_lines(x[first + g : first + 2 * g], across, bias[1], parts[g : 2 * g], 1)
    depthwise_lines(x[first + 2 * g :], down, bias[2], parts[2 * g :], 1)
    for c in range(out.shape[0]):
        for i in range(out.shape[1]):
            if c < first:
                for j in range(out.shape[2]):
                    out[c, i, j] = x[c, i, j]
            else:
                for j in range(out.shape[2]):
                    out[c, i, j] = parts[c - first, i, j]


def inception_cost(
    image: tuple[int, int, int],
    branch: int,
    itemsize: int,
    square: int = 3,
    band: int = 11,
    in_place: bool = True,
) -> Cost:
    """The closed form of both kernels for an image [channels, height, width] with g = `branch` channels.

    In place, each of the 3 g channels is read once and written once. With the concatenation they are read
    twice and written twice, and the identity channels once each.
    """
    channels, height, width = image
    pixels, taps = height * width, square**2 + 2 * band
    touched, all_of_it = 3 * branch * pixels, channels * pixels
    weights = {"square": square**2, "across": band, "down": band}
    loads = {name: branch * height * number for name, number in weights.items()}
    unique = {name: branch * number * itemsize for name, number in weights.items()}
    loads["bias"], unique["bias"] = 3 * branch * height, 3 * branch * itemsize
    if in_place:
        loads["x"], stores, unique["x"] = touched, {"x": touched}, touched * itemsize
    else:
        loads |= {"x": all_of_it, "parts": touched}
        stores = {"parts": touched, "out": all_of_it}
        unique |= {"x": all_of_it * itemsize, "parts": touched * itemsize, "out": all_of_it * itemsize}
    return Cost(2 * branch * taps * pixels, loads, stores, unique)


@njit(cache=True, parallel=True)
def _all_images(x, square, across, down, bias):
    """A part of the work is one channel of one image, so that two threads are enough for one image."""
    g = square.shape[0]
    first = x.shape[1] - 3 * g
    for part in prange(x.shape[0] * 3 * g):
        n, c = part // (3 * g), part % (3 * g)
        own = x[n, first + c : first + c + 1]
        k = c % g
        if c < g:
            depthwise_lines(own, square[k : k + 1], bias[0, k : k + 1], own, 1)
        elif c < 2 * g:
            depthwise_lines(own, across[k : k + 1], bias[1, k : k + 1], own, 1)
        else:
            depthwise_lines(own, down[k : k + 1], bias[2, k : k + 1], own, 1)


def _inception_mixer(
    x: np.ndarray, square: np.ndarray, across: np.ndarray, down: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """The readable twin of `inception_mixer`: split, filter, concatenate. x stays as it is."""
    g = len(square)
    groups = np.split(x, [x.shape[1] - 3 * g, x.shape[1] - 2 * g, x.shape[1] - g], axis=1)
    branches = [
        _depthwise_conv2d(group, w) + b[:, None, None]
        for group, w, b in zip(groups[1:], (square, across, down), bias, strict=True)
    ]
    return np.concatenate([groups[0], *branches], axis=1)

"""A block of convolutions, layer by layer, or all layers for a few pixels at a time.

The block is ConvFirst: a grouped convolution that looks around, a 1 x 1 convolution that makes the pixel
wide, an activation, and a 1 x 1 convolution that makes it narrow again, added to the input. A band of pixels
goes through all layers before the next band begins, so that the wide tensor exists for one band only. With a
band as long as the tensor, each layer writes its whole result and the next one reads it: the block unfused.

The window of the convolution reaches beyond a band's ends. What it sees there is read from the input, and
no result is computed twice.
"""

import numpy as np

from workbench.counting import kernel
from workbench.kernels.cost import Cost

FAST = {"contract", "reassoc", "nsz"}


@kernel(cache=True, fastmath=FAST)
def conv_first_bands(x, height, width, look, b0, expand, b1, project, b2, near, wide, out):
    """out [pixels, channels] from x [pixels, channels]; pixels = images * height * width, row by row.

    look [channels, taps, taps, group]: the weights of an output channel for each tap and each channel of its
    group. expand [wide, channels], project [channels, wide]; b0, b1, b2: a shift for each result.
    near [band, channels] and wide [band, wide] take the results between; band need not divide the pixels.
    """
    band = near.shape[0]
    for first in range(0, x.shape[0], band):
        size = min(band, x.shape[0] - first)
        look_around(x, height, width, look, b0, first, near[:size])
        mix(near[:size], expand, b1, wide[:size])
        activate(wide[:size])
        mix_and_add(wide[:size], project, b2, x, first, out)


@kernel(fastmath=FAST)
def look_around(x, height, width, look, shift, first, near):
    """The grouped convolution at the pixels from `first` on; beyond an image's border lie zeros."""
    taps, group = look.shape[1], look.shape[3]
    half = taps // 2
    for q in range(near.shape[0]):
        row, column = (first + q) // width % height, (first + q) % width
        for c in range(near.shape[1]):
            total = shift[c]
            for i in range(taps):
                if 0 <= row + i - half < height:
                    for j in range(taps):
                        if 0 <= column + j - half < width:
                            there = first + q + (i - half) * width + j - half
                            for g in range(group):
                                total += look[c, i, j, g] * x[there, c // group * group + g]
            near[q, c] = total


@kernel(fastmath=FAST)
def mix(rows, weight, shift, out):
    """out [pixels, b] = rows [pixels, a] @ weight.T [a, b] + shift [b]"""
    for q in range(out.shape[0]):
        for e in range(out.shape[1]):
            total = shift[e]
            for c in range(rows.shape[1]):
                total += weight[e, c] * rows[q, c]
            out[q, e] = total


@kernel(fastmath=FAST)
def activate(rows):
    """SiLU in place: v / (1 + exp(-v))."""
    for q in range(rows.shape[0]):
        for e in range(rows.shape[1]):
            value = rows[q, e]
            rows[q, e] = value / (np.float32(1) + np.exp(-value))


@kernel(fastmath=FAST)
def mix_and_add(rows, weight, shift, x, first, out):
    """out[first:] = x[first:] + rows @ weight.T + shift, for as many pixels as there are rows"""
    for q in range(rows.shape[0]):
        for c in range(out.shape[1]):
            total = x[first + q, c] + shift[c]
            for e in range(rows.shape[1]):
                total += weight[c, e] * rows[q, e]
            out[first + q, c] = total


def conv_first_cost(
    images: int, height: int, width: int, channels: int, wide: int, *, taps: int = 3, group: int = 8
) -> Cost:
    """The closed form of `conv_first_bands` in float32, for bands of any length.

    A tap outside the image costs nothing. `bytes_unique` leaves out near and wide, which are as long as the
    band, and the loads of `look` at least.
    """
    pixels = images * height * width
    seen = images * _inside(height, taps) * _inside(width, taps)  # pairs of a pixel and a tap
    looks, products = seen * channels * group, pixels * channels * wide
    narrow, broad = pixels * channels, pixels * wide
    return Cost(
        flops=2 * looks + 4 * products + 3 * broad + narrow,  # an activation: exp, add, divide
        loads={
            "x": looks + narrow,
            "look": looks,
            "near": products,
            "expand": products,
            "wide": products + broad,
            "project": products,
            "b0": narrow,
            "b1": broad,
            "b2": narrow,
        },
        stores={"near": narrow, "wide": 2 * broad, "out": narrow},
        bytes_unique={"x": 4 * narrow, "out": 4 * narrow},
    )


def _inside(length: int, taps: int) -> int:
    """How many pairs of an output and a tap lie inside a row of pixels."""
    return sum(max(0, length - abs(tap - taps // 2)) for tap in range(taps))

"""Depthwise convolution that reads every input once, through a ring of lines: it may overwrite its input.

    out[c, i, j] = bias[c] + sum over q, t of  w[c, q, t] * x[c, i + (q - kh // 2) * d, j + (t - kw // 2) * d]

with zeros outside the image, odd kernels, and one dilation d for both axes. Row i of the output needs the
rows up to `ahead` = d * (kh // 2) above and below it. Only so many rows are kept, in `lines`: when row i is
written, everything that later rows need of it lies in the ring already. What stays in a cache is the ring,
and memory sees each number of the image come in once and go out once, whatever the kernel.
"""

import numpy as np

from workbench.counting import kernel
from workbench.kernels.cost import Cost

FAST = {"contract", "reassoc", "nsz"}  # a sum may be regrouped and fused; inf and nan keep their meaning


@kernel(cache=True, fastmath=FAST)
def weigh_line(source, weight, sums):
    """sums[j] += weight * source[j]"""
    for j in range(sums.size):
        sums[j] += weight * source[j]


@kernel(cache=True, fastmath=FAST)
def depthwise_lines(x, w, bias, out, dilation):
    """x, out [channels, height, width], w [channels, kh, kw], bias [channels]; `out` may be `x` itself."""
    height, width = x.shape[1], x.shape[2]
    kh, kw = w.shape[1], w.shape[2]
    rows, ahead, left = dilation * (kh - 1) + 1, dilation * (kh // 2), dilation * (kw // 2)
    sums = np.empty(width, x.dtype)
    for c in range(x.shape[0]):
        lines = np.zeros((rows, width + 2 * left), x.dtype)
        for i in range(-ahead, height):
            line, coming = lines[(i + ahead) % rows, left : left + width], i + ahead
            if coming < height:
                for j in range(width):
                    line[j] = x[c, coming, j]
            else:
                for j in range(width):
                    line[j] = 0
            if i >= 0:
                constant = bias[c]
                for j in range(width):
                    sums[j] = constant
                for q in range(kh):
                    seen = lines[(i - ahead + q * dilation) % rows]
                    for t in range(kw):
                        weigh_line(seen[t * dilation : t * dilation + width], w[c, q, t], sums)
                for j in range(width):
                    out[c, i, j] = sums[j]


def depthwise_lines_cost(image: tuple[int, int, int], kernel: tuple[int, int], itemsize: int) -> Cost:
    """What `depthwise_lines` does to the arrays that it is given, for an image [channels, height, width].

    A tap beside the image meets a zero of the ring and costs what any other does. Left out are the ring and
    the sums, which stay in a cache. In place, `x` and `out` are the same bytes.
    """
    channels, height, width = image
    numbers, taps = channels * height * width, kernel[0] * kernel[1]
    return Cost(
        flops=2 * taps * numbers,
        loads={"x": numbers, "w": channels * height * taps, "bias": channels * height},
        stores={"out": numbers},
        bytes_unique={
            "x": numbers * itemsize,
            "w": channels * taps * itemsize,
            "bias": channels * itemsize,
            "out": numbers * itemsize,
        },
    )

"""Softmax with the maximum taken away first: a row is read three times.

    top = max x_i,     total = sum of e^(x_i - top),     y_i = e^(x_i - top) / total

No exponential is larger than 1, so nothing overflows; but nothing can be summed before the largest number
is known, and nothing written before the sum is. Two ways to spend the second and third pass:

- *recompute*: forget the exponentials and calculate them again (3 loads and 1 store a number);
- *reload*: keep them in y and scale them there (3 loads and 2 stores a number).

Maxima and sums are kept in LANES partial ones: a single running maximum is one long chain in which every
comparison waits for the one before, and would make both several times slower than memory is.
"""

import numpy as np

from workbench.counting import kernel
from workbench.kernels.softmax_exp import FUSED, exp_pair, power_of_two

LANES = 256


@kernel(cache=True, fastmath=FUSED)
def softmax_recompute(x, y):
    """y [n] becomes the softmax of x [n], n > 0, both float32, apart. The readable twin is `_softmax`."""
    top = largest(x)
    sums = np.zeros(LANES, np.float32)
    for start in range(0, x.size, LANES):
        part = x[start : start + LANES]
        for lane in range(part.size):
            m, n = exp_pair(part[lane] - top)
            sums[lane] += m * power_of_two(n)
    scale = np.float32(1 / total(sums))
    for i in range(x.size):
        m, n = exp_pair(x[i] - top)
        y[i] = m * power_of_two(n) * scale


@kernel(cache=True, fastmath=FUSED)
def softmax_reload(x, y):
    """y [n] becomes the softmax of x [n], n > 0, both float32; y may be x. The twin is `_softmax`."""
    top = largest(x)
    sums = np.zeros(LANES, np.float32)
    for start in range(0, x.size, LANES):
        part = x[start : start + LANES]
        kept = y[start : start + LANES]
        for lane in range(part.size):
            m, n = exp_pair(part[lane] - top)
            e = m * power_of_two(n)
            kept[lane] = e
            sums[lane] += e
    scale = np.float32(1 / total(sums))
    for i in range(y.size):
        y[i] *= scale


@kernel
def largest(x):
    """The largest number of x [n], float32; -inf for an empty one."""
    tops = np.full(LANES, np.float32(-np.inf), np.float32)
    for start in range(0, x.size, LANES):
        part = x[start : start + LANES]
        for lane in range(part.size):
            tops[lane] = max(tops[lane], part[lane])
    top = np.float32(-np.inf)
    for lane in range(LANES):
        top = max(top, tops[lane])
    return top


@kernel
def total(sums):
    """The sum of partial sums, in float64."""
    whole = 0.0
    for lane in range(sums.size):
        whole += sums[lane]
    return whole

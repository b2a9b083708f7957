"""Softmax with a running maximum: a larger number rescales what has been summed so far.

    top' = max(top, x_i),     total' = total * e^(top - top') + e^(x_i - top')

A row is read twice, as by pairs; the price is a second exponential for every number. In blocks that price
is paid once for a block: its maximum first, then its sum while it is still in the cache. That loads a
number three times (as the recomputing three-pass does) but takes it from memory only twice: *loads* and
*passes over memory* are different things.
"""

import numpy as np

from workbench.counting import kernel
from workbench.kernels.softmax_exp import FUSED, exp_pair, power_of_two
from workbench.kernels.softmax_three_pass import LANES, largest, total

NOTHING = np.finfo(np.float32).min  # a maximum before the first number: its distance to -inf must not be nan


@kernel(cache=True, fastmath=FUSED)
def softmax_online(x, y):
    """y [n] becomes the softmax of x [n], n > 0, both float32, apart.

    The readable twin is `_softmax_online`.
    """
    tops = np.full(LANES, NOTHING, np.float32)
    sums = np.zeros(LANES, np.float32)
    for start in range(0, x.size, LANES):
        part = x[start : start + LANES]
        for lane in range(part.size):
            number, before = part[lane], tops[lane]
            top = max(before, number)
            m, n = exp_pair(before - top)
            m1, n1 = exp_pair(number - top)
            sums[lane] = sums[lane] * (m * power_of_two(n)) + m1 * power_of_two(n1)
            tops[lane] = top
    top = largest(tops)
    for lane in range(LANES):
        m, n = exp_pair(tops[lane] - top)
        sums[lane] *= m * power_of_two(n)
    write(x, y, top, total(sums))


@kernel(cache=True, fastmath=FUSED)
def softmax_online_blocked(x, y, block):
    """The same with one rescaling for `block` numbers; the readable twin is `_softmax_online`."""
    top = NOTHING
    sums = np.zeros(LANES, np.float32)
    for start in range(0, x.size, block):
        part = x[start : start + block]
        before = top
        top = max(top, largest(part))
        m, n = exp_pair(before - top)
        factor = m * power_of_two(n)
        for lane in range(LANES):
            sums[lane] *= factor
        for first in range(0, part.size, LANES):
            piece = part[first : first + LANES]
            for lane in range(piece.size):
                m, n = exp_pair(piece[lane] - top)
                sums[lane] += m * power_of_two(n)
    write(x, y, top, total(sums))


@kernel(fastmath=FUSED)
def write(x, y, top, whole):
    """The last pass: y = e^(x - top) / whole; nan if nothing was summed, or nan."""
    scale = np.float32(1 / whole if whole > 0 else np.nan)
    for i in range(x.size):
        m, n = exp_pair(x[i] - top)
        y[i] = m * power_of_two(n) * scale


def _softmax_online(x: np.ndarray) -> np.ndarray:
    """The readable twin of the online kernels: one number after the other, in float64, for finite x [n]."""
    top, whole = -np.inf, 0.0
    for number in x.astype(np.float64):
        larger = max(top, number)
        whole = whole * np.exp(top - larger) + np.exp(number - larger)
        top = larger
    result: np.ndarray = np.exp(x - top) / whole
    return result

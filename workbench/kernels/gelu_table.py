"""GELU from a table of the small thing that it hides.

    GELU(x) = x Phi(x) = max(x, 0) - delta(|x|),        delta(a) = a (1 - Phi(a))

Phi is the distribution function of the normal law. delta is the same on both sides, never above 0.17, and
gone at 5.5: one short table serves both halves of the line. Between its entries it is read linearly.
"""

from functools import cache
from math import erfc, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError
from workbench.kernels.fixed_point import WORD, Codes, FixedPoint

ENTRIES = 177
STEP = 5  # neighbouring entries are 2**-5 apart, the last one lies at 176 / 32 = 5.5


def gelu(x: ArrayLike) -> NDArray[np.float64]:
    """x Phi(x), in float64."""
    x = np.asarray(x, np.float64)
    return np.maximum(x, 0) - delta(np.abs(x))


def delta(a: ArrayLike) -> NDArray[np.float64]:
    """a (1 - Phi(a)) for a >= 0, without cancellation."""
    a = np.asarray(a, np.float64)
    if a.size <= ENTRIES:
        return np.array([v * 0.5 * erfc(v / sqrt(2)) for v in a.ravel().tolist()]).reshape(a.shape)
    from scipy.special import erfc as erfc_of_all  # on first use: a large library for one function

    result: NDArray[np.float64] = a * 0.5 * erfc_of_all(a / sqrt(2))
    return result


@cache
def _entries(fraction: int) -> Codes:
    entries = np.rint(delta(np.arange(ENTRIES) / 2**STEP) * 2**fraction).astype(np.int64)
    entries.setflags(write=False)
    return entries


def delta_table(form: FixedPoint = WORD) -> Codes:
    """delta at 0, 1/32, ..., 5.5, rounded to the nearest code of the format: int64 [177], read-only."""
    return _entries(form.fraction)


def gelu_fixed(codes: ArrayLike, form: FixedPoint = WORD) -> Codes:
    """GELU of fixed-point codes by the table, bit by bit as the hardware does it."""
    if form.fraction < STEP:
        raise WorkbenchError(
            f"the table has steps of 1/32, so the format needs at least {STEP} bits behind the point, "
            f"but it has {form.fraction}"
        )
    codes = np.asarray(codes, np.int64)
    size = np.abs(codes)
    shift = form.fraction - STEP  # bits that say where between two entries
    index = np.minimum(size >> shift, ENTRIES - 2)
    place = size & ((1 << shift) - 1)
    table = delta_table(form)
    low, high = table[index], table[index + 1]
    small = low + ((place * (high - low)) >> shift)
    inside = size < (ENTRIES - 1) << shift
    return form.wrap(np.maximum(codes, 0) - np.where(inside, small, 0))

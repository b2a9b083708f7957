"""A matrix product without a multiplication: weights are signed powers of two, inputs are whole numbers.

With a weight 2^(s + lowest) of sign g, the product with a code x is g * (x << s), counted in steps that are
2^-lowest times finer. Shifted to the left no bit is lost, so that the sum is exact:

    Y[i, j] = sum over c of  signs[j, c] * (X[i, c] << shifts[j, c])        signs -1, 0, 1

`shift_product` is these loops, to be read and counted. `shift_product_fast` is what a processor with wide
registers does best: 32-bit lanes, shifts to the right that drop bits as the chip of the source does, and no
branch. `product_fast` beside it is the same order of work with one multiply-add in place of the shift.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.counting import kernel
from workbench.errors import WorkbenchError

Whole = NDArray[np.int64]
LOWEST = -14  # the smallest exponent of a weight of five bits
ROWS, TAPS = 4, 4  # rows of X and weights of each column that are at work together
FAST = {"contract", "reassoc", "nsz"}  # sums may be regrouped and fused
LANE = np.int32


@kernel(cache=True)
def shift_product(X, signs, shifts, Y):
    """Adds the product to Y [n, m] int64: X [n, c] int64; signs, shifts int8 [m, c]."""
    for i in range(X.shape[0]):
        for j in range(shifts.shape[0]):
            total = Y[i, j]
            for c in range(X.shape[1]):
                if signs[j, c] > 0:
                    total += X[i, c] << shifts[j, c]
                elif signs[j, c] < 0:
                    total -= X[i, c] << shifts[j, c]
            Y[i, j] = total


def shift_product_cost(n: int, c: int, m: int) -> dict[str, int]:
    """Shifts and additions of `shift_product` where no weight is zero."""
    return {"shifts": n * c * m, "additions": n * c * m, "multiplications": 0}


def shift_linear(x: np.ndarray, signs: np.ndarray, shifts: np.ndarray, bias: np.ndarray | None) -> Whole:
    """A `ShiftLinear` in whole numbers: codes x [n, c] (multiples of 2^-16) -> codes [n, m] of 2^-30.

    signs and shifts are int8 [m, c], bias codes [m] of 2^-16 or None. Nothing is rounded.
    """
    x, signs, shifts = np.asarray(x, np.int64), np.asarray(signs, np.int8), np.asarray(shifts, np.int8)
    if x.ndim != 2 or signs.shape != shifts.shape or signs.ndim != 2 or signs.shape[1] != x.shape[1]:
        raise WorkbenchError(
            f"expected x [n, c], signs and shifts [m, c], but {x.shape}, {signs.shape}, {shifts.shape} came"
        )
    Y = np.zeros((len(x), len(signs)), np.int64)
    if bias is not None:
        Y += np.asarray(bias, np.int64) << -LOWEST
    shift_product(*map(np.ascontiguousarray, (x, signs, shifts)), Y)
    return Y


@dataclass(frozen=True)
class ShiftWeights:
    """Weights [c, m] laid out for `shift_product_fast`: c and m as given, rows filled up with zeros.

    shifts: how far to the right. flips: -1 for negative weights, else 0: x ^ -1 is -x - 1, and the missing 1
    is the same for every x, so that `start` [m] adds it once. keeps: 0 for a weight of zero, else -1.
    """

    shifts: NDArray[np.int32]
    flips: NDArray[np.int32]
    keeps: NDArray[np.int32]
    start: NDArray[np.int32]

    @classmethod
    def of(cls, signs: np.ndarray, exponents: np.ndarray) -> "ShiftWeights":
        """signs (-1, 0, 1) and exponents (-31 to 0), both [m, c], whole numbers of any type."""
        signs, exponents = np.asarray(signs).astype(np.int32), np.asarray(exponents).astype(np.int32)
        if signs.shape != exponents.shape or signs.ndim != 2:
            raise WorkbenchError(
                f"expected signs and exponents [m, c], but {signs.shape} and {exponents.shape} came"
            )
        if exponents.size and not -31 <= exponents.min() <= exponents.max() <= 0:
            raise WorkbenchError(
                f"exponents must lie between -31 and 0, but {exponents.min()} to {exponents.max()} came"
            )
        whole = ((0, -signs.shape[1] % TAPS), (0, 0))
        parts = [np.pad(part.T, whole) for part in (-exponents, np.minimum(signs, 0), -np.abs(signs))]
        shifts, flips, keeps = (np.ascontiguousarray(part, np.int32) for part in parts)
        return cls(shifts, flips, keeps, (signs < 0).sum(1).astype(np.int32))


def shift_product_fast(X: NDArray[np.int32], weights: ShiftWeights) -> NDArray[np.int32]:
    """Sums of sign * (X >> shift), each product rounded down: X int32 [n, c] -> int32 [n, m].

    Sums beyond 32 bits wrap around. The readable twin is `shift_product`, which loses no bit.
    """
    rows = filled(X, len(weights.shifts))
    Y = np.empty((len(rows), len(weights.start)), np.int32)
    Y[:] = weights.start
    _shift_blocks(rows, weights.shifts, weights.flips, weights.keeps, Y)
    return Y[: len(X)]


def product_fast(X: NDArray[np.float32], W: NDArray[np.float32]) -> NDArray[np.float32]:
    """X [n, c] W [c, m] in float32, in the order of `shift_product_fast`: a multiply-add for each weight."""
    W = np.ascontiguousarray(np.pad(W, ((0, -len(W) % TAPS), (0, 0))))
    rows = filled(X, len(W))
    Y = np.zeros((len(rows), W.shape[1]), np.float32)
    _multiply_blocks(rows, W, Y)
    return Y[: len(X)]


def filled(X: np.ndarray, width: int) -> np.ndarray:
    """X [n, c] with zeros up to whole blocks of ROWS rows and `width` columns."""
    if X.ndim != 2 or not width - TAPS < X.shape[1] <= width:
        raise WorkbenchError(f"expected X [n, c] with c = {width} or a few less, but {X.shape} came")
    return np.ascontiguousarray(np.pad(X, ((0, -len(X) % ROWS), (0, width - X.shape[1]))))


@njit(cache=True)
def _shift_blocks(X, shifts, flips, keeps, Y):
    for i in range(0, X.shape[0], ROWS):
        y0, y1, y2, y3 = Y[i], Y[i + 1], Y[i + 2], Y[i + 3]
        for c in range(0, X.shape[1], TAPS):
            _shift_step(X[i : i + ROWS, c : c + TAPS].copy(), shifts, flips, keeps, c, y0, y1, y2, y3)


@njit(cache=True)
def _shift_step(x, shifts, flips, keeps, c, y0, y1, y2, y3):
    """ROWS * TAPS products for each column: a shift, one logical operation, an addition."""
    for j in range(len(y0)):
        a0, a1, a2, a3 = y0[j], y1[j], y2[j], y3[j]
        for t in range(TAPS):
            # "& 31" changes nothing, but tells the compiler that 32-bit lanes are enough
            s, flip, keep = shifts[c + t, j] & 31, flips[c + t, j], keeps[c + t, j]
            a0 = LANE(a0 + ((LANE(x[0, t] >> s) ^ flip) & keep))
            a1 = LANE(a1 + ((LANE(x[1, t] >> s) ^ flip) & keep))
            a2 = LANE(a2 + ((LANE(x[2, t] >> s) ^ flip) & keep))
            a3 = LANE(a3 + ((LANE(x[3, t] >> s) ^ flip) & keep))
        y0[j], y1[j], y2[j], y3[j] = a0, a1, a2, a3


@njit(cache=True, fastmath=FAST)
def _multiply_blocks(X, W, Y):
    for i in range(0, X.shape[0], ROWS):
        y0, y1, y2, y3 = Y[i], Y[i + 1], Y[i + 2], Y[i + 3]
        for c in range(0, X.shape[1], TAPS):
            _multiply_step(X[i : i + ROWS, c : c + TAPS].copy(), W, c, y0, y1, y2, y3)


@njit(cache=True, fastmath=FAST)
def _multiply_step(x, W, c, y0, y1, y2, y3):
    """ROWS * TAPS products for each column: one multiply-add each."""
    for j in range(len(y0)):
        a0, a1, a2, a3 = y0[j], y1[j], y2[j], y3[j]
        for t in range(TAPS):
            w = W[c + t, j]
            a0 += x[0, t] * w
            a1 += x[1, t] * w
            a2 += x[2, t] * w
            a3 += x[3, t] * w
        y0[j], y1[j], y2[j], y3[j] = a0, a1, a2, a3

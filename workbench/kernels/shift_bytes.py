"""One vector times a large matrix whose weights are one byte each: signed powers of two.

A matrix that is larger than the caches is read once for each vector, and the memory sets the pace. Then a
weight of one byte may be four times as fast as a float of four, whatever is done with it. Two ways:

    shift_vector   the byte says how far a whole number is shifted: a shift and an addition
    float_vector   the byte is turned into the float that it stands for, by writing its exponent and its sign
                   where a float has them, and then multiplied: the same bytes, and a multiplication

A byte: bits 0 to 4 are the exponent with its sign changed (31 for a weight of zero), bit 7 says negative.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.errors import WorkbenchError

LANE = np.int32
ZERO = 31
BIAS, MANTISSA, SIGN = np.int32(127), np.int32(23), np.int32(-(2**31))  # of a float of 32 bits
FAST = {"contract", "reassoc", "nsz"}


def weight_bytes(signs: np.ndarray, exponents: np.ndarray) -> NDArray[np.int8]:
    """signs (-1, 0, 1) and exponents (-30 to 0) [c, m] as bytes [c, m]."""
    signs, exponents = np.asarray(signs), np.asarray(exponents)
    if signs.shape != exponents.shape or signs.ndim != 2:
        raise WorkbenchError(
            f"expected signs and exponents [c, m], but {signs.shape} and {exponents.shape} came"
        )
    if exponents.size and not -30 <= exponents.min() <= exponents.max() <= 0:
        raise WorkbenchError(
            f"exponents must lie between -30 and 0, but {exponents.min()} to {exponents.max()} came"
        )
    places = np.where(signs == 0, ZERO, -exponents)
    return np.where(signs < 0, places - 128, places).astype(np.int8)


def shift_vector(x: NDArray[np.int32], weights: NDArray[np.int8]) -> NDArray[np.int32]:
    """Sums of sign * (x >> shift), each product rounded down: x int32 [c], weights [c, m] -> int32 [m]."""
    _check(x, weights)
    y = np.zeros(weights.shape[1], np.int32)
    _shift_rows(x, weights, y)
    return y


def float_vector(x: NDArray[np.float32], weights: NDArray[np.int8]) -> NDArray[np.float32]:
    """x W in float32, where W is what the bytes stand for: x [c], weights [c, m] -> [m]."""
    _check(x, weights)
    y = np.zeros(weights.shape[1], np.float32)
    _float_rows(x, weights, y)
    return y


def plain_vector(x: NDArray[np.float32], W: NDArray[np.float32]) -> NDArray[np.float32]:
    """x W in float32 with weights of four bytes, in the same order of work: x [c], W [c, m] -> [m]."""
    _check(x, W)
    y = np.zeros(W.shape[1], np.float32)
    _plain_rows(x, W, y)
    return y


def _check(x: np.ndarray, weights: np.ndarray) -> None:
    if x.ndim != 1 or weights.ndim != 2 or len(x) != len(weights):
        raise WorkbenchError(f"expected x [c] and weights [c, m], but {x.shape} and {weights.shape} came")


@njit(cache=True)
def _shift_rows(x, weights, y):
    for c in range(len(x)):
        value = x[c]
        for j in range(len(y)):
            byte = LANE(weights[c, j])
            s = byte & 31
            product = LANE(value >> s)
            flip = LANE(byte >> 31)  # -1 where the weight is negative
            if s != ZERO:
                y[j] = LANE(y[j] + LANE(LANE(product ^ flip) - flip))


@njit(cache=True, fastmath=FAST)
def _float_rows(x, weights, y):
    for c in range(len(x)):
        value = x[c]
        for j in range(len(y)):
            byte = LANE(weights[c, j])
            s = LANE(byte & 31)
            bits = LANE(LANE(LANE(BIAS - s) << MANTISSA) | LANE(byte & SIGN))
            weight = bits.view(np.float32)
            y[j] += value * (weight if s != ZERO else np.float32(0))


@njit(cache=True, fastmath=FAST)
def _plain_rows(x, W, y):
    for c in range(len(x)):
        value = x[c]
        for j in range(len(y)):
            y[j] += value * W[c, j]

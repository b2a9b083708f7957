"""e^x in float32 as a pair: a mantissa m near 1 and a whole exponent n, with e^x = m * 2^n.

    n = round(x / ln 2)            t = x - n ln 2, in [-ln 2 / 2, ln 2 / 2]            m = e^t

m is a polynomial of degree 5 in t. ln 2 is taken away in two parts (after Cody and Waite): the first has so
few digits that n times it is exact wherever it matters. The power of two is made by writing n + 127 where a
float32 keeps its exponent. There is no branch, no table and no library call, so that the compiler can work
on 8 or 16 numbers at once; the exponential function of the C library it would have to call one by one.

Used by every softmax of this room. The worst error of `exp32` is below 2 units in the last place.
"""

import numpy as np
from numba import types
from numba.extending import overload

from workbench.counting import kernel

# One rounding for a product and a sum, where the processor can; nothing else changes.
FUSED = {"contract"}

F = np.float32
LOG2_E = F(1.4426950408889634)
LN2_HIGH = F(float.fromhex("0x1.62E43p-1"))
LN2_LOW = F(float.fromhex("-0x1.05C61p-29"))
# Minimax coefficients of e^t for |t| <= ln 2 / 2 (Dukhan and Ablavatski 2020); the constant one is 1.
C1 = F(float.fromhex("0x1.FFFFF6p-1"))
C2 = F(float.fromhex("0x1.FFFDC6p-2"))
C3 = F(float.fromhex("0x1.555A80p-3"))
C4 = F(float.fromhex("0x1.573A1Ap-5"))
C5 = F(float.fromhex("0x1.0F9F9Cp-7"))
ONE = F(1)

FLOOR = F(-1e6)  # below, e^x is as good as 0, and the remainder t would lose its meaning (also for -inf)
LOWEST = F(-127)  # the exponent field 0: the power of two is written as 0
STEP = F(2**23)  # one in the exponent field
BIAS = F(127 * 2**23)


class float_of_bits:
    """The float32 whose 32 bits are those of an int32: a change of type, and no operation."""

    def __new__(cls, bits: int | np.int32) -> np.float32:  # type: ignore[misc]
        return np.int32(bits).view(np.float32)


@overload(float_of_bits)
def _float_of_bits(bits):
    if bits == types.int32:
        return lambda bits: np.int32(bits).view(np.float32)
    return None


@kernel(fastmath=FUSED)
def exp_pair(x):
    """(m, n) with e^x = m * 2^n, both float32; exact enough for |x| up to 1e6, nan for nan and inf."""
    x = FLOOR if x < FLOOR else x
    n = np.rint(x * LOG2_E)
    t = x - n * LN2_HIGH
    t = t - n * LN2_LOW
    m = ONE + t * (C1 + t * (C2 + t * (C3 + t * (C4 + t * C5))))
    return m, n


@kernel(fastmath=FUSED)
def power_of_two(n):
    """2^n for a whole float32 n <= 127; 0 for n <= -127, so results are 0 where they would be denormal."""
    n = n if n > LOWEST else LOWEST
    return float_of_bits(np.int32(n * STEP + BIAS))


@kernel(fastmath=FUSED)
def exp32(x, y):
    """y = e^x for float32 [n] with x <= 88; the readable twin is `numpy.exp`."""
    for i in range(x.size):
        m, n = exp_pair(x[i])
        y[i] = m * power_of_two(n)

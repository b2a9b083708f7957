"""e^x for whichever float it is: the pair of `softmax_exp` in float32, and a longer sum in float64.

The scheme is the same (n = round(x / ln 2), t = x - n ln 2 in two parts, e^t as a polynomial, 2^n by writing
an exponent), with Taylor's polynomial of degree 13, whose rest is below 1e-17 for |t| <= ln 2 / 2. Again no
branch, no table and no call of a library, so that a loop of exponentials becomes vectors.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from workbench.counting import kernel
from workbench.kernels.softmax_exp import FUSED, exp_pair, power_of_two

LOG2_E64 = 1.4426950408889634
LN2_HIGH64 = float.fromhex("0x1.62e42fee00000p-1")  # 33 digits: n times it is exact up to n = 2^20
LN2_LOW64 = float.fromhex("0x1.a39ef35793c76p-33")
D2, D3, D4, D5, D6, D7, D8, D9, D10, D11, D12, D13 = (1 / math.factorial(k) for k in range(2, 14))
FLOOR64 = -1e5  # below, e^x is as good as 0 (also for -inf)
LOWEST64 = -1023.0  # the exponent field 0
STEP64 = 2.0**52  # one in the exponent field
BIAS64 = 1023 * 2.0**52
TINY = 1e-300  # a number that float32 does not have: there it is 0


class double_of_bits:
    """The float64 whose 64 bits are those of an int64: a change of type, and no operation."""

    def __new__(cls, bits: int | np.int64) -> np.float64:  # type: ignore[misc]
        return np.int64(bits).view(np.float64)


@overload(double_of_bits)
def _double_of_bits(bits):
    if bits == types.int64:
        return lambda bits: np.int64(bits).view(np.float64)
    return None


@kernel(fastmath=FUSED)
def exp64(x):
    """e^x for a float64 x <= 709; 0 where it would be denormal, nan for nan."""
    x = FLOOR64 if x < FLOOR64 else x
    n = np.rint(x * LOG2_E64)
    t = x - n * LN2_HIGH64
    t = t - n * LN2_LOW64
    high = D8 + t * (D9 + t * (D10 + t * (D11 + t * (D12 + t * D13))))
    m = 1.0 + t * (1.0 + t * (D2 + t * (D3 + t * (D4 + t * (D5 + t * (D6 + t * (D7 + t * high)))))))
    n = n if n > LOWEST64 else LOWEST64
    return m * double_of_bits(np.int64(n * STEP64 + BIAS64))


@kernel(fastmath=FUSED)
def exp_like(x, like):
    """e^x in the type of the array `like`, float32 or float64.

    Which of the two, the compiler knows: it drops the test and the other half.
    """
    if like.dtype.type(TINY) == 0:
        m, n = exp_pair(np.float32(x))
        y = np.float64(m * power_of_two(n))
    else:
        y = exp64(np.float64(x))
    return like.dtype.type(y)

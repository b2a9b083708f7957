"""Softmax that reads a row twice: e^x is carried as a pair (m, n) with the value m * 2^n.

A pair cannot overflow, so no maximum is needed before the sum (Dukhan and Ablavatski 2020). Pairs are added
by bringing them to the larger exponent:

    (m1, n1) + (m2, n2) = (m1 * 2^(n1 - n) + m2 * 2^(n2 - n), n)     with n = max(n1, n2)

    pass 1:  (M, N) = sum of the pairs of e^(x_i)            pass 2:  y_i = m_i * (1 / M) * 2^(n_i - N)

2 loads and 1 store a number. Here SUMS sums run side by side, and four pairs are added at once, which
costs five powers of two instead of eight. Beyond the source: masked numbers (-inf) count as 0, and a row
whose largest number is not within 1e6 of 0, where a pair would lose digits, is declined.
Not as there: the compiler arranges the vectors, and a store goes through the cache (numba has no streaming
stores), which on most processors reads a line before it is written.
"""

import numpy as np
from numba import prange

from workbench.counting import kernel
from workbench.kernels.softmax_exp import FUSED, exp_pair, power_of_two
from workbench.kernels.softmax_three_pass import softmax_reload

SUMS = 64
FAR = 1e6 * 1.4426950408889634 - 1  # the largest exponent with exact pairs; -inf and nan are far, too


@kernel(cache=True, fastmath=FUSED)
def softmax_two_pass(x, y):
    """y [n] becomes the softmax of x [n], n > 0, both float32, apart; the result is True.

    It is False, and y as before, if the largest number is not within 1e6 of 0 (or nan): then the maximum is
    needed after all. The readable twin is `_softmax_two_pass`.
    """
    M, N = sum_of_exp(x)
    near = abs(N) < FAR
    if near:
        write(x, y, M, N)
    return near


@kernel(cache=True, fastmath=FUSED)
def sum_of_exp(x):
    """The sum of e^x over x [n] as a pair (M, N); N = -inf for an empty one."""
    M = np.zeros(SUMS, np.float32)
    N = np.full(SUMS, np.float32(-np.inf), np.float32)
    whole = x.size - x.size % (4 * SUMS)
    for start in range(0, whole, 4 * SUMS):
        a = x[start : start + SUMS]
        b = x[start + SUMS : start + 2 * SUMS]
        c = x[start + 2 * SUMS : start + 3 * SUMS]
        d = x[start + 3 * SUMS : start + 4 * SUMS]
        for lane in range(SUMS):
            ma, na = exp_pair(a[lane])
            mb, nb = exp_pair(b[lane])
            mc, nc = exp_pair(c[lane])
            md, nd = exp_pair(d[lane])
            before = N[lane]
            n = max(before, max(max(na, nb), max(nc, nd)))
            N[lane] = n
            M[lane] = (
                M[lane] * power_of_two(before - n)
                + (ma * power_of_two(na - n) + mb * power_of_two(nb - n))
                + (mc * power_of_two(nc - n) + md * power_of_two(nd - n))
            )
    for start in range(whole, x.size, SUMS):
        rest = x[start : start + SUMS]
        for lane in range(rest.size):
            m, n = exp_pair(rest[lane])
            M[lane], N[lane] = add_pairs(M[lane], N[lane], m, n)
    return merged(M, N)


@kernel(fastmath=FUSED)
def write(x, y, M, N):
    """The second pass: y = e^x / (M * 2^N)."""
    scale = np.float32(1) / M
    for i in range(x.size):
        m, n = exp_pair(x[i])
        y[i] = m * scale * power_of_two(n - N)


@kernel(fastmath=FUSED)
def add_pairs(m1, n1, m2, n2):
    """(m1, n1) + (m2, n2) as a pair with the larger exponent."""
    n = max(n1, n2)
    return m1 * power_of_two(n1 - n) + m2 * power_of_two(n2 - n), n


@kernel(fastmath=FUSED)
def merged(M, N):
    """The sum of the pairs in two arrays."""
    m, n = M[0], N[0]
    for lane in range(1, M.size):
        m, n = add_pairs(m, n, M[lane], N[lane])
    return m, n


@kernel(cache=True, parallel=True, fastmath=FUSED)
def softmax_two_pass_rows(X, Y, blocks):
    """Each row of Y [rows, n] becomes the softmax of that of X, cut into `blocks` for the threads."""
    rows, n = X.shape
    width = (n + blocks - 1) // blocks
    M = np.empty((rows, blocks), np.float32)
    N = np.empty((rows, blocks), np.float32)
    for job in prange(rows * blocks):
        row, block = job // blocks, job % blocks
        M[row, block], N[row, block] = sum_of_exp(X[row, block * width : (block + 1) * width])
    for job in prange(rows * blocks):
        row, block = job // blocks, job % blocks
        start, stop = block * width, (block + 1) * width
        m, e = merged(M[row], N[row])
        if abs(e) < FAR:
            write(X[row, start:stop], Y[row, start:stop], m, e)
        elif block == 0:
            softmax_reload(X[row], Y[row])


def _softmax_two_pass(x: np.ndarray) -> np.ndarray:
    """The readable twin of `softmax_two_pass`: one pair after the other, in float64, for finite x [n]."""
    n = np.rint(x.astype(np.float64) / np.log(2))
    m = np.exp(x - n * np.log(2))
    M, N = 0.0, -np.inf
    for mi, ni in zip(m, n, strict=True):
        larger = max(N, ni)
        M = M * 2.0 ** (N - larger) + mi * 2.0 ** (ni - larger)
        N = larger
    result: np.ndarray = m / M * 2.0 ** (n - N)
    return result

"""Attention with the whole matrix of scores: every query is compared with every key, and all is kept.

    S = Q K^T / sqrt(d),     P = softmax(S) row by row,     O = P V

Three sweeps over a matrix of queries times keys, which is written once and read three times.
"""

import math

import numpy as np

from workbench.counting import kernel
from workbench.kernels.cost import Cost
from workbench.kernels.softmax_exp import exp_pair, power_of_two

# A sum may be regrouped into vectors, but inf and nan keep their meaning.
FAST = {"contract", "reassoc", "nsz"}


@kernel(cache=True, fastmath=FAST)
def attention_naive(Q, K, V, S, O, before, after):
    """O [n, e] from Q [n, d], K [m, d], V [m, e], all float32; S [n, m] receives the probabilities.

    Query i sees keys i - before to i + after. The readable twin is `_attention`.
    """
    scale = np.float32(1 / math.sqrt(Q.shape[1]))
    for i in range(Q.shape[0]):
        for j in range(K.shape[0]):
            score = np.float32(0)
            for c in range(Q.shape[1]):
                score += Q[i, c] * K[j, c]
            S[i, j] = score * scale if -before <= j - i <= after else np.float32(-np.inf)
    for i in range(S.shape[0]):
        top = S[i, 0]
        for j in range(1, S.shape[1]):
            top = max(top, S[i, j])
        total = np.float32(0)
        for j in range(S.shape[1]):
            m, n = exp_pair(S[i, j] - top)
            S[i, j] = m * power_of_two(n)
            total += S[i, j]
        for j in range(S.shape[1]):
            S[i, j] /= total
    for i in range(O.shape[0]):
        O[i, :] = np.float32(0)
        for j in range(V.shape[0]):
            p = S[i, j]
            for c in range(V.shape[1]):
                O[i, c] += p * V[j, c]


def attention_naive_cost(n: int, m: int, d: int, e: int) -> Cost:
    """The closed form of `attention_naive` where every query sees every key."""
    return Cost(
        flops=n * m * (2 * d + 1 + 22 + 2 * e) + 2,  # 22: an exponential, its sum, a division; 2: the scale
        loads={"Q": n * m * d, "K": n * m * d, "S": 5 * n * m, "V": n * m * e, "O": n * m * e},
        stores={"S": 3 * n * m, "O": n * e * (m + 1)},
        bytes_unique={"Q": 4 * n * d, "K": 4 * m * d, "S": 4 * n * m, "V": 4 * m * e, "O": 4 * n * e},
    )

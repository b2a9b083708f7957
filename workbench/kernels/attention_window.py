"""Attention in a window, query by query: only the scores that are looked at are ever calculated.

Work and memory grow with queries times window. What is lost is reuse: a key that many queries see is
loaded again for each of them, and no product of matrices is left to do.
"""

import math

import numpy as np

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST
from workbench.kernels.cost import Cost
from workbench.kernels.softmax_exp import exp_pair, power_of_two


@kernel(cache=True, fastmath=FAST)
def attention_windowed(Q, K, V, scores, O, before, after):
    """O [n, e] from Q [n, d], K [n, d], V [n, e], all float32; query i sees keys i - before to i + after.

    `scores` is scratch, as long as a window (before + after + 1 or n). The readable twin is `_attention`.
    """
    scale = np.float32(1 / math.sqrt(Q.shape[1]))
    for i in range(Q.shape[0]):
        first = max(0, i - before)
        last = min(K.shape[0], i + after + 1)
        top = np.float32(-np.inf)
        for j in range(first, last):
            score = np.float32(0)
            for c in range(Q.shape[1]):
                score += Q[i, c] * K[j, c]
            score *= scale
            scores[j - first] = score
            top = max(top, score)
        total = np.float32(0)
        for j in range(last - first):
            m, n = exp_pair(scores[j] - top)
            scores[j] = m * power_of_two(n)
            total += scores[j]
        O[i, :] = np.float32(0)
        for j in range(first, last):
            p = scores[j - first] / total
            for c in range(V.shape[1]):
                O[i, c] += p * V[j, c]


def attention_windowed_cost(n: int, d: int, e: int, window: int) -> Cost:
    """The closed form of `attention_windowed` with before = after = window < n; the ends see less."""
    seen = n * (2 * window + 1) - window * (window + 1)
    widest = min(n, 2 * window + 1)
    return Cost(
        flops=seen * (2 * d + 1 + 22 + 2 * e) + 2,
        loads={"Q": seen * d, "K": seen * d, "scores": 3 * seen, "V": seen * e, "O": seen * e},
        stores={"scores": 2 * seen, "O": (seen + n) * e},
        bytes_unique={"Q": 4 * n * d, "K": 4 * n * d, "scores": 4 * widest, "V": 4 * n * e, "O": 4 * n * e},
    )

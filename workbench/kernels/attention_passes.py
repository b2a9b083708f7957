"""Attention that keeps no row of scores: what is needed again is computed again, in three, two or one pass.

    three passes   the maximum;  the sum;  the weights, divided, times the values
    two passes     the maximum;  the sum and the values gathered with it, divided once at the end
    one pass       a running maximum, sum and gathering, rescaled whenever the maximum grows

Each pass over a row of scores reads all keys again. The scratch is a handful of numbers, whatever the length.
"""

import math

import numpy as np

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST
from workbench.kernels.softmax_exp import exp_pair, power_of_two


@kernel(cache=True, fastmath=FAST)
def attention_three_pass(Q, K, V, O):
    """O [n, e] from Q [n, d], K [m, d], V [m, e], all float32; the keys are read three times."""
    for i in range(Q.shape[0]):
        top = top_score(Q[i], K)
        total = np.float32(0)
        for j in range(K.shape[0]):
            m, n = exp_pair(score(Q[i], K[j]) - top)
            total += m * power_of_two(n)
        O[i, :] = np.float32(0)
        for j in range(K.shape[0]):
            m, n = exp_pair(score(Q[i], K[j]) - top)
            weight = m * power_of_two(n) / total
            for c in range(V.shape[1]):
                O[i, c] += weight * V[j, c]


@kernel(cache=True, fastmath=FAST)
def attention_two_pass(Q, K, V, O):
    """The same with the division at the end of the row; the keys are read twice."""
    for i in range(Q.shape[0]):
        top = top_score(Q[i], K)
        total = np.float32(0)
        O[i, :] = np.float32(0)
        for j in range(K.shape[0]):
            m, n = exp_pair(score(Q[i], K[j]) - top)
            weight = m * power_of_two(n)
            total += weight
            for c in range(V.shape[1]):
                O[i, c] += weight * V[j, c]
        for c in range(V.shape[1]):
            O[i, c] /= total


@kernel(cache=True, fastmath=FAST)
def attention_one_pass(Q, K, V, O):
    """The same with a running maximum; the keys are read once."""
    for i in range(Q.shape[0]):
        top, total = score(Q[i], K[0]), np.float32(1)
        O[i, :] = V[0, :]
        for j in range(1, K.shape[0]):
            s = score(Q[i], K[j])
            if s > top:
                m, n = exp_pair(top - s)
                factor = m * power_of_two(n)
                total *= factor
                for c in range(V.shape[1]):
                    O[i, c] *= factor
                top = s
            m, n = exp_pair(s - top)
            weight = m * power_of_two(n)
            total += weight
            for c in range(V.shape[1]):
                O[i, c] += weight * V[j, c]
        for c in range(V.shape[1]):
            O[i, c] /= total


@kernel(fastmath=FAST)
def score(q, k):
    """q . k / sqrt(d)"""
    found = np.float32(0)
    for c in range(q.size):
        found += q[c] * k[c]
    return found * np.float32(1 / math.sqrt(q.size))


@kernel(fastmath=FAST)
def top_score(q, K):
    """The largest score of a query: one pass over the keys."""
    top = score(q, K[0])
    for j in range(1, K.shape[0]):
        top = max(top, score(q, K[j]))
    return top

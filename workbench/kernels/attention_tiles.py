"""Attention tile by tile: the matrix of scores never exists as a whole.

A block of queries meets one tile of keys after the other. For each query a running maximum and a running
sum are kept, and what has been gathered so far is rescaled when the maximum grows (the online softmax):

    top' = max(top, max_j s_j)     total' = total e^(top - top') + sum_j e^(s_j - top')
    O' = O e^(top - top') + sum_j e^(s_j - top') V_j

and O / total at the end. Tiles that no query of the block may see are not visited, which makes causal
attention half as dear and attention in a window linear in the number of tokens.
"""

import math

import numpy as np
from numba import prange

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST
from workbench.kernels.softmax_exp import exp_pair, power_of_two

QUERIES = 64  # in a block
KEYS = 128  # in a tile
NOTHING = np.finfo(np.float32).min  # a maximum before the first score: its distance to -inf must not be nan


@kernel(cache=True, fastmath=FAST)
def attention_tiled(Q, K, V, O, before, after):
    """O [n, e] from Q [n, d], K [m, d], V [m, e], all float32; query i sees keys i - before to i + after.

    The readable twin is `_attention`.
    """
    for first in range(0, Q.shape[0], QUERIES):
        query_block(Q, K, V, O, first, before, after)


@kernel(cache=True, fastmath=FAST, parallel=True)
def attention_tiled_heads(Q, K, V, O, before, after):
    """The same for [heads, tokens, dim], blocks of queries shared among the threads."""
    blocks = (Q.shape[1] + QUERIES - 1) // QUERIES
    for job in prange(Q.shape[0] * blocks):
        h, block = job // blocks, job % blocks
        query_block(Q[h], K[h], V[h], O[h], block * QUERIES, before, after)


@kernel(fastmath=FAST)
def query_block(Q, K, V, O, first, before, after):
    """The outputs of queries `first` to `first + QUERIES`."""
    last = min(first + QUERIES, Q.shape[0])
    scale = np.float32(1 / math.sqrt(Q.shape[1]))
    tops = np.full(last - first, NOTHING, np.float32)
    totals = np.zeros(last - first, np.float32)
    queries = np.empty((last - first, Q.shape[1]), np.float32)
    for i in range(last - first):
        for c in range(Q.shape[1]):
            queries[i, c] = Q[first + i, c] * scale
    O[first:last, :] = np.float32(0)
    turned = np.empty((Q.shape[1], KEYS), np.float32)  # a tile of keys, transposed
    scores = np.empty((last - first, KEYS), np.float32)
    for start in range(max(0, first - before) // KEYS * KEYS, min(K.shape[0], last + after), KEYS):
        stop = min(start + KEYS, K.shape[0])
        for j in range(stop - start):
            for c in range(K.shape[1]):
                turned[c, j] = K[start + j, c]
        scores[:, :] = np.float32(0)
        add_product(queries, turned, scores, queries.shape[1], stop - start)
        if start < last - 1 - before or stop - 1 > first + after:
            hide(scores, first, start, before, after)
        for i in range(last - first):
            reweigh(scores[i, : stop - start], tops, totals, i, O[first + i])
        add_product(scores, V[start:stop], O[first:last], stop - start, O.shape[1])
    for i in range(last - first):
        for c in range(O.shape[1]):
            O[first + i, c] /= totals[i]


@kernel(fastmath=FAST)
def hide(scores, first, start, before, after):
    """Scores of query first + i and key start + j that are out of reach become -inf."""
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            distance = start + j - first - i
            if distance < -before or distance > after:
                scores[i, j] = np.float32(-np.inf)


@kernel(fastmath=FAST)
def reweigh(row, tops, totals, i, gathered):
    """Scores [keys] become weights under query i's new maximum, to which its sums are brought."""
    top = tops[i]
    for j in range(row.size):
        top = max(top, row[j])
    m, n = exp_pair(tops[i] - top)
    factor = m * power_of_two(n)
    total = np.float32(0)
    for j in range(row.size):
        m, n = exp_pair(row[j] - top)
        row[j] = m * power_of_two(n)
        total += row[j]
    totals[i] = totals[i] * factor + total
    tops[i] = top
    for c in range(gathered.size):
        gathered[c] *= factor


@kernel(fastmath=FAST)
def add_product(A, B, C, k, m):
    """C [n, m] += A [n, k] B [k, m], two rows of A and four of B at a time; wider arrays keep the rest."""
    n = A.shape[0]
    pairs, fours = n - n % 2, k - k % 4
    for i in range(0, pairs, 2):
        for c in range(0, fours, 4):
            a0, a1, a2, a3 = A[i, c], A[i, c + 1], A[i, c + 2], A[i, c + 3]
            b0, b1, b2, b3 = A[i + 1, c], A[i + 1, c + 1], A[i + 1, c + 2], A[i + 1, c + 3]
            for j in range(m):
                x0, x1, x2, x3 = B[c, j], B[c + 1, j], B[c + 2, j], B[c + 3, j]
                C[i, j] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                C[i + 1, j] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
    for i in range(n):
        for c in range(fours if i < pairs else 0, k):
            a = A[i, c]
            for j in range(m):
                C[i, j] += a * B[c, j]

"""The two matrix products of tiled attention, with queries side by side in the lanes of a vector.

A tile's queries stand in columns ("lanes"), its keys in rows. One step takes four keys and four numbers of
each; its sixteen factors stay in registers while a vector moves along the lanes:

    scores[key, lane] += sum over c of  K[key, c] * queries[c, lane]
    out[c, lane]      += sum over key of  V[key, c] * weights[key, lane]

So K and V are read where they lie, number by number, whatever their order, and never packed or turned. What
moves in vectors are the tile's own arrays: flat, with rows that stand PITCH apart. PITCH is a constant, so
that the compiler knows that rows are apart, and no multiple of a power of two, so that they do not compete
for the same lines of a cache. All the sums of softmax run along columns: lane by lane, never across a vector.
"""

import numpy as np

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST

LANES = 256  # at most so many queries share a tile
PITCH = LANES + 16
VECTOR = 16  # ranges of lanes are rounded to whole vectors
FOUR = 4  # keys, and numbers of a key, of one step


@kernel(fastmath=FAST)
def four_by_four(factors, source, target, width):
    """Four rows of `target` += four rows of `source`, with `factors` [target row * 4 + source row]."""
    for j in range(width):
        a, b, c, d = target[j], target[j + PITCH], target[j + 2 * PITCH], target[j + 3 * PITCH]
        for t in range(FOUR):
            value = source[j + t * PITCH]
            a += factors[t] * value
            b += factors[FOUR + t] * value
            c += factors[2 * FOUR + t] * value
            d += factors[3 * FOUR + t] * value
        target[j] = a
        target[j + PITCH] = b
        target[j + 2 * PITCH] = c
        target[j + 3 * PITCH] = d


@kernel(fastmath=FAST)
def one_row(factor, source, target, width):
    """target += factor * source"""
    for j in range(width):
        target[j] += factor * source[j]


@kernel(fastmath=FAST)
def add_scores(K, tokens, k, queries, scores, lane, stop, factors):
    """Rows k to k + 3 of `scores` += those keys times `queries`, lanes `lane` to `stop`.

    K [tokens, d]; `tokens` says where key k lies; `queries` [d * PITCH], `scores` [keys * PITCH]; `factors`
    [16] is scratch.
    """
    width, target = stop - lane, scores[k * PITCH + lane :]
    fours = K.shape[1] - K.shape[1] % FOUR
    for c in range(0, fours, FOUR):
        for r in range(FOUR):
            key = K[tokens[k + r]]
            for t in range(FOUR):
                factors[r * FOUR + t] = key[c + t]
        four_by_four(factors, queries[c * PITCH + lane :], target, width)
    for c in range(fours, K.shape[1]):
        for r in range(FOUR):
            one_row(K[tokens[k + r], c], queries[c * PITCH + lane :], target[r * PITCH :], width)


@kernel(fastmath=FAST)
def add_values(V, tokens, k, weights, out, lane, stop, factors):
    """All rows of `out` [e * PITCH] += the values of keys k to k + 3, each times its row of `weights`."""
    width, source = stop - lane, weights[k * PITCH + lane :]
    fours = V.shape[1] - V.shape[1] % FOUR
    for c in range(0, fours, FOUR):
        for t in range(FOUR):
            value = V[tokens[k + t]]
            for r in range(FOUR):
                factors[r * FOUR + t] = value[c + r]
        four_by_four(factors, source, out[c * PITCH + lane :], width)
    for c in range(fours, V.shape[1]):
        for t in range(FOUR):
            one_row(V[tokens[k + t], c], source[t * PITCH :], out[c * PITCH + lane :], width)


@kernel(fastmath=FAST)
def score_keys(K, tokens, lane, stop, queries, scores):
    """`scores` [keys * PITCH]: the keys K[tokens] times `queries`, in the lanes `lane` to `stop` of each."""
    factors = np.empty(FOUR * FOUR, K.dtype)
    for k in range(0, tokens.size, FOUR):
        for row in range(k, k + FOUR):
            scores[row * PITCH + lane[k] : row * PITCH + stop[k]] = 0
        add_scores(K, tokens, k, queries, scores, lane[k], stop[k], factors)


@kernel(fastmath=FAST)
def gather_values(V, tokens, lane, stop, weights, out):
    """`out` [e * PITCH] += the values V[tokens], each times its row of `weights`, in these lanes."""
    factors = np.empty(FOUR * FOUR, V.dtype)
    for k in range(0, tokens.size, FOUR):
        add_values(V, tokens, k, weights, out, lane[k], stop[k], factors)


@kernel(fastmath=FAST)
def columns(A, tokens, used, factor, width, target):
    """`factor` times the rows `tokens` of A as the first `used` columns of `target`; 0 up to `width`."""
    for lane in range(used):
        row = A[tokens[lane]]
        for c in range(row.size):
            target[c * PITCH + lane] = row[c] * factor
    for lane in range(used, width):
        for c in range(A.shape[1]):
            target[c * PITCH + lane] = 0


@kernel(fastmath=FAST)
def rows(sums, tokens, used, factor, target):
    """The way back: target[token of a lane] = `factor` times its column of `sums`."""
    for lane in range(used):
        row = target[tokens[lane]]
        for c in range(row.size):
            row[c] = sums[c * PITCH + lane] * factor


@kernel
def clear(sums, number, width):
    """`number` rows of `sums` become 0 up to `width`."""
    for c in range(number):
        sums[c * PITCH : c * PITCH + width] = 0

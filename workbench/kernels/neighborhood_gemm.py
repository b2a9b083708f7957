"""Neighbourhood attention as products of matrices: a tile of queries times its whole halo, and a scatter.

    for every tile:   scores = halo of keys times queries, dense          most of it useful, or not
                      weights[query, tap] = the scores in its window       scatter
    for every query:  softmax of its row of weights
    for every tile:   scores = the weights where they belong, 0 elsewhere  gather back
                      O = scores times the halo of values, dense

Two dense products do ((tile + window - 1) / window) to the power of the axes as much as is needed, but at
the speed of a product. The weights [tokens, taps] go through memory as in the naive way.
"""

import math

import numpy as np

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST
from workbench.kernels.neighborhood_naive import softmax_row
from workbench.kernels.neighborhood_product import (
    PITCH,
    clear,
    columns,
    gather_values,
    rows,
    score_keys,
)


@kernel(cache=True, fastmath=FAST, nogil=True)
def neighborhood_gemm(Q, K, V, weights, O, sizes, lanes, keys, worker, workers):
    """O [heads, tokens, e] from Q, K [heads, tokens, d] and V [heads, tokens, e], all of one float type.

    `weights` [heads, tokens, taps] gets the probabilities. `sizes`, `lanes`, `keys` are the `tile_layout`;
    every one of `workers` takes every `workers`-th tile of all heads, in three sweeps. The readable twin is
    `_neighborhood_attention`.
    """
    score_tiles(Q, K, weights, sizes, lanes, keys, worker, workers)
    softmax_tiles(weights, sizes, lanes, worker, workers)
    gather_tiles(weights, V, O, sizes, lanes, keys, worker, workers)


@kernel(fastmath=FAST)
def score_tiles(Q, K, weights, sizes, lanes, keys, worker, workers):
    """The scores of one worker's tiles go to their places in `weights`."""
    tiles, wide, most = sizes.shape[0], lanes.shape[2], keys.shape[2]
    queries, scores = np.empty(Q.shape[2] * PITCH, Q.dtype), np.empty(most * PITCH, Q.dtype)
    scale = Q.dtype.type(1 / math.sqrt(Q.shape[2]))
    first, stop = np.zeros(most, np.int32), np.full(most, wide, np.int32)
    for job in range(worker, Q.shape[0] * tiles, workers):
        h, t = job // tiles, job % tiles
        used, halo = sizes[t, 0], keys[t, :, : sizes[t, 1]]
        columns(Q[h], lanes[t, 0], used, scale, wide, queries)
        score_keys(K[h], halo[0], first, stop, queries, scores)
        scatter(scores, halo, lanes[t], used, weights[h])


@kernel(fastmath=FAST)
def softmax_tiles(weights, sizes, lanes, worker, workers):
    """The rows of one worker's tiles become probabilities."""
    tiles = sizes.shape[0]
    for job in range(worker, weights.shape[0] * tiles, workers):
        h, t = job // tiles, job % tiles
        for lane in range(sizes[t, 0]):
            taps = 1
            for side in range(1, 7, 2):
                taps *= lanes[t, side + 1, lane] - lanes[t, side, lane]
            softmax_row(weights[h, lanes[t, 0, lane], :taps])


@kernel(fastmath=FAST)
def gather_tiles(weights, V, O, sizes, lanes, keys, worker, workers):
    """The outputs of one worker's tiles."""
    tiles, wide, most = sizes.shape[0], lanes.shape[2], keys.shape[2]
    gathered, scores = np.empty(V.shape[2] * PITCH, V.dtype), np.empty(most * PITCH, V.dtype)
    first, stop = np.zeros(most, np.int32), np.full(most, wide, np.int32)
    for job in range(worker, V.shape[0] * tiles, workers):
        h, t = job // tiles, job % tiles
        used, halo = sizes[t, 0], keys[t, :, : sizes[t, 1]]
        clear(scores, halo.shape[1], wide)
        gather_back(weights[h], halo, lanes[t], used, scores)
        clear(gathered, V.shape[2], wide)
        gather_values(V[h], halo[0], first, stop, scores, gathered)
        rows(gathered, lanes[t, 0], used, V.dtype.type(1), O[h])


@kernel
def scatter(scores, halo, lanes, used, weights):
    """weights[query, tap] = scores[key * PITCH + lane], one row of the halo after the other."""
    k = 0
    while k < halo.shape[1]:
        end = end_of_row(halo, k)
        for lane in range(used):
            tap = first_tap(halo[1, k], halo[2, k], lane, lanes)
            if tap >= 0:
                start, taps = k + lanes[5, lane] - halo[3, k], lanes[6, lane] - lanes[5, lane]
                target, source = weights[lanes[0, lane], tap : tap + taps], scores[start * PITCH + lane :]
                for n in range(taps):
                    target[n] = source[n * PITCH]
        k = end


@kernel
def gather_back(weights, halo, lanes, used, scores):
    """scores[key * PITCH + lane] = weights[query, tap], the way back."""
    k = 0
    while k < halo.shape[1]:
        end = end_of_row(halo, k)
        for lane in range(used):
            tap = first_tap(halo[1, k], halo[2, k], lane, lanes)
            if tap >= 0:
                start, taps = k + lanes[5, lane] - halo[3, k], lanes[6, lane] - lanes[5, lane]
                source, target = weights[lanes[0, lane], tap : tap + taps], scores[start * PITCH + lane :]
                for n in range(taps):
                    target[n * PITCH] = source[n]
        k = end


@kernel
def end_of_row(halo, k):
    """Where the row of keys that begins with key k ends; keys for nobody belong to the last one."""
    end = k + 1
    while end < halo.shape[1] and (halo[3, end] < 0 or halo[3, end] > halo[3, end - 1]):
        end += 1
    return end


@kernel
def first_tap(z, y, lane, lanes):
    """Where the row (z, y) of keys begins among the taps of this lane's query; -1 if it is not seen."""
    z0, z1, y0, y1 = lanes[1, lane], lanes[2, lane], lanes[3, lane], lanes[4, lane]
    if z < z0 or z >= z1 or y < y0 or y >= y1:
        return -1
    return ((z - z0) * (y1 - y0) + y - y0) * (lanes[6, lane] - lanes[5, lane])

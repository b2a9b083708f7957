"""Neighbourhood attention, fused: a tile of queries meets its halo bit by bit, and no weight leaves the tile.

KEYS keys of the halo at a time: their scores with the queries that may see them; what is outside a query's
window becomes -inf; with the online softmax every query keeps a running maximum and a running sum, and what
it has gathered is rescaled when its maximum grows; the weights then gather the values. At the end

    O = gathered / sum        log_sums = maximum + log sum

and the second is all that the way back needs to form any weight again.
"""

import math

import numpy as np

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST
from workbench.kernels.neighborhood_product import (
    PITCH,
    clear,
    columns,
    gather_values,
    score_keys,
)
from workbench.kernels.softmax_exp64 import exp_like

KEYS = 64  # of a halo at a time: their scores stay in the first two caches
NOTHING = np.finfo(np.float32).min  # a maximum before the first score: its distance to -inf is not nan


@kernel(cache=True, fastmath=FAST, nogil=True)
def neighborhood_fused(Q, K, V, O, log_sums, sizes, lanes, keys, worker, workers):
    """O [heads, tokens, e] and log_sums [heads, tokens] from Q, K [heads, tokens, d], V [heads, tokens, e].

    All of one float type. `sizes`, `lanes`, `keys` are the `tile_layout`; every one of `workers` takes every
    `workers`-th tile of all heads. The readable twin is `_neighborhood_attention`.
    """
    tiles, wide, e = sizes.shape[0], lanes.shape[2], V.shape[2]
    queries, gathered = np.empty(Q.shape[2] * PITCH, Q.dtype), np.empty(e * PITCH, Q.dtype)
    scores, reach = np.empty(KEYS * PITCH, Q.dtype), np.empty((2, wide), np.int32)
    tops, totals, factors = np.empty(wide, Q.dtype), np.empty(wide, Q.dtype), np.empty(wide, Q.dtype)
    scale = Q.dtype.type(1 / math.sqrt(Q.shape[2]))
    for job in range(worker, Q.shape[0] * tiles, workers):
        h, t = job // tiles, job % tiles
        used, count = sizes[t, 0], sizes[t, 1]
        columns(Q[h], lanes[t, 0], used, scale, wide, queries)
        clear(gathered, e, wide)
        tops[:] = Q.dtype.type(NOTHING)
        totals[:] = 0
        for first in range(0, count, KEYS):
            part = keys[t, :, first : min(first + KEYS, count)]
            score_keys(K[h], part[0], part[4], part[5], queries, scores)
            hide_outside(scores, part, lanes[t], reach)
            reweigh_lanes(scores, part[4], part[5], tops, totals, factors, gathered, e)
            gather_values(V[h], part[0], part[4], part[5], scores, gathered)
        for lane in range(used):
            o = O[h, lanes[t, 0, lane]]
            share = 1 / totals[lane]
            for c in range(e):
                o[c] = gathered[c * PITCH + lane] * share
            log_sums[h, lanes[t, 0, lane]] = tops[lane] + math.log(totals[lane])


@kernel(fastmath=FAST)
def hide_outside(scores, keys, lanes, reach):
    """Scores of keys that lie outside the window of a lane become -inf.

    `reach` [2, wide] holds each lane's window along x, empty where it does not see the row at hand.
    """
    z, y = -1, -1
    for k in range(keys.shape[1]):
        if keys[1, k] != z or keys[2, k] != y:
            z, y = keys[1, k], keys[2, k]
            see_row(z, y, lanes, reach)
        first, x = keys[4, k], keys[3, k]
        row, left, right = (
            scores[k * PITCH + first : k * PITCH + keys[5, k]],
            reach[0, first:],
            reach[1, first:],
        )
        for lane in range(row.size):
            row[lane] = row[lane] if (left[lane] <= x) & (x < right[lane]) else -np.inf


@kernel
def see_row(z, y, lanes, reach):
    """Every lane's window along x in the row (z, y) of keys."""
    z0, z1, y0, y1, x0, x1 = lanes[1], lanes[2], lanes[3], lanes[4], lanes[5], lanes[6]
    left, right = reach[0], reach[1]
    for lane in range(left.size):
        seen = (z0[lane] <= z) & (z < z1[lane]) & (y0[lane] <= y) & (y < y1[lane])
        left[lane] = x0[lane]
        right[lane] = x1[lane] if seen else 0


@kernel(fastmath=FAST)
def reweigh_lanes(scores, first, stop, tops, totals, factors, gathered, e):
    """Scores become weights e^(score - top) under new maxima, to which totals and `gathered` are brought."""
    for lane in range(tops.size):
        factors[lane] = tops[lane]
    for k in range(first.size):
        row, top = scores[k * PITCH + first[k] : k * PITCH + stop[k]], tops[first[k] :]
        for lane in range(row.size):
            top[lane] = top[lane] if top[lane] > row[lane] else row[lane]
    for lane in range(tops.size):
        factors[lane] = exp_like(factors[lane] - tops[lane], factors)
        totals[lane] *= factors[lane]
    for c in range(e):
        sums = gathered[c * PITCH : c * PITCH + factors.size]
        for lane in range(sums.size):
            sums[lane] *= factors[lane]
    for k in range(first.size):
        row = scores[k * PITCH + first[k] : k * PITCH + stop[k]]
        top, total = tops[first[k] :], totals[first[k] :]
        for lane in range(row.size):
            weight = exp_like(row[lane] - top[lane], row)
            row[lane] = weight
            total[lane] += weight

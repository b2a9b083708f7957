"""The gradients of neighbourhood attention, fused: every weight is formed again, none was kept.

With P_ij = e^(s_ij - log_sum_i) for every query i and key j in its window, and delta_i = grad_i . O_i:

    dV_j = sum over i of P_ij grad_i                 dS_ij = P_ij (grad_i . V_j - delta_i)
    dQ_i = sum over j of dS_ij K_j / sqrt(d)         dK_j = sum over i of dS_ij Q_i / sqrt(d)

Two sweeps, each by tiles with the two products of the way there. In the first the lanes are queries, which
gather dQ from the keys that they see. In the second they are keys, which gather dK and dV from the queries
that see them: again windows, cut off at other places. So every sum is one thread's own, and no two threads
ever add to the same number; the price is that all weights are formed twice.
"""

import math

import numpy as np

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST
from workbench.kernels.neighborhood_fused import KEYS, hide_outside
from workbench.kernels.neighborhood_product import (
    PITCH,
    clear,
    columns,
    gather_values,
    rows,
    score_keys,
)
from workbench.kernels.softmax_exp64 import exp_like


@kernel(cache=True, fastmath=FAST, nogil=True)
def neighborhood_query_grad(Q, K, V, log_sums, grad, delta, dQ, sizes, lanes, keys, worker, workers):
    """dQ [heads, tokens, d] from what went in, from log_sums and `grad` [heads, tokens, e], and from delta.

    delta [heads, tokens] is grad . O, token by token; the rest as in `neighborhood_fused`. The readable twin
    is torch's gradient of masked attention.
    """
    tiles, wide, d, e = sizes.shape[0], lanes.shape[2], Q.shape[2], V.shape[2]
    queries, grads = np.empty(d * PITCH, Q.dtype), np.empty(e * PITCH, Q.dtype)
    weights, slopes = np.empty(KEYS * PITCH, Q.dtype), np.empty(KEYS * PITCH, Q.dtype)
    sums, means, gathered = np.empty(wide, Q.dtype), np.empty(wide, Q.dtype), np.empty(d * PITCH, Q.dtype)
    reach, scale, one = np.empty((2, wide), np.int32), Q.dtype.type(1 / math.sqrt(d)), Q.dtype.type(1)
    for job in range(worker, Q.shape[0] * tiles, workers):
        h, t = job // tiles, job % tiles
        used, count = sizes[t, 0], sizes[t, 1]
        columns(Q[h], lanes[t, 0], used, scale, wide, queries)
        columns(grad[h], lanes[t, 0], used, one, wide, grads)
        for lane in range(wide):
            sums[lane], means[lane] = log_sums[h, lanes[t, 0, lane]], delta[h, lanes[t, 0, lane]]
        clear(gathered, d, wide)
        for first in range(0, count, KEYS):
            part = keys[t, :, first : min(first + KEYS, count)]
            score_keys(K[h], part[0], part[4], part[5], queries, weights)
            hide_outside(weights, part, lanes[t], reach)
            score_keys(V[h], part[0], part[4], part[5], grads, slopes)
            for k in range(part.shape[1]):
                a, b = k * PITCH + part[4, k], k * PITCH + part[5, k]
                slope_by_lane(weights[a:b], slopes[a:b], sums[part[4, k] :], means[part[4, k] :])
            gather_values(K[h], part[0], part[4], part[5], slopes, gathered)
        rows(gathered, lanes[t, 0], used, scale, dQ[h])


@kernel(cache=True, fastmath=FAST, nogil=True)
def neighborhood_key_grad(Q, K, V, log_sums, grad, delta, dK, dV, sizes, lanes, keys, worker, workers):
    """dK [heads, tokens, d] and dV [heads, tokens, e]; here the `tile_layout` is the inverse one."""
    tiles, wide, d, e = sizes.shape[0], lanes.shape[2], Q.shape[2], V.shape[2]
    own_keys, own_values = np.empty(d * PITCH, Q.dtype), np.empty(e * PITCH, Q.dtype)
    weights, slopes = np.empty(KEYS * PITCH, Q.dtype), np.empty(KEYS * PITCH, Q.dtype)
    key_sums, value_sums = np.empty(d * PITCH, Q.dtype), np.empty(e * PITCH, Q.dtype)
    reach, scale, one = np.empty((2, wide), np.int32), Q.dtype.type(1 / math.sqrt(d)), Q.dtype.type(1)
    for job in range(worker, Q.shape[0] * tiles, workers):
        h, t = job // tiles, job % tiles
        used, count = sizes[t, 0], sizes[t, 1]
        columns(K[h], lanes[t, 0], used, scale, wide, own_keys)
        columns(V[h], lanes[t, 0], used, one, wide, own_values)
        clear(key_sums, d, wide)
        clear(value_sums, e, wide)
        for first in range(0, count, KEYS):
            part = keys[t, :, first : min(first + KEYS, count)]
            score_keys(Q[h], part[0], part[4], part[5], own_keys, weights)
            hide_outside(weights, part, lanes[t], reach)
            score_keys(grad[h], part[0], part[4], part[5], own_values, slopes)
            for k in range(part.shape[1]):
                a, b = k * PITCH + part[4, k], k * PITCH + part[5, k]
                slope_by_row(weights[a:b], slopes[a:b], log_sums[h, part[0, k]], delta[h, part[0, k]])
            gather_values(Q[h], part[0], part[4], part[5], slopes, key_sums)
            gather_values(grad[h], part[0], part[4], part[5], weights, value_sums)
        rows(key_sums, lanes[t, 0], used, scale, dK[h])
        rows(value_sums, lanes[t, 0], used, one, dV[h])


@kernel(fastmath=FAST)
def slope_by_lane(weights, slopes, sums, means):
    """One key: scores become weights, and grad . V becomes dS, with one query in each lane."""
    for lane in range(weights.size):
        weight = exp_like(weights[lane] - sums[lane], weights)
        weights[lane] = weight
        slopes[lane] = weight * (slopes[lane] - means[lane])


@kernel(fastmath=FAST)
def slope_by_row(weights, slopes, log_sum, mean):
    """The same for one query and its keys in the lanes."""
    for lane in range(weights.size):
        weight = exp_like(weights[lane] - log_sum, weights)
        weights[lane] = weight
        slopes[lane] = weight * (slopes[lane] - mean)

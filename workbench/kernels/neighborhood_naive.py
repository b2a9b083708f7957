"""Neighbourhood attention, query by query: the readable way, in which a product of matrices never appears.

`neighborhood_naive` goes as a framework would, in three sweeps with all weights [tokens, window] in memory:

    weights = scores of every query with the keys of its window        written once
    softmax of every row                                               read and written
    O = weights times the values of the window                         read once

`neighborhood_rows` does the same arithmetic with one query at a time, and so with one row of weights that
stays in a cache. What storing costs is the difference. In both, a key that many queries see is loaded for
each of them, and of a product nothing is left but inner products.
"""

import math

from workbench.counting import kernel
from workbench.kernels.attention_matrix import FAST
from workbench.kernels.neighborhood_windows import class_length, window_bounds
from workbench.kernels.softmax_exp64 import exp_like


@kernel(cache=True, fastmath=FAST, nogil=True)
def neighborhood_naive(Q, K, V, weights, O, space, window, dilation, causal, worker, workers):
    """O [heads, tokens, e] from Q, K [heads, tokens, d] and V [heads, tokens, e], all of one float type.

    `weights` [heads, tokens, taps] gets the probabilities; `taps` is the product of the windows. `space`
    (z, y, x), `window`, `dilation`, `causal` (0 or 1) have three entries, tokens lie in row-major order. A
    row that sees less (causal) ends with entries that are not touched. The queries of all heads are cut into
    as many ranges as there are `workers`; this is number `worker`. The readable twin is
    `_neighborhood_attention`.
    """
    tokens, jobs = Q.shape[1], Q.shape[0] * Q.shape[1]
    begin, end = worker * jobs // workers, (worker + 1) * jobs // workers
    for job in range(begin, end):
        h, i = job // tokens, job % tokens
        score_window(Q[h, i], K[h], weights[h, i], i, space, window, dilation, causal)
    for job in range(begin, end):
        h, i = job // tokens, job % tokens
        softmax_window(weights[h, i], i, space, window, dilation, causal)
    for job in range(begin, end):
        h, i = job // tokens, job % tokens
        gather_window(weights[h, i], V[h], O[h, i], i, space, window, dilation, causal)


@kernel(cache=True, fastmath=FAST, nogil=True)
def neighborhood_rows(Q, K, V, row, O, space, window, dilation, causal, worker, workers):
    """The same with one row of weights, `row` [workers, taps], for every worker."""
    tokens, jobs = Q.shape[1], Q.shape[0] * Q.shape[1]
    for job in range(worker * jobs // workers, (worker + 1) * jobs // workers):
        h, i = job // tokens, job % tokens
        score_window(Q[h, i], K[h], row[worker], i, space, window, dilation, causal)
        softmax_window(row[worker], i, space, window, dilation, causal)
        gather_window(row[worker], V[h], O[h, i], i, space, window, dilation, causal)


@kernel
def along(i, length, window, dilation, causal):
    """First key of position i along one axis, and how many there are; they lie `dilation` apart."""
    residue = i % dilation
    first, stop = window_bounds(i // dilation, class_length(length, residue, dilation), window, causal)
    return first * dilation + residue, stop - first


@kernel(fastmath=FAST)
def score_window(q, K, row, i, space, window, dilation, causal):
    """row[tap] = q . key / sqrt(d) for the window of query i, keys in row-major order."""
    scale = q.dtype.type(1 / math.sqrt(q.size))
    x, nx = along(i % space[2], space[2], window[2], dilation[2], causal[2])
    y, ny = along(i // space[2] % space[1], space[1], window[1], dilation[1], causal[1])
    z, nz = along(i // space[2] // space[1], space[0], window[0], dilation[0], causal[0])
    tap = 0
    for plane in range(z, z + nz * dilation[0], dilation[0]):
        for line in range(y, y + ny * dilation[1], dilation[1]):
            key = (plane * space[1] + line) * space[2] + x
            for _ in range(nx):
                row[tap] = inner(q, K[key]) * scale
                key += dilation[2]
                tap += 1


@kernel(fastmath=FAST)
def inner(a, b):
    total = a.dtype.type(0)
    for c in range(a.size):
        total += a[c] * b[c]
    return total


@kernel(fastmath=FAST)
def softmax_window(row, i, space, window, dilation, causal):
    """The scores of query i become probabilities."""
    _, nx = along(i % space[2], space[2], window[2], dilation[2], causal[2])
    _, ny = along(i // space[2] % space[1], space[1], window[1], dilation[1], causal[1])
    _, nz = along(i // space[2] // space[1], space[0], window[0], dilation[0], causal[0])
    softmax_row(row[: nx * ny * nz])


@kernel(fastmath=FAST)
def softmax_row(row):
    top = row[0]
    for tap in range(1, row.size):
        top = max(top, row[tap])
    total = row.dtype.type(0)
    for tap in range(row.size):
        weight = exp_like(row[tap] - top, row)
        row[tap] = weight
        total += weight
    share = row.dtype.type(1) / total
    for tap in range(row.size):
        row[tap] *= share


@kernel(fastmath=FAST)
def gather_window(row, V, o, i, space, window, dilation, causal):
    """o = sum over the window of query i of row[tap] * value."""
    x, nx = along(i % space[2], space[2], window[2], dilation[2], causal[2])
    y, ny = along(i // space[2] % space[1], space[1], window[1], dilation[1], causal[1])
    z, nz = along(i // space[2] // space[1], space[0], window[0], dilation[0], causal[0])
    for c in range(o.size):
        o[c] = 0
    tap = 0
    for plane in range(z, z + nz * dilation[0], dilation[0]):
        for line in range(y, y + ny * dilation[1], dilation[1]):
            key = (plane * space[1] + line) * space[2] + x
            for _ in range(nx):
                add_weighted(row[tap], V[key], o)
                key += dilation[2]
                tap += 1


@kernel(fastmath=FAST)
def add_weighted(weight, value, o):
    for c in range(o.size):
        o[c] += weight * value[c]

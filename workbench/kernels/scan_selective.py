"""The recurrence of a selective state space, step by step and in blocks.

For each channel, with S numbers of state,

    h_t = a_t * h_(t-1) + u_t     with  a_t = e^(delta_t A),  u_t = delta_t B_t x_t          y_t = C_t . h_t

"Selective" because delta, B and C depend on t. One step is a map h -> a h + u, and two steps after another
are a map of the same kind: (a1, u1) then (a2, u2) is (a2 a1, a2 u1 + u2). That is associative, so the steps
can be scanned like numbers in a prefix sum: each block of time finds its own map from a state of 0, the few
maps are applied one after the other, and then every block knows the state that it begins with.
"""

import numpy as np
from numba import prange

from workbench.counting import kernel
from workbench.kernels.softmax_exp import exp_pair, power_of_two

FAST = {"contract", "reassoc", "nsz"}


@kernel(cache=True, fastmath=FAST)
def selective_scan_serial(x, delta, A, B, C, h, y):
    """y [n, channels] from x, delta [n, channels], A [channels, S], B, C [n, S], all float32.

    `h` [channels, S] is the state before the first step and becomes the one after the last. The readable
    twin is `_selective_scan`.
    """
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            step = delta[t, c]
            given = step * x[t, c]
            total = np.float32(0)
            for s in range(A.shape[1]):
                m, n = exp_pair(step * A[c, s])
                h[c, s] = m * power_of_two(n) * h[c, s] + B[t, s] * given
                total += C[t, s] * h[c, s]
            y[t, c] = total


@kernel(cache=True, fastmath=FAST, parallel=True)
def selective_scan_blocked(x, delta, A, B, C, h, y, blocks):
    """The same with time cut into `blocks` that are worked on side by side."""
    width = (x.shape[0] + blocks - 1) // blocks
    ends = np.zeros((blocks, h.shape[0], h.shape[1]), np.float32)
    times = np.zeros(
        (blocks, h.shape[0]), np.float32
    )  # sums of delta: the product of a block's a is e^(A time)
    for block in prange(blocks):
        i, j = block * width, (block + 1) * width
        map_of_block(x[i:j], delta[i:j], A, B[i:j], ends[block], times[block])
    for block in range(blocks):
        for c in range(h.shape[0]):
            for s in range(h.shape[1]):
                m, n = exp_pair(times[block, c] * A[c, s])
                before = h[c, s]
                h[c, s] = m * power_of_two(n) * before + ends[block, c, s]
                ends[block, c, s] = before
    for block in prange(blocks):
        i, j = block * width, (block + 1) * width
        selective_scan_serial(x[i:j], delta[i:j], A, B[i:j], C[i:j], ends[block], y[i:j])


@kernel(fastmath=FAST)
def map_of_block(x, delta, A, B, end, time):
    """Adds to `end` [channels, S] the state that a block reaches from 0, to `time` [channels] its deltas."""
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            step = delta[t, c]
            given = step * x[t, c]
            time[c] += step
            for s in range(A.shape[1]):
                m, n = exp_pair(step * A[c, s])
                end[c, s] = m * power_of_two(n) * end[c, s] + B[t, s] * given


def _selective_scan(
    x: np.ndarray, delta: np.ndarray, A: np.ndarray, B: np.ndarray, C: np.ndarray
) -> np.ndarray:
    """The readable twin of the selective scans, in float64, from a state of 0."""
    h, y = np.zeros(A.shape), np.zeros(x.shape)
    for t in range(len(x)):
        step = delta[t].astype(np.float64)[:, None]
        h = np.exp(step * A) * h + step * B[t] * x[t][:, None]
        y[t] = h @ C[t]
    return y

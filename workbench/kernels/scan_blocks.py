"""Prefix sums in blocks: each thread sums its block, the few sums are scanned, each thread scans its block.

The numbers are read twice, and each is added twice, but the two long sweeps need nothing of one another.
"""

import numpy as np
from numba import prange

from workbench.counting import kernel


@kernel(cache=True, parallel=True, fastmath={"reassoc", "nsz"})
def scan_blocked(x, y, blocks):
    """y [n] becomes the inclusive prefix sums of x [n], apart, by blocks; the twin is `scan_serial`."""
    width = (x.size + blocks - 1) // blocks
    sums = np.zeros(blocks, x.dtype)
    for block in prange(blocks):
        part = x[block * width : (block + 1) * width]
        total = sums[block]
        for i in range(part.size):
            total += part[i]
        sums[block] = total
    before = x.dtype.type(0)
    for block in range(blocks):
        own = sums[block]
        sums[block] = before
        before += own
    for block in prange(blocks):
        part = x[block * width : (block + 1) * width]
        result = y[block * width : (block + 1) * width]
        total = sums[block]
        for i in range(part.size):
            total += part[i]
            result[i] = total

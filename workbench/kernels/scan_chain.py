"""Prefix sums one after the other: y_i = x_0 + ... + x_i.

The least work there is, n - 1 additions, but each waits for the one before.
"""

from workbench.counting import kernel


@kernel(cache=True)
def scan_serial(x, y):
    """y [n] becomes the inclusive prefix sums of x [n], n > 0; y may be x. The twin is numpy.cumsum."""
    total = x[0]
    y[0] = total
    for i in range(1, x.size):
        total += x[i]
        y[i] = total

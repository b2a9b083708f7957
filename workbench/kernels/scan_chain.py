"""Prefix sums one after the other: y_i = x_0 + ... + x_i.

The least work there is, n - 1 additions, but each waits for the one before.
"""

from workbench.counting import kernel
from workbench.kernels.cost import Cost


@kernel(cache=True)
def scan_serial(x, y):
    """y [n] becomes the inclusive prefix sums of x [n], n > 0; y may be x. The twin is numpy.cumsum."""
    total = x[0]
    y[0] = total
    for i in range(1, x.size):
        total += x[i]
        y[i] = total


def scan_serial_cost(n: int, itemsize: int) -> Cost:
    """The closed form of `scan_serial` on n floats."""
    size = n * itemsize
    return Cost(flops=n - 1, loads={"x": n}, stores={"y": n}, bytes_unique={"x": size, "y": size})

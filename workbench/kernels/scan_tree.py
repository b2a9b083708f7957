"""Prefix sums up and down a tree (Blelloch 1990): 2 log2 n steps, each of independent additions.

On the way up every node of a binary tree over the numbers gets the sum of what is below it. On the way down
it tells its children what stands before them: the left one its own value, the right one that and the left
sum. 2 (n - 1) additions, twice the serial work, but none of a level waits for another of that level. On a
processor of few lanes the extra work and the long strides lose; the tree is for machines of many.
"""

from workbench.counting import kernel
from workbench.kernels.cost import Cost


@kernel(cache=True)
def scan_blelloch(x):
    """x [n], n a power of two, becomes its exclusive prefix sums, in place; the twin is `_scan_exclusive`."""
    n = x.size
    step = 1
    while step < n:
        for right in range(2 * step - 1, n, 2 * step):
            x[right] += x[right - step]
        step *= 2
    x[n - 1] = 0
    while step > 1:
        step //= 2
        for right in range(2 * step - 1, n, 2 * step):
            left = x[right - step]
            x[right - step] = x[right]
            x[right] += left


def scan_blelloch_cost(n: int, itemsize: int) -> Cost:
    """The closed form of `scan_blelloch` on n floats, n a power of two: n - 1 nodes, each met twice."""
    nodes = n - 1
    return Cost(
        flops=2 * nodes,
        loads={"x": 5 * nodes},
        stores={"x": 3 * nodes + 1},
        bytes_unique={"x": n * itemsize},
    )


def _scan_exclusive(numbers: list[float]) -> list[float]:
    """The readable twin of `scan_blelloch`: what stands before each number, summed."""
    return [sum(numbers[:i]) for i in range(len(numbers))]

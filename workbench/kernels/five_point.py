"""The 5-point stencil: each inner point becomes the mean of its four neighbours (a step of Jacobi's).

    y[i, j] = (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]) / 4

The border stays as it is. One sweep reads and writes the grid once and does four operations a point: memory
sets its time. Tiling in space (`stencil_tiled`) only shortens the way between two uses of a point, from two
rows to two rows of a tile. Many sweeps repeat that traffic (`stencil_sweeps`), unless points are taken
through several sweeps while they are in a cache, which is tiling in time: `stencil_wavefront` lets the sweeps
follow one another one row apart, and `jacobi` lets all threads do that, each with its own rows.
"""

import numpy as np
from numba import get_num_threads, njit, prange

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.cost import Cost

DEPTH = 16  # sweeps that follow one another through the grid


@kernel(cache=True)
def stencil(x, y):  # [n, m] [n, m]
    for i in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            y[i, j] = (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]) * x.dtype.type(0.25)


@kernel(cache=True)
def stencil_tiled(x, y, tile):  # [n, m] [n, m]
    n, m = x.shape
    for i0 in range(1, n - 1, tile):
        for j0 in range(1, m - 1, tile):
            for i in range(i0, min(i0 + tile, n - 1)):
                end = min(j0 + tile, m - 1)
                up, down, new = x[i - 1, j0:end], x[i + 1, j0:end], y[i, j0:end]
                left, right = x[i, j0 - 1 : end - 1], x[i, j0 + 1 : end + 1]
                for j in range(new.size):
                    new[j] = (up[j] + down[j] + left[j] + right[j]) * x.dtype.type(0.25)


@kernel(cache=True)
def stencil_sweeps(x, y, sweeps):
    """One sweep after the other, from x to y and back; both must have the same border.

    After an even number of sweeps the result is in x, after an odd one in y.
    """
    source, target = x, y
    for _ in range(sweeps):
        stencil(source, target)
        source, target = target, source


@kernel(cache=True)
def stencil_row(above, row, below, target):
    """One row of a sweep; the two ends of `target` stay."""
    left, right, up, down, new = row[:-2], row[2:], above[1:-1], below[1:-1], target[1:-1]
    for j in range(new.size):
        new[j] = (up[j] + down[j] + left[j] + right[j]) * row.dtype.type(0.25)


@kernel(cache=True)
def stencil_wavefront(x, y, sweeps):
    """What `stencil_sweeps` does, and to the last bit: sweep t is one row behind sweep t - 1.

    When sweep t overwrites row i of time t - 1, sweep t - 1 has passed row i + 1 and needs it no more. So two
    grids are enough, and what the front touches at once is `sweeps` + 2 rows of each.
    """
    n = x.shape[0]
    for front in range(1, n - 2 + sweeps):
        for t in range(max(0, front - n + 2), min(sweeps, front)):
            i = front - t
            if t % 2 == 0:
                stencil_row(x[i - 1], x[i], x[i + 1], y[i])
            else:
                stencil_row(y[i - 1], y[i], y[i + 1], x[i])


def jacobi(grid: np.ndarray, sweeps: int) -> np.ndarray:
    """`grid` [height, width] (float32 or float64) after so many sweeps, as a new array; the border stays.

    All threads, in rounds of DEPTH sweeps: each takes a band of rows and as many rows on either side as there
    are sweeps, lets a wavefront run through its copy, and gives its own rows back. What a thread computes of
    its neighbours' rows is lost work: 2 * DEPTH rows of a band. The readable twin is `stencil_sweeps`.
    """
    if grid.ndim != 2 or grid.dtype not in (np.float32, np.float64):
        raise WorkbenchError(
            f"grid must be [height, width] of float32 or float64, but {grid.dtype} {grid.shape} came"
        )
    if sweeps < 0:
        raise WorkbenchError(f"sweeps must be 0 or more, but {sweeps} came")
    now, then = np.array(grid, order="C"), np.array(grid, order="C")
    if min(grid.shape) < 3:
        return now
    threads = get_num_threads()
    tallest = min(len(grid), -(-len(grid) // threads) + 2 * DEPTH)
    copies = np.empty((threads, 2, tallest, grid.shape[1]), grid.dtype)
    for done in range(0, sweeps, DEPTH):
        _round(now, then, copies, min(DEPTH, sweeps - done))
        now, then = then, now
    return now


@njit(cache=True, parallel=True)
def _round(now, then, copies, sweeps):
    """`then` becomes `now` after `sweeps` sweeps, one band of rows for each thread.

    The first and last row of a copy stay as if they were a border. What that makes wrong comes one row
    further with every sweep and does not reach the rows that are given back.
    """
    n, threads = len(now), len(copies)
    for thread in prange(threads):
        first = 1 + (n - 2) * thread // threads
        end = 1 + (n - 2) * (thread + 1) // threads
        low = max(0, first - sweeps)
        band = now[low : min(n, end + sweeps)]
        x, y = copies[thread, 0, : len(band)], copies[thread, 1, : len(band)]
        x[:] = band
        y[:] = band
        stencil_wavefront(x, y, sweeps)
        then[first:end] = (x if sweeps % 2 == 0 else y)[first - low : end - low]


def stencil_cost(n: int, m: int, itemsize: int) -> Cost:
    """The closed form of `stencil` and `stencil_tiled` on [n, m]; no window holds a corner."""
    points = max(0, n - 2) * max(0, m - 2)
    return Cost(
        flops=4 * points,
        loads={"x": 4 * points},
        stores={"y": points},
        bytes_unique={
            "x": (n * m - 4 - (points == 1)) * itemsize if points else 0,
            "y": points * itemsize,
        },
    )

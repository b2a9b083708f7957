"""Transposition: nothing is calculated, and the order of the loops alone decides the time.

Whichever loop is inside, one of the two arrays is walked down a column: each of its elements lies on another
cache line, and of a line that was brought in, one element is used before it has to leave. In tiles, the lines
that a tile needs stay until all their elements are used. `transposed` gives tiles to all threads.
"""

import numpy as np
from numba import njit, prange

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.cost import Cost
from workbench.kernels.packed_matmul import output

TILE = 64  # few enough pages and lines at a time, and several elements of each
SQUARE = 8


@kernel(cache=True)
def transpose(A, B):  # [n, m] -> [m, n]
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            B[j, i] = A[i, j]


@kernel(cache=True)
def transpose_blocked(A, B, tile):  # [n, m] -> [m, n]
    for i0 in range(0, A.shape[0], tile):
        for j0 in range(0, A.shape[1], tile):
            for i in range(i0, min(i0 + tile, A.shape[0])):
                row, column = A[i, j0 : j0 + tile], B[j0 : j0 + tile, i]
                for j in range(row.size):
                    column[j] = row[j]


def transposed(A: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The transpose of `A` [n, m] as a new C-contiguous array [m, n], on all threads.

    Any type that numba knows; writes to `out` if given and returns it. The readable twin is
    `transpose_blocked`.
    """
    if A.ndim != 2:
        raise WorkbenchError(f"A must be [n, m], but {A.shape} came")
    out = output(A.shape[::-1], out, A)
    if A.flags.f_contiguous:
        out[:] = A.T  # its rows stand there already
    else:
        _transposed(np.ascontiguousarray(A), out)
    return out


@njit(cache=True, parallel=True)
def _transposed(A, B):
    """A thread takes whole rows of tiles of B, so that no two write to one cache line."""
    n, m = A.shape
    for part in prange((m + TILE - 1) // TILE):
        j0 = part * TILE
        for i0 in range(0, n, TILE):
            _tile(A[i0 : i0 + TILE, j0 : j0 + TILE], B[j0 : j0 + TILE, i0 : i0 + TILE])


@njit(cache=True)
def _tile(source, target):
    """Square by square; what is left over at the edges of a matrix goes element by element."""
    n, m = source.shape
    squares_down, squares_across = n - n % SQUARE, m - m % SQUARE
    for i in range(0, squares_down, SQUARE):
        for j in range(0, squares_across, SQUARE):
            _square(source[i : i + SQUARE, j : j + SQUARE], target[j : j + SQUARE, i : i + SQUARE])
    transpose(source[squares_down:], target[:, squares_down:])
    transpose(source[:squares_down, squares_across:], target[squares_across:, :squares_down])


@njit(cache=True)
def _square(source, target):
    """Of a size that the compiler knows, so that it may move whole rows and turn them in registers."""
    for j in range(SQUARE):
        for i in range(SQUARE):
            target[j, i] = source[i, j]


def transpose_cost(n: int, m: int, itemsize: int) -> Cost:
    """The closed form of `transpose` and `transpose_blocked` on [n, m]."""
    size = n * m
    return Cost(0, {"A": size}, {"B": size}, {"A": size * itemsize, "B": size * itemsize})

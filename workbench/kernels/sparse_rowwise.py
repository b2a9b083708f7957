"""Sparse product row by row (Gustavson 1978): row i of C is a sum of rows of B, weighted by row i of A.

Nothing is looked for, and only one row of C is in work. For each column, `place` says where in the result
it last got a number: before the current row, and the column is new; otherwise the product is added there.
Places only grow, so that nothing has to be cleared between two rows. Columns of a row come in the order in
which they are met.

Indices are unsigned: a signed one may be negative, and numba then asks at every access whether it is.
"""

import numpy as np
from numba import njit, prange

from workbench.counting import kernel


@kernel(cache=True)
def spgemm_rowwise(
    a_indptr, a_indices, a_data, b_indptr, b_indices, b_data, c_indptr, c_indices, c_data, place
):
    """C = A B, all in compressed rows; `c_indices` and `c_data` may be longer than needed.

    `c_indptr` [n + 1] is written, too; `place` [m] is scratch that holds -1. The readable twin is
    `_spgemm_rowwise`.
    """
    end = 0
    c_indptr[0] = 0
    for i in range(c_indptr.size - 1):
        start = end
        for p in range(a_indptr[i], a_indptr[i + 1]):
            k, a = a_indices[p], a_data[p]
            for q in range(b_indptr[k], b_indptr[k + 1]):
                j = b_indices[q]
                at = place[j]
                if at < start:
                    place[j] = end
                    c_indices[end] = j
                    c_data[end] = a * b_data[q]
                    end += 1
                else:
                    c_data[at] += a * b_data[q]
        c_indptr[i + 1] = end


@njit(cache=True, parallel=True)
def rowwise_parallel(
    a_indptr,
    a_indices,
    a_data,
    b_indptr,
    b_indices,
    b_data,
    c_indptr,
    c_indices,
    c_data,
    places,
    bounds,
    room,
):
    """`spgemm_rowwise`, where thread t takes rows bounds[t] to bounds[t + 1] and row t of `places`.

    Its results begin at room[t], the first of its r + 1 values of `c_indptr` at bounds[t] + t.
    """
    for t in prange(bounds.size - 1):
        first, last = bounds[t], bounds[t + 1]
        spgemm_rowwise(
            a_indptr[first : last + 1],
            a_indices,
            a_data,
            b_indptr,
            b_indices,
            b_data,
            c_indptr[first + t : last + t + 1],
            c_indices[room[t] : room[t + 1]],
            c_data[room[t] : room[t + 1]],
            places[t],
        )


@njit(cache=True, parallel=True)
def sort_rows(indptr, indices, data):
    """Puts the columns of each row into order, and their numbers with them."""
    for i in prange(indptr.size - 1):
        row = slice(indptr[i], indptr[i + 1])
        order = np.argsort(indices[row])
        indices[row] = indices[row][order]
        data[row] = data[row][order]


def _spgemm_rowwise(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The readable twin of `spgemm_rowwise`, on dense matrices."""
    C = np.zeros((len(A), B.shape[1]))
    for i in range(len(A)):
        for k in np.flatnonzero(A[i]):
            C[i] += A[i, k] * B[k]
    return C

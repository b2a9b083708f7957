"""Sparse product by inner products: C[i, j] = row i of A times column j of B.

Every pair of a row and a column is looked at, and the two sorted lists of places are merged to find where
both have a number. Most pairs have no place in common: the work is in finding that out, not in multiplying.
"""

import numpy as np

from workbench.counting import kernel


@kernel(cache=True)
def spgemm_inner(a_indptr, a_indices, a_data, b_indptr, b_indices, b_data, C):
    """C [n, m] (dense) = A B; A [n, k] in sorted compressed rows, B [k, m] in sorted compressed columns.

    The readable twin is `_spgemm_inner`.
    """
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            p, p_end = np.int64(a_indptr[i]), np.int64(a_indptr[i + 1])
            q, q_end = np.int64(b_indptr[j]), np.int64(b_indptr[j + 1])
            total = C.dtype.type(0)
            while p < p_end and q < q_end:
                a, b = a_indices[p], b_indices[q]
                if a == b:
                    total += a_data[p] * b_data[q]
                if a <= b:
                    p += 1
                if b <= a:
                    q += 1
            C[i, j] = total


def _spgemm_inner(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The readable twin of `spgemm_inner`, on dense matrices."""
    return np.array([[row @ column for column in B.T] for row in A]).reshape(len(A), B.shape[1])

"""Sparse product by outer products: C = sum over k of (column k of A) (row k of B).

Nothing is looked for: each product of two numbers is one of the result. But the products that belong to one
place of C come at different times, so that all of C must stay at hand.
"""

import numpy as np

from workbench.counting import kernel


@kernel(cache=True)
def spgemm_outer(a_indptr, a_indices, a_data, b_indptr, b_indices, b_data, C):
    """A B is added to C [n, m] (dense); A [n, k] in compressed columns, B [k, m] in compressed rows.

    The readable twin is `_spgemm_outer`.
    """
    for k in range(a_indptr.size - 1):
        for p in range(a_indptr[k], a_indptr[k + 1]):
            i, a = a_indices[p], a_data[p]
            for q in range(b_indptr[k], b_indptr[k + 1]):
                C[i, b_indices[q]] += a * b_data[q]


def _spgemm_outer(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The readable twin of `spgemm_outer`, on dense matrices."""
    return sum((np.outer(A[:, k], B[k]) for k in range(len(B))), np.zeros((len(A), B.shape[1])))

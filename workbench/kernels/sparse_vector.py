"""A sparse matrix times a vector: each row's numbers meet the numbers of x that its columns name.

A matrix in compressed rows (CSR) is three arrays: the numbers row by row (`data`), their columns
(`indices`), and where each row begins (`indptr`, one longer than there are rows). A row costs two loads of
the matrix for each product, and one load of x at a place that only the data knows.
"""

from itertools import pairwise

import numpy as np
from numba import prange

from workbench.counting import kernel


@kernel(cache=True)
def csr_matvec(indptr, indices, data, x, y):
    """y [rows] = A x with A in compressed rows and x [columns]; the readable twin is `_csr_matvec`."""
    for i in range(y.size):
        total = y.dtype.type(0)
        for p in range(indptr[i], indptr[i + 1]):
            total += data[p] * x[indices[p]]
        y[i] = total


@kernel(cache=True, parallel=True)
def csr_matvec_parallel(indptr, indices, data, x, y, bounds):
    """The same, where thread t takes rows bounds[t] to bounds[t + 1]."""
    for t in prange(bounds.size - 1):
        first, last = bounds[t], bounds[t + 1]
        csr_matvec(indptr[first : last + 1], indices, data, x, y[first:last])


def _csr_matvec(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The readable twin of `csr_matvec`."""
    rows = [data[a:b] @ x[indices[a:b]] for a, b in pairwise(indptr)]
    return np.array(rows, np.result_type(data, x))

"""Products with sparse matrices: scipy's arrays in, kernels on their parts.

The same product by inner, outer and row-wise products takes the same multiplications; what differs is what
has to be looked at in vain and what has to be kept at hand.
"""

from typing import Any

import numpy as np
from numba import get_num_threads
from scipy import sparse

from workbench.errors import WorkbenchError
from workbench.kernels.sparse_inner import spgemm_inner
from workbench.kernels.sparse_outer import spgemm_outer
from workbench.kernels.sparse_rowwise import rowwise_parallel, sort_rows
from workbench.kernels.sparse_vector import csr_matvec, csr_matvec_parallel

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
LEAST = 2**16  # stored numbers for which it pays to wake another thread


def sparse_matvec(A: Any, x: np.ndarray, *, parallel: bool = True) -> np.ndarray:
    """A x for a scipy sparse matrix `A` [rows, columns] and `x` [columns], both float32 or float64."""
    _check(A, "A")
    if x.shape != (A.shape[1],) or x.dtype != A.dtype:
        raise WorkbenchError(f"x must be {A.dtype} [{A.shape[1]}], but {x.dtype} {x.shape} came")
    indptr, indices, data = _parts(A.tocsr())
    y = np.empty(A.shape[0], A.dtype)
    if parallel:
        csr_matvec_parallel(indptr, indices, data, x, y, _even(indptr))
    else:
        csr_matvec(indptr, indices, data, x, y)
    return y


def sparse_matmul(A: Any, B: Any, *, sort: bool = False, parallel: bool = True) -> sparse.csr_array:
    """A B row by row, for scipy sparse matrices [n, k] and [k, m], both float32 or both float64.

    The result stores a number wherever two stored numbers meet, even if their sum is 0; the columns of a row
    are in order only if `sort`. The readable twin is `_spgemm_rowwise`.
    """
    _check_product(A, B)
    A, B = A.tocsr(), B.tocsr()
    lengths = np.diff(B.indptr)[A.indices]  # of the rows of B that A's numbers name
    work = np.concatenate([[0], np.cumsum(lengths)])[A.indptr]
    bounds = _even(work) if parallel else np.array([0, A.shape[0]])
    c_indptr, c_indices, c_data = _rowwise(_parts(A), _parts(B), B.shape[1], bounds, work[bounds])
    if sort:
        sort_rows(c_indptr, c_indices, c_data)
    C = sparse.csr_array((c_data, c_indices, c_indptr), shape=(A.shape[0], B.shape[1]))
    C.has_sorted_indices = sort
    return C


def _rowwise(A: Parts, B: Parts, columns: int, bounds: np.ndarray, room: np.ndarray) -> Parts:
    """The product by one thread for each share of the rows, whose results are then moved together.

    Each share has room for as many numbers as it has products; what stays empty takes no memory.
    """
    shares = len(bounds) - 1
    starts = np.empty(bounds[-1] + shares, np.int64)
    indices, data = np.empty(room[-1], np.int32), np.empty(room[-1], A[2].dtype)
    places = np.full((shares, columns), -1, np.int32 if room[-1] < 2**31 else np.int64)
    rowwise_parallel(*A, *B, starts, indices, data, places, bounds, room)
    indptr, end = np.empty(bounds[-1] + 1, np.int64), 0
    for t in range(shares):
        first, last = bounds[t], bounds[t + 1]
        own = starts[first + t : last + t + 1]
        indptr[first : last + 1] = end + own
        if room[t] > end:
            indices[end : end + own[-1]] = indices[room[t] : room[t] + own[-1]]
            data[end : end + own[-1]] = data[room[t] : room[t] + own[-1]]
        end += own[-1]
    return indptr, indices[:end], data[:end]


def sparse_matmul_inner(A: Any, B: Any) -> np.ndarray:
    """A B by inner products, a dense array [n, m]; the readable twin is `_spgemm_inner`."""
    _check_product(A, B)
    C = np.empty((A.shape[0], B.shape[1]), A.dtype)
    spgemm_inner(*_parts(_tidy(A.tocsr())), *_parts(_tidy(B.tocsc())), C)
    return C


def sparse_matmul_outer(A: Any, B: Any) -> np.ndarray:
    """A B by outer products, a dense array [n, m]; the readable twin is `_spgemm_outer`."""
    _check_product(A, B)
    C = np.zeros((A.shape[0], B.shape[1]), A.dtype)
    spgemm_outer(*_parts(A.tocsc()), *_parts(B.tocsr()), C)
    return C


def _parts(A: Any) -> Parts:
    """Where rows (or columns) begin, the places in them, the numbers."""
    return A.indptr.astype(np.uint64), A.indices.astype(np.int32, copy=False).view(np.uint32), A.data


def _tidy(A: Any) -> Any:
    """A matrix whose places are in order, each once; the given one stays as it is."""
    if A.has_canonical_format:
        return A
    A = A.copy()
    A.sum_duplicates()
    return A


def _even(work: np.ndarray) -> np.ndarray:
    """Bounds of shares of rows, one for each thread; `work` [rows + 1] grows by the work of each row."""
    shares = max(1, min(get_num_threads(), int(work[-1]) // LEAST))
    targets = work[-1] * np.arange(1, shares) / shares
    return np.concatenate([[0], np.searchsorted(work, targets), [len(work) - 1]]).astype(np.int64)


def _check(A: Any, name: str) -> None:
    if not sparse.issparse(A) or A.ndim != 2:
        raise WorkbenchError(f"{name} must be a scipy sparse matrix, but {type(A).__name__} came")
    if A.dtype not in (np.float32, np.float64):
        raise WorkbenchError(f"{name} must hold float32 or float64, but {A.dtype} came")


def _check_product(A: Any, B: Any) -> None:
    _check(A, "A")
    _check(B, "B")
    if A.shape[1] != B.shape[0] or A.dtype != B.dtype:
        raise WorkbenchError(
            f"B must be {A.dtype} with {A.shape[1]} rows, as many as A has columns, "
            f"but {B.dtype} {B.shape} came"
        )

"""Softmax over the last axis, one function for all its algorithms.

    y_i = e^(x_i) / sum over j of e^(x_j)

The algorithms, each in a file of its own, differ only in how often they read a row and in how often they
calculate an exponential.
"""

import numpy as np
from numba import get_num_threads

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.softmax_pairs import softmax_two_pass, softmax_two_pass_rows
from workbench.kernels.softmax_running import softmax_online, softmax_online_blocked
from workbench.kernels.softmax_three_pass import softmax_recompute, softmax_reload

BLOCK = 4096  # numbers of a row that stay in the first-level cache
LEAST = 2**15  # numbers for which it pays to wake another thread


@kernel(cache=True)
def _blocked(x, y):
    softmax_online_blocked(x, y, BLOCK)


METHODS = {
    "recompute": softmax_recompute,
    "reload": softmax_reload,
    "online": softmax_online,
    "online-blocked": _blocked,
    "two-pass": softmax_two_pass,
}


def softmax(
    x: np.ndarray, out: np.ndarray | None = None, *, method: str = "two-pass", parallel: bool = False
) -> np.ndarray:
    """The softmax of `x` [..., n] over its last axis, float32.

    Writes to `out` (shape of `x`, C-contiguous float32, apart from `x`) if given and returns it. `method` is
    "recompute" or "reload" (three passes), "online", "online-blocked" or "two-pass"; `parallel` runs
    two-pass on all threads, over rows and parts of rows. -inf becomes 0; a row that holds nan or inf, or
    nothing above -inf, becomes nan; results below 2^-126 may become 0. The readable twin is `_softmax`.
    """
    if x.dtype != np.float32 or x.ndim == 0 or x.shape[-1] == 0:
        raise WorkbenchError(f"x must be float32 [..., n] with n > 0, but {x.dtype} {x.shape} came")
    if method not in METHODS:
        raise WorkbenchError(f"method must be one of {', '.join(METHODS)}, but {method!r} came")
    if parallel and method != "two-pass":
        raise WorkbenchError(f"only the two-pass method is parallel, but {method!r} came")
    if out is None:
        out = np.empty(x.shape, np.float32)
    elif out.shape != x.shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise WorkbenchError(
            f"out must be a C-contiguous float32 array of shape {x.shape}, but {out.dtype} {out.shape} came"
        )
    elif np.may_share_memory(out, x):
        raise WorkbenchError("out must not overlap x: a number is read again after results were written")
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    results = out.reshape(rows.shape)
    if parallel:
        softmax_two_pass_rows(rows, results, parts(*rows.shape))
    else:
        for row, result in zip(rows, results, strict=True):
            METHODS[method](row, result)
    return out


def parts(rows: int, n: int) -> int:
    """Into how many parts each row is cut so that all threads have work worth having."""
    return max(1, min(get_num_threads() // max(1, rows), n // LEAST))


def _softmax(x: np.ndarray) -> np.ndarray:
    """The readable twin of `softmax`, in float64."""
    x = x.astype(np.float64)
    e = np.exp(x - x.max(-1, keepdims=True))
    result: np.ndarray = e / e.sum(-1, keepdims=True)
    return result

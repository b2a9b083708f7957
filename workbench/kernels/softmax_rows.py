"""Softmax over the last axis, one function for all its algorithms.

    y_i = e^(x_i) / sum over j of e^(x_j)

The algorithms, each in a file of its own, differ only in how often they read a row and in how often they
calculate an exponential.
"""

import numpy as np
from numba import get_num_threads

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels import softmax_pairs, softmax_three_pass
from workbench.kernels.cost import Cost
from workbench.kernels.softmax_pairs import softmax_two_pass, softmax_two_pass_rows
from workbench.kernels.softmax_running import softmax_online, softmax_online_blocked
from workbench.kernels.softmax_three_pass import softmax_recompute, softmax_reload

BLOCK = 4096  # numbers of a row that stay in the first-level cache
LEAST = 2**15  # numbers for which it pays to wake another thread


@kernel(cache=True)
def _blocked(x, y):
    softmax_online_blocked(x, y, BLOCK)


@kernel(cache=True)
def _two_pass(x, y):
    if not softmax_two_pass(x, y):
        softmax_reload(x, y)


METHODS = {
    "recompute": softmax_recompute,
    "reload": softmax_reload,
    "online": softmax_online,
    "online-blocked": _blocked,
    "two-pass": _two_pass,
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


def softmax_cost(method: str, n: int) -> Cost:
    """The closed form of the kernel behind a method for a row of n numbers; scratch is left out.

    An exponential as a pair takes 16 operations, a power of two 2.
    """
    e = 16 + 2 + 1  # e^(x - top), before mantissa and power are multiplied
    lanes, four = softmax_three_pass.LANES, 4 * softmax_pairs.SUMS
    rest = n % four
    flops, x, y, stores = {
        "recompute": (2 * (e + 2) * n + lanes + 1, 3 * n, 0, n),
        "reload": ((e + 3) * n + lanes + 1, 2 * n, n, 2 * n),
        "online": ((3 * e + 6) * n + (e + 2) * lanes + lanes + 1, 2 * n, 0, n),
        "two-pass": (43 * (n - rest) + 46 * rest + 9 * (softmax_pairs.SUMS - 1) + 1, 2 * n, 0, n),
    }[method]
    touched = {"x": 4 * n, "y": 4 * n}
    return Cost(flops=flops, loads={"x": x, "y": y}, stores={"y": stores}, bytes_unique=touched)


def parts(rows: int, n: int) -> int:
    """Into how many parts each row is cut so that all threads have work worth having."""
    return max(1, min(get_num_threads() // max(1, rows), n // LEAST))


def _softmax(x: np.ndarray) -> np.ndarray:
    """The readable twin of `softmax`, in float64."""
    x = x.astype(np.float64)
    e = np.exp(x - x.max(-1, keepdims=True))
    result: np.ndarray = e / e.sum(-1, keepdims=True)
    return result

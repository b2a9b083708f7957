"""Scans: prefix sums, and the recurrence of a selective state space, with their operands checked."""

import numpy as np
from numba import get_num_threads

from workbench.errors import WorkbenchError
from workbench.kernels.scan_blocks import scan_blocked
from workbench.kernels.scan_chain import scan_serial
from workbench.kernels.scan_selective import selective_scan_blocked, selective_scan_serial
from workbench.kernels.scan_tree import scan_blelloch

METHODS = ("serial", "blelloch", "blocked")


def prefix_sum(x: np.ndarray, out: np.ndarray | None = None, *, method: str = "blocked") -> np.ndarray:
    """The inclusive prefix sums of `x` [n], of float32, float64 or int64, in its own type.

    Writes to `out` (shape and type of `x`, apart from it) if given and returns it. `method` is "serial",
    "blelloch" (a tree, on one thread) or "blocked" (on all threads).
    """
    if x.ndim != 1 or x.dtype not in (np.float32, np.float64, np.int64):
        raise WorkbenchError(f"x must be float32, float64 or int64 [n], but {x.dtype} {x.shape} came")
    if method not in METHODS:
        raise WorkbenchError(f"method must be one of {', '.join(METHODS)}, but {method!r} came")
    if out is None:
        out = np.empty_like(x)
    elif out.shape != x.shape or out.dtype != x.dtype:
        raise WorkbenchError(f"out must be {x.dtype} {x.shape} as x is, but {out.dtype} {out.shape} came")
    elif np.may_share_memory(out, x):
        raise WorkbenchError("out must not overlap x: numbers are read again after sums were written")
    if x.size == 0:
        return out
    if method == "blocked":
        scan_blocked(x, out, get_num_threads())
    elif method == "serial":
        scan_serial(x, out)
    else:
        tree = np.zeros(1 << (x.size - 1).bit_length(), x.dtype)
        tree[: x.size] = x
        scan_blelloch(tree)
        np.add(tree[: x.size], x, out=out)
    return out


def selective_scan(
    x: np.ndarray, delta: np.ndarray, A: np.ndarray, B: np.ndarray, C: np.ndarray, *, parallel: bool = True
) -> np.ndarray:
    """y [n, channels] of the selective state space, from a state of 0, all float32.

    `x`, `delta` [n, channels], `A` [channels, S], `B`, `C` [n, S]; delta * A must stay below 88 or its
    exponential overflows (A is negative in a stable one). `parallel` cuts time into a block for each thread.
    The readable twin is `_selective_scan`.
    """
    shapes = {"x": x.shape, "delta": delta.shape, "A": A.shape, "B": B.shape, "C": C.shape}
    n, channels = x.shape if x.ndim == 2 else (-1, -1)
    states = A.shape[-1] if A.ndim else -1
    wanted = {
        "x": (n, channels),
        "delta": (n, channels),
        "A": (channels, states),
        "B": (n, states),
        "C": (n, states),
    }
    if shapes != wanted:
        came = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise WorkbenchError(f"x, delta [n, channels], A [channels, S], B, C [n, S] are needed, not {came}")
    for name, array in (("x", x), ("delta", delta), ("A", A), ("B", B), ("C", C)):
        if array.dtype != np.float32:
            raise WorkbenchError(f"{name} must be float32, but {array.dtype} came")
    x, delta, A, B, C = map(np.ascontiguousarray, (x, delta, A, B, C))
    y, h = np.empty_like(x), np.zeros(A.shape, np.float32)
    if parallel and n > 0:
        selective_scan_blocked(x, delta, A, B, C, h, y, get_num_threads())
    else:
        selective_scan_serial(x, delta, A, B, C, h, y)
    return y

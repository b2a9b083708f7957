"""A matrix product at the machine's limit: packed panels, and weights that stay in registers.

A core can multiply and add on whole vectors twice a cycle or so, but can neither load nor store as often. So
a value that has come into a register must be used several times. Here the innermost step takes ROWS rows of C
and TAPS rows of B; its ROWS * TAPS elements of A stay in registers while a vector moves along j:

    c[r, j] += sum over t < TAPS of  a[r, t] * b[t, j]        for r < ROWS

which is ROWS * TAPS fused operations for TAPS + ROWS loads and ROWS stores. Around it

- B is copied ("packed") into panels of WIDTH columns, whose rows stand one constant stride apart: the panel
  fits the second-level cache, the rows of C at hand the first, and the compiler knows that they are apart;
- A is packed once, in the order in which it is read;
- what is missing at the edges is filled with zeros, whose results are dropped. No zero ever meets a value
  that a real output sees, so inf and nan keep their meaning.

The same step carries `conv2d` and `winograd_conv2d`: they only pack other panels.
"""

import numpy as np
from numba import get_num_threads, njit, prange

from workbench.errors import WorkbenchError

FAST = {"contract", "reassoc", "nsz"}  # sums may be regrouped and fused; inf and nan keep their meaning
ROWS, TAPS = 4, 6  # 24 elements of A, 4 sums and a vector of B: of 32 vector registers, 29
WIDTH = 256  # columns of a panel
DEPTH = 64  # groups of TAPS rows of a panel that are multiplied together
LANES = 16  # widths are rounded up to whole vectors
TALL = 32  # at most so many groups of ROWS rows share a packed panel


def packed_matmul(A: np.ndarray, B: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The product of `A` [n, k] and `B` [k, m], float32 or float64, on all threads.

    Writes to `out` [n, m] (C-contiguous, apart from A and B) if given and returns it. The readable twin is
    `matmul_blocked`.
    """
    if A.ndim != 2 or B.ndim != 2 or A.shape[1] != B.shape[0]:
        raise WorkbenchError(f"A must be [n, k] and B [k, m], but {A.shape} and {B.shape} came")
    if A.dtype not in (np.float32, np.float64) or B.dtype != A.dtype:
        raise WorkbenchError(f"A and B must both be float32 or float64, but {A.dtype} and {B.dtype} came")
    out = output((A.shape[0], B.shape[1]), out, A, B)
    if A.shape[1] == 0:
        out[:] = 0
        return out
    _matmul(pack_rows(np.ascontiguousarray(A)), np.ascontiguousarray(B), out, get_num_threads())
    return out


def output(shape: tuple[int, ...], out: np.ndarray | None, *inputs: np.ndarray) -> np.ndarray:
    """`out` if it fits, a new array if there is none; both of the inputs' type."""
    dtype = inputs[0].dtype
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise WorkbenchError(
            f"out must be a C-contiguous {dtype} array of shape {shape}, but {out.dtype} {out.shape} came"
        )
    if any(np.may_share_memory(out, given) for given in inputs):
        raise WorkbenchError("out must not overlap an input: an output would be read again as an input")
    return out


@njit(cache=True, parallel=True)
def pack_rows(A):
    """`A` [n, k] as [groups of ROWS, groups of TAPS, ROWS * TAPS], filled up with zeros."""
    n, k = A.shape
    packed = np.zeros(((n + ROWS - 1) // ROWS, (k + TAPS - 1) // TAPS, ROWS * TAPS), A.dtype)
    for r in prange(len(packed)):
        for i in range(ROWS * r, min(ROWS * r + ROWS, n)):
            for t in range(k):
                packed[r, t // TAPS, i % ROWS * TAPS + t % TAPS] = A[i, t]
    return packed


@njit(cache=True, fastmath=FAST)
def step(a, b, c, width):
    """c[r, j] += sum of a[r, t] * b[t, j]: `a` [ROWS * TAPS], `b` [TAPS * WIDTH], `c` [ROWS * WIDTH]."""
    for j in range(width):
        c0 = c[j]
        c1 = c[j + WIDTH]
        c2 = c[j + 2 * WIDTH]
        c3 = c[j + 3 * WIDTH]
        for t in range(TAPS):
            value = b[j + t * WIDTH]
            c0 += a[t] * value
            c1 += a[t + TAPS] * value
            c2 += a[t + 2 * TAPS] * value
            c3 += a[t + 3 * TAPS] * value
        c[j] = c0
        c[j + WIDTH] = c1
        c[j + 2 * WIDTH] = c2
        c[j + 3 * WIDTH] = c3


@njit(cache=True)
def multiply(a, panel, sums, width):
    """ROWS rows of the product: `sums` [ROWS * WIDTH] from `a` [tap groups, ROWS * TAPS] and `panel`
    [tap groups, TAPS * WIDTH]."""
    sums[:] = 0
    for g in range(len(a)):
        step(a[g], panel[g], sums, width)


@njit(cache=True)
def copy(source, target):
    for j in range(len(source)):
        target[j] = source[j]


@njit(cache=True)
def add(source, target):
    for j in range(len(source)):
        target[j] += source[j]


@njit(cache=True)
def whole_vectors(width):
    return (width + LANES - 1) // LANES * LANES


@njit(cache=True)
def _pack_panel(B, first_row, first_column, width, panel):
    """Rows of B from `first_row` on as groups of TAPS; rows that B does not have are zeros."""
    for k in range(panel.shape[0] * TAPS):
        row = panel[k // TAPS, k % TAPS * WIDTH : k % TAPS * WIDTH + width]
        if first_row + k < len(B):
            copy(B[first_row + k, first_column : first_column + width], row)
        else:
            row[:] = 0


@njit(cache=True)
def _one_block(a, B, out, first_column, panel, sums):
    """The rows `out` of the product that `a` stands for, and up to WIDTH of its columns."""
    width = min(WIDTH, out.shape[1] - first_column)
    for first in range(0, a.shape[1], DEPTH):
        groups = min(DEPTH, a.shape[1] - first)
        _pack_panel(B, first * TAPS, first_column, width, panel[:groups])
        for r in range(len(a)):
            multiply(a[r, first : first + groups], panel, sums, whole_vectors(width))
            for i in range(r * ROWS, min(r * ROWS + ROWS, len(out))):
                start = i % ROWS * WIDTH
                found = sums[start : start + width]
                target = out[i, first_column : first_column + width]
                if first == 0:
                    copy(found, target)
                else:
                    add(found, target)


@njit(cache=True, parallel=True)
def _matmul(a, B, out, threads):
    """Each thread has a panel and sums of its own and goes through every `threads`-th block."""
    across = -(-out.shape[1] // WIDTH)
    wanted = -(-2 * threads // max(1, across))  # blocks one above the other, so that all have work
    tall = max(1, min(TALL, -(-len(a) // wanted)))
    down = -(-len(a) // tall)
    for thread in prange(threads):
        panel = np.zeros((min(DEPTH, a.shape[1]), TAPS * WIDTH), out.dtype)
        sums = np.empty(ROWS * WIDTH, out.dtype)
        for block in range(thread, across * down, threads):
            row = block % down * tall
            rows = out[row * ROWS : (row + tall) * ROWS]
            _one_block(a[row : row + tall], B, rows, block // down * WIDTH, panel, sums)

"""STREAM: four loops that do next to nothing, so that a machine's memory sets their time.

    copy   c = a            one load, one store
    scale  b = s c          one load, one store, one product
    add    c = a + b        two loads, one store, one sum
    triad  a = b + s c      two loads, one store, a sum and a product

Each element is used once: whatever a cache holds is of no use again. `stream_copy(a, c)` and its sisters run
on one thread; `parallel_copy(a, c)` and its sisters give each thread blocks of the same loops. Those loops
are their readable twins. All arrays are 1-D, of one length and type, and may not overlap in part.

After J. D. McCalpin's STREAM benchmark, whose names and argument roles are kept.
"""

from math import ceil

import numpy as np
from numba import get_num_threads, prange

from workbench.counting import kernel
from workbench.errors import WorkbenchError
from workbench.kernels.cost import Cost

BLOCKS_PER_THREAD = 4  # so that a thread that was held up hands work to the others


@kernel(cache=True)
def stream_copy(a, c):  # [n] [n]
    for i in range(a.size):
        c[i] = a[i]


@kernel(cache=True)
def stream_scale(c, b, s):  # [n] [n]
    for i in range(c.size):
        b[i] = s * c[i]


@kernel(cache=True)
def stream_add(a, b, c):  # [n] [n] [n]
    for i in range(a.size):
        c[i] = a[i] + b[i]


@kernel(cache=True)
def stream_triad(b, c, a, s):  # [n] [n] [n]
    for i in range(b.size):
        a[i] = b[i] + s * c[i]


@kernel(cache=True, parallel=True)
def _copy_blocks(a, c, block):
    for part in prange((a.size + block - 1) // block):
        here = slice(part * block, (part + 1) * block)
        stream_copy(a[here], c[here])


@kernel(cache=True, parallel=True)
def _scale_blocks(c, b, s, block):
    for part in prange((c.size + block - 1) // block):
        here = slice(part * block, (part + 1) * block)
        stream_scale(c[here], b[here], s)


@kernel(cache=True, parallel=True)
def _add_blocks(a, b, c, block):
    for part in prange((a.size + block - 1) // block):
        here = slice(part * block, (part + 1) * block)
        stream_add(a[here], b[here], c[here])


@kernel(cache=True, parallel=True)
def _triad_blocks(b, c, a, s, block):
    for part in prange((b.size + block - 1) // block):
        here = slice(part * block, (part + 1) * block)
        stream_triad(b[here], c[here], a[here], s)


def parallel_copy(a: np.ndarray, c: np.ndarray) -> None:
    """c = a on all threads; the twin of `stream_copy`."""
    _copy_blocks(a, c, _block(a, c))


def parallel_scale(c: np.ndarray, b: np.ndarray, s: float) -> None:
    """b = s c on all threads; the twin of `stream_scale`."""
    _scale_blocks(c, b, c.dtype.type(s), _block(c, b))


def parallel_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """c = a + b on all threads; the twin of `stream_add`."""
    _add_blocks(a, b, c, _block(a, b, c))


def parallel_triad(b: np.ndarray, c: np.ndarray, a: np.ndarray, s: float) -> None:
    """a = b + s c on all threads; the twin of `stream_triad`."""
    _triad_blocks(b, c, a, b.dtype.type(s), _block(b, c, a))


def stream_cost(name: str, n: int, itemsize: int) -> Cost:
    """The closed form of `stream_copy`, `_scale`, `_add` or `_triad` on arrays of n elements."""
    sources, target, flops = {
        "copy": ("a", "c", 0),
        "scale": ("c", "b", 1),
        "add": ("ab", "c", 1),
        "triad": ("bc", "a", 2),
    }[name]
    return Cost(
        flops=flops * n,
        loads=dict.fromkeys(sources, n),
        stores={target: n},
        bytes_unique=dict.fromkeys(sources + target, n * itemsize),
    )


def _block(*arrays: np.ndarray) -> int:
    """Checks the operands and says how many elements one block has."""
    first = arrays[0]
    if any(array.ndim != 1 or array.size != first.size for array in arrays):
        raise WorkbenchError(f"the arrays must be 1-D and equally long, but {_shapes(arrays)} came")
    if any(array.dtype != first.dtype for array in arrays) or first.dtype not in (np.float32, np.float64):
        kinds = ", ".join(str(array.dtype) for array in arrays)
        raise WorkbenchError(f"the arrays must all be float32 or all float64, but {kinds} came")
    return max(1, ceil(first.size / (BLOCKS_PER_THREAD * get_num_threads())))


def _shapes(arrays: tuple[np.ndarray, ...]) -> str:
    return ", ".join(str(array.shape) for array in arrays)

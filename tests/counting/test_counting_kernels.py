"""`count` against a Python interpreter that counts, against closed forms, and against its own promises."""

import numpy as np
import pytest

from tests.counting import sample_kernels as sample
from tests.counting.kernel_twin import Tape
from workbench.counting import Geometry, Level, count, simulate

KiB = 1024
CACHES = Geometry([Level(1 * KiB, 2), Level(4 * KiB, 4)])


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).random(shape).astype(dtype)


A, B, C = draw(5, 7), draw(7, 6, seed=1), draw(5, 6, seed=2)
CALLS = {
    "ijk": (sample.matmul_ijk, (A, B, C)),
    "ikj, Fortran order": (sample.matmul_ikj, (np.asfortranarray(A), B, C)),
    "blocked, float32": (sample.blocked, (draw(7, 7, dtype=np.float32), draw(7, 7), draw(7, 7), 3)),
    "transpose": (sample.transpose, (draw(6, 9), draw(9, 6))),
    "stencil, strided": (sample.stencil, (draw(16, 9)[::2, ::-1], draw(8, 9))),
    "triad": (sample.triad, (draw(50), draw(50), draw(50), 2.5)),
    "branches to the end": (sample.branches, (draw(13), draw(13), 2.0)),
    "branches cut short": (sample.branches, (draw(13), draw(13), 0.6)),
    "views": (sample.views, (draw(5, 4), draw(5, 4))),
    "integers": (sample.integers, (np.arange(12), draw(12), draw(5))),
    "ping-pong": (sample.ping_pong, (draw(9), draw(9), 3)),
}


@pytest.mark.parametrize("call", CALLS)
def test_counts_are_those_of_an_interpreter(call):
    dispatcher, args = CALLS[call]
    ours, fast, slow = (
        [np.copy(a, order="K") if isinstance(a, np.ndarray) else a for a in args] for _ in range(3)
    )
    tape = Tape(dispatcher.py_func, *slow)
    found = count(dispatcher, *ours, geometry=CACHES)
    assert found.result == dispatcher(*fast)
    for mine, theirs in zip(ours, fast, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert found.ops == {kind: n for kind, n in tape.ops.items() if n}
    if dispatcher is not sample.ping_pong:  # there Python's twin names what it was first called
        assert {name: n for name, n in found.loads.items() if n} == tape.loads
        assert {name: n for name, n in found.stores.items() if n} == tape.stores
    assert found.loads.total == tape.loads.total()
    for name, touched in tape.touched.items():
        assert found.bytes_unique[name] == len(touched)
    _same_misses(found, tape, slow)


def _same_misses(found, tape, arrays):
    """The sequence of the interpreter, sent through the same caches at the same addresses."""
    bases, free = [], 0
    for array in (a for a in arrays if isinstance(a, np.ndarray)):
        low = array.ctypes.data + sum(
            min(0, (n - 1) * s) for n, s in zip(array.shape, array.strides, strict=True)
        )
        reach = sum((n - 1) * abs(s) for n, s in zip(array.shape, array.strides, strict=True))
        bases.append((low, low + reach + array.itemsize, free))
        free += 4096
    addresses = [
        next(place + address - low for low, high, place in bases if low <= address < high)
        for _, address, _ in tape.sequence
    ]
    stores = [store for *_, store in tape.sequence]
    expected = simulate(addresses, CACHES, stores=stores, span=free)
    for name, level in found.cache.items():
        assert level.misses.total == expected.cache[name].misses.total
        assert level.writebacks.total == expected.cache[name].writebacks.total

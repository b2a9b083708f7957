"""Products by every kind of tile against float64, with edges, strides, and no byte beside the result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.wasm import Memory, Passes, Product, Tile, pack, packed_size, packing, product

pytest.importorskip("wasmtime", reason="wasmtime runs the kernels: pip install 'kernel-workbench[test]'")

TILES = st.builds(Tile, st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.booleans())
SIZES = st.tuples(st.integers(1, 14), st.integers(1, 27), st.integers(1, 12))
GUARD = 77.0


def multiplied(shape, tile, passes=Passes(), seed=0):  # noqa: B008
    """C of the kernel, of float64, and the largest error over the sum of the products' sizes."""
    rng = np.random.default_rng(seed)
    memory = Memory(1)
    m, n, k = shape.m, shape.n, shape.k
    A, C = memory.empty(m, shape.lda), memory.empty(m + 1, shape.ldc)
    A[...], C[...] = rng.normal(size=A.shape), GUARD
    b = rng.normal(size=(k, n)).astype(np.float32)
    bias = memory.put(rng.normal(size=-(-n // 4) * 4))
    memory.kernel(product(shape, tile, passes))(A, memory.put(pack(b, tile.nv)), C, bias)
    assert (C[m] == GUARD).all()
    assert (C[:, n:] == GUARD).all(), "nothing is written beside C"
    a = A[:, :k].astype(np.float64)
    truth = a @ b.astype(np.float64) + shape.bias * bias[:n].astype(np.float64)
    scale = np.abs(a) @ np.abs(b) + np.abs(bias[:n])
    return C[:m, :n], truth, float((np.abs(C[:m, :n] - truth) / scale).max())


@settings(max_examples=80, deadline=None)
@given(SIZES, TILES, st.booleans(), st.integers(0, 5), st.integers(0, 5))
def test_any_tile_gives_the_product(sizes, tile, bias, more_a, more_c):
    m, n, k = sizes
    shape = Product(m, n, k, lda=k + more_a, ldc=n + more_c, bias=bias)
    assert multiplied(shape, tile)[2] < 1e-6


@pytest.mark.parametrize("left_out", ["offsets", "fold", "share", "accumulators"])
def test_every_pass_leaves_the_numbers_alone(left_out):
    shape, tile = Product(7, 20, 9, bias=True), Tile(3, 2, 2)
    whole, _, _ = multiplied(shape, tile)
    less, _, _ = multiplied(shape, tile, Passes().without(left_out))
    assert np.array_equal(whole, less)
    assert product(shape, tile) != product(shape, tile, Passes().without(left_out))


def test_extreme_values_pass_through():
    memory = Memory(1)
    a = np.array([[np.inf, 1, 0], [1e38, 1e38, 0], [1e-38, 0, np.nan], [0, 0, 0]], np.float32)
    A, B, C = memory.put(a), memory.put(pack(np.ones((3, 4), np.float32), 1)), memory.empty(4, 4)
    memory.kernel(product(Product(4, 4, 3), Tile(2, 1)))(A, B, C, C)
    with np.errstate(over="ignore"):
        assert np.array_equal(C[:, 0], a.sum(1, dtype=np.float32), equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_packing_in_the_engine_is_packing_by_numpy(k, n, nv, turned, more):
    rng = np.random.default_rng(k * n)
    memory = Memory(1)
    stored = memory.put(rng.normal(size=(n, k + more) if turned else (k, n + more)))
    b = stored[:, :k].T if turned else stored[:, :n]
    row, column = (1, k + more) if turned else (n + more, 1)
    packed = memory.empty(packed_size(k, n) + 1)
    packed[...] = GUARD
    memory.kernel(packing(k, n, nv, row, column))(stored, packed)
    assert np.array_equal(packed[:-1], pack(b, nv))
    assert packed[-1] == GUARD


@pytest.mark.parametrize("sizes", [{"m": 0, "n": 4, "k": 4}, {"m": 4, "n": 4, "k": 4, "lda": 3}])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(WorkbenchError, match="came"):
        Product(**sizes)

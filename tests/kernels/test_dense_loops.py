"""STREAM, matrix product, transposition and stencil: laws, float64 truth, and closed forms against counts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.counting import Geometry, Level, count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    jacobi,
    matmul_blocked,
    matmul_cost,
    matmul_ijk,
    matmul_ikj,
    matmul_jik,
    matmul_jki,
    matmul_kij,
    matmul_kji,
    packed_matmul,
    parallel_add,
    parallel_copy,
    parallel_scale,
    parallel_triad,
    stencil,
    stencil_cost,
    stencil_sweeps,
    stencil_tiled,
    stencil_wavefront,
    stream_add,
    stream_copy,
    stream_cost,
    stream_scale,
    stream_triad,
    transpose,
    transpose_blocked,
    transpose_cost,
    transposed,
)

ORDERS = [matmul_ijk, matmul_ikj, matmul_jik, matmul_jki, matmul_kij, matmul_kji]
STREAM: dict[str, tuple[Any, ...]] = {
    "copy": (stream_copy, parallel_copy, 2, (), lambda a: a),
    "scale": (stream_scale, parallel_scale, 2, (3.0,), lambda c: 3 * c),
    "add": (stream_add, parallel_add, 3, (), lambda a, b: a + b),
    "triad": (stream_triad, parallel_triad, 3, (3.0,), lambda b, c: b + 3 * c),
}


def draw(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(a, b, tolerance):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("name", STREAM)
@pytest.mark.parametrize(("dtype", "n"), [(np.float32, 10_001), (np.float64, 1), (np.float64, 0)])
def test_stream_does_what_numpy_does_on_one_thread_and_on_all(name, dtype, n):
    serial, parallel, arrays, scalars, truth = STREAM[name]
    *sources, target = (draw(n, dtype, seed) for seed in range(arrays))
    for function in (serial, parallel):
        target[:] = np.nan
        function(*sources, target, *map(dtype, scalars))
        close(target, truth(*sources), 1e-6)


@pytest.mark.parametrize("name", STREAM)
def test_stream_counts_are_the_closed_form(name):
    serial, _, arrays, scalars, _ = STREAM[name]
    operands = [np.ones(100, np.float32) for _ in range(arrays)]
    assert stream_cost(name, 100, 4).equals(count(serial, *operands, *map(np.float32, scalars)))


def test_stream_refuses_operands_that_do_not_match():
    with pytest.raises(WorkbenchError, match=r"equally long, but \(3,\), \(4,\) came"):
        parallel_copy(np.ones(3), np.ones(4))
    with pytest.raises(WorkbenchError, match="all be float32 or all float64, but float64, float32 came"):
        parallel_scale(np.ones(3), np.ones(3, np.float32), 2.0)


@pytest.mark.parametrize("order", ORDERS)
def test_every_loop_order_adds_the_product(order):
    A, B, C = draw((7, 5)), draw((5, 6), seed=1), draw((7, 6), seed=2)
    before = C.copy()
    order(A, B, C)
    close(C, before + A @ B, 1e-12)


def test_the_loop_order_decides_the_misses_and_nothing_else():
    """One order for each innermost loop: along rows a line serves eight times in a row, down columns once."""
    A, B, C = np.zeros((64, 56)), np.zeros((56, 64)), np.zeros((64, 64))
    small = Geometry([Level(4096, 8)])
    misses = {}
    for order in (matmul_ikj, matmul_ijk, matmul_jki):
        counts = count(order, A, B, C, geometry=small)
        assert matmul_cost(64, 56, 64, 8).equals(counts)
        misses[counts.kernel] = counts.cache["L1"].misses.total
    assert 4 * misses["matmul_ikj"] < misses["matmul_ijk"] < misses["matmul_jki"]


@pytest.mark.parametrize("tile", [1, 4, 100])
def test_a_blocked_product_is_the_product_for_any_tile(tile):
    A, B, C = draw((9, 10)), draw((10, 11), seed=1), np.zeros((9, 11))
    counts = count(matmul_blocked, A, B, C, tile)
    close(C, A @ B, 1e-12)
    assert matmul_cost(9, 10, 11, 8).equals(counts)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 70), st.integers(0, 400), st.integers(0, 300)),
    turned=st.booleans(),
)
def test_the_packed_product_is_the_product_for_any_shape(shape, turned):
    n, k, m = shape
    A, B = draw((n, k), np.float32), draw((k, m), np.float32, 1)
    if turned:
        A, B = np.asfortranarray(A), np.repeat(B, 2, axis=1)[:, ::2]
    result = packed_matmul(A, B)
    assert result.dtype == np.float32
    close(result, A.astype(np.float64) @ B, 2e-5)


@pytest.mark.slow  # all is compiled again
def test_the_packed_product_in_float64():
    A, B = draw((130, 500)), draw((500, 270), seed=1)
    close(packed_matmul(A, B), A @ B, 1e-12)


def test_the_packed_product_keeps_inf_and_nan_in_their_rows_and_columns():
    A, B = np.ones((5, 7), np.float32), np.ones((7, 300), np.float32)
    A[2, 3], B[4, 260] = np.inf, np.nan
    result = packed_matmul(A, B)
    bad = np.zeros(result.shape, bool)
    bad[2], bad[:, 260] = True, True
    np.testing.assert_array_equal(~np.isfinite(result), bad)


def test_the_packed_product_writes_where_it_is_told_and_refuses_what_does_not_fit():
    A, B, out = draw((4, 3), np.float32), draw((3, 5), np.float32), np.full((4, 5), np.nan, np.float32)
    assert packed_matmul(A, B, out) is out
    close(out, A @ B, 1e-5)
    with pytest.raises(WorkbenchError, match=r"A must be \[n, k\] and B \[k, m\]"):
        packed_matmul(A, A)
    with pytest.raises(WorkbenchError, match="float32 and float64 came"):
        packed_matmul(A, B.astype(np.float64))
    with pytest.raises(WorkbenchError, match=r"array of shape \(4, 5\)"):
        packed_matmul(A, B, out.T)
    square = draw((4, 4))
    with pytest.raises(WorkbenchError, match="must not overlap"):
        packed_matmul(square, square, square)


@pytest.mark.parametrize("shape", [(1, 1), (3, 130), (64, 64), (77, 65), (0, 4)])
def test_transposing(shape):
    n, m = shape
    A = draw(shape, np.float32)
    for made in (transposed(A), transposed(np.asfortranarray(A)), transposed(np.repeat(A, 2, 0)[::2])):
        np.testing.assert_array_equal(made, A.T)
        assert made.flags.c_contiguous
    np.testing.assert_array_equal(transposed(transposed(A)), A)
    B = np.full(shape[::-1], np.nan, np.float32)
    for kernel, extra in ((transpose, ()), (transpose_blocked, (4,))):
        B[:] = np.nan
        counts = count(kernel, A, B, *extra)
        np.testing.assert_array_equal(B, A.T)
        assert transpose_cost(n, m, 4).equals(counts)


def test_tiles_let_a_transposition_miss_each_line_once():
    A, B = np.zeros((128, 128)), np.zeros((128, 128))
    small = Geometry([Level(16384, 256)])  # fully associative: 256 lines
    lines = 2 * A.nbytes // 64
    naive = count(transpose, A, B, geometry=Geometry([Level(4096, 64)])).cache["L1"].misses.total
    blocked = count(transpose_blocked, A, B, 8, geometry=small).cache["L1"].misses.total
    assert blocked == lines
    assert naive == A.nbytes // 64 + A.size


def test_transposed_refuses_what_is_no_matrix():
    with pytest.raises(WorkbenchError, match=r"A must be \[n, m\]"):
        transposed(np.zeros(3))


def sweep(x):
    y = x.copy()
    y[1:-1, 1:-1] = (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]) * x.dtype.type(0.25)
    return y


@pytest.mark.parametrize("shape", [(3, 3), (3, 9), (10, 7), (2, 5), (1, 1)])
def test_a_sweep_and_its_counts(shape):
    n, m = shape
    x = draw(shape)
    for kernel, extra in ((stencil, ()), (stencil_tiled, (3,))):
        y = x.copy()
        counts = count(kernel, x, y, *extra)
        close(y, sweep(x), 1e-12)
        assert stencil_cost(n, m, 8).equals(counts)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 20)),
    sweeps=st.integers(0, 40),
)
def test_tiling_in_time_changes_no_bit(shape, sweeps):
    x = draw(shape)
    truth = x
    for _ in range(sweeps):
        truth = sweep(truth)
    a, b = x.copy(), x.copy()
    stencil_sweeps(a, b, sweeps)
    plain = b if sweeps % 2 else a
    close(plain, truth, 1e-12)
    if min(shape) > 2:
        c, d = x.copy(), x.copy()
        stencil_wavefront(c, d, sweeps)
        np.testing.assert_array_equal(d if sweeps % 2 else c, plain)
    np.testing.assert_array_equal(jacobi(x, sweeps), plain)


@pytest.mark.slow  # to compile for counting
def test_a_wavefront_reads_the_grid_once_for_all_sweeps():
    x, y = np.zeros((96, 64)), np.zeros((96, 64))
    cache = Geometry([Level(32768, 512)])  # 32 KiB: a third of both grids, and all rows of a front of 8
    sweep = count(stencil, x, y, geometry=cache)
    front = count(stencil_wavefront, x, y, 8, geometry=cache)
    assert front.flops == 8 * sweep.flops
    assert front.cache["L1"].misses.total == (x.nbytes + y.nbytes) // 64
    assert sweep.cache["L1"].misses.total > 0.95 * front.cache["L1"].misses.total


def test_jacobi_averages_a_harmonic_grid_to_itself_and_refuses_slips():
    i, j = np.mgrid[:20, :30].astype(float)
    close(jacobi(i * i - j * j + 3 * i, 50), i * i - j * j + 3 * i, 1e-12)
    with pytest.raises(WorkbenchError, match="sweeps must be 0 or more, but -1"):
        jacobi(i, -1)
    with pytest.raises(WorkbenchError, match=r"grid must be \[height, width\]"):
        jacobi(np.zeros((3, 3), int), 1)

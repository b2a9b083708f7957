"""Prefix sums and selective scans against numpy, a float64 twin, other kernels of the room, and by law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    prefix_sum,
    scan_blelloch,
    scan_blelloch_cost,
    scan_blocked,
    scan_serial,
    scan_serial_cost,
    selective_scan,
)
from workbench.kernels.long_convolution_fft import long_convolution
from workbench.kernels.scan import METHODS
from workbench.kernels.scan_selective import _selective_scan, selective_scan_blocked, selective_scan_serial
from workbench.kernels.scan_tree import _scan_exclusive


@pytest.fixture(autouse=True, scope="module")
def build_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


def operands(n, channels=3, states=5, seed=0):
    rng = np.random.default_rng(seed)
    x, B, C = (rng.standard_normal(s).astype(np.float32) for s in ((n, channels), (n, states), (n, states)))
    delta = rng.uniform(0, 1, (n, channels)).astype(np.float32)
    A = -rng.uniform(0, 2, (channels, states)).astype(np.float32)
    return x, delta, A, B, C


@settings(max_examples=60, deadline=None)
@given(x=st.lists(st.integers(-(2**40), 2**40), max_size=200), method=st.sampled_from(METHODS))
def test_whole_numbers_are_summed_exactly(x, method):
    x = np.array(x, np.int64)
    np.testing.assert_array_equal(prefix_sum(x, method=method), np.cumsum(x))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_of_any_length_and_stride(method, dtype):
    for n in (0, 1, 2, 3, 7, 8, 9, 1000, 1025):
        x = np.random.default_rng(n).standard_normal(n).astype(dtype)
        result = prefix_sum(x, method=method)
        assert result.dtype == dtype
        tolerance = 40 * np.finfo(dtype).eps * max(1, np.abs(x).sum())
        np.testing.assert_allclose(result, np.cumsum(x, dtype=np.float64), rtol=0, atol=tolerance)
    x = np.arange(30, dtype=dtype)[::-3]
    np.testing.assert_array_equal(prefix_sum(x, method=method), np.cumsum(x))
    out = np.zeros((10, 2), dtype)[:, 1]
    assert prefix_sum(x, out, method=method) is out
    np.testing.assert_array_equal(out, np.cumsum(x))


@pytest.mark.parametrize("method", METHODS)
def test_an_infinity_spoils_what_comes_after_it_only(method):
    x = np.ones(10)
    x[4] = np.inf
    result = prefix_sum(x, method=method)
    if method == "blelloch":  # a tree takes away nothing, but adds x to what stands before it
        assert np.isfinite(result[:4]).all()
    np.testing.assert_array_equal(result, np.cumsum(x))


@pytest.mark.parametrize("blocks", [1, 2, 3, 8, 40])
def test_any_number_of_blocks(blocks):
    x, y = np.arange(17), np.empty(17, np.int64)
    scan_blocked(x, y, blocks)
    np.testing.assert_array_equal(y, np.cumsum(x))


@pytest.mark.slow
def test_counts_are_the_closed_forms():
    """n - 1 additions one after the other, twice as many in a tree."""
    for n in (1, 2, 16, 64):
        x = np.arange(n, dtype=np.float64)
        assert scan_serial_cost(n, 8).equals(count(scan_serial, x, np.empty(n)))
        tree = x.copy()
        assert scan_blelloch_cost(n, 8).equals(count(scan_blelloch, tree))
        np.testing.assert_array_equal(tree, _scan_exclusive(list(x)))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 40),
    channels=st.integers(1, 5),
    states=st.integers(1, 20),
    blocks=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_selective_scans_agree_with_float64(n, channels, states, blocks, seed):
    given = operands(n, channels, states, seed)
    expected = _selective_scan(*given)
    close = {"rtol": 1e-5, "atol": 1e-4}
    for parallel in (False, True):
        np.testing.assert_allclose(selective_scan(*given, parallel=parallel), expected, **close)
    if n:
        y, h = np.empty_like(given[0]), np.zeros_like(given[2])
        selective_scan_blocked(*given, h, y, blocks)
        np.testing.assert_allclose(y, expected, **close)
        last = np.zeros_like(given[2])
        selective_scan_serial(*given, last, y)
        np.testing.assert_allclose(h, last, **close)


def test_a_scan_goes_on_where_another_stopped():
    """The law that blocks rest on: the state is all that the past leaves."""
    x, delta, A, B, C = operands(30)
    y, whole, h = np.empty_like(x), np.empty_like(x), np.zeros_like(A)
    selective_scan_serial(x, delta, A, B, C, np.zeros_like(A), whole)
    for part in (slice(0, 11), slice(11, 12), slice(12, 30)):
        selective_scan_serial(x[part], delta[part], A, B[part], C[part], h, y[part])
    np.testing.assert_array_equal(y, whole)


def test_steps_are_composed_associatively():
    def then(first, second):
        return second[0] * first[0], second[0] * first[1] + second[1]

    p, q, r = np.random.default_rng(0).random((3, 2))
    np.testing.assert_allclose(then(then(p, q), r), then(p, then(q, r)), rtol=1e-14)
    assert not np.allclose(then(p, q), then(q, p))


def test_constant_steps_are_a_filter_and_a_long_convolution():
    """With the same delta, B and C at all times it is h_t = a h_(t-1) + u_t: a recursive filter."""
    n, a = 200, 0.9
    x = np.random.default_rng(0).standard_normal((n, 1)).astype(np.float32)
    ones = np.ones((n, 1), np.float32)
    y = selective_scan(x, ones, np.full((1, 1), np.log(a), np.float32), ones, ones)[:, 0]
    np.testing.assert_allclose(y, signal.lfilter([1], [1, -a], x[:, 0]), rtol=0, atol=1e-4)
    taps = (a ** np.arange(n)).astype(np.float32)
    np.testing.assert_allclose(y, long_convolution(x.T, taps[None])[0], rtol=0, atol=1e-4)
    total = selective_scan(x, ones, np.zeros((1, 1), np.float32), ones, ones)[:, 0]
    np.testing.assert_allclose(total, prefix_sum(x[:, 0].copy()), rtol=0, atol=1e-4)


def test_linear_in_x_and_strided():
    x, delta, A, B, C = operands(25)
    y = selective_scan(x, delta, A, B, C)
    np.testing.assert_allclose(selective_scan(2 * x, delta, A, B, C), 2 * y, rtol=1e-6)
    turned = np.asfortranarray(x)
    np.testing.assert_array_equal(selective_scan(turned, delta, A, B, C), y)


def test_a_slip_gets_one_sentence():
    with pytest.raises(WorkbenchError, match=r"x must be float32, float64 or int64 .n., but float64 .2, 2."):
        prefix_sum(np.ones((2, 2)))
    with pytest.raises(WorkbenchError, match="one of serial, blelloch, blocked, but 'tree' came"):
        prefix_sum(np.ones(2), method="tree")
    with pytest.raises(WorkbenchError, match=r"out must be float64 .2,."):
        prefix_sum(np.ones(2), np.ones(3))
    x = np.ones(3)
    with pytest.raises(WorkbenchError, match="must not overlap"):
        prefix_sum(x, x)
    x, delta, A, B, C = operands(4)
    with pytest.raises(WorkbenchError, match=r"are needed, not x .4, 3., delta .4, 3., A .5, 3."):
        selective_scan(x, delta, A.T, B, C)
    with pytest.raises(WorkbenchError, match="B must be float32, but float64 came"):
        selective_scan(x, delta, A, B.astype(np.float64), C)

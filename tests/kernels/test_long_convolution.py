"""Long causal convolution against brute force, scipy, and by law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import long_convolution, long_convolution_direct, long_convolution_direct_cost
from workbench.kernels.long_convolution_fft import _long_convolution

METHODS = ("fft", "direct")
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}


@pytest.fixture(autouse=True, scope="module")
def build_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    dtype=st.sampled_from([np.float32, np.float64]),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 99),
)
def test_agrees_with_brute_force_and_scipy(channels, sizes, dtype, method, seed):
    n, m = max(sizes), min(sizes)
    x, w = draw(channels, n, dtype=dtype, seed=seed), draw(channels, m, dtype=dtype, seed=seed + 1)
    y = long_convolution(x, w, method=method)
    assert y.dtype == dtype
    close = {"rtol": 0, "atol": TOLERANCE[dtype] * max(1, np.abs(y).max())}
    for channel, taps, result in zip(x, w, y, strict=True):
        np.testing.assert_allclose(result, _long_convolution(channel, taps), **close)
        np.testing.assert_allclose(result, signal.convolve(channel, taps, method="direct")[:n], **close)


@pytest.mark.parametrize("method", METHODS)
def test_laws(method):
    """Causal, linear, shifted by a shifted tap, commutative; nothing comes round the end."""
    x, w = draw(2, 50), draw(2, 50, seed=1)
    y = long_convolution(x, w, method=method)
    close = {"rtol": 0, "atol": 1e-11}
    future = x.copy()
    future[:, 30:] += 9
    np.testing.assert_allclose(long_convolution(future, w, method=method)[:, :30], y[:, :30], **close)
    both = long_convolution(x + 2 * w, w, method=method)
    np.testing.assert_allclose(both, y + 2 * long_convolution(w, w, method=method), **close)
    np.testing.assert_allclose(long_convolution(w, x, method=method), y, **close)
    tap = np.zeros((2, 50))
    tap[:, 7] = 1
    shifted = long_convolution(x, tap, method=method)
    np.testing.assert_allclose(shifted[:, 7:], x[:, :-7], **close)
    np.testing.assert_allclose(shifted[:, :7], 0, **close)


def test_batches_and_strides():
    x, w = draw(4, 3, 40), draw(3, 9, seed=1)
    view, turned = x[::2, :, ::-2], w[:, ::-1]
    for method in METHODS:
        y = long_convolution(view, turned, method=method)
        assert y.shape == view.shape
        again = [long_convolution(one.copy(), turned.copy(), method=method) for one in view]
        np.testing.assert_allclose(y, again, rtol=0, atol=1e-13)
        assert long_convolution(x[:0], w, method=method).shape == (0, 3, 40)


def test_an_infinity_stays_in_the_future_directly_and_spreads_in_frequency():
    x, w = np.zeros((1, 20)), np.ones((1, 5))
    x[0, 8] = np.inf
    direct = long_convolution(x, w, method="direct")
    np.testing.assert_array_equal(np.isfinite(direct[0]), (np.arange(20) < 8) | (np.arange(20) > 12))
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(long_convolution(x, w)).any()


def test_counts_are_the_closed_form():
    for n, m in ((1, 1), (12, 12), (12, 5)):
        counts = count(long_convolution_direct, draw(n), draw(m), np.empty(n))
        assert long_convolution_direct_cost(n, m, 8).equals(counts)


@pytest.mark.parametrize(
    ("x", "w", "sentence"),
    [
        (draw(5), draw(1, 5), "x must be float32 or float64 .* .5,. came"),
        (draw(2, 0), draw(2, 1), "not empty"),
        (draw(2, 5), draw(3, 5), "w must be float64 .2 channels, m. .* .3, 5. came"),
        (draw(2, 5), draw(2, 6), "0 < m <= 5"),
        (draw(2, 5), draw(2, 5, dtype=np.float32), "float32 .2, 5. came"),
    ],
)
def test_a_slip_gets_one_sentence(x, w, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        long_convolution(x, w)
    with pytest.raises(WorkbenchError, match="method must be fft or direct"):
        long_convolution(draw(1, 2), draw(1, 2), method="slow")

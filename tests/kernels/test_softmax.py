"""Every softmax against float64, against scipy, and by law; what each does to memory against its formula."""

import platform
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numba import njit
from scipy import special

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    exp32,
    softmax,
    softmax_cost,
    softmax_online,
    softmax_online_blocked,
    softmax_recompute,
    softmax_reload,
    softmax_two_pass,
)
from workbench.kernels.softmax_exp import FUSED
from workbench.kernels.softmax_pairs import _softmax_two_pass, softmax_two_pass_rows
from workbench.kernels.softmax_rows import METHODS, _softmax, parts
from workbench.kernels.softmax_running import _softmax_online

EVERY = [*METHODS, "parallel"]
SIZES = [1, 2, 7, 63, 64, 65, 255, 256, 257, 1000, 4099]


@pytest.fixture(autouse=True, scope="module")
def build_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


def draw(*shape, scale=5.0, seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def apply(method, x):
    return softmax(x, parallel=True) if method == "parallel" else softmax(x, method=method)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("offset", [0, -1000, 1e5])
def test_agrees_with_float64_at_any_size_and_offset(method, offset):
    """Of the rounded input: what float32 cannot hold of an offset row is lost before."""
    for size in SIZES:
        x = draw(size, seed=size) + np.float32(offset)
        expected = _softmax(x)
        kept = expected > 1e-37  # below, a result may be 0
        y = apply(method, x)
        assert np.abs(y[kept] / expected[kept] - 1).max() < 4e-6
        assert y[~kept] == pytest.approx(0, abs=1e-36)


def test_the_readable_twins_agree_with_scipy():
    x = draw(3, 100, scale=100)
    expected = special.softmax(x.astype(np.float64), axis=-1)
    np.testing.assert_allclose(_softmax(x), expected, rtol=1e-13)
    for twin in (_softmax_online, _softmax_two_pass):
        np.testing.assert_allclose([twin(row) for row in x], expected, rtol=1e-11)


@settings(max_examples=60, deadline=None)
@given(
    x=hnp.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1000, 1000, width=32)),
    method=st.sampled_from(EVERY),
    seed=st.integers(0, 99),
)
def test_laws(x, method, seed):
    """Rows sum to one; order of the numbers and a common shift change nothing; larger in, larger out."""
    y = apply(method, x)
    assert y.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert y.min() >= 0
    order = np.random.default_rng(seed).permutation(x.size)
    np.testing.assert_allclose(apply(method, x[order]), y[order], rtol=1e-5, atol=1e-37)
    whole = np.round(x)
    np.testing.assert_allclose(
        apply(method, whole + np.float32(4096)), apply(method, whole), rtol=2e-5, atol=1e-37
    )
    assert np.all(np.diff(y[np.argsort(x)]) >= -1e-6 * y.max())


EXTREME = [
    [np.inf, 0],
    [-np.inf, 0, -np.inf],
    [-np.inf, -np.inf],
    [np.nan, 0, 1],
    [0, 1, np.nan],
    [0] * 300 + [np.nan],
    [1e38, 1e38],
    [3e38, 0, -3e38],
    [np.finfo(np.float32).min] * 3,
    [-1e30, 0],
    [-1e9, 1, 0],
    [1e-40, 0],
    [2e7, 2e7 - 2],
    [-2e9, -2e9],
    [5e6] * 300 + [5e6 - 1] * 3,
]


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("row", EXTREME, ids=lambda row: " ".join(map(str, row[-3:])))
def test_extreme_rows_mean_what_they_mean_in_float64(row, method):
    x = np.array(row, np.float32)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        expected = special.softmax(x.astype(np.float64))
    np.testing.assert_allclose(apply(method, x), expected, rtol=1e-6, atol=1e-37, equal_nan=True)


def test_equal_numbers_share_equally():
    for method in EVERY:
        np.testing.assert_array_equal(apply(method, np.full(64, 88.9, np.float32)), np.float32(1 / 64))


def test_the_exponential_is_within_two_units_in_the_last_place():
    x = np.linspace(-87.3, 88, 1_000_001).astype(np.float32)
    y = np.empty_like(x)
    exp32(x, y)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(y - exact) / np.spacing(exact.astype(np.float32))).max() < 2
    exp32(np.array([0, -200, -np.inf], np.float32), y)
    np.testing.assert_array_equal(y[:3], [1, 0, 0])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 instructions")
@pytest.mark.parametrize("dispatcher", [softmax_reload, softmax_two_pass])
def test_the_fast_loops_are_vectors(dispatcher):
    """One number at a time, or calls of a library, would make it no comparison of passes."""
    fresh = njit(fastmath=FUSED)(dispatcher.py_func)  # one that was loaded from a cache shows no assembly
    fresh(draw(512), np.empty(512, np.float32))
    (assembly,) = fresh.inspect_asm().values()
    for instruction in ("mulps", "maxps", "round|rndscale"):
        assert re.search(rf"v?({instruction})", assembly)
    assert not re.search(r"\bexpf?\b", assembly)


def test_batches_strides_and_a_given_output():
    x = draw(4, 3, 40)
    view = x.transpose(1, 0, 2)[:, ::2, ::3]
    for method in EVERY:
        np.testing.assert_array_equal(apply(method, view), apply(method, view.copy()))
        assert apply(method, x[:0]).shape == (0, 3, 40)
    out, before = np.full_like(x, np.nan), x.copy()
    assert softmax(x, out) is out
    np.testing.assert_array_equal(out, softmax(x))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 50])
def test_blocks_of_a_row_make_no_difference(blocks):
    X = draw(3, 41)
    Y = np.empty_like(X)
    softmax_two_pass_rows(X, Y, blocks)
    np.testing.assert_allclose(Y, _softmax(X), rtol=2e-6)
    assert parts(1, 10) == parts(100, 10**6) == 1


COUNTED = {
    "recompute": softmax_recompute,
    "reload": softmax_reload,
    "online": softmax_online,
    "two-pass": softmax_two_pass,
}


@pytest.mark.slow
@pytest.mark.parametrize("method", COUNTED)
def test_counts_are_the_closed_form(method):
    """4 n, 5 n, 3 n and 3 n accesses to the row and its result, whatever the numbers are."""
    for n in (1, 600):
        x, y = draw(n), np.empty(n, np.float32)
        counts, cost = count(COUNTED[method], x, y), softmax_cost(method, n)
        assert counts.flops == cost.flops
        for name in ("x", "y"):
            assert counts.loads[name] == cost.loads[name]
            assert counts.stores[name] == cost.stores.get(name, 0)
            assert counts.bytes_unique[name] == cost.bytes_unique[name]
        np.testing.assert_array_equal(y, apply(method, x))
    accesses = cost.loads["x"] + cost.loads["y"] + cost.stores["y"]
    assert accesses == n * {"recompute": 4, "reload": 5, "online": 3, "two-pass": 3}[method]


def test_pairs_decline_a_row_far_from_zero():
    y = np.full(2, 7, np.float32)
    for far in (2e6, -2e6, np.inf, -np.inf, np.nan):
        assert not softmax_two_pass(np.full(2, far, np.float32), y)
        np.testing.assert_array_equal(y, 7)
    assert softmax_two_pass(np.array([-np.inf, 9e5], np.float32), y)
    np.testing.assert_array_equal(y, [0, 1])


def test_any_block_of_the_online_softmax():
    x, y = draw(1000), np.empty(1000, np.float32)
    for block in (1, 3, 256, 999, 5000):
        softmax_online_blocked(x, y, block)
        np.testing.assert_allclose(y, _softmax(x), rtol=4e-6, atol=1e-37)


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ((np.ones(3),), {}, "x must be float32 .* float64 .3,. came"),
        ((np.ones((2, 0), np.float32),), {}, "n > 0"),
        ((np.float32(1) * np.ones((), np.float32),), {}, "x must be float32"),
        ((draw(3),), {"method": "one-pass"}, "method must be one of recompute, .* 'one-pass' came"),
        ((draw(3),), {"method": "reload", "parallel": True}, "only the two-pass method is parallel"),
        ((draw(3), np.empty(4, np.float32)), {}, "out must be a C-contiguous float32 array of shape .3,."),
    ],
)
def test_a_slip_gets_one_sentence(arguments, options, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        softmax(np.asarray(arguments[0]), *arguments[1:], **options)


def test_an_output_that_overlaps_is_refused():
    x = draw(8)
    with pytest.raises(WorkbenchError, match="must not overlap"):
        softmax(x[:4], x[2:6])

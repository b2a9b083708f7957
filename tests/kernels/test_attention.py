"""Attention against a float64 twin, against torch, and by law."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    attention,
    attention_naive,
    attention_naive_cost,
    attention_windowed,
    attention_windowed_cost,
)
from workbench.kernels.attention_heads import METHODS, _attention
from workbench.kernels.attention_tiles import add_product, attention_tiled


@pytest.fixture(autouse=True, scope="module")
def build_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def operands(heads, n, m, d, e, seed=0):
    return draw(heads, n, d, seed=seed), draw(heads, m, d, seed=seed + 1), draw(heads, m, e, seed=seed + 2)


@settings(max_examples=40, deadline=None)
@given(
    heads=st.integers(1, 3),
    n=st.integers(1, 150),
    m=st.integers(1, 150),
    d=st.integers(1, 9),
    e=st.integers(1, 9),
    causal=st.booleans(),
    window=st.none() | st.integers(0, 160),
    seed=st.integers(0, 99),
)
def test_agrees_with_the_whole_matrix_in_float64(heads, n, m, d, e, causal, window, seed):
    m = m if window is None else n
    Q, K, V = operands(heads, n, m, d, e, seed)
    expected = _attention(Q, K, V, causal=causal, window=window)
    for method in METHODS:
        result = attention(Q, K, V, causal=causal, window=window, method=method)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_agrees_with_torch(causal):
    Q, K, V = operands(3, 200, 200, 64, 33)
    tensors = [torch.from_numpy(a)[None] for a in (Q, K, V)]
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal)[0].numpy()
    for method in METHODS:
        result = attention(Q, K, V, causal=causal, method=method)
        np.testing.assert_allclose(result, expected, rtol=0, atol=4e-6)
    near = abs(np.arange(200) - np.arange(200)[:, None]) <= 17
    mask = torch.from_numpy(np.tril(near) if causal else near)
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=mask)[0].numpy()
    for method in METHODS:
        result = attention(Q, K, V, causal=causal, window=17, method=method)
        np.testing.assert_allclose(result, expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("method", METHODS)
def test_laws(method):
    """Order of the keys, a shift of all scores, one key, equal keys, a window of one, a wide window."""
    Q, K, V = operands(2, 70, 140, 8, 5)
    out = attention(Q, K, V, method=method)
    order = np.random.default_rng(0).permutation(140)
    close = {"rtol": 0, "atol": 4e-6}
    np.testing.assert_allclose(attention(Q, K[:, order], V[:, order], method=method), out, **close)
    np.testing.assert_allclose(attention(Q, K + draw(8), V, method=method), out, **close)
    np.testing.assert_allclose(attention(Q, K, V + 3, method=method), out + 3, **close)
    np.testing.assert_allclose(attention(Q[:, :1], K[:, :1], V[:, :1], method=method), V[:, :1])
    flat = attention(Q, np.zeros_like(K), V, method=method)
    np.testing.assert_allclose(flat, np.broadcast_to(V.mean(1, keepdims=True), flat.shape), **close)
    Q, K, V = operands(2, 133, 133, 8, 5)
    np.testing.assert_array_equal(attention(Q, K, V, window=0, method=method), V)
    whole = attention(Q, K, V, window=133, method=method)
    np.testing.assert_array_equal(whole, attention(Q, K, V, method=method))
    past = attention(Q, K, V, causal=True, method=method)
    K[:, 90:], V[:, 90:] = 7, -7
    np.testing.assert_array_equal(attention(Q, K, V, causal=True, method=method)[:, :90], past[:, :90])


@pytest.mark.parametrize("method", METHODS)
def test_huge_scores_choose_and_bad_numbers_stay_in_their_rows(method):
    Q, K, V = operands(1, 140, 140, 4, 3)
    sharp = attention(Q * 1e4, K * 1e4, V, method=method)
    chosen = (Q[0].astype(np.float64) @ K[0].T).argmax(1)
    np.testing.assert_allclose(sharp[0], V[0, chosen], rtol=0, atol=1e-6)
    Q[0, 5] = np.nan
    out = attention(Q, K, V, method=method)
    assert np.isnan(out[0, 5]).all()
    assert np.isfinite(np.delete(out[0], 5, 0)).all()


def test_strided_operands():
    Q, K, V = (a[:, ::2] for a in operands(2, 60, 80, 6, 6))
    for method in METHODS:
        copies = attention(Q.copy(), K.copy(), V.copy(), method=method)
        np.testing.assert_array_equal(attention(Q, K, V, method=method), copies)


def test_one_head_without_threads_and_the_product_inside():
    Q, K, V = operands(1, 70, 200, 7, 5)
    out = np.empty((70, 5), np.float32)
    attention_tiled(Q[0], K[0], V[0], out, 999, 999)
    np.testing.assert_allclose(out, attention(Q, K, V)[0], rtol=1e-5, atol=1e-6)  # compiled twice
    for n, k, m in ((1, 1, 1), (2, 4, 3), (3, 5, 8), (5, 3, 2)):
        A, B, C = draw(n, k + 1), draw(k + 1, m + 1, seed=1), draw(n, m + 1, seed=2)
        expected = C.copy()
        expected[:, :m] += A[:, :k] @ B[:k, :m]
        add_product(A, B, C, k, m)
        np.testing.assert_allclose(C, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_counts_are_the_closed_forms():
    n, m, d, e, w = 20, 9, 5, 3, 4
    Q, K, V = (a[0] for a in operands(1, n, m, d, e))
    S, out = np.empty((n, m), np.float32), np.empty((n, e), np.float32)
    naive = count(attention_naive, Q, K, V, S, out, n + m, n + m)
    assert attention_naive_cost(n, m, d, e).equals(naive)
    Q, K, V = (a[0] for a in operands(1, n, n, d, e))
    scores = np.empty(2 * w + 1, np.float32)
    windowed = count(attention_windowed, Q, K, V, scores, out, w, w)
    assert attention_windowed_cost(n, d, e, w).equals(windowed)


@pytest.mark.parametrize(
    ("shapes", "options", "sentence"),
    [
        (((1, 3, 2), (1, 3), (1, 3, 2)), {}, "must be float32 .heads, tokens, dim. and not empty"),
        (((1, 3, 2), (1, 0, 2), (1, 0, 2)), {}, "not empty"),
        (((1, 3, 2), (1, 3, 4), (1, 3, 2)), {}, r"must be .heads, n, d., .heads, m, d., .heads, m, e."),
        (((1, 3, 2), (2, 3, 2), (2, 3, 2)), {}, "must be .heads, n, d."),
        (
            ((1, 3, 2), (1, 3, 2), (1, 3, 2)),
            {"method": "flash"},
            "tiled, naive, windowed, but 'flash'",
        ),
        (((1, 3, 2), (1, 4, 2), (1, 4, 2)), {"window": 1}, "as many queries as keys, but 1 came for 3"),
        (((1, 3, 2), (1, 3, 2), (1, 3, 2)), {"window": -1}, "at least 0"),
    ],
)
def test_a_slip_gets_one_sentence(shapes, options, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        attention(*[draw(*shape) for shape in shapes], **options)


def test_another_type_gets_one_sentence():
    with pytest.raises(WorkbenchError, match="float64"):
        attention(*[a.astype(np.float64) for a in operands(1, 2, 2, 2, 2)])

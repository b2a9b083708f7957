"""Neighbourhood attention against masked attention in float64, by law, and against its closed forms."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    Neighborhood,
    neighborhood_attention,
    neighborhood_attention_forward,
    neighborhood_attention_grad,
    neighborhood_dense_scores,
    neighborhood_fused_scores,
    neighborhood_gemm_scores,
    neighborhood_mask,
    neighborhood_naive,
    neighborhood_naive_cost,
    neighborhood_rows,
    neighborhood_weight_bytes,
    neighborhood_window,
    tile_layout,
    tile_of,
)
from workbench.kernels.neighborhood import METHODS, _neighborhood_attention, axes_of
from workbench.kernels.softmax_exp64 import exp64, exp_like

SINGLE, DOUBLE = np.float32, np.float64


@pytest.fixture(autouse=True, scope="module")
def build_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield


def operands(*space, batch=1, heads=1, d=4, e=4, dtype=SINGLE, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((batch, heads, *space, dim)).astype(dtype) for dim in (d, d, e)]


def axis(most, longest_window=9):
    """Length, window, dilation and causality of one axis, such that the window fits."""
    return st.tuples(
        st.integers(1, most), st.integers(1, longest_window), st.integers(1, 4), st.booleans()
    ).filter(lambda a: a[1] * a[2] <= a[0])


axes = st.one_of(
    st.lists(axis(70, 40), min_size=1, max_size=1),
    st.lists(axis(14), min_size=2, max_size=2),
    st.lists(axis(7, 4), min_size=3, max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(
    axes=axes,
    batch=st.integers(1, 2),
    heads=st.integers(1, 2),
    d=st.integers(1, 9),
    e=st.integers(1, 9),
    side=st.none() | st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_every_method_is_masked_attention(axes, batch, heads, d, e, side, seed):
    """Odd sizes, tiles that do not divide the space, dilation that leaves uneven classes, causal axes."""
    space, window, dilation, causal = zip(*axes, strict=True)
    Q, K, V = operands(*space, batch=batch, heads=heads, d=d, e=e, seed=seed)
    options = {"dilation": dilation, "causal": causal}
    expected = _neighborhood_attention(Q, K, V, window, **options)
    for method in METHODS:
        found = neighborhood_attention(Q, K, V, window, method=method, tile=side, **options)
        assert found.dtype == SINGLE
        np.testing.assert_allclose(found, expected, rtol=0, atol=4e-6)


CASES = [
    ((37,), 6, 3, False),
    ((50,), 7, 1, True),
    ((33,), 33, 1, False),
    ((11, 13), (3, 4), (2, 3), (True, False)),
    ((20, 9), 9, 1, False),
    ((5, 6, 7), (3, 2, 3), (1, 2, 2), (False, True, False)),
    ((40,), 1, 1, False),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_gradients_are_those_of_masked_attention(case, dtype):
    space, window, dilation, causal = case
    Q, K, V = operands(*space, heads=2, d=6, e=5, dtype=dtype)
    options = {"dilation": dilation, "causal": causal}
    O, log_sums = neighborhood_attention_forward(Q, K, V, window, **options)
    grad = np.random.default_rng(9).standard_normal(O.shape).astype(dtype)
    found = neighborhood_attention_grad(grad, Q, K, V, O, log_sums, window, **options)
    mask = torch.from_numpy(neighborhood_mask(space, window, **options))
    tensors = [torch.from_numpy(a.astype(DOUBLE)).flatten(2, -2).requires_grad_() for a in (Q, K, V)]
    exact = torch.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=mask)
    exact.backward(torch.from_numpy(grad.astype(DOUBLE)).flatten(2, -2))
    tolerance = 5e-6 if dtype == SINGLE else 1e-13
    np.testing.assert_allclose(O.reshape(exact.shape), exact.detach(), rtol=0, atol=tolerance)
    for mine, tensor in zip(found, tensors, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine.reshape(tensor.shape), tensor.grad, rtol=0, atol=tolerance)
    scores = np.einsum("bhid,bhjd->bhij", *(t.detach().numpy() for t in tensors[:2])) / np.sqrt(6)
    scores[..., ~mask.numpy()] = -np.inf
    sums = np.log(np.exp(scores).sum(-1)).reshape(log_sums.shape)
    np.testing.assert_allclose(log_sums, sums, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_laws(method):
    """A window of one, a window of everything, equal keys, a shift of the keys, huge scores, strides."""
    Q, K, V = operands(23, 9, batch=2)
    close = {"rtol": 0, "atol": 4e-6}
    one = neighborhood_attention(Q, K, V, 1, method=method)
    np.testing.assert_allclose(one, V, rtol=1e-6)
    whole = neighborhood_attention(Q, K, V, (23, 9), method=method)
    dense = _neighborhood_attention(Q, K, V, (23, 9))
    np.testing.assert_allclose(whole, dense, **close)
    out = neighborhood_attention(Q, K, V, 5, method=method)
    np.testing.assert_allclose(neighborhood_attention(Q, K + SINGLE(3), V, 5, method=method), out, **close)
    np.testing.assert_allclose(
        neighborhood_attention(Q, K, V + SINGLE(3), 5, method=method), out + 3, **close
    )
    flat = neighborhood_attention(Q, np.zeros_like(K), V, 5, method=method)
    middle = V[:, :, 4:9, 2:7].mean((2, 3))
    np.testing.assert_allclose(flat[:, :, 6, 4], middle, **close)
    np.testing.assert_allclose(flat[:, :, 0, 0], V[:, :, :5, :5].mean((2, 3)), **close)  # it moved, all 25
    sharp = neighborhood_attention(Q * SINGLE(1e4), K * SINGLE(1e4), V, 5, method=method)
    exact = _neighborhood_attention(Q * 1e4, K * 1e4, V, 5)
    np.testing.assert_allclose(sharp, exact, rtol=0, atol=1e-5)
    strided = [np.repeat(a, 2, axis=3)[:, :, :, ::2] for a in (Q, K, V)]
    np.testing.assert_array_equal(neighborhood_attention(*strided, 5, method=method), out)
    kept = np.full_like(V, np.nan)
    assert neighborhood_attention(Q, K, V, 5, method=method, out=kept) is kept
    np.testing.assert_array_equal(kept, out)


@pytest.mark.parametrize("method", METHODS)
def test_a_query_sees_its_window_and_no_more(method):
    """Keys outside the window of a query may be anything finite."""
    Q, K, V = operands(40)
    window = neighborhood_window(11, 40, 5, dilation=3, causal=True)
    before = neighborhood_attention(Q, K, V, 5, dilation=3, causal=True, method=method)[0, 0, 11]
    outside = np.setdiff1d(np.arange(40), window)
    K[0, 0, outside], V[0, 0, outside] = 50, -1e6
    after = neighborhood_attention(Q, K, V, 5, dilation=3, causal=True, method=method)[0, 0, 11]
    np.testing.assert_array_equal(before, after)


@settings(max_examples=100, deadline=None)
@given(given=axis(60, 30))
def test_windows_hold_the_nearest_keys(given):
    """As many as wanted, of the query's own class, and none left out that is nearer than one inside."""
    length, window, dilation, causal = given
    for i in range(length):
        keys = neighborhood_window(i, length, window, dilation=dilation, causal=causal)
        assert set(keys) <= set(range(i % dilation, length, dilation))
        if causal:
            assert keys[-1] == i
            assert len(keys) == min(window, i // dilation + 1)
            continue
        assert len(keys) == window
        distance = {key: abs(key - i) for key in range(i % dilation, length, dilation)}
        farthest = max(distance[key] for key in keys)
        assert all(away >= farthest for key, away in distance.items() if key not in keys)
    if window % 2 == 0 and not causal and dilation == 1 and length > 2 * window:
        assert list(neighborhood_window(length // 2, length, window))[:1] == [length // 2 - window // 2]


def test_even_windows_look_back_further():
    assert list(neighborhood_window(10, 30, 4)) == [8, 9, 10, 11]
    assert list(neighborhood_window(0, 30, 4)) == [0, 1, 2, 3]
    assert list(neighborhood_window(29, 30, 4)) == [26, 27, 28, 29]
    assert list(neighborhood_window(10, 30, 4, dilation=2)) == [6, 8, 10, 12]
    assert list(neighborhood_window(3, 30, 4, causal=True)) == [0, 1, 2, 3]
    assert list(neighborhood_window(1, 30, 4, causal=True)) == [0, 1]


@settings(max_examples=60, deadline=None)
@given(axes=axes, sides=st.lists(st.integers(1, 6), min_size=3, max_size=3), inverse=st.booleans())
def test_layouts_hold_every_pair_once(axes, sides, inverse):
    """Every query in one lane; every pair of the mask in a range of lanes of its tile, and seen there."""
    geometry = Neighborhood.of(*map(tuple, zip(*axes, strict=True)))
    tile = tile_of(geometry, tuple(sides[: len(axes)]))
    sizes, lanes, keys = tile_layout(geometry, tile, inverse)
    found = np.zeros((geometry.tokens, geometry.tokens), int)
    queries = []
    for (used, count_), own, halo in zip(sizes, lanes, keys, strict=True):
        assert count_ % 4 == 0
        queries += list(own[0, :used])
        for k, lane in product(range(count_), range(used)):
            place = halo[1:4, k]
            seen = all(own[1 + 2 * a, lane] <= place[a] < own[2 + 2 * a, lane] for a in range(3))
            if seen:
                assert halo[4, k] <= lane < halo[5, k]
                found[own[0, lane], halo[0, k]] += 1
    assert sorted(queries) == list(range(geometry.tokens))
    mask = geometry.mask()
    np.testing.assert_array_equal(found, (mask.T if inverse else mask).astype(int))


def test_tiles_and_their_waste():
    """In the middle of a plane a halo has tile + window - 1 keys a side; at a border it is cut."""
    geometry = Neighborhood.of((64, 64), 7)
    middle = geometry.tile_at((30, 30), (8, 8))
    assert middle.queries == (range(24, 32), range(24, 32))
    assert middle.keys == (range(21, 35), range(21, 35))
    assert middle.waste == pytest.approx(((8 + 7 - 1) / 7) ** 2)
    corner = geometry.tile_at((0, 0), (8, 8))
    assert corner.keys == (range(11), range(11))
    dilated = Neighborhood.of((41,), 5, 3).tile_at((7,), (4,))
    assert dilated.queries == (range(1, 11, 3),)
    assert dilated.keys == (range(1, 17, 3),)
    whole = geometry.tiles((8, 8))
    assert sum(len(a.queries[0]) * len(a.queries[1]) for a in whole) == 64 * 64
    assert sum(a.needed for a in whole) == geometry.scores == 64 * 64 * 49
    assert geometry.window_of((0, 63)) == (range(7), range(57, 64))
    assert Neighborhood.of((10, 4), (3, 2), causal=(True, False)).scores == (1 + 2 + 8 * 3) * 4 * 2


def test_scores_that_each_way_calculates():
    geometry = Neighborhood.of((64, 64), 7)
    assert neighborhood_weight_bytes(geometry) == 2 * 4 * 64 * 64 * 49
    dense, gemm, fused = (
        f(geometry, 8)
        for f in (neighborhood_dense_scores, neighborhood_gemm_scores, neighborhood_fused_scores)
    )
    assert geometry.scores < fused < dense <= gemm
    assert neighborhood_dense_scores(geometry, 1) == geometry.scores
    line = Neighborhood.of((256,), 9)
    assert neighborhood_dense_scores(line, 64) == 64 * (2 * 68 + 2 * 72)


@pytest.mark.slow
def test_counts_are_the_closed_forms():
    geometry = Neighborhood.of((7, 9), (3, 4), (1, 2), (True, False))
    Q, K, V = (a.reshape(1, 63, -1) for a in operands(7, 9, d=3, e=2))
    weights, out = np.zeros((1, 63, geometry.taps), SINGLE), np.zeros_like(V)
    naive = count(neighborhood_naive, Q, K, V, weights, out, *axes_of(geometry), 0, 1)
    expected = neighborhood_naive_cost(geometry, 3, 2)
    assert naive.flops == expected.flops
    assert {name: n for name, n in naive.loads.items() if n} == expected.loads
    assert {name: n for name, n in naive.stores.items() if n} == expected.stores
    rows = count(neighborhood_rows, Q, K, V, weights[0, :1], out, *axes_of(geometry), 0, 1)
    assert rows.flops == expected.flops
    assert rows.bytes_unique["row"] == 4 * geometry.taps


def test_threads_change_nothing(monkeypatch):
    Q, K, V = operands(13, 11, batch=2, heads=2)
    one = {method: neighborhood_attention(Q, K, V, 5, method=method) for method in METHODS}
    monkeypatch.setattr("workbench.kernels.neighborhood.get_num_threads", lambda: 3)
    for method in METHODS:
        np.testing.assert_array_equal(neighborhood_attention(Q, K, V, 5, method=method), one[method])


def test_exponentials_of_either_type():
    x = np.concatenate([np.linspace(-800, 700, 20011), [-np.inf, -1e300, 0.0]])
    with np.errstate(under="ignore"):
        exact = np.exp(x)
    found = np.array([exp64(value) for value in x])
    normal = exact > 1e-300
    np.testing.assert_allclose(found[normal], exact[normal], rtol=4e-16 * 2)
    assert (found[~normal] <= 1e-300).all()
    assert np.isnan(exp64(np.nan))
    assert exp_like(1.0, np.empty(0, DOUBLE)) == pytest.approx(np.e, rel=1e-15)
    assert exp_like(1.0, np.empty(0, SINGLE)) == pytest.approx(np.e, rel=2e-7)


@pytest.mark.parametrize(
    ("shapes", "options", "sentence"),
    [
        (((1, 3, 2),) * 3, {}, "must be .batch, heads, 1 to 3 axes of space, dim. and not empty"),
        (((1, 1, 0, 2),) * 3, {}, "not empty"),
        (((1, 1, 5, 2), (1, 1, 5, 3), (1, 1, 5, 2)), {}, "of one space"),
        (((1, 1, 5, 2),) * 3, {"window": 6}, r"must not exceed the axis, but 6 \* 1 came for 5"),
        (((1, 1, 5, 2),) * 3, {"dilation": 2}, r"3 \* 2 came for 5"),
        (((1, 1, 5, 2),) * 3, {"window": 0}, "window must be a whole number from 1 on"),
        (((1, 1, 5, 2),) * 3, {"window": (3, 3)}, "one for each of 1 axes"),
        (((1, 1, 5, 2),) * 3, {"causal": (True, True)}, "causal must be True or False"),
        (((1, 1, 5, 2),) * 3, {"method": "flash"}, "method must be one of fused, gemm, naive, rows"),
        (((1, 1, 5, 2),) * 3, {"tile": 257}, "a tile may have 256 queries"),
    ],
)
def test_what_does_not_fit_is_refused(shapes, options, sentence):
    Q, K, V = (np.zeros(shape, SINGLE) for shape in shapes)
    with pytest.raises(WorkbenchError, match=sentence):
        neighborhood_attention(Q, K, V, **({"window": 3} | options))


def test_other_refusals():
    Q, K, V = operands(9)
    with pytest.raises(WorkbenchError, match="all be float32 or all float64"):
        neighborhood_attention(Q, K.astype(DOUBLE), V, 3)
    with pytest.raises(WorkbenchError, match="out must be a C-contiguous float32"):
        neighborhood_attention(Q, K, V, 3, out=np.zeros(3, SINGLE))
    with pytest.raises(WorkbenchError, match="out must not overlap an input"):
        neighborhood_attention(Q, K, V, 3, out=V)
    with pytest.raises(WorkbenchError, match="log_sums must be"):
        neighborhood_attention_grad(V, Q, K, V, V, np.zeros(3, SINGLE), 3)
    with pytest.raises(WorkbenchError, match="a query of this axis is 0 to 8, but 9 came"):
        neighborhood_window(9, 9, 3)
    with pytest.raises(WorkbenchError, match=r"a position in \(9,\) was expected"):
        Neighborhood.of((9,), 3).window_of((1, 2))

"""Sparsity, entropy and orthogonality against plain loops; nulls against drawn layers; no NaN anywhere."""

from math import log2, log10

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from scipy.stats import ks_2samp
from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes import (
    entropy_null,
    entropy_threshold,
    filter_quality,
    filters,
    init_projection,
    orthogonality,
    sparse,
    sparsity,
    variance_entropy,
)


def layer(c_out=6, c_in=4, k=(3, 3), seed=0):
    return np.random.default_rng(seed).normal(size=(c_out, c_in, *k))


def flat(weights):
    return weights.reshape(-1, *weights.shape[2:])


# All of them against the published tool


def test_numbers_are_those_of_torchconvquality_where_that_is_right():
    weights = np.sin(0.37 * np.arange(6 * 4 * 9) ** 1.1).reshape(6, 4, 3, 3).astype(np.float32)
    weights[1, 2] *= 1e-3
    weights[4, 0] *= 5e-3
    (row,) = filter_quality({"conv.weight": weights})
    assert row.n == 24
    assert row.sparsity == pytest.approx(0.0833333358, abs=1e-6)
    assert row.entropy == pytest.approx(0.3455420136, abs=1e-6)
    assert row.entropy / row.threshold == pytest.approx(0.4297293690, abs=1e-6)
    assert row.entropy_live == pytest.approx(0.3457801044, abs=1e-6)
    assert row.orthogonality == pytest.approx(0.6032283902, abs=1e-6)


# Sparsity


def test_sparsity_by_a_loop():
    W = flat(layer())
    W[3] *= 1e-3
    W[7] = 0
    top = np.abs(W).max()
    by_hand = [all(abs(w) < 0.01 * top for w in f.ravel()) for f in W]
    np.testing.assert_array_equal(sparse(W), by_hand)
    assert sparsity(W) == pytest.approx(2 / 24)


@pytest.mark.parametrize(("weights", "share"), [(np.zeros((4, 3, 3)), 1.0), (np.ones((4, 3, 3)), 0.0)])
def test_all_or_nothing(weights, share):
    assert sparsity(weights) == share
    assert sparsity(1e-30 * weights) == share  # of the layer's own maximum


def test_a_single_number_can_be_sparse():
    assert sparsity(np.array([1.0, 0.001, 0.5, 0.0]).reshape(4, 1, 1)) == 0.5


# Entropy


@pytest.mark.parametrize("k", [(3, 3), (1, 5), (7,), (5, 5), (2, 2, 2)])
@pytest.mark.parametrize("n", [2, 5, 300])
def test_entropy_by_singular_values(n, k):
    W = np.random.default_rng(1).normal(size=(n, *k))
    X = W.reshape(n, -1) - W.reshape(n, -1).mean(axis=0)
    s = np.linalg.svd(X, compute_uv=False)[: n - 1]
    assert variance_entropy(W) == pytest.approx(scipy_entropy(s**2, base=10), abs=1e-10)


def test_isotropic_filters_have_the_largest_entropy():
    both = np.concatenate([np.eye(9), -np.eye(9)]).reshape(18, 3, 3)
    assert variance_entropy(both) == pytest.approx(log10(9))
    assert variance_entropy(np.concatenate([np.eye(49), -np.eye(49)]).reshape(98, 7, 7)) == pytest.approx(
        log10(49)
    )


def test_filters_without_variance_have_none_whatever_rounding_says():
    for value in (0.0, 0.1, 1e-30, 1 / 3, 1e20):
        assert variance_entropy(np.full((7, 3, 3), value)) == 0
    line = np.arange(5.0).reshape(5, 1, 1) * np.ones((3, 3))
    assert variance_entropy(line) == pytest.approx(0, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-20, 20))
def test_entropy_forgets_order_scale_and_shift(seed, power):
    stream = np.random.default_rng(seed)
    W = stream.normal(size=(11, 3, 3))
    other = (W[stream.permutation(11)] + stream.normal(size=(3, 3))) * 10.0**power
    assert variance_entropy(other) == pytest.approx(variance_entropy(W), abs=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: variance_entropy(np.ones((1, 3, 3))), "at least two filters, but one came"),
        (lambda: variance_entropy(np.ones((9, 1, 1))), "at least two numbers, but 1 × 1 came"),
        (lambda: entropy_null((1, 1), 9), "at least two numbers, but 1 × 1 came"),
        (lambda: entropy_null((3, 3), 1), "at least two filters, but 1 came"),
        (lambda: entropy_null((3, 0), 9), "size of a filter must be positive"),
        (lambda: entropy_null((3, 3), 9, draws=-1), "at least one draw"),
        (lambda: entropy_null((3, 3), 9).quantile(2), "q must lie between 0 and 1"),
        (lambda: entropy_threshold(2), "negative for fewer than 3 filters, but 2 came"),
        (lambda: sparse(np.ones((2, 3, 3)), 1.5), "share must lie between 0 and 1"),
        (lambda: orthogonality(np.ones((1, 4, 3, 3))), "of 1 channels in 1 groups no two make a pair"),
        (lambda: orthogonality(np.ones((4, 1, 3, 3)), groups=4), "of 4 channels in 4 groups"),
        (lambda: orthogonality(np.ones((4, 1, 3, 3)), groups=3), "cannot be split into 3 groups"),
        (lambda: orthogonality(np.ones(4)), "expected finite weights"),
        (lambda: init_projection(np.ones(3), np.zeros(3)), "a start that is not zero"),
        (lambda: init_projection(np.ones(3), np.ones(4)), "weights of one shape"),
    ],
)
def test_what_has_no_answer_is_a_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()


# The null


@pytest.mark.parametrize(
    ("k", "n"), [((3, 3), 40), ((3, 3), 5), ((3, 3), 2), ((5,), 30), ((2, 3), 7), ((5, 5), 60)]
)
def test_simulated_entropies_are_distributed_as_those_of_drawn_layers(k, n):
    stream = np.random.default_rng(5)
    drawn = [variance_entropy(stream.normal(size=(n, *k))) for _ in range(400)]
    null = entropy_null(k, n)
    if n == 2:
        assert null.quantile(1) == pytest.approx(0, abs=1e-12)  # one direction only
    else:
        assert ks_2samp(drawn, null.entropies).pvalue > 0.005


def test_the_published_threshold_is_the_lowest_of_random_layers_of_three_by_three():
    sizes = [8, 16, 32, 64, 128, 256, 512, 1024, 4096, 65536]
    gaps = [entropy_null((3, 3), n).lowest - entropy_threshold(n) for n in sizes]
    assert max(map(abs, gaps)) < 0.04
    assert max(map(abs, gaps[2:])) < 0.02
    # Where the fit runs above the lowest ones, it accuses random layers.
    accused = {n: np.mean(entropy_null((3, 3), n).entropies < entropy_threshold(n)) for n in (128, 256, 4096)}
    assert 0.03 < accused[128] < 0.12
    assert 0.03 < accused[256] < 0.12
    assert accused[4096] == 0


def test_the_threshold_is_the_curve_of_the_source():
    for n in (3, 64, 10_000):
        curve = 1.2618047 / (1 + np.exp(-0.88767525 * (log2(n) - 2.30436435))) - 0.31050834
        assert entropy_threshold(n) == pytest.approx(curve)


def test_the_null_is_reproducible_kept_and_sensible():
    null = entropy_null((3, 3), 100)
    assert entropy_null((3, 3), 100) is null
    assert entropy_null((3, 3), 100, seed=1).lowest != null.lowest
    assert len(entropy_null((13, 13), 1000).entropies) == 200
    assert null.lowest < null.quantile(0.01) < null.quantile(0.5) < log10(9)
    assert null.p_value(0) == 1 / 1001
    assert null.p_value(1) == 1
    assert null.p_value(null.quantile(0.5)) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(ValueError, match="read-only"):
        null.entropies[0] = 0
    big = entropy_null((3, 3), 10**6)
    assert log10(9) - big.lowest < 1e-4


# Orthogonality


def loop_orthogonality(W):
    rows = [w.ravel() / np.linalg.norm(w) for w in W]
    cosines = [abs(a @ b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
    return 1 - sum(cosines) / len(cosines)


def test_orthogonality_by_a_loop():
    W = layer()
    assert orthogonality(W) == pytest.approx(loop_orthogonality(W))
    factors = np.array([1, -2, 3, 1e-200, 1e150, 5.0]).reshape(6, 1, 1, 1)
    assert orthogonality(W * factors) == pytest.approx(orthogonality(W))
    assert orthogonality(np.eye(4).reshape(4, 1, 2, 2)) == 1
    assert orthogonality(np.full((5, 2, 3, 3), 0.1)) == pytest.approx(0, abs=1e-12)


def test_channels_of_zeros_are_left_out_and_groups_kept_apart():
    W = layer()
    with_zeros = np.concatenate([W, np.zeros((3, *W.shape[1:]))])
    assert orthogonality(with_zeros) == pytest.approx(orthogonality(W))
    parts = [loop_orthogonality(W[:3]), loop_orthogonality(W[3:])]
    assert orthogonality(W, groups=2) == pytest.approx(np.mean(parts))
    conv = nn.Conv2d(4, 6, 3, groups=2)
    (found,) = filters(conv)
    assert orthogonality(found) == pytest.approx(orthogonality(found.weights, 2))


# What is left of the start


def test_projection_shows_shrinking():
    W = layer()
    assert init_projection(0.25 * W, W) == pytest.approx(0.25)
    away = layer(seed=3)
    away -= W * np.vdot(away, W) / np.vdot(W, W)
    assert init_projection(W + 7 * away, W) == pytest.approx(1)
    assert init_projection(1e-200 * W, 1e-200 * W) == pytest.approx(1)


# A model


def test_a_model_has_a_row_for_each_layer_and_none_where_there_is_no_answer():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3), nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 5, groups=8), nn.Conv2d(8, 4, 1),
        nn.Conv1d(4, 4, 9), nn.Conv2d(2, 4, 3),
    )  # fmt: skip
    with torch.no_grad():
        model[5].weight.zero_()
    one, dense, depthwise, pointwise, line, dead = filter_quality(model)
    assert (one.entropy, one.orthogonality, one.null_low, one.threshold) == (None, None, None, None)
    assert dense.threshold == entropy_threshold(8)
    assert dense.null_low < dense.null_median < dense.null_high
    assert depthwise.orthogonality is None
    assert depthwise.threshold is None
    assert depthwise.entropy > depthwise.null_low
    assert pointwise.entropy is None
    assert pointwise.orthogonality is not None
    assert line.k == (9,)
    assert 0 < line.p_value <= 1
    assert (dead.sparsity, dead.dead, dead.entropy, dead.entropy_live) == (1, 1, 0, None)
    assert dead.orthogonality is None
    assert dead.p_value == 1 / 1001
    for row in (one, dense, depthwise, pointwise, line, dead):
        assert all(
            value is None or isinstance(value, str) or np.isfinite(value) for value in row.row().values()
        )


def test_dead_channels_and_live_filters():
    conv = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        conv.weight[1] = 0
        conv.weight[2, 0] = 0
    (row,) = filter_quality(conv)
    assert row.sparsity == pytest.approx(4 / 12)
    assert row.dead == 0.25
    live = flat(conv.weight.detach().numpy())[~sparse(flat(conv.weight.detach().numpy()))]
    assert row.entropy_live == pytest.approx(variance_entropy(live))

"""Scatterbrain: arms against whole matrices in float64, the theorem in every draw, claims in smoke."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from workbench_datasets import DataError, load

from workbench.claims import Measured
from workbench.layers import Support
from workbench.layers.sparse_low_rank_attention import hashed_support, orthogonal_rows, window_support
from workbench.systems.attention_shapes import scatterbrain as brain
from workbench.systems.attention_shapes.scatterbrain import SYSTEM

MEASURED = [claim for claim in SYSTEM.claims if claim.needs is None]


@pytest.fixture(autouse=True)
def _weights() -> None:
    try:
        load("minilm-vocabulary")
    except DataError as absent:
        pytest.skip(str(absent))


def drawn(seed: int, n: int = 8, dim: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
    draws = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(2, n, dim, generator=draws, dtype=torch.double) for _ in range(2))
    return q, k, draws


def test_the_exact_map_is_scipys_softmax():
    q, k, _ = drawn(0)
    np.testing.assert_allclose(brain.exact_map(q, k), softmax((q @ k.mT).numpy(), axis=-1))


def test_supports_by_size_and_by_chance():
    q, k, draws = drawn(1)
    keys, counts = brain.largest_support(q, k, 3)
    scores = q @ k.mT
    assert counts.all()
    least = scores.gather(-1, keys).amin(-1, keepdim=True)
    assert ((scores >= least).sum(-1) == 3).all()
    keys, counts = brain.random_support(q, k, 5, draws)
    assert counts.all()
    assert all(len(set(row.tolist())) == 5 for row in keys.flatten(0, 1))


def test_a_sparse_map_is_a_masked_softmax():
    q, k, _ = drawn(2)
    keys, counts = window_support((8,), 3)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    for i in range(8):
        mask[i, keys[i][counts[i]]] = True
    expected = (q @ k.mT).masked_fill(~mask, -torch.inf).softmax(-1)
    torch.testing.assert_close(brain.sparse_map(q, k, Support(keys, counts)), expected)


def test_the_sum_is_features_with_exact_pairs_put_in_their_places():
    q, k, draws = drawn(3)
    rows, support = orthogonal_rows(4, 4, draws), brain.largest_support(q, k, 3)
    weights = brain.features_map(q, k, rows).scatter(
        -1, support.keys, (q @ k.mT).exp().gather(-1, support.keys)
    )
    torch.testing.assert_close(brain.unnormalised_map(q, k, rows, support), weights)
    torch.testing.assert_close(brain.sum_map(q, k, rows, support), brain.normal(weights))
    features = brain.features_map(q, k, rows)
    torch.testing.assert_close(brain.low_rank_map(q, k, rows), brain.normal(features))
    naive = brain.normal(features + brain.exact_part(q, k, support))
    torch.testing.assert_close(brain.naive_map(q, k, rows, support), naive)
    assert (brain.exact_part(q, k, support) > 0).sum() == 2 * 8 * 3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 2))
def test_before_normalising_the_sum_is_never_worse_than_its_features(seed, scale):
    q, k, draws = drawn(seed, 9, 5)
    q, k = scale * q, scale * k
    rows = orthogonal_rows(4, 5, draws)
    support = hashed_support(q, k, 3, torch.randn(2, 7, generator=draws))
    exact = (q @ k.mT).exp()
    ours = brain.relative_error(brain.unnormalised_map(q, k, rows, support), exact)
    alone = brain.relative_error(brain.features_map(q, k, rows), exact)
    assert (ours <= alone * (1 + 1e-9)).all()


def test_the_sum_is_unbiased():
    """2000 draws: the mean of what stands for exp(q·k) is within four standard errors of it."""
    q, k, _ = drawn(4, 5, 3)
    q, k = 0.5 * q[0], 0.5 * k[0]
    support = window_support((5,), 2)
    found = torch.stack(
        [
            brain.unnormalised_map(q, k, orthogonal_rows(3, 3, torch.Generator().manual_seed(i)), support)
            for i in range(2000)
        ]
    )
    spread = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - (q @ k.mT).exp()).abs() < 4 * spread + 1e-9).all()


def test_relative_error_is_that_of_the_whole_matrix():
    a, b = torch.ones(3, 2, 2), torch.zeros(3, 2, 2)
    b[:, 0, 0] = 2
    torch.testing.assert_close(brain.relative_error(a, b), torch.full((3,), 1.0))


def test_clusters_have_one_length_and_look_alike_inside():
    x = brain.clustered(64, 16, 3.0, torch.Generator().manual_seed(0))[0]
    torch.testing.assert_close(x.square().sum(1), torch.full((64,), 3.0))
    same = torch.arange(64)[:, None] // 16 == torch.arange(64) // 16
    scores = x @ x.mT
    assert scores[same].min() > 2.5
    assert scores[~same].abs().mean() < 1


def test_heads_are_scaled_so_that_a_score_is_a_product():
    q, k = brain.head_inputs(0, 1, 10, 0.5)
    data = load("attention-bank", layer=1, tokens=10)
    expected = 0.5 * data["queries"] @ data["keys"].swapaxes(1, 2) / np.sqrt(32)
    np.testing.assert_allclose(q @ k.mT, expected, rtol=1e-3, atol=1e-4)


def test_every_arm_stores_as_many_numbers_and_has_an_error():
    found = brain.errors(0.25, 0, "smoke")
    arms = {f"{kind}, {pick}" for kind in ("sparse", "sum") for pick in ("largest", "hash")}
    assert set(found) == arms | {"low rank", "sum, chance", "naive, largest"}
    assert all(one.shape == (12,) and torch.isfinite(one).all() for one in found.values())
    shares = [
        brain.wins_alone(arm, 0.25, 0, "smoke") for arm in ("low rank", "sparse, largest", "sum, largest")
    ]
    assert sum(shares) == pytest.approx(1)


def test_memory_is_counted_in_what_is_kept():
    q = torch.randn(6, 3).requires_grad_()
    assert brain.kept_numbers(lambda: (q.exp() * 2).sum(), (q,)) == 18
    assert brain.kept_numbers(lambda: (q * q).sum(), (q,)) == 0
    cheap, at_once = (brain.memory(way, 0, "lesson") for way in (False, True))
    assert cheap.value < at_once.value / 2


@pytest.mark.parametrize("claim", MEASURED, ids=lambda claim: claim.id)
def test_claims_and_controls_run_in_smoke(claim):
    for run in (claim.measure, claim.control):
        found = run(0, "smoke")
        value = found.value if isinstance(found, Measured) else found
        assert math.isfinite(value)
        again = run(0, "smoke")
        assert value == (again.value if isinstance(again, Measured) else again)

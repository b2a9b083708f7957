"""Sparse plus low-rank attention against softmax, against features alone, and against pairs one by one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.layers import SparseLowRankAttention2d, Support, sparse_low_rank
from workbench.layers.sparse_low_rank_attention import (
    empty_support,
    hashed_support,
    orthogonal_rows,
    positive_features,
    window_support,
    with_log_sums,
)
from workbench.probes import attention


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def everything(n: int, m: int) -> Support:
    return Support(torch.arange(m).expand(n, m), torch.ones(n, m, dtype=torch.bool))


def one_by_one(q, k, v, rows, support, dropped=None):
    """Every pair in float64 and a plain sum: no logarithms, no scales."""
    (phi_q, a), (phi_k, b) = positive_features(q, rows), positive_features(k, rows, shared=True)
    features = phi_q @ phi_k.mT * (a + b).exp()
    weights, dropped_weights = features.clone(), features.clone()
    for i in range(len(q)):
        for j, counts in zip(support.keys[i], support.counts[i], strict=True):
            if counts:
                weights[i, j] = (q[i] @ k[j]).exp()
                dropped_weights[i, j] = 0
    total = weights.sum(-1, keepdim=True)
    return (weights if dropped is None else dropped_weights) / total @ v


def test_rows_are_orthogonal_and_as_long_as_normal_vectors():
    rows = orthogonal_rows(10, 4, drawn(0))
    for block in (rows[:4], rows[4:8], rows[8:]):
        products = block @ block.mT
        torch.testing.assert_close(products, products.diagonal().diag(), atol=1e-5, rtol=0)
    many = orthogonal_rows(4000, 4, drawn(1))
    assert many.square().sum(1).mean().item() == pytest.approx(4, abs=0.2)
    assert abs(many.mean().item()) < 0.05
    assert orthogonal_rows(0, 4).shape == (0, 4)


def test_features_are_unbiased():
    """The mean over 4000 draws is exp(q·k), within four standard errors."""
    q, k = 0.5 * normal(2, 5, 4), 0.5 * normal(3, 6, 4)
    found = []
    for draw in range(4000):
        rows = orthogonal_rows(3, 4, drawn(draw))
        (phi_q, a), (phi_k, b) = positive_features(q, rows), positive_features(k, rows, shared=True)
        found.append(phi_q @ phi_k.mT * (a + b).exp())
    found = torch.stack(found)
    errors = (found.mean(0) - (q @ k.mT).exp()).abs() / (found.std(0) / len(found) ** 0.5)
    assert errors.max() < 4


def test_no_scale_is_out_of_range():
    rows = orthogonal_rows(8, 4, drawn(0))
    x = 30 * normal(4, 2, 5, 4)
    for shared in (False, True):
        features, scale = positive_features(x.float(), rows, shared=shared)
        assert torch.isfinite(features).all()
        assert features.amax() == 1
        assert scale.shape == ((2, 1, 1) if shared else (2, 5, 1))
    out = sparse_low_rank(x, x, x, rows, empty_support(5))
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("shape", [(7,), (2, 3, 7)])
def test_a_full_support_is_softmax_and_an_empty_one_is_features_alone(shape):
    q, k, v = (normal(i, *shape[:-1], 7, 4) for i in range(3))
    rows = orthogonal_rows(6, 4, drawn(5))
    full = sparse_low_rank(q, k, v, rows, everything(7, 7))
    torch.testing.assert_close(full, (q @ k.mT).softmax(-1) @ v, rtol=1e-6, atol=1e-6)
    (phi_q, _), (phi_k, _) = positive_features(q, rows), positive_features(k, rows, shared=True)
    weights = phi_q @ phi_k.mT
    alone = sparse_low_rank(q, k, v, rows, empty_support(7))
    torch.testing.assert_close(alone, weights / weights.sum(-1, keepdim=True) @ v)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 5), st.integers(0, 4))
def test_it_is_the_sum_pair_by_pair(seed, n, dim, size):
    q, k, v = normal(seed, n, dim), normal(seed + 1, n, dim), normal(seed + 2, n, 3)
    draws = drawn(seed)
    keys = torch.stack([torch.randperm(n, generator=draws)[: min(size, n)] for _ in range(n)])
    support = Support(keys, torch.rand(keys.shape, generator=draws) < 0.7)
    rows = orthogonal_rows(8, dim, draws)
    found, log_sums = with_log_sums(q, k, v, rows, support)
    torch.testing.assert_close(found, one_by_one(q, k, v, rows, support), rtol=1e-6, atol=1e-6)
    ones = sparse_low_rank(q, k, torch.ones(n, 1, dtype=q.dtype), rows, support)
    torch.testing.assert_close(ones, torch.ones_like(ones))
    assert log_sums.shape == (n, 1)


def test_dropout_takes_the_exact_term_alone():
    """With all exact terms dropped, pairs of the support weigh nothing and the sum stays what it was."""
    q, k, v = (normal(i, 6, 4) for i in range(3))
    rows, support = orthogonal_rows(6, 4, drawn(0)), window_support((6,), 3)
    found = sparse_low_rank(q, k, v, rows, support, dropout=1.0)
    torch.testing.assert_close(found, one_by_one(q, k, v, rows, support, dropped=True))


def test_gradients():
    q, k, v = (0.5 * normal(i, 2, 5, 3) for i in range(3))
    rows, support = orthogonal_rows(4, 3, drawn(0)), window_support((5,), 3)
    inputs = tuple(x.requires_grad_() for x in (q, k, v))
    assert torch.autograd.gradcheck(lambda *x: sparse_low_rank(*x, rows, support), inputs)


def test_a_window_on_a_line_and_on_a_map():
    keys, counts = window_support((5,), 3)
    assert [row[seen].tolist() for row, seen in zip(keys, counts, strict=True)] == [
        [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4],
    ]  # fmt: skip
    keys, counts = window_support((4, 5), 3)
    seen = torch.zeros(20, 20, dtype=torch.bool)
    for token in range(20):
        seen[token, keys[token][counts[token]]] = True
    y, x = torch.arange(20) // 5, torch.arange(20) % 5
    near = ((y[:, None] - y).abs() <= 1) & ((x[:, None] - x).abs() <= 1)
    assert torch.equal(seen, near)
    assert window_support((3,), 2).keys[1].tolist() == [0, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 20), st.integers(1, 4))
def test_clusters_are_equal_and_no_pair_counts_twice(seed, n, size, rounds):
    size = min(size, n)
    q, k = normal(seed, 2, n, 3), normal(seed + 1, 2, n, 3)
    keys, counts = hashed_support(q, k, size, torch.randn(rounds, 5, generator=drawn(seed)))
    assert keys.shape == counts.shape == (2, n, rounds * size)
    assert counts[..., :size].all()
    for row, seen in zip(keys.flatten(0, 1), counts.flatten(0, 1), strict=True):
        counted = row[seen].tolist()
        assert sorted(counted) == sorted(set(row.tolist()))
    if n % size == 0:  # every key is in one cluster, and a cluster has as many queries as keys
        asked = torch.bincount(keys[0, :, :size].flatten(), minlength=n)
        assert (asked == size).all()


def test_the_hash_finds_large_products():
    """Pairs of twins among strangers: one round finds them far more often than chance."""
    draws = drawn(0)
    centres = torch.nn.functional.normalize(torch.randn(16, 1, 8, generator=draws), dim=-1)
    x = (3 * centres + 0.01 * torch.randn(16, 4, 8, generator=draws)).flatten(0, 1)
    keys, _ = hashed_support(x, x, 8, torch.randn(1, 10, generator=draws))
    same = (keys // 4 == torch.arange(64)[:, None] // 4).sum(1).float().mean() / 4
    assert same > 3 * 8 / 64


def test_the_hash_refuses_clusters_that_cannot_be():
    x = torch.zeros(4, 2)
    with pytest.raises(WorkbenchError, match="size 5"):
        hashed_support(x, x, 5, torch.zeros(1, 4))
    with pytest.raises(WorkbenchError, match="4 queries, 3 keys"):
        hashed_support(x, x[:3], 2, torch.zeros(1, 4))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"heads": 2, "size": 3}, (4, 5)),
        ({"heads": 3, "support": "hash", "size": 4, "rounds": 2}, (3, 6)),
        ({"size": 9}, (1, 1)),
        ({"support": "hash", "size": 9, "heads": 6}, (1, 2)),
    ],
)
def test_the_layer_is_its_formula_and_shows_its_rows(options, shape):
    layer = SparseLowRankAttention2d(6, **options).double().eval()
    x = normal(0, 2, *shape, 6).permute(0, 3, 1, 2)  # not contiguous
    with torch.no_grad():
        rows = layer.attention_rows(x, list(range(math.prod(shape))))
        _, _, values = layer.asked(x)
        expected = layer.answer((rows @ values).mT.reshape(2, 6, *shape))
        torch.testing.assert_close(layer(x), expected)
        torch.testing.assert_close(layer.attention_rows(x, [0]), rows[..., :1, :])
        (found,) = attention(layer, x)
    torch.testing.assert_close(found.probabilities(), rows)
    torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows[..., 0]))
    assert layer.visible(*shape).all()


def test_the_draws_are_the_seeds_and_dropout_only_trains():
    x = torch.randn(1, 8, 4, 4)
    layer = SparseLowRankAttention2d(8, seed=3, dropout=0.5)
    again = SparseLowRankAttention2d(8, seed=3)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(layer.rows, again.rows)
    assert not torch.equal(layer.rows, SparseLowRankAttention2d(8, seed=4).rows)
    assert torch.equal(layer.eval()(x), again(x))
    assert not torch.equal(layer.train()(x), layer(x))
    assert 2 * len(layer.rows) == int(8 * math.log(8)) // 2 * 2
    layer(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({"heads": 3}, "divide"),
        ({"support": "lsh"}, "'lsh'"),
        ({"features": 3}, "pairs"),
        ({"size": 0}, "size=0"),
    ],
)
def test_a_layer_refuses_what_cannot_be(options, needs):
    with pytest.raises(WorkbenchError, match=needs):
        SparseLowRankAttention2d(8, **options)


def test_nothing_of_tokens_by_tokens_is_ever_made():
    """The largest tensor of a forward and a backward pass stays far below tokens²."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        most = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                self.most = max(self.most, out.numel())
            return out

    layer = SparseLowRankAttention2d(8, size=3)
    with Largest() as largest:
        layer(torch.randn(1, 8, 24, 24)).sum().backward()
    assert largest.most < 576**2 / 10

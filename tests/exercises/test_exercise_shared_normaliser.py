"""The exercise of the normaliser is sound and agrees with the layer's function."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.shared_normaliser import shared_normaliser
from workbench.judge.profiles import sample
from workbench.layers import Support, sparse_low_rank
from workbench.layers.sparse_low_rank_attention import orthogonal_rows, positive_features

EXERCISE = exercise("attention-shapes/shared-normaliser")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize("spread", [0.5, 3.0, 20.0])
def test_it_agrees_with_the_layer(spread):
    draws = torch.Generator().manual_seed(1)
    q, k = (spread * torch.randn(6, 4, generator=draws, dtype=torch.double) for _ in range(2))
    rows = orthogonal_rows(6, 4, draws)
    mask = torch.rand(6, 6, generator=draws) < 0.4
    support = Support(torch.arange(6).expand(6, 6), mask)
    (phi_q, a), (phi_k, b) = positive_features(q, rows), positive_features(k, rows, shared=True)
    arrays = [x.numpy() for x in (q @ k.mT, mask, phi_q, phi_k, a[:, 0])]
    found = shared_normaliser(*arrays, float(b))
    layer = sparse_low_rank(q, k, torch.eye(6, dtype=q.dtype), rows, support)
    np.testing.assert_allclose(found, layer, atol=1e-6)


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 20))
def test_laws(case):
    scores, support, phi_q, phi_k, scale_q, scale_k = case
    found = shared_normaliser(*case)
    np.testing.assert_allclose(found.sum(1), 1)
    moved = shared_normaliser(scores + 5, support, phi_q, phi_k, scale_q + 2, scale_k + 3)
    np.testing.assert_allclose(moved, found, rtol=1e-9, atol=1e-12)
    exact = shared_normaliser(scores, np.ones_like(support), phi_q, phi_k, scale_q, scale_k)
    softmax = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(exact, softmax / softmax.sum(1, keepdims=True))

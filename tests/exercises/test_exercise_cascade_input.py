"""The exercise of the cascade's input is sound and agrees with the layer."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.exercises import exercise
from workbench.exercises.attention_cost.cascade_input import cascade
from workbench.judge.profiles import sample
from workbench.layers import CascadedGroupAttention

EXERCISE = exercise("attention-cost/cascade-input")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize(("heads", "split", "dim", "side"), [(3, 2, 4, 2), (1, 3, 2, 1), (4, 1, 3, 3)])
def test_it_agrees_with_the_layer(heads, split, dim, side):
    """Norms are the identity but for their epsilon, positions count for nothing, queries are not filtered."""
    layer = CascadedGroupAttention(heads * split, heads, side, key_dim=dim, kernels=[1] * heads).double()
    for part in layer.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0
            part.weight.data.fill_(1)
    for look in layer.look:
        look.conv.weight.data.fill_(1)
    x = torch.randn(heads * split, side, side, dtype=torch.double)
    asked = np.stack([ask.conv.weight.detach()[..., 0, 0].numpy() for ask in layer.ask])
    queries, keys, values = np.split(asked, [dim, 2 * dim], axis=1)
    project = layer.project.conv.weight.detach()[..., 0, 0].numpy()
    with torch.no_grad():
        expected = layer.eval()(x[None])[0].flatten(1)
    found = cascade(x.flatten(1).numpy(), queries, keys, values, project)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 20))
def test_laws(case):
    x, queries, keys, values, _ = case
    out, order = cascade(*case), np.random.default_rng(0).permutation(x.shape[1])
    np.testing.assert_allclose(cascade(x[:, order], *case[1:]), out[:, order], rtol=1e-9, atol=1e-9)
    first = len(x) // len(queries)
    other = np.concatenate([x[:-first], x[-first:] + 1])  # the last split changes the last head alone
    moved = cascade(other, queries, keys, values, np.eye(len(x)))[:-first]
    np.testing.assert_allclose(moved, cascade(x, queries, keys, values, np.eye(len(x)))[:-first], atol=1e-12)

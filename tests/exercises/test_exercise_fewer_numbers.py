"""The exercises of the lesson on filters with fewer numbers are sound and agree with the modules."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.filter_distributions.extrinsic_message import extrinsic
from workbench.exercises.filter_distributions.factored_forward import forward
from workbench.judge.profiles import sample
from workbench.layers import SeparableConv2d

NAMES = ("factored-forward", "extrinsic-message")


@pytest.mark.parametrize("name", NAMES)
def test_it_knows_the_named_mistakes(name):
    one = exercise(f"filter-distributions/{name}")
    assert len(one.wrong_answers) >= 4


@pytest.mark.parametrize("case", sample(exercise(f"filter-distributions/{NAMES[0]}").inputs, 12))
def test_factored_forward_is_the_layer(case):
    x, mix, down, across, _ = case
    layer = SeparableConv2d(x.shape[0], len(mix), (down.shape[2], across.shape[2]), mix.shape[1]).double()
    with torch.no_grad():
        for parameter, value in zip((layer.mix, layer.down, layer.across, layer.bias), case[1:], strict=True):
            parameter.copy_(torch.from_numpy(value))
        found = layer(torch.from_numpy(x.copy())[None])[0].numpy()
    np.testing.assert_allclose(forward(*case), found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", sample(exercise(f"filter-distributions/{NAMES[1]}").inputs, 12))
def test_extrinsic_laws(case):
    posterior, prior = case
    evidence = extrinsic(posterior, prior)
    assert ((evidence > 0) & (evidence < 1)).all()
    np.testing.assert_allclose(extrinsic(posterior, evidence), prior)  # either part takes out the other
    np.testing.assert_allclose(extrinsic(prior, prior), 0.5)
    np.testing.assert_allclose(extrinsic(1 - posterior, 1 - prior), 1 - evidence)

"""Importance of channels against gates that are really there, and against channels that are switched off."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from workbench.errors import WorkbenchError
from workbench.probes import importance


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 4, 4), nn.BatchNorm1d(4)
    )
    for norm in (model[1], model[5]):
        for values in (norm.weight, norm.bias, norm.running_mean):
            values.data.normal_(0.5)
    return model.double()


X = torch.randn(12, 2, 4, 4, dtype=torch.double, generator=torch.Generator().manual_seed(1))
Y = torch.arange(12) % 4


def gated(model: nn.Sequential, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """The network with a factor behind each channel of its first norm."""
    return model[2:](model[1](model[0](x)) * gate[:, None, None])


def test_it_is_the_squared_slope_of_a_gate():
    model = network().eval()
    expected = np.zeros(5)
    for x, y in zip(X.split(5), Y.split(5), strict=True):
        gate = torch.ones(5, dtype=torch.double, requires_grad=True)
        slope = torch.autograd.grad(F.cross_entropy(gated(model, x, gate), y), gate)[0]
        expected += slope.square().numpy() / 3
    np.testing.assert_allclose(importance(model, X, Y, batch=5)["1"], expected, rtol=1e-10)


def test_it_foretells_what_a_little_less_of_a_channel_does():
    model, step = network().eval(), 1e-5
    found = importance(model, X, Y, batch=12)["1"]
    with torch.no_grad():
        for channel in range(5):
            gate = torch.ones(5, dtype=torch.double)
            before = F.cross_entropy(gated(model, X, gate), Y)
            gate[channel] -= step
            change = (F.cross_entropy(gated(model, X, gate), Y) - before) / step
            assert found[channel] == pytest.approx(float(change) ** 2, rel=1e-3, abs=1e-12)


def test_a_channel_that_nobody_reads_has_none():
    model = network()
    before = importance(model, X, Y)["1"]
    model[4].weight.data[:, :4] = 0  # the four pixels of channel 0
    after = importance(model, X, Y)["1"]
    assert before[0] > after[0] == 0
    assert after.sum() > 0


def test_the_model_is_left_as_it_was():
    model = network().train()
    model[1].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    importance(model, X, Y)
    assert model.training
    assert not model[1].weight.requires_grad
    assert model[1].bias.requires_grad
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_norms_that_do_not_take_part_count_for_nothing():
    model = network()
    model.add_module("spare", nn.Identity())
    model.spare.norm = nn.BatchNorm1d(3).double()
    assert importance(model, X, Y)["spare.norm"].tolist() == [0, 0, 0]


def test_what_cannot_be_asked():
    with pytest.raises(WorkbenchError, match="Linear has none"):
        importance(nn.Linear(2, 2), X, Y)
    with pytest.raises(WorkbenchError, match="12 inputs, 3 answers"):
        importance(network(), X, Y[:3])

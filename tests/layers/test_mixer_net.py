"""The network around a mixer: tokens meet in the mixer alone, and what a token reaches in so many layers."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import MixerNet, reached


class Next(nn.Module):
    """Every token becomes its neighbour on the right, around the row."""

    def forward(self, x):
        return x.roll(-1, 3)


def net(mixer=lambda _: nn.Identity(), **options):
    torch.manual_seed(0)
    return MixerNet(mixer, **{"width": 8, "depth": 2, "inputs": 3, "outputs": 2, **options}).double()


def support(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Which input token each output token depends on: bool [tokens, tokens]."""
    J = torch.autograd.functional.jacobian(lambda x: model(x).sum(1).flatten(), x)  # [tokens, 1, c, h, w]
    return (J.abs().sum((1, 2)).flatten(1) > 0).cpu()


def test_without_a_mixer_no_token_sees_another():
    assert torch.equal(support(net(), torch.randn(1, 3, 2, 5).double()), torch.eye(10, dtype=torch.bool))


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_what_is_reached_is_the_support_of_the_jacobian(depth):
    step = torch.eye(5).roll(1, 1).bool()  # a token sees the next one
    found = support(net(lambda _: Next(), depth=depth), torch.randn(1, 3, 1, 5).double())
    assert torch.equal(found, reached(step, depth))


def test_every_parameter_learns_and_images_do_not_meet():
    model = net(expansion=3)
    x = torch.randn(3, 3, 4, 6).double()
    model(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


def test_sizes_that_make_no_network():
    with pytest.raises(WorkbenchError, match="must be at least 1"):
        net(width=0)
    with pytest.raises(WorkbenchError, match="square visible set"):
        reached(torch.ones(2, 3, dtype=torch.bool), 1)

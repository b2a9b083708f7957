"""ConvFirst and MBConv: the two orders of the same three convolutions."""

import pytest
import torch

from workbench.layers import ConvFirst, MBConv, folded
from workbench.probes import cost, receptive_field

BLOCKS = {"ConvFirst": ConvFirst, "MBConv": MBConv}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize(("out", "stride"), [(None, 1), (12, 1), (8, 2), (12, 2)])
def test_shapes_and_when_the_input_is_added(name, out, stride):
    block = BLOCKS[name](8, out, 2, stride=stride, group_width=4).eval()
    x = torch.randn(2, 8, 5, 7)
    y = block(x)
    assert y.shape == (2, out or 8, -(-5 // stride), -(-7 // stride))
    assert block.adds == (out is None and stride == 1)
    with torch.no_grad():
        torch.testing.assert_close(y, block.branch(x) + (x if block.adds else 0))
        torch.testing.assert_close(folded(block)(x), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("group_width", [1, 4, 8])
def test_every_parameter_gets_a_gradient(name, group_width):
    block = BLOCKS[name](8, group_width=group_width)
    block(torch.randn(4, 8, 6, 5)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


def test_products_by_formula():
    """Per pixel: groups of 8 see 9 x 8 numbers a channel; 1 x 1 sees all."""
    c, e, shape = 16, 6, (1, 16, 9, 11)
    products = {name: cost(block(c), shape).macs.value / 99 for name, block in BLOCKS.items()}
    assert products["ConvFirst"] == 9 * 8 * c + 2 * e * c * c
    assert products["MBConv"] == 9 * e * c + 2 * e * c * c


@pytest.mark.parametrize("name", BLOCKS)
def test_it_looks_as_far_as_its_one_spatial_convolution(name):
    assert receptive_field(BLOCKS[name](8, kernel=5), (1, 8, 15, 15)).size == (5, 5)

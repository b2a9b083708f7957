"""Windows and grids against masked attention over all tokens, and against places counted by hand."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import (
    GridAttention2d,
    MultiAxisAttention2d,
    WindowAttention2d,
    from_grid,
    from_windows,
    to_grid,
    to_windows,
)
from workbench.layers.multi_axis_attention import offsets
from workbench.layers.token_visibility import visible
from workbench.probes import attention

KINDS = {"window": WindowAttention2d, "grid": GridAttention2d}


def masked(layer, x):
    """The same weights, as attention over all tokens with a mask and a bias by place."""
    height, width = x.shape[2:]
    side, inside = layer.side, layer.inside
    y, z = torch.arange(height * width) // width, torch.arange(height * width) % width
    if layer.what == "window":
        part, row, column = (y // side) * width + z // side, y % side, z % side
    else:
        down, across = height // side, width // side
        part, row, column = (y % down) * width + z % across, y // down, z // across
    apart = (row - row[:, None] + side - 1) * (2 * side - 1) + column - column[:, None] + side - 1
    same = part[:, None] == part
    bias = inside.bias[:, torch.where(same, apart, 0)].masked_fill(~same, -torch.inf)
    q, k, v = inside.ask(x).unflatten(1, (3, inside.heads, -1)).flatten(4).mT.unbind(1)
    mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return inside.answer(mixed.mT.flatten(1, 2).view(x.shape)), same


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("height", "width", "side"), [(12, 8, 4), (6, 9, 3), (4, 4, 4), (3, 2, 1), (14, 7, 7)]
)
def test_it_is_masked_attention(kind, height, width, side):
    torch.manual_seed(0)
    layer = KINDS[kind](6, side, heads=2).double()
    layer.inside.bias.data.normal_()
    x = torch.randn(2, 6, width, height, dtype=torch.double).mT  # not contiguous
    expected, same = masked(layer, x)
    torch.testing.assert_close(layer(x), expected)
    assert torch.equal(layer.visible(height, width), same)
    assert torch.equal(visible(layer, height, width), same)


@pytest.mark.parametrize(("height", "width", "side"), [(12, 8, 4), (5, 10, 5), (2, 6, 1), (3, 3, 3)])
def test_cutting_and_joining_undo_each_other(height, width, side):
    x = torch.randn(3, 2, height, width)
    for cut, join in ((to_grid, from_grid), (to_windows, from_windows)):
        parts = cut(x, side)
        assert parts.shape == (3 * height * width // side**2, 2, side, side)
        assert torch.equal(join(parts, (height, width)), x)


def test_parts_lie_where_they_should():
    x = torch.arange(12 * 8.0).view(1, 1, 12, 8)
    near, far = to_windows(x, 4), to_grid(x, 4)
    assert torch.equal(near[1, 0], x[0, 0, :4, 4:])
    assert torch.equal(far[1, 0], x[0, 0, ::3, 1::2])
    assert not torch.equal(from_windows(far, (12, 8)), x)


def test_offsets_are_counted_from_query_to_key():
    numbers = offsets(2)
    assert numbers.diagonal().tolist() == [4] * 4
    assert numbers[0].tolist() == [4, 5, 7, 8]  # to the right, below, below on the right
    assert offsets(3).unique().numel() == 25


def test_a_bias_moves_only_its_offset():
    layer = WindowAttention2d(4, 2, heads=2).double()
    layer.inside.ask.weight.data.zero_()
    layer.inside.ask.bias.data.zero_()
    layer.inside.bias.data.zero_()
    layer.inside.bias.data[1, 5] = 9  # the key on the right, in the second head
    rows = layer.attention_rows(torch.randn(1, 4, 2, 2).double(), [0, 1])
    assert rows[0, 0].eq(0.25).all()
    assert rows[0, 1, 0, 1] > 0.99
    assert rows[0, 1, 1].eq(0.25).all()  # nothing lies on the right of the second token


@pytest.mark.parametrize("kind", KINDS)
def test_rows_tell_what_the_layer_does(kind):
    """With values and answers that change nothing, the output is the rows times the input."""
    torch.manual_seed(1)
    layer = KINDS[kind](4, 2).double()
    layer.inside.bias.data.normal_()
    with torch.no_grad():
        layer.inside.ask.weight[8:] = torch.eye(4)[..., None, None]
        layer.inside.ask.bias[8:] = 0
        layer.inside.answer.weight.copy_(torch.eye(4)[..., None, None])
        layer.inside.answer.bias.zero_()
    x = torch.randn(3, 4, 4, 6, dtype=torch.double)
    rows = layer.attention_rows(x, range(24))
    torch.testing.assert_close(rows[:, 0] @ x.flatten(2).mT, layer(x).flatten(2).mT)
    assert torch.equal((rows > 0)[0, 0], layer.visible(4, 6))
    torch.testing.assert_close(layer.attention_rows(x, [17, 3])[:, :, 0], rows[:, :, 17])
    assert attention(layer.float(), x.float())[0].numpy().shape == (3, 1, 24, 24)


def test_two_hops_are_seen_by_the_derivative():
    layer = MultiAxisAttention2d(4, 2, 2).double()
    x = torch.randn(1, 4, 8, 4, dtype=torch.double)
    jacobian = torch.autograd.functional.jacobian(layer, x)[0].abs().sum((0, 3, 4)).view(32, 32)
    assert torch.equal(jacobian > 0, layer.visible(8, 4))
    assert torch.equal(visible(layer, 8, 4), layer.visible(8, 4))


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(WorkbenchError, match=r"window of side 4.*10 x 8 came"):
        WindowAttention2d(4, 4)(torch.zeros(1, 4, 10, 8))
    with pytest.raises(WorkbenchError, match=r"grid of side 3.*9 x 8 came"):
        GridAttention2d(4, 3).visible(9, 8)
    with pytest.raises(WorkbenchError, match="3 heads and 4 channels"):
        WindowAttention2d(4, 2, heads=3)
    with pytest.raises(WorkbenchError, match="at least 1 token"):
        GridAttention2d(4, 0)


def test_every_parameter_gets_a_gradient():
    layer = MultiAxisAttention2d(8, 2, 2, heads=2)
    layer(torch.randn(2, 8, 4, 4)).square().sum().backward()
    assert all((p.grad != 0).any() for p in layer.parameters())

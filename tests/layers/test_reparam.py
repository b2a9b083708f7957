"""Branches folded into one kernel: places of dilated kernels, norms, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import RepDepthwise, fold, place_dilated, with_weights


def lived_in(module: nn.Module) -> nn.Module:
    """Norms with statistics and affine parts that are nothing special, in float64."""
    generator = torch.Generator().manual_seed(3)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.double().eval()


SETS = [(13, ((5, 1),)), (3, ((1, 1),)), (7, ()), (1, ()), (9, ((5, 2), (3, 4), (3, 1)))]


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize(("kernel", "branches"), SETS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (20, 23)])
def test_folded_equals_unfolded(channels, kernel, branches, shape):
    wide = lived_in(RepDepthwise(channels, kernel, branches))
    x = torch.randn(2, *shape, channels, dtype=torch.float64).permute(0, 3, 1, 2)  # not contiguous
    torch.testing.assert_close(wide.fold()(x), wide(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "dilation", "room"), [(3, 1, 3), (3, 2, 7), (5, 3, 13), (1, 4, 5), (7, 2, 13)]
)
def test_a_placed_kernel_is_the_dilated_one(size, dilation, room):
    weight = torch.randn(4, 1, size, size, dtype=torch.float64)
    x = torch.randn(2, 4, 11, 9, dtype=torch.float64)
    dilated = F.conv2d(x, weight, dilation=dilation, padding="same", groups=4)
    placed = place_dilated(weight, dilation, room)
    torch.testing.assert_close(F.conv2d(x, placed, padding="same", groups=4), dilated)
    # The source spreads a kernel by a transposed convolution with one weight of 1.
    spread = F.conv_transpose2d(weight, torch.ones(1, 1, 1, 1, dtype=torch.float64), stride=dilation)
    margin = (room - spread.shape[-1]) // 2
    torch.testing.assert_close(placed, F.pad(spread, [margin] * 4))


def test_a_kernel_without_room_is_a_sentence():
    for size, dilation, room in ((3, 3, 5), (3, 1, 4)):
        with pytest.raises(WorkbenchError, match="has no place in the middle"):
            place_dilated(torch.ones(1, 1, size, size), dilation, room)


def test_the_impulse_response_shows_every_branch_in_its_place():
    wide = RepDepthwise(1, 13, ((3, 5),)).eval()
    with torch.no_grad():
        wide.branches[0][0].weight.zero_()
        wide.branches[1][0].weight.fill_(1)
    impulse = torch.zeros(1, 1, 25, 25)
    impulse[..., 12, 12] = 1
    lit = (wide.fold()(impulse)[0, 0] > 0.5).nonzero()
    assert lit.tolist() == [[i, j] for i in (7, 12, 17) for j in (7, 12, 17)]


def test_statistics_of_the_batch_break_the_equality_and_folding_refuses_them():
    wide = lived_in(RepDepthwise(4, 7, ((3, 2),)))
    x = torch.randn(2, 4, 9, 9, dtype=torch.float64)
    folded = wide.fold()
    wide.train()
    assert not torch.allclose(wide(x), folded(x), atol=1e-3)
    with pytest.raises(WorkbenchError, match=r"call eval\(\) first"):
        wide.fold()


@pytest.mark.parametrize(
    ("kernel", "branches"),
    [(4, ((3, 1),)), (5, ((7, 1),)), (5, ((2, 1),)), (0, ()), (7, ((3, 4),)), (7, ((3, 0),))],
)
def test_impossible_kernels_are_a_sentence(kernel, branches):
    with pytest.raises(WorkbenchError, match="must be odd"):
        RepDepthwise(2, kernel, branches)


def test_folding_copies_and_finds_parts_at_any_depth():
    net = lived_in(nn.Sequential(nn.Sequential(RepDepthwise(2, 5, ((3, 2),))), nn.ReLU()))
    folded = fold(net)
    x = torch.randn(1, 2, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(folded(x), net(x))
    assert isinstance(net[0][0], RepDepthwise)
    assert isinstance(folded[0][0], nn.Conv2d)
    assert isinstance(fold(lived_in(RepDepthwise(2, 3))), nn.Conv2d)


def test_weights_become_a_convolution_of_their_kind():
    mixing = with_weights(torch.ones(3, 2, 1, 1), torch.tensor([0.0, 1.0, 2.0]))
    assert mixing(torch.ones(1, 2, 1, 1)).flatten().tolist() == [2, 3, 4]
    alone = with_weights(torch.ones(3, 1, 3, 3), torch.zeros(3), depthwise=True)
    assert alone.groups == 3
    assert alone(torch.ones(1, 3, 2, 2)).flatten().tolist() == [4] * 12

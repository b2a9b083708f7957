"""Cascaded attention against its formula; windows, sandwiches, folding, MobileNetV3."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from workbench.errors import WorkbenchError
from workbench.layers import (
    CascadedGroupAttention,
    ConvNorm,
    FeedForward2d,
    MobileNetV3,
    NormLinear,
    Residual,
    Sandwich,
    Windowed,
    folded,
    from_windows,
    to_windows,
)
from workbench.layers.cascaded_group_attention import distances
from workbench.probes import cost


def random_norms(model: nn.Module) -> nn.Module:
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean):
                tensor.data.normal_(0.5)
            part.running_var.uniform_(0.5, 2)
    return model.eval()


def by_formula(layer: CascadedGroupAttention, x: torch.Tensor) -> torch.Tensor:
    """Pixel by pixel and head by head, with the layer's own convolutions."""
    side, split, dim = layer.side, layer.split, layer.key_dim
    places = [(y, z) for y in range(side) for z in range(side)]
    outputs = []
    for j in range(layer.heads):
        own = x[:, j * split : (j + 1) * split]
        seen = {"whole": x, "group": own, "cascade": own + outputs[-1] if j else own}[layer.feed]
        asked = layer.ask[j](seen)
        q, k, v = layer.look[j](asked[:, :dim]), asked[:, dim : 2 * dim], asked[:, 2 * dim :]
        out = torch.zeros(len(x), split, side, side, dtype=x.dtype)
        for y, z in places:
            scores = [
                (q[:, :, y, z] * k[:, :, r, s]).sum(1) / dim**0.5
                + layer.bias[j, abs(y - r) * side + abs(z - s)]
                for r, s in places
            ]
            weights = torch.stack(scores, -1).softmax(-1)
            out[:, :, y, z] = sum(weights[:, [n]] * v[:, :, r, s] for n, (r, s) in enumerate(places))
        outputs.append(out)
    return layer.project(F.relu(torch.cat(outputs, 1)))


@pytest.mark.parametrize("feed", ["cascade", "group", "whole"])
@pytest.mark.parametrize(("channels", "heads", "side"), [(6, 3, 3), (4, 1, 2), (3, 3, 1), (8, 2, 4)])
def test_attention_is_its_formula(feed, channels, heads, side):
    layer = CascadedGroupAttention(channels, heads, side, key_dim=5, kernels=(5, 3, 1), feed=feed).double()
    random_norms(layer)
    layer.bias.data.normal_()
    x = torch.randn(2, side, side, channels, dtype=torch.double).permute(0, 3, 1, 2)  # not contiguous
    with torch.no_grad():
        torch.testing.assert_close(layer(x), by_formula(layer, x))


def test_a_head_hears_of_those_before_it_alone():
    """With a channel of one split changed, earlier heads stay; in a cascade all later ones move."""
    for feed, later in (("cascade", True), ("group", False)):
        torch.manual_seed(0)  # what is negative becomes zero, and by chance a whole head may
        layer = random_norms(CascadedGroupAttention(6, 3, 5, key_dim=4, feed=feed))
        layer.project = nn.Identity()
        layer.ask[2].norm.weight.data *= 3
        x = torch.randn(1, 6, 5, 5) + 1
        y = x.clone()
        y[:, 2] += 1  # of head 1
        with torch.no_grad():
            moved = (layer(x) != layer(y)).flatten(2).any(2).unflatten(1, (3, 2)).any(2)[0]
        assert moved.tolist() == [False, True, later]


def test_positions_are_told_by_distance_alone():
    table = distances(3)
    assert table.shape == (9, 9)
    assert table[0].tolist() == list(range(9))
    assert torch.equal(table, table.T)
    assert torch.equal(table, table.flip(0, 1))
    assert distances(1).tolist() == [[0]]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"heads": 4}, "4 heads and 6 channels"),
        ({"heads": 0}, "0 heads"),
        ({"kernels": (3,)}, "each of 3 heads"),
        ({"feed": "all"}, "'all'"),
    ],
)
def test_what_attention_refuses(wrong, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        CascadedGroupAttention(6, **{"heads": 3, **wrong})


def test_attention_refuses_another_size():
    with pytest.raises(WorkbenchError, match="3 x 3"):
        CascadedGroupAttention(6, 3, 3)(torch.zeros(1, 6, 4, 4))


# Windows -------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_windows_come_together_again(batch, channels, height, width, side):
    x = torch.arange(1.0, batch * channels * height * width + 1).view(batch, channels, height, width)
    windows = to_windows(x, side)
    assert windows.shape == (batch * -(-height // side) * -(-width // side), channels, side, side)
    assert torch.equal(from_windows(windows, (height, width)), x)
    assert windows.sum() == x.sum()
    assert torch.equal(windows[0, :, : min(side, height), : min(side, width)], x[0, :, :side, :side])


def test_windows_know_nothing_of_each_other():
    """10 x 10 in windows of 7: four, three of them filled up with zeros."""

    class Whitened(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean((2, 3), keepdim=True)

    x = torch.randn(2, 3, 10, 10)
    out = Windowed(Whitened(), 7)(x)
    torch.testing.assert_close(out[:, :, :7, :7], Whitened()(x[:, :, :7, :7]))
    corner = x[:, :, 7:, 7:]
    torch.testing.assert_close(out[:, :, 7:, 7:], corner - corner.sum((2, 3), keepdim=True) / 49)
    torch.testing.assert_close(Windowed(Whitened(), 10)(x), Whitened()(x))


def test_windows_need_a_map_and_a_side():
    with pytest.raises(WorkbenchError, match="side of at least 1"):
        to_windows(torch.zeros(1, 1, 2, 2), 0)
    with pytest.raises(WorkbenchError, match="height, width"):
        to_windows(torch.zeros(1, 2, 2), 2)


# Folding and the parts -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"kernel": 3, "stride": 2}, {"kernel": 5, "groups": 4}])
def test_a_pair_folds_into_one_layer(options):
    pair = random_norms(ConvNorm(4, 8, **options))
    x = torch.randn(2, 4, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(pair.folded()(x), pair(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(folded(pair)(x), pair(x), rtol=1e-4, atol=1e-5)
    assert pair(x).shape == (2, 8, *(-(-side // options.get("stride", 1)) for side in (9, 7)))


def test_a_norm_folds_into_the_linear_layer_behind_it():
    pair, x = random_norms(NormLinear(5, 3)), torch.randn(4, 5)
    with torch.no_grad():
        torch.testing.assert_close(folded(pair)(x), pair(x), rtol=1e-4, atol=1e-5)


def test_folding_leaves_the_model_alone():
    model = nn.Sequential(ConvNorm(2, 2), nn.ModuleList([ConvNorm(2, 2)])).train()
    copy = folded(model)
    assert isinstance(copy[0], nn.Conv2d)
    assert isinstance(copy[1][0], nn.Conv2d)
    assert isinstance(model[0], ConvNorm)
    assert model.training
    assert not copy.training


def test_even_kernels_are_refused():
    with pytest.raises(WorkbenchError, match="odd"):
        ConvNorm(2, 2, 4)


def test_a_sandwich_has_one_filling_between_slices():
    model = Sandwich(6, nn.Conv2d(6, 6, 1), expansion=3, slices=2)
    kinds = [type(part).__name__ for part in model]
    assert kinds == ["Slice", "Slice", "Residual", "Slice", "Slice"]
    feed = model[0][1].branch
    assert isinstance(feed, FeedForward2d)
    assert feed[0].conv.out_channels == 18
    x = torch.randn(2, 6, 5, 5)
    empty = Sandwich(6, nn.Conv2d(6, 6, 1, bias=False)).eval()
    torch.testing.assert_close(empty(x), Residual(empty[1].branch)(x))


def test_mobilenet_is_as_large_as_its_authors_say():
    """5.4 M parameters and 219 M multiply-adds; torchvision's has 5,483,032."""
    found = cost(MobileNetV3(), (1, 3, 224, 224))
    assert found.parameters.value == 5_483_032
    assert found.macs.value == pytest.approx(219e6, rel=0.02)
    model = random_norms(MobileNetV3(outputs=3))
    x = torch.randn(1, 3, 33, 40)
    with torch.no_grad():
        assert folded(model)(x).shape == (1, 3)
        torch.testing.assert_close(folded(model)(x), model(x), rtol=1e-3, atol=1e-3)

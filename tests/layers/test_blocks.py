"""Laws of the shared blocks: shapes, gradients, and what each of them is by definition."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import (
    BasicBlock,
    ConvNeXtBlock,
    DepthwiseConv2d,
    DropPath,
    GlobalResponseNorm,
    LayerNorm2d,
    LayerScale,
    SelfAttention2d,
    SqueezeExcite,
    TinyNet,
    fold_norm,
)
from workbench.probes import cost, receptive_field, untrained

BLOCKS = {
    "depthwise": lambda c: DepthwiseConv2d(c, 5),
    "squeeze-excite": lambda c: SqueezeExcite(c, 1.0),
    "layer scale": lambda c: LayerScale(c, 0.5),
    "drop path": lambda c: DropPath(0.5),
    "response norm": GlobalResponseNorm,
    "layer norm": LayerNorm2d,
    "basic": BasicBlock,
    "convnext": ConvNeXtBlock,
    "attention": lambda c: SelfAttention2d(c, 2 if c % 2 == 0 else 1),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("size", [(6, 9), (1, 1), (5, 2)])
@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_keeps_the_shape(name, channels, size):
    block = BLOCKS[name](channels).eval()
    x = torch.randn(2, *size, channels).permute(0, 3, 1, 2)  # in another order in memory
    out = block(x)
    assert out.shape == x.shape
    torch.testing.assert_close(out, block(x.contiguous()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_parameter_gets_a_gradient(name):
    block = BLOCKS[name](6)
    x = torch.randn(4, 6, 5, 7, requires_grad=True)
    (block(x) * torch.randn(x.shape)).sum().backward()
    for parameter in block.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("name", BLOCKS)
def test_a_fresh_copy_can_be_drawn(name):
    untrained(BLOCKS[name](4), seed=1)


def test_squeeze_excite_with_zero_weights_halves():
    layer = SqueezeExcite(5, ratio=0.25)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 5, 3, 4)
    assert torch.equal(layer(x), x / 2)
    assert layer.reduce.out_channels == 1
    assert SqueezeExcite(32, 0.25).reduce.out_channels == 8


def test_squeeze_excite_gates_whole_channels():
    layer, x = SqueezeExcite(4, 0.5), torch.rand(1, 4, 3, 4) + 1
    gate = layer(x) / x
    torch.testing.assert_close(gate, gate[..., :1, :1].expand_as(gate))
    assert receptive_field(layer, (1, 4, 9, 9)).size == (float("inf"),) * 2


def test_response_norm_by_loops():
    layer = GlobalResponseNorm(3)
    with torch.no_grad():
        layer.scale.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.shift.copy_(torch.tensor([0.1, 0.2, -0.3]))
    x = torch.randn(2, 3, 4, 5)
    expected = torch.empty_like(x)
    for n in range(2):
        sizes = [x[n, c].square().sum().sqrt() for c in range(3)]
        for c in range(3):
            compared = sizes[c] / (sum(sizes) / 3 + layer.eps)
            expected[n, c] = x[n, c] + layer.scale[c] * x[n, c] * compared + layer.shift[c]
    torch.testing.assert_close(layer(x), expected)
    assert torch.equal(GlobalResponseNorm(3)(x), x)
    assert torch.isfinite(layer(torch.zeros(1, 3, 2, 2))).all()


def test_response_norm_counts_as_a_normalisation():
    field = receptive_field(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), GlobalResponseNorm(2)), (1, 2, 9, 9))
    assert field.size == (3, 3)
    assert "statistics" in field.warnings[0]
    strict = receptive_field(GlobalResponseNorm(2), (1, 2, 9, 9), statistics="everything")
    assert strict.size == (float("inf"),) * 2


def test_layer_norm_is_over_the_channels_of_a_pixel():
    layer, x = LayerNorm2d(7), 3 * torch.randn(2, 7, 4, 5) + 2
    with torch.no_grad():
        out = layer(x)
    torch.testing.assert_close(out.mean(1), torch.zeros(2, 4, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(1, unbiased=False), torch.ones(2, 4, 5), atol=1e-4, rtol=0)
    other = x.clone()
    other[..., 0, 0] += 5
    assert torch.equal(layer(other)[..., 1:, :], layer(x)[..., 1:, :])


def test_layer_scale_is_one_factor_a_channel():
    layer, x = LayerScale(3, 0.25), torch.randn(2, 3, 4, 5)
    assert torch.equal(layer(x), x / 4)
    nn.init.zeros_(layer.scale[1])
    assert torch.equal(layer(x).abs().sum((0, 2, 3)) > 0, torch.tensor([True, False, True]))


def test_drop_path_drops_samples_and_keeps_the_expectation():
    layer, x = DropPath(0.3), torch.ones(20_000, 2, 1, 1)
    out = layer(x)
    values = out.unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.7]))
    assert torch.equal(out[:, 0], out[:, 1])  # one coin for a whole sample
    spread = (0.3 / 0.7 / 20_000) ** 0.5
    assert abs(out[:, 0].mean().item() - 1) < 5 * spread
    assert layer.eval()(x) is x
    assert DropPath(0)(x) is x


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_folding_a_norm_changes_nothing(bias, groups):
    conv = nn.Conv2d(4, 6, 3, groups=groups, bias=bias).double()
    norm = nn.BatchNorm2d(6).double()
    for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.2, 3)
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64)
    weight, shift = fold_norm(conv, norm.eval())
    folded = torch.nn.functional.conv2d(x, weight, shift, groups=groups)
    torch.testing.assert_close(folded, norm(conv(x)), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(folded, norm.train()(conv(x)))  # the statistics of a batch are others


def test_a_norm_without_scale_or_statistics():
    conv, norm, x = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, affine=False).eval(), torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(torch.nn.functional.conv2d(x, *fold_norm(conv, norm)), norm(conv(x)))
    with pytest.raises(WorkbenchError, match="keeps none"):
        fold_norm(conv, nn.BatchNorm2d(3, track_running_stats=False))


@pytest.mark.parametrize(("out", "stride"), [(None, 1), (5, 1), (None, 2), (8, 2)])
def test_basic_block_changes_channels_and_size(out, stride):
    block = BasicBlock(4, out, stride)
    x = torch.randn(2, 4, 7, 6)
    y = block(x)
    assert y.shape == (2, out or 4, -(-7 // stride), -(-6 // stride))
    assert (y >= 0).all()
    y.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in block.parameters())
    if (out, stride) == (None, 1):
        for norm in (block.branch[1], block.branch[4]):
            nn.init.zeros_(norm.weight)
        assert torch.equal(block(x), torch.relu(x))


def test_convnext_block_with_scale_zero_is_the_identity():
    x = torch.randn(2, 4, 5, 6)
    assert torch.equal(ConvNeXtBlock(4, scale=0.0)(x), x)
    assert receptive_field(ConvNeXtBlock(4, 5), (1, 4, 12, 12)).size == (5, 5)


def test_attention_by_hand_and_without_positions():
    layer = SelfAttention2d(4, 2).double()
    x = torch.randn(1, 4, 2, 3, dtype=torch.float64)
    asked = layer.ask(x)[0].reshape(3, 2, 2, 6)  # [which, heads, dim, pixels]
    heads = []
    for head in range(2):
        queries, keys, values = asked[:, head]
        weights = torch.softmax(queries.T @ keys / 2**0.5, dim=1)
        heads.append(values @ weights.T)
    expected = layer.answer(torch.cat(heads).reshape(1, 4, 2, 3))
    torch.testing.assert_close(layer(x), expected)
    order = torch.randperm(6)
    shuffled = x.flatten(2)[..., order].reshape(x.shape)
    torch.testing.assert_close(layer(shuffled).flatten(2), layer(x).flatten(2)[..., order])
    assert receptive_field(layer, (1, 4, 8, 8)).size == (float("inf"),) * 2
    with pytest.raises(WorkbenchError, match="divide"):
        SelfAttention2d(5, 2)


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(17, 20), (8, 8)])
def test_tiny_net(stem_stride, size):
    x = torch.randn(3, 2, *size)
    made = dict(width=4, depth=2, inputs=2, outputs=5, stem_stride=stem_stride)
    classes, pixels = TinyNet(BasicBlock, **made), TinyNet(BasicBlock, **made, head="pixels")
    assert classes(x).shape == (3, 5)
    assert pixels(x).shape == (3, 5, *size)
    assert pixels.features(x).shape[2:] == tuple(-(-n // stem_stride) for n in size)
    for net in (classes, pixels):
        net(x).square().sum().backward()
        assert all(p.grad is not None for p in net.parameters())
    assert cost(pixels, (1, 2, *size)).unpriced == ()
    assert receptive_field(classes, (1, 2, *size)).size == (float("inf"),) * 2
    seen = receptive_field(pixels.eval(), (1, 2, 64, 64), output="blocks").size[0]
    kernel = max(3, 2 * stem_stride - 1)
    assert seen == kernel + 4 * 2 * stem_stride


def test_tiny_net_refuses_in_a_sentence():
    with pytest.raises(WorkbenchError, match="head"):
        TinyNet(nn.Identity, width=4, depth=1, head="boxes")
    with pytest.raises(WorkbenchError, match="width"):
        TinyNet(nn.Identity, width=0, depth=1)
    for bad in (lambda: DropPath(1.0), lambda: SqueezeExcite(0), lambda: SqueezeExcite(4, 0)):
        with pytest.raises(WorkbenchError):
            bad()

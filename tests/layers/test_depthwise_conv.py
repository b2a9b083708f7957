"""The quick depthwise convolution is nn.Conv2d, in both directions and by every way."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import DepthwiseConv2d, depthwise_conv
from workbench.probes import cost, probe, receptive_field

WAYS = ("loops", "fourier", "torch")


def pair(channels, kernel, dtype=torch.float32, seed=0, **options):
    """The layer and the plain torch layer with the same numbers."""
    torch.manual_seed(seed)
    ours = DepthwiseConv2d(channels, kernel, **options).to(dtype)
    plain = nn.Conv2d(
        channels,
        channels,
        ours.kernel_size,
        ours.stride,
        ours.padding,
        ours.dilation,
        groups=channels,
        bias=ours.bias is not None,
    )
    plain.load_state_dict(ours.state_dict())
    return ours, plain.to(dtype)


def results(layer, x, like=None):
    """Output and gradients of image and parameters, for one fixed gradient of the output."""
    x = x.detach().requires_grad_()
    out = layer(x)
    torch.manual_seed(9)
    layer.zero_grad()
    gradient = torch.randn(out.shape, dtype=out.dtype) if like is None else like
    out.backward(gradient)
    return [out.detach(), x.grad, *(p.grad for p in layer.parameters())]


def check_same(ours, plain, x, rtol, like=None):
    for mine, truth in zip(results(ours, x, like), results(plain, x, like), strict=True):
        assert mine.shape == truth.shape
        assert mine.dtype == truth.dtype
        assert (mine - truth).abs().max() <= rtol * truth.abs().max() + 1e-30


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    monkeypatch.setattr(depthwise_conv, "quickest", lambda *_: request.param)
    return request.param


@pytest.mark.parametrize(
    ("kernel", "size"),
    [
        (3, (9, 8)),
        (7, (9, 8)),
        (13, (6, 7)),  # nearly twice the map
        (5, (1, 1)),
        (1, (3, 4)),
        ((1, 11), (5, 9)),
        ((11, 1), (5, 9)),
        (4, (7, 6)),  # even
        ((6, 3), (4, 9)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_way_equals_torch_in_both_directions(way, kernel, size, dtype):
    ours, plain = pair(3, kernel, dtype)
    x = torch.randn(2, 3, *size, dtype=dtype)
    check_same(ours, plain, x, 1e-4 if dtype == torch.float32 else 1e-12)


def test_memory_order_does_not_matter(way):
    ours, plain = pair(4, 5)
    x = torch.randn(2, 9, 4, 11)
    check_same(ours, plain, x.transpose(1, 2), 1e-4)
    check_same(ours, plain, x.permute(0, 2, 1, 3)[..., ::2], 1e-4)
    last = torch.randn(2, 4, 6, 7).contiguous(memory_format=torch.channels_last)
    check_same(ours, plain, last, 1e-4)
    repeated = torch.ones(()).expand(2, 4, 6, 7)  # the gradient of a sum has no memory of its own
    check_same(ours, plain, last, 1e-4, like=repeated)


@settings(deadline=None, max_examples=30)
@given(
    channels=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    padding=st.sampled_from([None, 0, 2, "valid"]),
    bias=st.booleans(),
    size=st.tuples(st.integers(9, 14), st.integers(13, 15)),
)
def test_whatever_the_settings_it_is_the_plain_layer(channels, kernel, stride, dilation, padding, bias, size):
    ours, plain = pair(channels, kernel, stride=stride, padding=padding, dilation=dilation, bias=bias)
    check_same(ours, plain, torch.randn(1, channels, *size), 1e-4)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(5, 1, 3), (4, 1, 1), (3, 2, 1), (7, 2, 2), (5, 3, 1)]
)
def test_by_default_only_the_stride_shrinks_the_map(kernel, stride, dilation):
    layer = DepthwiseConv2d(2, kernel, stride, dilation=dilation)
    assert layer(torch.zeros(1, 2, 17, 10)).shape[2:] == (-(-17 // stride), -(-10 // stride))


def test_only_the_gradients_that_are_asked_for(way):
    ours, plain = pair(2, 5)
    for layer in (ours, plain):
        layer.weight.requires_grad_(False)
    x = torch.randn(1, 2, 6, 6, requires_grad=True)
    for mine, truth in zip(
        *(torch.autograd.grad(n(x).square().sum(), [x, n.bias]) for n in (ours, plain)), strict=True
    ):
        torch.testing.assert_close(mine, truth, rtol=1e-4, atol=1e-4)
    assert ours.weight.grad is None
    without = DepthwiseConv2d(2, 5, bias=False)
    without(torch.randn(1, 2, 6, 6)).sum().backward()
    assert without.weight.grad.abs().sum() > 0


def test_torch_itself_accepts_the_operator():
    x, weight = torch.randn(1, 2, 5, 6, requires_grad=True), torch.randn(2, 1, 3, 5, requires_grad=True)
    torch.library.opcheck(depthwise_conv.depthwise, (x, weight, None))
    x, weight = (t.detach().double().requires_grad_() for t in (x, weight))
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(depthwise_conv.depthwise, (x, weight, bias))


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(3, 6, 7),  # without a batch
        torch.zeros(0, 3, 6, 7),
        torch.zeros(1, 3, 6, 7, dtype=torch.bfloat16),
    ],
)
def test_what_the_quick_ways_do_not_serve_is_left_to_torch(monkeypatch, x):
    monkeypatch.setattr(depthwise_conv, "quickest", lambda *_: pytest.fail("asked for a way"))
    ours, plain = pair(3, 5, x.dtype)
    assert torch.equal(ours(x), plain(x))


def test_mixed_precision_and_borders_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(depthwise_conv, "quickest", lambda *_: pytest.fail("asked for a way"))
    layer = DepthwiseConv2d(2, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.zeros(1, 2, 6, 6)).dtype == torch.bfloat16
    layer.padding_mode = "circular"
    assert layer(torch.zeros(1, 2, 6, 6)).shape == (1, 2, 6, 6)


def test_wrong_channels_are_a_sentence():
    with pytest.raises((WorkbenchError, RuntimeError), match="channels"):
        DepthwiseConv2d(3, 5)(torch.zeros(1, 4, 6, 6))


@pytest.mark.parametrize("kernel", [3, 7, 31, (1, 11)])
def test_probes_take_it_for_the_convolution_it_is(kernel):
    ours, plain = pair(4, kernel)
    ours, plain, shape = nn.Sequential(ours), nn.Sequential(plain), (2, 4, 12, 13)
    mine, truth = cost(ours, shape), cost(plain, shape)
    for what in ("parameters", "macs", "flops", "bytes"):
        assert getattr(mine, what).value == getattr(truth, what).value
    assert not mine.unpriced
    assert receptive_field(ours, shape).size == receptive_field(plain, shape).size
    assert np.array_equal(
        receptive_field(ours, shape).axes[0].reach.first, receptive_field(plain, shape).axes[0].reach.first
    )


def test_going_back_is_priced_like_torch():
    ours, plain = pair(4, 7)
    x = torch.randn(2, 4, 12, 13, requires_grad=True)
    mine, truth = (probe(nn.Sequential(n), x, backward=True) for n in (ours, plain))
    for what in ("macs", "flops", "backward_macs", "backward_flops"):
        assert getattr(mine.total, what) == getattr(truth.total, what)
    assert not mine.uncounted


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wide_kernels_take_spectra_and_double_precision_never_torch(dtype):
    def ways(kernel, size):
        passes = ("forward", "input gradient", "weight gradient")
        shapes = (2, 16, size, size), (16, 1, kernel, kernel)
        return [depthwise_conv.quickest(p, *shapes, dtype) for p in passes]

    assert ways(31, 64) == ["fourier"] * 3
    assert ways(31, 4) == ["loops"] * 3  # most taps fall outside
    assert ("torch" in ways(3, 32)) == (dtype == torch.float32)


def test_the_bare_operator_has_a_field():
    class Bare(nn.Module):
        def forward(self, x):
            return depthwise_conv.depthwise(x, torch.ones(2, 1, 5, 4), None)

    field = receptive_field(Bare(), (1, 2, 9, 9))
    assert field.size == (5, 4)
    assert field.interval((4, 4)) == ((2, 6), (3, 6))

"""The wide gate, its decomposition, the network around it, and the claims about its parts."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers.visual_attention import VisualAttentionBlock
from workbench.probes import cost, receptive_field
from workbench.systems.receptive_fields import visual_attention_network as module
from workbench.systems.receptive_fields.visual_attention_network import (
    SYSTEM,
    VAN,
    VARIANTS,
    LargeKernelAttention,
    best_dilation,
    decompose,
    gates_of_others,
    parameters,
    support,
    tiny_net,
    van,
)


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def test_the_rule_of_the_source():
    assert decompose(21, 3) == (5, 7)
    assert decompose(13, 3) == (5, 5)  # figure 2
    assert best_dilation(21) == 3
    assert [parameters(c, 21, 3) for c in (32, 64, 128, 256, 512)] == [3392, 8832, 25856, 84480, 300032]
    assert support(21, 3) == 23


@given(kernel=st.integers(1, 60), dilation=st.integers(1, 60))
def test_the_two_steps_see_at_least_the_kernel_and_leave_no_hole(kernel, dilation):
    local, taps = decompose(kernel, dilation)
    offsets = {near + far * dilation for near in range(local) for far in range(taps)}
    assert offsets == set(range(support(kernel, dilation)))
    assert support(kernel, dilation) >= kernel


@given(kernel=st.integers(1, 60), channels=st.integers(1, 64))
def test_no_dilation_needs_fewer_parameters_whatever_the_channels(kernel, channels):
    best = parameters(channels, kernel, best_dilation(kernel))
    assert best == min(parameters(channels, kernel, d) for d in range(1, kernel + 1))


@pytest.mark.parametrize(("kernel", "dilation"), [(21, 3), (13, 3), (7, 1), (9, 2)])
def test_the_gate_has_as_many_weights_as_equation_3_and_sees_its_support(kernel, dilation):
    gate = LargeKernelAttention(6, kernel, dilation)
    assert module.weights_of(gate) == parameters(6, kernel, dilation)
    side = support(kernel, dilation)
    assert receptive_field(gate, (1, 6, 64, 64)).size == (side, side)


@pytest.mark.parametrize("shape", [(30, 27), (1, 1), (5, 40)])
def test_inside_the_map_the_gate_is_one_dense_depthwise_kernel(shape):
    """Far from the border, where padding between the steps does not show."""
    gate = LargeKernelAttention(3).double()
    with torch.no_grad():
        for part in (gate.local, gate.wide):
            part.bias.copy_(draw(3))
    side, x = support(21, 3), draw(2, 3, *shape)
    impulse = torch.zeros(3, 1, 2 * side - 1, 2 * side - 1, dtype=torch.float64)
    impulse[:, :, side - 1, side - 1] = 1
    local, wide = gate.local.weight.flip(2, 3), gate.wide.weight.flip(2, 3)
    response = F.conv2d(
        F.conv2d(impulse.transpose(0, 1), local, padding=2, groups=3), wide, padding=9, dilation=3, groups=3
    )
    half = side // 2
    dense = response[0, :, None, side - 1 - half : side + half, side - 1 - half : side + half]
    assert dense.shape[2:] == (side, side)
    constant = gate.local.bias * gate.wide.weight.sum((1, 2, 3)) + gate.wide.bias
    twin = x * gate.mix(F.conv2d(x, dense, constant, padding=half, groups=3))
    out, edge = gate(x), 9  # the second step sees zeros instead of the first one's values out there
    inner = (..., slice(edge, -edge or None), slice(edge, -edge or None))
    torch.testing.assert_close(out[inner], twin[inner], rtol=1e-10, atol=1e-10)
    if min(shape) > 2 * edge:
        assert out[inner].numel()
        assert not torch.allclose(out, twin, atol=1e-6)  # and the border does differ


def test_variants_do_what_their_names_say():
    x = draw(2, 4, 9, 9, dtype=torch.float32)
    full = LargeKernelAttention(4)
    A = full.attention(x)
    for combine, truth in (
        ("multiply", x * A),
        ("replace", A),
        ("add", x + A),
        ("sigmoid", x * A.sigmoid()),
    ):
        variant = LargeKernelAttention(4, combine=combine)
        variant.load_state_dict(full.state_dict())
        torch.testing.assert_close(variant(x), truth)
    for without, size in (("local", 19), ("dilated", 5), ("mix", 23)):
        assert receptive_field(LargeKernelAttention(4, without=without), (1, 4, 50, 50)).size == (size, size)
    with pytest.raises(WorkbenchError, match="without must be"):
        LargeKernelAttention(4, without="gate")
    with pytest.raises(WorkbenchError, match="combine must be"):
        LargeKernelAttention(4, combine="softmax")
    with pytest.raises(WorkbenchError, match="have no middle"):
        LargeKernelAttention(4, 21, 4)


def test_the_gate_is_quadratic_in_its_input():
    gate = LargeKernelAttention(4).double()
    x = draw(1, 4, 12, 12)
    for part in (gate.local, gate.wide, gate.mix):
        nn.init.zeros_(part.bias)
    torch.testing.assert_close(gate(-3 * x), 9 * gate(x))


@pytest.mark.parametrize(("size", "millions"), [("b0", 4.1), ("b1", 13.9), ("b2", 26.6), ("b3", 44.8)])
def test_published_networks_have_the_published_size(size, millions):
    with torch.device("meta"):
        net = van(size)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_b0_multiplies_as_often_as_published_and_runs_on_odd_sizes():
    net = van("b0")
    assert cost(net, (1, 3, 224, 224)).macs.value == pytest.approx(0.9e9, rel=0.06)
    assert VAN((1, 1), (8, 16), (2, 2), classes=3).eval()(torch.zeros(1, 3, 45, 33)).shape == (1, 3)
    with pytest.raises(WorkbenchError, match="a size is one of"):
        van("b9")
    with pytest.raises(WorkbenchError, match="one entry for each stage"):
        VAN((1, 1), (8,), (2, 2))


def test_every_parameter_of_every_variant_gets_a_gradient():
    x = draw(2, 1, 16, 16, dtype=torch.float32)
    for variant in VARIANTS:
        net = tiny_net(variant, width=8, depth=1).train()
        net(x).square().sum().backward()
        assert all(p.grad is not None for p in net.parameters()), variant


def test_gates_of_others_are_those_of_the_next_picture_and_go_again():
    block = VisualAttentionBlock(4, LargeKernelAttention).eval()
    net = nn.Sequential(block)
    x = draw(3, 4, 8, 8, dtype=torch.float32)
    gate, own = block.attention[1].gate, block(x)
    u = F.gelu(block.attention[1].into(block.attention[0](x)))
    A = gate.attention(u)
    with gates_of_others(net):
        torch.testing.assert_close(gate(u), u * A.roll(1, 0))
        assert not torch.allclose(block(x), own)
    torch.testing.assert_close(block(x), own)


def test_cost_grows_with_the_pixels_and_attention_with_their_square():
    claim, control = module.growth_of_gate(0, "smoke"), module.growth_of_attention(0, "smoke")
    assert claim.value == 4
    assert control.value == pytest.approx(16, rel=0.01)


def test_parameter_claims():
    assert module.fewer_weights_at_best(0, "smoke").value == 451_584 / 3392
    assert module.fewer_than_mobile(0, "smoke").value == 15_136 / 3392
    assert module.fewer_weights_without_gaps(0, "smoke").value < 30
    assert module.fewer_than_mobile_without_gaps(0, "smoke").value < 1


@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda claim: claim.id)
def test_claims_and_controls_execute(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for measure in (claim.measure, claim.control):
        measured = measure(0, "smoke")
        ours, theirs = measured.system, measured.baseline
        related = [ours - theirs]
        if ours and theirs:
            related += [ours / theirs, theirs / ours]
        made = any(measured.value == pytest.approx(one) for one in related)
        assert made
        assert math.isfinite(measured.value)

"""The wide kernel and its folding, and the claim about how far it sees."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.layers import depthwise_fft, spread
from workbench.probes import cost, effective_field, receptive_field
from workbench.systems.receptive_fields.large_kernel_design import (
    SYSTEM,
    RepDepthwise,
    erf_at_equal_reach,
    erf_at_equal_spread,
    fold,
    fold_norm,
    large_kernel_block,
)


def lived_in(module: nn.Module) -> nn.Module:
    """Norms with statistics and affine parts that are nothing special, in float64."""
    generator = torch.Generator().manual_seed(3)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.double().eval()


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize(("kernel", "small"), [(13, 5), (3, 1), (7, None), (9, 7)])
@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (20, 23)])
def test_folded_equals_unfolded(channels, kernel, small, shape):
    wide = lived_in(RepDepthwise(channels, kernel, small))
    x = torch.randn(2, channels, *shape, dtype=torch.float64)
    torch.testing.assert_close(wide.fold()(x), wide(x), rtol=1e-12, atol=1e-12)


def test_folded_norm_by_hand():
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0)
    with torch.no_grad():
        for tensor, value in (
            (conv.weight, 3),
            (conv.bias, 5),
            (norm.weight, 2),
            (norm.bias, 7),
            (norm.running_mean, 1),
            (norm.running_var, 4),
        ):
            tensor.fill_(value)
    weight, bias = fold_norm(conv, norm)  # 2 * (3 x + 5 - 1) / 2 + 7 = 3 x + 11
    assert (weight.item(), bias.item()) == (3, 11)


def test_statistics_of_the_batch_break_the_equality_and_folding_refuses_them():
    wide = lived_in(RepDepthwise(4, 7, 3))
    x = torch.randn(2, 4, 9, 9, dtype=torch.float64)
    folded = wide.fold()
    wide.train()
    assert not torch.allclose(wide(x), folded(x), atol=1e-3)
    with pytest.raises(WorkbenchError, match=r"call eval\(\) first"):
        wide.fold()


def test_folding_a_network_copies_it_and_saves_work():
    net = lived_in(nn.Sequential(nn.Conv2d(3, 4, 1), large_kernel_block(4, 13), large_kernel_block(4, 7, 3)))
    x = torch.randn(1, 3, 11, 9, dtype=torch.float64).transpose(2, 3)  # not contiguous
    folded = fold(net)
    torch.testing.assert_close(folded(x), net(x), rtol=1e-12, atol=1e-12)
    assert any(isinstance(part, RepDepthwise) for part in net.modules())
    assert not any(isinstance(part, RepDepthwise) for part in folded.modules())
    before, after = cost(net, (1, 3, 9, 11)), cost(folded, (1, 3, 9, 11))
    assert after.macs.value == before.macs.value - 9 * 11 * 4 * (25 + 9)
    assert after.bytes.value < before.bytes.value
    assert isinstance(fold(lived_in(RepDepthwise(2, 3, 1))), nn.Conv2d)


def test_the_small_branch_lies_in_the_middle_of_the_wide_kernel():
    wide = RepDepthwise(1, 5, 3).eval()
    with torch.no_grad():
        wide.branches[0][0].weight.zero_()
        wide.branches[1][0].weight.fill_(1)
    torch.testing.assert_close(wide.fold().weight[0, 0], F.pad(torch.ones(3, 3), [1] * 4), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("kernel", "small"), [(4, 3), (5, 5), (5, 7), (5, 2), (0, None)])
def test_impossible_kernels_are_a_sentence(kernel, small):
    with pytest.raises(WorkbenchError, match="must be odd"):
        RepDepthwise(2, kernel, small)


def test_the_block_sees_its_kernel_and_keeps_its_input():
    block = large_kernel_block(4, 13)
    assert receptive_field(block, (1, 4, 40, 40)).size == (13, 13)
    assert {row["layer"] for row in receptive_field(block, (1, 4, 40, 40)).rows()} >= {"add_1"}
    bare = large_kernel_block(4, 13, shortcut=False)
    bare.load_state_dict(block.state_dict())
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(block.eval()(x), x + bare.eval()(x))
    assert all(p.grad is not None for p in _after_backward(block))


def _after_backward(block: nn.Module) -> list[nn.Parameter]:
    block.train()(torch.randn(2, 4, 6, 6)).square().sum().backward()
    return list(block.parameters())


@pytest.mark.parametrize(("shape", "kernel"), [((1, 1, 1, 1), 1), ((2, 3, 7, 10), 13), ((1, 2, 20, 5), 31)])
def test_depthwise_by_fourier_transform(shape, kernel):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(shape[1], 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(shape[1], dtype=torch.float64)
    direct = F.conv2d(x, weight, bias, padding="same", groups=shape[1])
    fourier = depthwise_fft(x, weight, bias)
    torch.testing.assert_close(fourier, direct)
    ours, theirs = (torch.autograd.grad((y**2).sum(), (x, weight)) for y in (fourier, direct))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_depthwise_by_fourier_transform_in_single_precision():
    x, weight = torch.randn(2, 8, 30, 33), torch.randn(8, 1, 13, 13) / 13
    direct = F.conv2d(x, weight, padding="same", groups=8)
    assert (
        depthwise_fft(x.transpose(2, 3), weight.transpose(2, 3)).transpose(2, 3) - direct
    ).abs().max() < 1e-4
    with pytest.raises(WorkbenchError, match="sides must be odd"):
        depthwise_fft(x, torch.ones(8, 1, 4, 4))
    with pytest.raises(WorkbenchError, match="expected x"):
        depthwise_fft(x, torch.ones(4, 1, 3, 3))


def test_claim_and_control_in_the_smoke_budget():
    claim, control = erf_at_equal_reach(0, "smoke"), erf_at_equal_spread(0, "smoke")
    assert claim.value == pytest.approx(claim.system / claim.baseline)
    assert claim.system == control.system
    assert control.baseline > claim.baseline
    assert claim == erf_at_equal_reach(0, "smoke")


def test_the_claim_is_reproduced_and_follows_the_law_of_random_weights():
    record = run_claim(SYSTEM, "erf-at-equal-reach", budget="lesson")
    assert record.verdict == "reproduced"
    assert record.control_failed
    law = spread(13, 3, "random") / spread(3, 18, "random")
    assert record.value == pytest.approx(law, rel=0.05)


def test_shortcuts_pull_the_field_to_its_centre():
    x = torch.randn(2, 4, 33, 33, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    blocks = [
        nn.Sequential(*[large_kernel_block(4, 7, 3, shortcut=s) for _ in range(3)]) for s in (True, False)
    ]
    blocks[1].load_state_dict(blocks[0].state_dict())
    with_shortcut, without = (effective_field(net, x).spread for net in blocks)
    assert with_shortcut < without

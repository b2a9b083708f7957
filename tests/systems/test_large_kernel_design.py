"""The wide kernel beside a small one, and the claims on how far it sees, on shapes, and on shortcuts."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.layers import RepDepthwise, depthwise_fft, fold, spread
from workbench.probes import cost, effective_field, receptive_field
from workbench.systems.receptive_fields.large_kernel_design import (
    SIZE,
    SYSTEM,
    at_equal_accuracy,
    equal_width,
    erf_at_equal_reach,
    erf_at_equal_spread,
    field_of,
    large_kernel_block,
    network,
    shape_bias,
    shapes,
    trained,
)


@pytest.fixture(autouse=True)
def own_place(tmp_path_factory, monkeypatch):
    """Kept trainings of these tests stay among themselves."""
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.getbasetemp() / "build"))


def lived_in(module: nn.Module) -> nn.Module:
    """Norms with statistics and affine parts that are nothing special, in float64."""
    generator = torch.Generator().manual_seed(3)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.double().eval()


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


def test_networks_of_one_cost():
    wide = cost(fold(network(13).eval()), (1, 1, SIZE, SIZE)).flops.value
    width = equal_width()
    twin = cost(network(3, width=width), (1, 1, SIZE, SIZE)).flops.value
    nearest = cost(network(3, width=width + 1), (1, 1, SIZE, SIZE)).flops.value
    assert abs(twin - wide) <= abs(nearest - wide)
    deep = cost(network(3, blocks=6), (1, 1, SIZE, SIZE)).flops.value
    assert abs(deep / wide - 1) < 0.15


def test_the_radius_does_not_know_the_unit_of_the_output():
    torch.manual_seed(0)
    net = network(7).double()
    x = torch.randn(3, 1, SIZE, SIZE, dtype=torch.float64)
    before = field_of(net, x)
    with torch.no_grad():
        net.norm.weight.mul_(1e6)
    after = field_of(net, x)
    assert after.map.sum() == pytest.approx(1e6 * before.map.sum())
    assert after.radius(0.5) == before.radius(0.5)
    assert after.radius(0.9) == before.radius(0.9)


class Oracle:
    """Answers as it is told to."""

    def __init__(self, answers):
        self.answers = answers

    def predict(self, X):
        return F.one_hot(self.answers, 6).float()


def test_shape_bias_of_known_answers():
    from workbench_datasets import load

    data = load("shape-textures", size=SIZE, images=64, mode="conflict", part="test", seed=3)
    shape, texture = torch.from_numpy(data["labels"]), torch.from_numpy(data["textures"])
    assert shape_bias(Oracle(shape), 3, "smoke") == 1
    assert shape_bias(Oracle(texture), 3, "smoke") == 0
    assert shape_bias(Oracle(torch.where(torch.arange(64) < 16, shape, texture)), 3, "smoke") == 0.25
    neither = torch.tensor(
        [next(c for c in range(6) if c not in pair) for pair in zip(shape, texture, strict=True)]
    )
    assert shape_bias(Oracle(neither), 3, "smoke") == 0.5


def test_random_labels_are_the_same_labels_on_other_images():
    (X, Y), (Z, W) = shapes(0, "smoke").train, shapes(0, "smoke", True).train
    assert torch.equal(X, Z)
    assert not torch.equal(Y, W)
    assert torch.equal(Y.bincount(minlength=6), W.bincount(minlength=6))


def test_both_networks_see_the_same_images_in_the_same_order():
    wide, small = at_equal_accuracy(0, "smoke")
    assert wide.order == small.order
    assert (wide.model.blocks[0].spatial.branches[0][0].kernel_size, small.steps) == ((13, 13), 2)
    assert trained(13, 0, "smoke") is trained(13, 0, "smoke")


@pytest.mark.parametrize("claim", ["trained-field", "shape-bias", "shortcut"])
def test_claims_with_training_execute(claim):
    record = run_claim(SYSTEM, claim, budget="smoke")
    assert record.verdict is None
    assert record.seeds == 1

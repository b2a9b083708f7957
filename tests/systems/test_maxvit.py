"""MaxViT: counts of torchvision, who reaches whom by three ways of counting, and the small networks."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import GridAttention2d, WindowAttention2d, reached
from workbench.layers.token_visibility import visible
from workbench.probes import cost
from workbench.systems.attention_shapes import maxvit
from workbench.systems.attention_shapes.maxvit import SYSTEM, MaxViT, MaxViTBlock, Size

TORCHVISION = 30_919_624  # parameters of maxvit_t in its documentation
TINY = Size(8, (8, 16), (1, 2), window=2, grid=2, head=8)


def test_parameters_are_those_of_torchvision():
    """It has a 1 x 1 convolution in the first shortcut, where the width stays, and leaves two biases out."""
    ours = sum(p.numel() for p in maxvit.built("T").parameters())
    assert ours + (64 * 64 + 64) - 1000 - 64 == TORCHVISION


def test_the_deepest_size_is_the_one_reported():
    count = sum(p.numel() for p in maxvit.built("B").parameters())
    assert round(count / 1e6) == maxvit.REPORTED["B"][0]


def test_a_block_is_what_its_parts_are():
    """Written out once more, in evaluation mode."""
    torch.manual_seed(0)
    block = MaxViTBlock(8, 16, 2, window=2, grid=4, head=8).double().eval()
    for part in block.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 8, 16, 8, dtype=torch.double)
    conv, near, far = block
    pre, expand, second, _, depthwise, third, _, gate, project, _ = conv.branch
    y = depthwise(nn.functional.gelu(second(expand(pre(x)))))
    y = nn.functional.gelu(third(y))
    squeezed = nn.functional.silu(gate.reduce(y.mean((2, 3), keepdim=True)))
    y = project(y * gate.expand(squeezed).sigmoid())
    y = y + conv.shortcut[1](nn.functional.avg_pool2d(x, 2))
    for attending, kind in ((near, WindowAttention2d), (far, GridAttention2d)):
        assert isinstance(attending.attention, kind)
        y = y + attending.attention(attending.norm(y))
        first, _, last = attending.feed_forward
        y = y + last(nn.functional.gelu(first(attending.second_norm(y))))
    torch.testing.assert_close(block(x), y)
    assert block(x).shape == (2, 16, 8, 4)
    assert gate.reduce.out_channels == 4


def test_every_parameter_gets_a_gradient():
    model = MaxViT(TINY, inputs=1, outputs=3)
    model(torch.randn(4, 1, 32, 16)).square().sum().backward()
    assert all((p.grad != 0).any() for p in model.parameters())


def test_rates_of_dropping_rise_from_zero():
    rates = [part.rate for part in MaxViT(TINY).modules() if isinstance(part, maxvit.DropPath)]
    assert rates[0] == 0
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.2 * 2 / 3)


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(WorkbenchError, match="window of side 2"):
        MaxViT(TINY).eval()(torch.zeros(1, 3, 24, 20))
    with pytest.raises(WorkbenchError, match="one number for each stage"):
        MaxViT(Size(8, (8, 16), (1,)))
    with pytest.raises(WorkbenchError, match="heads of 32 channels"):
        MaxViTBlock(8, 40)
    with pytest.raises(WorkbenchError, match="side of 10"):
        maxvit.first_hops(10, 4, (0, 0), 1)


# Who reaches whom -----------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "part", "at"), [(12, 3, (5, 11)), (8, 2, (0, 3)), (8, 4, (7, 2))])
def test_three_ways_of_counting_agree(side, part, at):
    """By the derivative, by counting along both axes, and by products of the visible sets."""
    first = maxvit.first_hops(side, part, at, 4)
    cuts = [kind(4, part) for kind in (WindowAttention2d, GridAttention2d)]
    seen = torch.eye(side * side, dtype=torch.bool)
    for count in range(5):
        found = maxvit.reach(maxvit.hops(("window", "grid", "window", "grid")[:count], part, part), side, at)
        by_counting = (first >= 0) & (first <= count)
        np.testing.assert_array_equal(found, by_counting)
        np.testing.assert_array_equal(seen[at[0] * side + at[1]].view(side, side), by_counting)
        seen = visible(cuts[count % 2], side, side).float() @ seen.float() > 0


@pytest.mark.parametrize("claim", ["global-in-one-block", "global-in-first-stage", "a-quarter-for-ever"])
def test_shares_follow_from_counting(claim):
    """The last number of hops is far beyond any network: a quarter stays a quarter."""
    side, part, count, share = {
        "global-in-one-block": (56, 7, 2, (7 / 8) ** 2),
        "global-in-first-stage": (56, 7, 4, 1),
        "a-quarter-for-ever": (32, 4, 40, 0.25),
    }[claim]
    first = maxvit.first_hops(side, part, (3, side - 5), count)
    assert (first >= 0).mean() == share


def test_parts_that_divide_the_distance_never_mix():
    for side, part in ((8, 2), (16, 2), (27, 3), (32, 4)):
        away = side // part
        assert away % part == 0
        first = maxvit.first_hops(side, part, (0, 0), 20)
        assert (first >= 0).mean() == min(1, part / away) ** 2
    assert (maxvit.first_hops(24, 4, (0, 0), 20) >= 0).all()


# The scattered regions ------------------------------------------------------------------------


def test_all_wirings_have_the_same_parameters():
    costs = {name: cost(maxvit.small(kinds), (1, 4, 8, 8)) for name, kinds in maxvit.WIRING.items()}
    assert len({found.parameters.value for found in costs.values()}) == 1
    assert len({found.macs.value for found in costs.values()}) == 1
    everything = visible(maxvit.small(maxvit.WIRING["window, grid"]), 8, 8)
    assert everything.all()
    windows = visible(maxvit.small(maxvit.WIRING["window"]), 8, 8)
    assert torch.equal(windows, reached(WindowAttention2d(4, 4).visible(8, 8), 2))
    assert windows.double().mean() == 0.25


def test_rewiring_keeps_weights_and_leaves_the_model_alone():
    model = maxvit.small(("window", "grid")).eval()
    x = torch.randn(2, 4, 8, 8)
    other = maxvit.rewired(model, ("window", "window"))
    with torch.no_grad():
        torch.testing.assert_close(maxvit.rewired(other, ("window", "grid"))(x), model(x))
        assert not torch.allclose(other(x), model(x))
    assert isinstance(model.layers[1].mixer, GridAttention2d)


def test_the_ideal_of_windows_is_close_to_its_expectation():
    from workbench_datasets import region_expectation

    seen = WindowAttention2d(4, 4).visible(8, 8)
    assert maxvit.window_ideal(0, 300) == pytest.approx(region_expectation(seen).mean(), rel=0.03)


@pytest.mark.parametrize(
    "claim", [claim for claim in SYSTEM.claims if not claim.needs], ids=lambda claim: claim.id
)
def test_claims_and_controls_execute(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for run in (claim.measure, claim.control):
        found = run(0, "smoke")
        assert np.isfinite(getattr(found, "value", found))


def test_controls_of_counts_fail():
    for name in ("parameters", "linear-work"):
        claim = SYSTEM.claim(name)
        found = [getattr(run(0, "smoke"), "value", run(0, "smoke")) for run in (claim.measure, claim.control)]
        wanted = 1 if name == "parameters" else claim.bar.high
        good = [value >= wanted if name == "parameters" else value <= wanted for value in found]
        assert good == [True, False]

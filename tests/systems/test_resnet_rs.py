"""The parts of ResNet-RS against closed forms and published totals, and the claims in the smoke budget."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import SqueezeExcite
from workbench.probes import receptive_field
from workbench.systems.receptive_fields import resnet_rs
from workbench.systems.receptive_fields.resnet_rs import (
    BLOCKS,
    CLEAN,
    FAMILY,
    IMPROVED,
    LADDER,
    NEW,
    OLD,
    PLAIN,
    SCARCE,
    SYSTEM,
    Architecture,
    Block,
    ResNet,
    Training,
    average_decay,
    cosine,
    grow,
    milestones,
    overfits,
    recipe,
    running_average,
    shortcut,
    small_net,
    smoothed_loss,
    stem,
)
from workbench.train import Recipe, Task, train


def weights(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("depth", "millions"), [(152, 86.62), (200, 93.21), (420, 191.89)])
def test_totals_are_those_of_timm(depth, millions):
    with torch.device("meta"):
        assert weights(resnet_rs.resnet_rs(depth)) / 1e6 == pytest.approx(millions, abs=0.005)


def test_the_resnet_of_2015_has_25_6_million_weights():
    with torch.device("meta"):
        assert weights(ResNet()) == 25_557_032  # torchvision's and everybody's ResNet-50


@pytest.mark.parametrize("depth", sorted(BLOCKS))
def test_depth_counts_the_layers(depth):
    stem_and_head = 2
    assert 3 * sum(BLOCKS[depth]) + stem_and_head == pytest.approx(depth, abs=4)  # 270 has 272, as published


def test_the_family_grows_in_depth_faster_than_in_resolution():
    assert len(FAMILY) == 11
    assert [m.accuracy for m in FAMILY] == sorted(m.accuracy for m in FAMILY)
    small, large = FAMILY[0], FAMILY[-1]
    assert large.depth / small.depth > 4 * large.image / small.image
    by = {(m.depth, m.image): m for m in FAMILY}
    assert by[350, 320].seconds / by[350, 256].seconds == pytest.approx(1.8, abs=0.005)
    assert by[350, 320].accuracy - by[350, 256].accuracy == pytest.approx(0.2)


@pytest.mark.parametrize("of", [OLD, NEW, Architecture(excite=0.25), Architecture(resnet_d=True)])
@pytest.mark.parametrize("bottleneck", [True, False])
@pytest.mark.parametrize("shape", [(32, 32), (37, 45), (8, 1)])
def test_any_size_and_layout(of, bottleneck, shape):
    net = ResNet((1, 2), 8, of=of, inputs=1, outputs=4, bottleneck=bottleneck).eval()
    x = torch.randn(3, 1, *shape[::-1]).transpose(2, 3)
    torch.testing.assert_close(net(x), net(x.contiguous()))
    assert net(x).shape == (3, 4)


def test_a_new_network_is_the_path_around_its_blocks():
    block = Block(8, 8, 1, OLD).eval()
    x = torch.rand(2, 8, 5, 5)
    torch.testing.assert_close(block(x), x)


def test_the_stems_reach_alike_and_shrink_alike():
    shape = (1, 3, 64, 64)
    old, new = (receptive_field(stem(3, 16, (2, 2), d), shape) for d in (False, True))
    assert old.size == (11, 11)
    assert new.size == (15, 15)
    assert old.jump == new.jump == (4, 4)


def test_an_averaging_shortcut_sees_every_pixel():
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    for resnet_d, share in ((False, 9), (True, 36)):
        path = shortcut(4, 8, 2, resnet_d).eval()
        (gradient,) = torch.autograd.grad(path(x).square().sum(), x)
        assert int((gradient.abs().sum(1) > 0).sum()) == share
    assert isinstance(shortcut(4, 4, 1, True), nn.Identity)
    assert shortcut(4, 8, 2, True)(torch.zeros(1, 4, 7, 5)).shape == (1, 8, 4, 3)


def test_squeeze_and_excitation_without_weights_halves():
    gate = SqueezeExcite(8, 0.25)
    for p in gate.parameters():
        nn.init.zeros_(p)
    x = torch.randn(2, 8, 3, 5)
    torch.testing.assert_close(gate(x), x / 2)
    assert gate.reduce.out_channels == 2


def test_stochastic_depth_grows_with_the_stage():
    net = ResNet((1, 1, 1, 1), 8, drop_path=0.1)
    rates = [part.rate for part in net.modules() if hasattr(part, "rate")]
    assert rates == pytest.approx([0.04, 0.06, 0.08, 0.1])
    assert [part.rate for part in small_net(IMPROVED).modules() if hasattr(part, "rate")][
        -1
    ] == pytest.approx(0.1)


def test_a_dropped_branch_leaves_the_shortcut():
    block = Block(4, 4, 1, OLD, drop=0.5).train()
    nn.init.ones_(block.body[-1][1].weight)
    torch.manual_seed(0)
    x = torch.rand(64, 4, 3, 3)
    out = block(x)
    same = (out == x).flatten(1).all(1)
    assert 10 < int(same.sum()) < 54


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_loss_against_explicit_targets(classes, smoothing):
    scores = torch.randn(7, classes, dtype=torch.float64)
    labels = torch.arange(7) % classes
    by_hand = 0.0
    for row, label in zip(scores, labels, strict=True):
        p = (row.exp() / row.exp().sum()).log()
        q = [smoothing / classes + (1 - smoothing) * (c == label) for c in range(classes)]
        by_hand -= float(sum(a * b for a, b in zip(q, p, strict=True))) / 7
    assert smoothed_loss(scores, labels, smoothing).item() == pytest.approx(by_hand)
    theirs = nn.functional.cross_entropy(scores, labels, label_smoothing=smoothing)
    torch.testing.assert_close(smoothed_loss(scores, labels, smoothing), theirs)


def test_cosine_and_milestones():
    assert cosine(0, 90, 0.2) == pytest.approx(0.2)
    assert cosine(45, 90, 0.2) == pytest.approx(0.1)
    assert cosine(90, 90, 0.2) == pytest.approx(0)
    at = [milestones(epoch, 90, 1.0) for epoch in (0, 29, 30, 59, 60, 79, 80, 89)]
    assert at == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize("training", [PLAIN, IMPROVED])
def test_the_bench_follows_the_same_schedule(training):
    how, law = recipe(training, 90), cosine if training.cosine else milestones
    rise = [min(1, (step + 1) / 5) for step in range(90)]
    got = [how.factor(step, 90) for step in range(90)]
    assert got == pytest.approx([law(step, 90, 1.0) * up for step, up in enumerate(rise)])


def test_running_average_in_closed_form():
    d, values = 0.9, [3.0, -1.0, 4.0, 1.5]
    closed = d**3 * 3 + (1 - d) * (d**2 * -1 + d * 4 + 1.5)
    assert running_average(values, d) == pytest.approx(closed)
    assert running_average([2.0] * 50, d) == pytest.approx(2)


def test_the_average_remembers_the_same_share_of_the_run():
    assert average_decay(109_475) == pytest.approx(0.9999)
    assert average_decay(235) == pytest.approx(0.953, abs=1e-3)
    assert average_decay(1) == 0
    assert 0.9999**235 > 0.97


def test_the_bench_averages_in_the_same_way():
    """One weight that learns the mean of a constant by plain descent: every step is known."""
    X = torch.ones(8, 1, 1, 1)
    how = dict(steps=6, batch=8, lr=0.1, optimizer="sgd", momentum=0.0, schedule="constant", weight_decay=0.0)

    def one_weight() -> nn.Module:
        conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.zeros_(conv.weight)
        return conv

    def squares(output: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
        return (output - Y).square().mean()

    data = Task(
        "one weight", (1, 1, 1), 1, (X, X), (X, X), squares, lambda output, Y: -float(squares(output, Y))
    )
    run = train(one_weight, data, Recipe(**how, ema=0.5), keep=False)
    path = [1 - 0.8**step for step in range(7)]
    assert run.model.weight.item() == pytest.approx(running_average(path, 0.5))


def test_growing_is_deeper_where_it_overfits_and_wider_where_not():
    assert grow((2, 2), 16, 4, overfits=True) == ((8, 8), 16)
    assert grow((2, 2), 16, 4, overfits=False) == ((2, 2), 32)
    assert grow((3, 4, 6, 3), 64, 1, overfits=True) == ((3, 4, 6, 3), 64)
    assert overfits(350)
    assert not overfits(10)
    with pytest.raises(WorkbenchError, match="factor must be positive"):
        grow((1,), 8, 0, overfits=True)


def test_the_ladder_adds_one_thing_at_a_time():
    assert LADDER[0][1:] == (Training(), OLD)
    assert LADDER[-1][1:] == (IMPROVED, NEW)
    for (_, t, a), (_, u, b) in pairwise(LADDER):
        changed = [k for k in vars(t) if vars(t)[k] != vars(u)[k]] + [
            k for k in vars(a) if vars(a)[k] != vars(b)[k]
        ]
        assert len(changed) == 1
    assert replace(LADDER[0][1], long=True) == PLAIN
    assert recipe(Training(), 100).steps == 50
    assert recipe(PLAIN, 100).steps == recipe(IMPROVED, 100).steps == 100
    assert recipe(IMPROVED, 100).label_smoothing == 0.1
    assert recipe(PLAIN, 100).augment is None


def test_two_sides_of_the_small_network():
    assert [weights(small_net(of=of)) for of in (OLD, NEW)] == [43_578, 48_362]
    assert weights(small_net(IMPROVED)) == weights(small_net(PLAIN))


@pytest.mark.parametrize(("blocks", "width"), [((), 8), ((0,), 8), ((1,), 0)])
def test_impossible_networks_are_a_sentence(blocks, width):
    with pytest.raises(WorkbenchError, match="at least one block"):
        ResNet(blocks, width)


def test_unknown_depths_are_a_sentence():
    with pytest.raises(WorkbenchError, match="depth must be one of"):
        resnet_rs.resnet_rs(51)


def test_clean_and_scarce_data(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    scarce, clean = resnet_rs.digits(SCARCE, 0), resnet_rs.digits(CLEAN, 0)
    assert (len(scarce.train[0]), len(clean.train[0])) == (150, 797)
    assert torch.equal(scarce.test[0], clean.test[0])


def test_every_claim_and_control_in_the_smoke_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    resnet_rs.percent_right.cache_clear()
    for claim in SYSTEM.claims:
        for measure in (claim.measure, claim.control):
            found = measure(0, "smoke")
            combined = found.system / found.baseline if "reach" in claim.id else found.system - found.baseline
            assert found.value == pytest.approx(combined)
    resnet_rs.percent_right.cache_clear()

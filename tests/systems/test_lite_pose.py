"""The pose network, its losses against loops, and people read off planted maps."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes import cost, receptive_field
from workbench.systems.receptive_fields.lite_pose import (
    DEEP,
    FULL,
    SAME,
    SMALL,
    SYSTEM,
    WIDE,
    XS,
    Branches,
    LitePose,
    Maps,
    MBConv,
    Plan,
    PoseLoss,
    PoseScore,
    StrangeSkips,
    fill,
    group,
    grouping_loss,
    heat,
    matched,
    peaks,
    pose_net,
    poses,
    shrunk,
    tags_at,
)
from workbench.train import heat_maps


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def parameters(net):
    return sum(p.numel() for p in net.parameters())


# The network ----------------------------------------------------------------------------------


def test_the_released_network_by_closed_form():
    """LitePose-Auto-XS has 1,675,552 parameters with 14 joints, as the original code builds it."""

    def block(inputs, outputs, kernel=7):
        wide = 6 * inputs
        return inputs * wide + 2 * wide + wide * kernel**2 + 2 * wide + wide * outputs + 2 * outputs

    def separable(inputs, outputs):
        return 25 * inputs + 2 * inputs + inputs * outputs

    expected = (3 * 32 * 9 + 64) + (32 * 9 + 64) + (32 * 16 + 32)
    width = XS.stem
    for channels, depth in zip(XS.channels, XS.depths, strict=True):
        expected += block(width, channels) + (depth - 1) * block(channels, channels)
        width = channels
    for refined, raw, out in zip((80, 16, 24), (48, 32, 16), XS.deconvs, strict=True):
        expected += 16 * out * (refined + raw) + 2 * out
    expected += separable(24, 28) + separable(16, 28) + separable(24, 14) + separable(16, 14)
    net = LitePose(14)
    assert parameters(net) == expected == 1_675_552
    with torch.no_grad():
        coarse, fine = net.eval()(torch.zeros(1, 3, 64, 96))
    assert coarse.shape == (1, 28, 16, 24)
    assert fine.shape == (1, 14, 32, 48)


@pytest.mark.parametrize("size", [(1, 1), (33, 48), (47, 50)])
@pytest.mark.parametrize("fusion", [True, False])
def test_any_size_is_rounded_up(size, fusion):
    net = pose_net(fusion=fusion).eval()
    x = noise(2, 1, *size).transpose(2, 3)  # not contiguous
    coarse, fine = net(x)
    assert fine.shape[2:] == tuple(-(-n // 2) for n in x.shape[2:])
    assert coarse.shape[2:] == tuple(-(-n // 4) for n in x.shape[2:])


@pytest.mark.parametrize("make", [pose_net, lambda: Branches(6, FULL), lambda: Branches(6, shrunk(FULL, 3))])
def test_every_parameter_learns(make):
    coarse, fine = make()(noise(2, 1, 32, 32))
    (coarse.square().sum() + fine.square().sum()).backward()


def test_shortcuts_where_the_shape_stays():
    for block, kept in ((MBConv(4, 4), True), (MBConv(4, 4, stride=2), False), (MBConv(4, 6), False)):
        block.eval()
        nn.init.zeros_(block.branch[3].weight)
        x = noise(1, 4, 6, 6)
        assert torch.equal(block(x), x) if kept else not block(x).any()


def test_wide_kernels_see_further_and_the_deep_twin_costs_more():
    class Fine(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x).fine

    wide, same, deep = (Fine(make()).eval() for make in (WIDE, SAME, DEEP))
    sizes = [receptive_field(net, (1, 1, 192, 192)).size[0] for net in (wide, same)]
    assert sizes[0] - sizes[1] == (6 - 2) * (2 + 4 + 8)  # three blocks, at the jumps of their inputs
    macs = [cost(net, (1, 1, 48, 48)).macs.value for net in (wide, same, deep)]
    assert macs[1] < macs[0] < macs[2]


def test_strangers_change_what_the_head_adds():
    net = pose_net(kind=StrangeSkips).eval()
    plain = pose_net().eval()
    plain.load_state_dict(net.state_dict())
    x = noise(2, 1, 32, 32)
    assert not torch.allclose(net(x).fine, plain(x).fine)
    torch.testing.assert_close(net(x[:1]).fine, plain(x[:1]).fine)  # alone, the stranger is oneself


def test_branches_and_their_shrinking():
    x = noise(1, 1, 48, 48)
    before = float("inf")
    for times in range(4):
        net = Branches(6, shrunk(FULL, times)).eval()
        coarse, fine = net(x)
        assert (coarse.shape, fine.shape) == ((1, 6, 12, 12), (1, 6, 24, 24))
        macs = cost(net, (1, 1, 48, 48)).macs.value
        assert macs < before
        before = macs
    assert Branches(6, FULL).eval()(noise(1, 1, 37, 50)).fine.shape == (1, 6, 19, 25)
    assert shrunk(FULL, 0) == FULL
    assert shrunk([(1, 1), (1, 1, 1), (1, 1, 1, 1)], 6) == ((0, 1), (0, 0, 1), (0, 0, 0, 1))
    assert shrunk(FULL, 3, lowest=True) == ((2, 0), (2, 0, 0))
    whole, left = (
        cost(Branches(6, b, base=w), (1, 1, 48, 48)).macs.value for b, w in ((FULL, 8), (shrunk(FULL, 3), 9))
    )
    assert left < whole


def test_slips_are_a_sentence():
    with pytest.raises(WorkbenchError, match="strides must be 2"):
        Plan(strides=(2, 2, 2, 2))
    with pytest.raises(WorkbenchError, match="three stages or more"):
        Plan(depths=(1, 1))
    with pytest.raises(WorkbenchError, match="3 branches can lose"):
        shrunk(FULL, 4)
    with pytest.raises(WorkbenchError, match="never fewer"):
        Branches(6, [(1, 1), (1,)])
    with pytest.raises(WorkbenchError, match="without tags"):
        poses(pose_net().eval()(noise(1, 1, 48, 48)), 48)


# Losses ---------------------------------------------------------------------------------------


def by_loops(tags, visible):
    push, pull = 0.0, 0.0
    for image, seen in zip(tags.tolist(), visible.tolist(), strict=True):
        groups = [[t for t, v in zip(*person, strict=True) if v] for person in zip(image, seen, strict=True)]
        groups = [g for g in groups if g]
        means = [sum(g) / len(g) for g in groups]
        pull += sum(sum((t - m) ** 2 for t in g) / len(g) for g, m in zip(groups, means, strict=True)) / max(
            len(groups), 1
        )
        pairs = [(a, b) for i, a in enumerate(means) for j, b in enumerate(means) if i != j]
        if pairs:
            push += sum(np.exp(-((a - b) ** 2)) for a, b in pairs) / len(pairs) / 2
    return push / len(tags), pull / len(tags)


@pytest.mark.parametrize(("people", "joints"), [(1, 1), (1, 6), (2, 6), (5, 3)])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_grouping_loss_against_loops(people, joints, share):
    tags = noise(4, people, joints, seed=people).double().requires_grad_()
    visible = torch.rand(4, people, joints, generator=torch.Generator().manual_seed(1)) < share
    push, pull = grouping_loss(tags, visible)
    assert (push.item(), pull.item()) == pytest.approx(by_loops(tags.detach(), visible), rel=1e-9, abs=1e-12)
    (push + pull).backward()
    assert tags.grad.isfinite().all()
    assert not tags.grad[~visible].any()


def test_tags_are_read_at_the_joints():
    maps = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    joints = torch.tensor([[[[0.0, 0.0], [47.0, 47.0]], [[13.0, 25.0], [-5.0, 99.0]]]])  # 12 pixels a step
    expected = torch.stack([maps[0, 0, 0, 0], maps[0, 1, 3, 3], maps[0, 0, 1, 2], maps[0, 1, 0, 3]])
    assert torch.equal(tags_at(maps, joints, 48).flatten(), expected)


def test_the_whole_loss_adds_up():
    Y = torch.cat([torch.rand(3, 2, 6, 2) * 47, torch.ones(3, 2, 6, 1)], -1)
    maps = Maps(noise(3, 12, 12, 12), noise(3, 6, 24, 24, seed=1))
    without = Maps(maps.coarse[:, :6], maps.fine)
    push, pull = grouping_loss(tags_at(maps.coarse[:, 6:], Y[..., :2], 48), Y[..., 2] > 0)
    expected = PoseLoss(48)(without, Y) + 1e-3 * (push + pull)
    torch.testing.assert_close(PoseLoss(48)(maps, Y), expected)
    truth = Maps(*(heat_maps(Y[..., :2], Y[..., 2], 48, side) for side in (12, 24)))
    assert PoseLoss(48)(truth, Y) < 1e-12


# Read off -------------------------------------------------------------------------------------

TWO = torch.tensor([[[8.0, 10], [20, 12], [14, 4], [13, 19], [30, 8], [31, 18]],
                    [[12.0, 34], [26, 36], [20, 28], [19, 42], [38, 30], [39, 42]]])  # fmt: skip


def planted(people=TWO, tags=(0.0, 3.0), spread=0.1):
    """Maps as a perfect network would answer: bumps at the joints, and round each the person's tag."""
    joints, visible = people[None], torch.ones(1, *people.shape[:2])
    coarse, fine = (heat_maps(joints, visible, 48, side) for side in (12, 24))
    near = torch.stack([heat_maps(joints[:, [i]], visible[:, [i]], 48, 12) for i in range(len(people))])
    shift = torch.tensor(tags)[:, None, None, None, None] + spread * noise(
        len(people), 1, people.shape[1], 1, 1
    )
    tag = (near * shift).sum(0) / near.sum(0).clamp_min(1e-9)
    return Maps(torch.cat([coarse, tag], 1), fine)


def test_planted_people_are_found_and_told_apart():
    (found,) = poses(planted(), 48)
    assert found.shape == (2, 6, 4)
    for person, truth in zip(sorted(found, key=lambda p: p[0, 1]), TWO.numpy(), strict=True):
        assert np.abs(person[:, :2] - truth).max() < 1.1  # half a step of the map
        assert np.ptp(person[:, 3]) < 0.7
    assert PoseScore(48)(planted(), torch.cat([TWO, torch.ones(2, 6, 1)], -1)[None]) == 1


def test_equal_tags_make_one_person_of_two():
    (found,) = poses(planted(tags=(1.0, 1.0), spread=0.0), 48)
    assert len(found) == 2  # both heads begin somebody, and every other joint can only choose blindly
    means = np.nanmean(found[:, :, 3], axis=1)
    assert abs(means[0] - means[1]) < 0.1


def test_nobody_is_found_on_an_empty_map():
    empty = Maps(torch.zeros(1, 12, 12, 12), torch.zeros(1, 6, 24, 24))
    (found,) = poses(empty, 48)
    assert found.shape == (0, 6, 4)
    assert np.isnan(matched(found, TWO)).all()
    assert matched(found, TWO).shape == (2, 6, 2)


def test_people_read_off_are_matched_to_the_true_ones():
    (found,) = poses(planted(), 48, least=6)
    assert np.abs(matched(found[::-1], TWO) - TWO.numpy()).max() < 1.1
    assert poses(planted(), 48, least=7)[0].shape == (0, 6, 4)


def test_a_missing_joint_begins_nobody_and_is_filled_in():
    maps = planted()
    strong, tags = (
        heat(maps)[0],
        nn.functional.interpolate(maps.coarse[:, 6:], size=(24, 24), mode="bilinear")[0],
    )
    found = peaks(strong, tags, window=3)
    left = [rows[rows[:, 3] < 1.5] if joint == 2 else rows for joint, rows in enumerate(found)]
    people = group(left)
    assert people.shape == (2, 6, 4)
    assert np.isnan(people[:, 2, 0]).sum() == 1
    filled = fill(people, strong, tags)
    assert not np.isnan(filled).any()
    person = filled[np.isnan(people[:, 2, 0])][0]
    truth = TWO.numpy()[1, 2]
    assert np.abs(person[2, :2] * 2 + 0.5 - truth).max() < 1.1


def test_peaks_of_a_joint_are_matched_together_not_one_after_the_other():
    """Two candidates want the same person; the sum of distances decides, not who comes first."""
    heads = np.array([[0, 0, 1.0, 0.0], [0, 9, 1.0, 3.0]])
    hips = np.array([[5, 0, 0.9, 1.6], [5, 9, 0.8, 2.8]])  # both are nearer to the second head
    people = group([heads, hips], near=2.0)
    assert people[:, 1, 3].tolist() == [1.6, 2.8]


def test_a_peak_moves_towards_its_higher_neighbour_and_stays_where_there_is_none():
    map = torch.zeros(1, 5, 5)
    map[0, 2, 2], map[0, 2, 3], map[0, 0, 0] = 1.0, 0.5, 0.3
    (found,) = peaks(map, torch.full((1, 5, 5), 7.0), window=3)
    assert found[:, :2].tolist() == [[2.0, 2.25], [0.0, 0.0]]
    assert found[:, 2].tolist() == pytest.approx([1.0, 0.3])
    assert set(found[:, 3]) == {7.0}


# Claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["measure", "control"])
@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda claim: claim.id)
def test_claims_execute(claim, part, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    found = getattr(claim, part)(0, "smoke")
    assert found.value == pytest.approx(found.system - found.baseline)


def test_the_small_plan_is_the_source_made_small():
    assert (SMALL.kernel, SMALL.expansion, SMALL.strides[-1], SMALL.fusion) == (7, 6, 1, True)

"""The four groups of channels, the network around them, and the claims about what they cost."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes import cost, receptive_field
from workbench.systems.receptive_fields import inceptionnext as module
from workbench.systems.receptive_fields.inceptionnext import (
    SYSTEM,
    InceptionMixer,
    MetaNeXt,
    MetaNeXtBlock,
    MlpHead,
    counts_of,
    inceptionnext,
    of_torch,
    split,
    traffic,
)


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@given(channels=st.integers(1, 300), ratio=st.sampled_from((0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 3)))
def test_the_split_hands_out_every_channel_and_rounds_down(channels, ratio):
    identity, *branches = split(channels, ratio)
    assert identity + sum(branches) == channels
    assert branches == [int(channels * ratio)] * 3
    assert identity >= 0


@pytest.mark.parametrize(("channels", "ratio"), [(0, 1 / 8), (8, 0.4), (8, -0.1)])
def test_impossible_splits_are_a_sentence(channels, ratio):
    with pytest.raises(WorkbenchError, match="from 0 to 1/3"):
        split(channels, ratio)


@pytest.mark.parametrize("depthwise", [of_torch, module.of_ours])
@pytest.mark.parametrize(
    ("channels", "ratio", "shape"),
    [(17, 1 / 8, (9, 14)), (7, 1 / 8, (5, 5)), (6, 1 / 3, (1, 1)), (40, 1 / 4, (3, 20))],
)
def test_the_mixer_is_one_masked_wide_kernel(channels, ratio, shape, depthwise):
    mixer = InceptionMixer(channels, ratio=ratio, depthwise=depthwise).double()
    one = mixer.as_one_kernel().double()
    x = draw(2, channels, *shape).transpose(2, 3)  # not contiguous
    torch.testing.assert_close(mixer(x), one(x), rtol=1e-12, atol=1e-12)
    g = split(channels, ratio)[1]
    assert cost(mixer, (1, channels, 8, 8)).macs.value == 64 * g * (9 + 11 + 11)
    assert int((one.weight != 0).sum()) == channels - 3 * g + g * (9 + 11 + 11)


@settings(max_examples=20, deadline=None)
@given(channels=st.integers(1, 40), shape=st.tuples(st.integers(1, 14), st.integers(1, 14)))
def test_overwriting_is_the_mixer_and_does_not_touch_the_identity(channels, shape):
    mixer = InceptionMixer(channels).double()
    x = draw(2, channels, *shape)
    expected, before = mixer(x), x.clone()
    assert mixer.overwrite(x) is x
    torch.testing.assert_close(x, expected, rtol=1e-12, atol=1e-12)
    identity = mixer.groups[0]
    assert torch.equal(x[:, :identity], before[:, :identity])


def test_each_group_looks_its_own_way():
    mixer = InceptionMixer(8)
    for branch in mixer.branches:
        nn.init.constant_(branch.weight, 1.0)
        nn.init.zeros_(branch.bias)
    x = torch.zeros(1, 8, 15, 15)
    x[:, :, 7, 7] = 1
    seen = (mixer(x)[0] != 0).int()
    sizes = [(int(s.any(1).sum()), int(s.any(0).sum())) for s in seen]
    assert sizes == [(1, 1)] * 5 + [(3, 3), (1, 11), (11, 1)]
    assert receptive_field(mixer, (1, 8, 40, 40)).size == (11, 11)


def test_block_by_hand_and_its_parts_all_learn():
    block = MetaNeXtBlock(16, layer_scale=0.3).eval()
    x = draw(2, 16, 9, 9, dtype=torch.float32)
    inside = F.gelu(block.mlp[0](block.norm(block.mixer(x))))
    torch.testing.assert_close(block(x), x + 0.3 * block.mlp[2](inside))
    block.train()(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters() if p.ndim > 1)
    assert all(p.grad is not None for p in block.parameters())


def test_a_small_layer_scale_hides_whatever_the_branch_does():
    x = draw(1, 8, 6, 6, dtype=torch.float32)
    sleeping, awake = MetaNeXtBlock(8).eval(), MetaNeXtBlock(8, layer_scale=1.0).eval()
    assert (sleeping(x) - x).abs().max() < 1e-4 < (awake(x) - x).abs().max()


def test_the_head_is_written_out():
    head = MlpHead(4, 5)
    x = draw(3, 4, 6, 7, dtype=torch.float32)
    first, _, norm, last = head.layers
    torch.testing.assert_close(head(x), last(norm(F.gelu(first(x.mean((2, 3)))))))
    assert first.out_features == 12


@pytest.mark.parametrize(("variant", "millions"), [("tiny", 28), ("small", 49), ("base", 87)])
def test_published_networks_have_the_published_size(variant, millions):
    with torch.device("meta"):
        net = inceptionnext(variant)
    assert round(sum(p.numel() for p in net.parameters()) / 1e6) == millions


def test_tiny_multiplies_as_often_as_published():
    net = inceptionnext("tiny")
    assert cost(net, (1, 3, 224, 224)).macs.value == pytest.approx(4.2e9, rel=0.02)


def test_atto_has_its_own_band_and_share_and_runs_on_odd_sizes():
    net = inceptionnext("atto", classes=3).eval()
    mixers = [part for part in net.modules() if isinstance(part, InceptionMixer)]
    assert [m.groups for m in mixers[:2]] == [(10, 10, 10, 10)] * 2
    assert {m.branches[1].kernel_size for m in mixers} == {(1, 9)}
    assert len(mixers) == 12
    assert net(torch.zeros(1, 3, 65, 47)).shape == (1, 3)


def test_drop_path_grows_evenly_and_stages_must_agree():
    with torch.device("meta"):
        net = MetaNeXt((2, 2), (8, 16), expansions=(4, 3), drop_path=0.3, classes=2)
    rates = [part.rate for part in net.modules() if isinstance(part, module.DropPath)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    with pytest.raises(WorkbenchError, match="one entry for each stage"):
        MetaNeXt((2, 2), (8, 16, 32))
    with pytest.raises(WorkbenchError, match="a variant is one of"):
        inceptionnext("huge")
    with pytest.raises(WorkbenchError, match="must be odd"):
        InceptionMixer(8, band=10)


def test_concatenation_spends_what_the_split_has_saved():
    """Bytes a pixel behind a small cache: reading, writing what is in no cache, and writing back."""
    side = 24
    moved = {kind: traffic(counts_of(kind, side)) / side**2 for kind in ("dw7", "in place", "concatenated")}
    assert moved["in place"] == pytest.approx(4 * (36 + 36), rel=0.05)
    assert moved["dw7"] == pytest.approx(4 * 3 * 96, rel=0.05)
    assert moved["concatenated"] == pytest.approx(4 * (3 * 36 + 3 * 96), rel=0.05)


def test_macs_are_372_and_4704_a_pixel():
    claim = module.macs(0, "smoke")
    assert (claim.system, claim.baseline) == (372, 4704)
    assert module.macs_as_one(0, "smoke").value < 1


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
        assert claim.id.endswith("-time") or made  # of several ratios of times it is the median
        assert math.isfinite(measured.value)


def test_all_mixers_train_in_the_same_network():
    for name in module.MIXERS:
        net = module.tiny_net(name, width=16, depth=1)
        assert net(torch.zeros(2, 1, 16, 16)).shape == (2, 6)
    assert isinstance(module.MIXERS["sixteenth"], partial)

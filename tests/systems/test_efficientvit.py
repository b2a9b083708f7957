"""The network against timm's answers and its own formulas; heads, importance and claims."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import CascadedGroupAttention, SelfAttention2d, folded
from workbench.probes import attention, cost
from workbench.systems.attention_cost import efficientvit as vit
from workbench.systems.attention_cost.efficientvit import SIZES, SYSTEM, AtOnce, EfficientViT, Size

HERE = Path(__file__).parent
FROM_TIMM = json.loads((HERE / "efficientvit_timm.json").read_text())
spec = importlib.util.spec_from_file_location("efficientvit_from_timm", HERE / "efficientvit_from_timm.py")
making = importlib.util.module_from_spec(spec)
spec.loader.exec_module(making)


def as_in_timm(name: str, side: int) -> EfficientViT:
    """The network with the weights that timm's had."""
    model = EfficientViT(SIZES[name.upper()], image=side, outputs=making.OUTPUTS).double()
    for own, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.from_numpy(making.drawn(making.timm_name(own), tuple(value.shape))))
    return model.eval()


def random_norms(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in evaluation mode, no norm trivial."""
    generator = torch.Generator().manual_seed(seed)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean):
                tensor.data.normal_(0.3, 0.5, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
    return model.eval()


@pytest.mark.parametrize("case", making.CASES)
def test_it_answers_as_timm_does(case):
    size, side = making.CASES[case]
    with torch.no_grad():
        answers = as_in_timm(size, side)(torch.from_numpy(making.image(side)))
    np.testing.assert_allclose(answers, FROM_TIMM["answers"][case], rtol=1e-9, atol=1e-9)


def test_the_comparison_with_timm_can_fail():
    """Each change is small and silent; each moves the answers by more than the tolerance."""

    def distance(case, change):
        size, side = making.CASES[case]
        model = as_in_timm(size, side)
        for part in model.modules():
            change(part)
        with torch.no_grad():
            return np.abs(
                model(torch.from_numpy(making.image(side))).numpy() - FROM_TIMM["answers"][case]
            ).max()

    def no_cascade(part):
        if isinstance(part, CascadedGroupAttention):
            part.feed = "group"

    def distance_by_rows_alone(part):
        if isinstance(part, CascadedGroupAttention):
            part.offsets = part.offsets // part.side * part.side

    def other_windows(part):
        if isinstance(part, vit.Windowed) and part.side == 7:
            part.forward = lambda x: vit.Windowed.forward(part, x.roll(1, 2)).roll(-1, 2)

    assert distance("m2, 32", no_cascade) > 1e-3
    assert distance("m2, 32", distance_by_rows_alone) > 1e-3
    assert distance("m0, 160", other_windows) > 1e-3


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_those_of_timm(name):
    with torch.device("meta"):
        model = EfficientViT(SIZES[name])
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == FROM_TIMM["parameters of 224 x 224 and 1000 classes"][name.lower()]
    assert round(parameters / 1e6, 2) == vit.REPORTED[name][0]


TINY = Size((8, 16), (1, 1), (2, 2), (3, 5), key_dim=4)


@pytest.mark.parametrize("feed", ["cascade", "group", "whole"])
@pytest.mark.parametrize("side", [32, 52])
def test_a_folded_network_computes_the_same(feed, side):
    model = random_norms(EfficientViT(TINY, image=side, outputs=3, window=3, stem=(2, 2), feed=feed))
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(folded(model)(x), model(x), rtol=1e-3, atol=1e-4)
    assert not any(isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d) for part in folded(model).modules())


def test_every_parameter_gets_a_gradient():
    model = random_norms(EfficientViT(TINY, image=16, outputs=3, stem=(2,))).train()
    model(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all((p.grad != 0).any() for p in model.parameters())


def test_branches_begin_as_nothing():
    """With all last norms at 0 a sandwich is the identity; the norms of a downsampling are not."""
    model = EfficientViT(TINY, image=16, outputs=3, stem=(2,)).eval()
    x = torch.randn(2, 8, 8, 8)
    assert torch.equal(model.stages[0](x), x)
    assert model.stages[1][0][0][0].branch.norm.weight.min() == 1


def test_sizes_must_fit_together():
    with pytest.raises(WorkbenchError, match="one number for each stage"):
        EfficientViT(replace(TINY, depths=(1,)))


def test_heads_at_once_equal_the_loop():
    group = folded(random_norms(CascadedGroupAttention(24, 3, 5, key_dim=4, feed="group")))
    group.bias.data.normal_()
    x = torch.randn(3, 24, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(AtOnce(group)(x), group(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(WorkbenchError, match="'group'"):
        AtOnce(folded(CascadedGroupAttention(24, 3, 5)))
    with pytest.raises(WorkbenchError, match="folded"):
        AtOnce(CascadedGroupAttention(24, 3, 5, feed="group"))


def test_all_timed_layers_do_the_work_they_stand_for():
    layers = vit.timed_layers()
    macs = {name: cost(layer, (1, vit.CHANNELS, 7, 7)).macs.value for name, layer in layers.items()}
    assert macs["group"] == macs["cascade"] == macs["group, at once"]
    n, c, h, d = 49, 192, 4, 16
    split, looks = c // h, h * d * 25 * n
    products = h * n * n * (d + split)
    assert macs["cascade"] == n * c * (2 * d + split) + looks + products + n * c * c
    assert macs["whole"] == n * h * c * (2 * d + split) + looks + products + n * c * c
    assert macs["standard"] == 4 * n * c * c + 2 * n * n * c
    plain = SelfAttention2d(vit.CHANNELS, vit.HEADS).eval()
    plain.load_state_dict(layers["standard"].state_dict())
    x = vit.noise(0, 2, vit.CHANNELS, vit.SIDE, vit.SIDE)
    torch.testing.assert_close(layers["standard"](x), plain(x))


def test_spending_adds_up():
    model = EfficientViT(SIZES["M0"], image=64)
    found, whole = vit.spending(model, 64), cost(model, (1, 3, 64, 64))
    for what in ("parameters", "macs", "bytes"):
        assert sum(part[what] for part in found.values()) == getattr(whole, what).value
    attentions = [part for part in model.modules() if isinstance(part, CascadedGroupAttention)]
    assert found["attention"]["parameters"] == sum(p.numel() for a in attentions for p in a.parameters())
    assert found["last layer"]["parameters"] == sum(p.numel() for p in model.head.parameters())
    assert found["stem"]["parameters"] == sum(p.numel() for p in model.stem.parameters())


def test_operators_are_counted_without_views():
    x = torch.zeros(1, 2, 3, 3)
    assert vit.operators(nn.Sequential(nn.ReLU(), nn.ReLU()), x) == 2
    assert vit.operators(nn.Flatten(), x) == 0
    ran = {
        name: vit.operators(layer, torch.zeros(1, 192, 7, 7)) for name, layer in vit.timed_layers().items()
    }
    assert ran["cascade"] > 3 * ran["standard"]
    assert ran["group, at once"] < ran["group"] / 2


# Heads ---------------------------------------------------------------------------------------


def test_maps_of_a_loop_over_heads_come_together():
    model = random_norms(vit.small())
    maps = vit.head_maps(model, torch.rand(3, 1, 8, 8))
    assert [tuple(one.shape) for one in maps] == [(3, 4, 64, 64)] * 2
    torch.testing.assert_close(maps[0].sum(-1), torch.ones(3, 4, 64))
    assert len(attention(model, torch.rand(3, 1, 8, 8))) == 8


def test_similarity_of_known_heads():
    maps = [torch.rand(2, 4, 9, 9, generator=torch.Generator().manual_seed(0)).softmax(-1)]
    assert vit.similarity(vit.uniform(maps), "raw") == pytest.approx(1)
    assert vit.similarity(vit.uniform(maps)) == 0
    assert vit.similarity(vit.alike(maps), "raw") == pytest.approx(1)
    assert vit.similarity(vit.alike(maps)) == pytest.approx(1)
    assert 0 < vit.similarity(maps) < 0.5 < vit.similarity(maps, "raw") < 1


def test_cutting_the_cascade_leaves_the_model_alone():
    model = random_norms(vit.small())
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        before = model(x)
        assert not torch.allclose(vit.without_cascade(model)(x), before)
        assert torch.equal(model(x), before)


def test_importance_falls_into_its_kinds():
    model = random_norms(vit.small(expansion=4))
    found = vit.channel_importance(model, torch.rand(8, 1, 8, 8), torch.arange(8))
    assert {kind: len(values) for kind, values in found.items()} == {
        "queries": 2 * 4 * 16,
        "keys": 2 * 4 * 16,
        "values": 2 * 64,
        "feed-forward": 2 * 2 * 256,
    }
    assert all((values >= 0).all() and values.sum() > 0 for values in found.values())


# Claims --------------------------------------------------------------------------------------


def test_the_wider_cascade_multiplies_as_often():
    like = cost(vit.small("whole"), (1, 1, 8, 8)).macs.value
    wide, plain = (cost(vit.arm(n), (1, 1, 8, 8)).macs.value for n in ("cascade, wider", "cascade"))
    assert abs(wide / like - 1) < 0.05 < 1 - plain / like


@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda claim: claim.id)
def test_claims_and_controls_execute(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for run in (claim.measure, claim.control):
        found = run(0, "smoke")
        assert np.isfinite(getattr(found, "value", found))


def test_controls_of_counts_fail():
    for claim in ("parameters", "multiply-adds"):
        assert SYSTEM.claim(claim).measure(0, "smoke") == 1
        assert SYSTEM.claim(claim).control(0, "smoke") == 0

"""The network against the released table, its block by hand, what is measured on it, and its claims."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.layers import SelfAttention2d, SlotMixing
from workbench.systems.attention_shapes import glmix
from workbench.systems.attention_shapes.glmix import CARD, SIZES, SMALL, SYSTEM, GLNet, MixBlock


@pytest.fixture(autouse=True)
def _build(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))


@pytest.mark.parametrize("name", SIZES)
def test_parameters_round_to_those_of_the_released_table(name):
    with torch.device("meta"):
        net = GLNet(SIZES[name])
    assert round(sum(p.numel() for p in net.parameters()) / 1e6) == CARD[name][0]


def test_kinds_of_blocks_are_where_the_source_has_them():
    with torch.device("meta"):
        net = GLNet(SIZES["4G"])
    kinds = [
        "S" if isinstance(m.mixer, SlotMixing) else "A" for m in net.modules() if isinstance(m, MixBlock)
    ]
    assert "".join(kinds) == "SSSS" + "SSSS" + "SA" * 9 + "AAAA"


@torch.no_grad()
def test_slots_are_pooled_before_positions_and_norm():
    torch.manual_seed(0)
    block = MixBlock(8, SlotMixing(8, 2, 2, scale=4.0)).eval()
    x = torch.randn(2, 8, 6, 7)
    placed = x + block.positions(x)
    y = block.norm(placed)
    inner = placed + block.mixer(y, x)
    expected = inner + block.feed_forward(block.second_norm(inner))
    torch.testing.assert_close(block(x), expected)
    later = placed + block.mixer(y, y)
    assert not torch.allclose(block(x), later + block.feed_forward(block.second_norm(later)))


@pytest.mark.parametrize("side", [32, 40, 33])
@torch.no_grad()
def test_a_small_network_takes_any_side(side):
    net = GLNet(SMALL, inputs=1, outputs=5, slots=3, drop=0.2).eval()
    x = torch.randn(2, 1, side, side)
    assert net(x).shape == (2, 5)
    torch.testing.assert_close(net(x.mT.contiguous().mT), net(x))


def test_scale_and_drop_are_where_they_are_asked_for():
    size = replace(SMALL, scale=1e-4)
    net = GLNet(size, drop=0.3)
    scales = [m.init for m in net.modules() if isinstance(m, glmix.LayerScale)]
    assert scales == [1e-4] * 2 * sum(size.depths)
    rates = [m.rate for m in net.modules() if isinstance(m, glmix.DropPath)]
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.3)
    assert rates == sorted(rates)


def test_stages_must_agree():
    with pytest.raises(WorkbenchError, match="one item for each stage"):
        GLNet(replace(SMALL, depths=(1, 1)))


def test_cost_grows_with_pixels_for_slots_and_with_their_square_for_attention():
    ours = glmix.growth(0, "smoke")
    theirs = glmix.growth(0, "smoke", lambda: SelfAttention2d(64, 2))
    assert 3.9 < ours.value <= 4
    assert 15 < theirs.value <= 16


class Watched(nn.Module):
    def __init__(self, **options: object) -> None:
        super().__init__()
        self.mixing = SlotMixing(6, 2, attend=False, kernel=0, **options)

    def forward(self, x):
        return self.mixing(x)


@torch.no_grad()
def test_changes_after_training_are_what_they_say_and_go_again():
    torch.manual_seed(0)
    net, x = Watched(scale=5.0).double(), torch.randn(3, 6, 4, 4, dtype=torch.double)
    before = net(x)
    with glmix.changed(net, glmix.shuffled):
        moved = net(x)
    assert not torch.allclose(moved, before)
    with glmix.changed(net, glmix.exchanged):
        others = net(x)
    torch.testing.assert_close(others, net.mixing(x, x.roll(1, 0)))
    assert not torch.allclose(others, before)
    torch.testing.assert_close(net(x), before)
    cold = Watched(scale=0.0).double()  # all slots are the same mean: nothing is there to shuffle
    with glmix.changed(cold, glmix.shuffled):
        moved = cold(x)
    torch.testing.assert_close(moved, cold(x))


@torch.no_grad()
def test_gathered_shares_sum_to_one():
    net, x = Watched(scale=2.0), torch.randn(3, 6, 4, 4)
    (shares,) = glmix.gathered_shares(net, x)
    assert shares.shape == (3, 4, 16)
    torch.testing.assert_close(shares.sum(-1), torch.ones(3, 4))


@pytest.mark.parametrize("claim", [claim.id for claim in SYSTEM.claims if not claim.needs])
def test_claims_and_controls_run(claim):
    record = run_claim(SYSTEM, claim, "smoke")
    assert record.value is not None
    assert record.control_value is not None

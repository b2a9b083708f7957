"""ShiftAddViT: the network and its conversions, operations and energy, and that every claim executes."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.layers import ShiftLinear, UnequalExperts, power_of_two
from workbench.systems.attention_shapes import shiftaddvit
from workbench.systems.attention_shapes.shiftaddvit import (
    ALPHAS,
    RATES,
    SYSTEM,
    Operations,
    SmallViT,
    balanced_loss,
    blocks,
    energy,
    operations,
    shift_shares,
    tuned,
    with_attention,
    with_experts,
    with_hashes,
    with_shifts,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SmallViT()


X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_network_answers_and_says_in_training_how_uneven_it_is(model):
    logits, uneven = model(X)
    assert logits.shape == (6, 10)
    assert uneven == 0
    assert model.eval()(X).shape == (6, 10)
    assert with_experts(model, (0.6, 0.4)).train()(X)[1] > 0


def test_the_loss_counts_uneven_experts_a_little():
    logits, Y = torch.zeros(4, 10), torch.zeros(4, dtype=torch.long)
    plain = balanced_loss(logits, Y)
    assert balanced_loss((logits, torch.tensor(2.0)), Y) == pytest.approx(float(plain) + 0.02)


def test_conversions_leave_the_original_alone(model):
    before = deepcopy(model.state_dict())
    for change in (lambda m: with_attention(m, "binary"), with_shifts, lambda m: with_experts(m, (1, 1))):
        changed = change(model)
        assert changed is not model
        assert torch.isfinite(changed.eval()(X)).all()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])


@pytest.mark.parametrize("learns", ["weight", "exponent"])
def test_shifted_mlps_are_the_network_with_rounded_weights(model, learns):
    rounded = deepcopy(model).eval()
    with torch.no_grad():
        for block in blocks(rounded):
            for number in (0, 2):
                block.mlp[number].weight.copy_(power_of_two(block.mlp[number].weight))
    found = with_shifts(model, learns).eval()(X)
    torch.testing.assert_close(found, rounded(X), atol=1e-3, rtol=0)  # inputs lose the bits behind 2^-16


def test_experts_begin_as_the_trained_mlp_and_its_shifted_twin(model):
    found = with_experts(model, (0.6, 0.4))
    for before, after in zip(blocks(model), blocks(found), strict=True):
        assert isinstance(after.mlp, UnequalExperts)
        torch.testing.assert_close(after.mlp.experts[0][0].weight, before.mlp[0].weight)
        assert isinstance(after.mlp.experts[1][2], ShiftLinear)
    assert all(0 <= share <= 1 for share in shift_shares(found, X))
    with pytest.raises(WorkbenchError, match="experts"):
        shift_shares(model, X)


def test_hashes_have_seen_tokens(model):
    found = with_hashes(model, X)
    assert all(block.attention.hash.means.abs().sum() > 0 for block in blocks(found))
    assert torch.isfinite(found(X)).all()


def test_operations_by_hand(model):
    found = operations(model)
    tokens, dim, hidden = 16, 32, 128
    assert found["patches"].multiply == tokens * dim * 4
    assert found["projections"].multiply == 2 * tokens * 4 * dim**2
    assert found["between tokens"].multiply == 2 * 2 * tokens**2 * dim
    assert found["MLPs"].add == 2 * tokens * 2 * dim * hidden
    assert found["last layer"].each() == (320, 320, 0, 0)


def test_a_conversion_moves_operations_and_loses_none(model):
    before = operations(model)
    shifted = operations(with_shifts(model))["MLPs"]
    assert shifted == Operations(shift=before["MLPs"].multiply, whole_add=before["MLPs"].add)
    binary = operations(with_attention(model, "binary"))["between tokens"]
    linear = operations(with_attention(model, "linear"))["between tokens"]
    beside = 2 * 16 * 32 * 10  # two layers: the convolution of nine taps, and 1 / pi
    assert binary.multiply == beside
    assert binary.add == linear.add == linear.multiply
    experts = operations(with_experts(model, (0.5, 0.5)))["MLPs"]
    assert experts.shift == before["MLPs"].multiply // 2
    assert experts.multiply == before["MLPs"].multiply // 2 + 2 * 16 * 64


def test_energy_is_operations_times_prices(model):
    assert Operations(1, 10, 100, 1000).energy == pytest.approx(3.7 + 9 + 13 + 100)
    assert energy(with_shifts(model)) < energy(with_experts(model, (0.6, 0.4))) < energy(model)


def test_arms_that_do_not_exist_are_named():
    with pytest.raises(WorkbenchError, match="expected one of unchanged"):
        tuned("other", 0, "smoke")


@pytest.mark.parametrize("claim", [claim for claim in SYSTEM.claims if not claim.needs], ids=lambda c: c.id)
def test_every_claim_and_control_executes(claim, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.getbasetemp() / "shiftaddvit"))
    for part in (claim.measure, claim.control):
        assert np.isfinite(part(0, "smoke").value)


def test_the_mixture_saves_what_the_formula_says():
    claim = SYSTEM.claim("arithmetic-energy")
    found, control = claim.measure(0, "lesson"), claim.control(0, "lesson")
    assert found.baseline == pytest.approx(4.6 * (2048 + 131072 + 32768 + 262144 + 320))
    saved = 0.6 * 262144 * (4.6 - 0.23) - 4.6 * 2 * 16 * 64  # shifted tokens, less the routers
    assert found.system - control.system == pytest.approx(-saved, rel=1e-4)  # shares are rounded
    assert 0 < control.value < found.value


@pytest.mark.parametrize("id", ["energy", "latency"])
def test_what_no_computer_here_can_measure(id):
    assert run_claim(SYSTEM, id, "lesson").verdict == "needs hardware"


def test_every_arm_has_a_rate_and_every_pair_of_latencies_a_sum_of_one():
    assert shiftaddvit.ATTENTION in RATES
    assert all(sum(pair) == pytest.approx(1) for pair in ALPHAS)

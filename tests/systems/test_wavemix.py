"""The wavelet block: its published sizes, its reach, what it keeps, and what its fixed part cannot change."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.layers import HAAR, BasicBlock
from workbench.probes import cost, receptive_field
from workbench.systems.receptive_fields import wavemix
from workbench.systems.receptive_fields.wavemix import (
    AVERAGE,
    SYSTEM,
    FourBands,
    Haar,
    Undecimated,
    WaveMix,
    WaveMixBlock,
    kept_share,
    random_orthonormal,
    saved,
    seen_from,
    shift_gap,
    two_stages,
    wave_net,
)
from workbench.train import Recipe, Task


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("channels", "depth", "inputs", "upsampling", "published"),
    [
        (64, 6, 3, "deconv", 520_106),
        (32, 7, 3, "interpolate", 37_058),
        (8, 5, 1, "deconv", 7_156),
        (8, 10, 1, "interpolate", 3_566),
    ],
)
def test_the_four_published_models_to_the_last_parameter(channels, depth, inputs, upsampling, published):
    net = WaveMix(10, channels, depth, inputs=inputs, upsampling=upsampling)
    assert sum(p.numel() for p in net.parameters()) == published


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (7, 10), (16, 16)])
def test_any_size_stays(levels, size):
    block = WaveMixBlock(8, levels)
    x = noise(2, 8, *size).transpose(2, 3)  # not contiguous
    assert block(x).shape == x.shape
    block(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


def test_one_level_by_hand():
    block = WaveMixBlock(4, 1).eval()
    x = noise(1, 4, 6, 6)
    mixed, low = block.grow[0], block.reduce(x)
    a, b, c, d = low[..., ::2, ::2], low[..., ::2, 1::2], low[..., 1::2, ::2], low[..., 1::2, 1::2]
    bands = torch.cat([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], 1) / 2
    torch.testing.assert_close(block(x), x + mixed(bands))


def test_levels_go_from_coarse_to_fine():
    block = WaveMixBlock(8, 2).eval()
    x = noise(1, 8, 8, 8)
    fine = Haar()(block.reduce(x))
    coarse = block.grow[1](torch.cat(tuple(Haar()(fine[0])), 1))
    assert coarse.shape == (1, 4, 4, 4)
    torch.testing.assert_close(block(x), x + block.grow[0](torch.cat((*fine, coarse), 1)))


@pytest.mark.parametrize(("levels", "narrow", "wide"), [(1, 4, 4), (2, 8, 12), (3, 16, 24)])
def test_reach_by_zero_gradients_and_by_intervals(levels, narrow, wide):
    found = seen_from(WaveMixBlock(8, levels), 8, 80)
    assert (min(found), max(found)) == (narrow, wide)
    assert receptive_field(WaveMixBlock(8, levels).eval(), (1, 8, 96, 96)).size == (wide, wide)


def test_operations_of_one_block():
    c = 32
    per_pixel = c**2 / 4 + (2 * c**2 + 2 * c**2 + 16 * c**2) / 4
    assert cost(WaveMixBlock(c), (1, c, 8, 8)).macs.value == per_pixel * 64


def test_what_one_block_keeps_by_hand():
    # x, then at a quarter of the pixels: C bands, 2C before GELU, 2C of the dropout, 2C after it, C; then C.
    by_hand = 1 + (1 + 2 + 2 + 2 + 1) / 4 + 1
    statistics = 2 / 32**2  # of the batch norm, one pair a channel
    assert saved(WaveMixBlock(32)) == pytest.approx(by_hand + statistics)
    assert saved(BasicBlock(32)) == pytest.approx(5 + 2 * statistics)
    assert saved(WaveMixBlock(32, dropout=0.0)) == pytest.approx(by_hand - 0.5 + statistics)
    assert saved(Undecimated(32)) > 9


def test_another_matrix_can_be_undone_by_the_layer_behind_it():
    """At one level every invertible matrix gives the same functions: the 1 x 1 takes in the difference."""
    ours = WaveMixBlock(8, 1).double().eval()
    matrix = random_orthonormal(3).double()
    other = WaveMixBlock(8, 1, transform=FourBands(matrix)).double().eval()
    other.load_state_dict({**ours.state_dict(), "transform.matrix": matrix})
    x = noise(2, 8, 6, 6).double()
    assert not torch.allclose(other(x), ours(x), atol=1e-3)
    with torch.no_grad():
        weight = ours.grow[0][0].weight[:, :, 0, 0].reshape(16, 4, 2)  # [out, band, channel]
        undone = torch.einsum("obc,bi,ji->ojc", weight, HAAR.double(), matrix)
        other.grow[0][0].weight.copy_(undone.reshape(16, 8, 1, 1))
    torch.testing.assert_close(other(x), ours(x), rtol=1e-6, atol=1e-6)


def test_transforms():
    x = noise(2, 3, 5, 4)
    torch.testing.assert_close(FourBands(HAAR)(x), tuple(Haar()(x)))
    matrix = random_orthonormal(0)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(4), atol=1e-5, rtol=0)
    assert not torch.equal(matrix, random_orthonormal(1))
    low, *details = FourBands(AVERAGE)(x)
    torch.testing.assert_close(low, Haar()(x)[0])
    assert not any(band.any() for band in details)


def test_moving_by_one_pixel_is_not_moving_along():
    """A move by as much as the coarsest level steps is followed exactly; a smaller one is not."""
    torch.manual_seed(0)
    for levels in (1, 2):
        block = WaveMixBlock(8, levels).eval()
        x = noise(1, 8, 32, 32)
        assert shift_gap(block, x, 2**levels) < 1e-5
        assert shift_gap(block, x, 1) > 1e-2
    assert shift_gap(BasicBlock(8).eval(), x, 1) < 1e-5


def test_the_transform_loses_nothing_but_the_block_does():
    torch.manual_seed(0)
    block, x = WaveMixBlock(32), noise(4, 32, 8, 8)
    assert kept_share(block, x) == pytest.approx(0.25, abs=0.05)  # 8 of 32 directions of white noise
    few = torch.einsum("ij,njhw->nihw", noise(32, 2), noise(4, 2, 8, 8))
    with torch.no_grad():
        block.reduce.weight[:2, :, 0, 0] = torch.linalg.pinv(noise(32, 2))
    assert kept_share(block, few) == pytest.approx(1, abs=1e-4)


def test_two_optimisers_in_turn(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    X, Y = noise(64, 1, 8, 8), torch.arange(64) % 2
    X += 0.5 * (2 * Y[:, None, None, None] - 1)
    tiny = Task("bright or dark", (1, 8, 8), 2, (X, Y), (X, Y))
    make = partial(WaveMix, 2, 8, 1, inputs=1, dropout=0.0)
    run = two_stages(make, tiny, Recipe(steps=40, batch=16))
    assert (run.steps, run.recipe.optimizer, run.recipe.momentum) == (10, "sgd", 0.9)
    assert run.score > 0.9
    assert run.curve[0] < 0.6  # it goes on where the first stopped
    with pytest.raises(WorkbenchError, match="both stages need steps"):
        two_stages(make, tiny, Recipe(steps=2))


def test_slips_are_a_sentence():
    with pytest.raises(WorkbenchError, match="multiple of 4"):
        WaveMixBlock(6)
    with pytest.raises(WorkbenchError, match="4 x 4"):
        FourBands(torch.eye(3))
    with pytest.raises(WorkbenchError, match="one level only"):
        WaveMixBlock(8, 2, upsampling="interpolate")
    with pytest.raises(WorkbenchError, match="'patchify'"):
        WaveMix(2, 8, 1, stem="patches")


@pytest.mark.parametrize("claim", [c for c in SYSTEM.claims if c.provenance == "counted"], ids=lambda c: c.id)
def test_counted_claims(claim):
    measured, control = claim.measure(0, "lesson"), claim.control(0, "lesson")
    assert measured == claim.measure(1, "smoke")  # no seed and no budget matters
    assert not claim.bar.low <= control.value
    if claim.id != "saved-activations-in-a-stack":  # where inputs are shared nothing much is left
        assert run_claim(SYSTEM, claim.id, budget="lesson").verdict == "reproduced"
    else:
        assert -0.1 < measured.value < 0.15


@pytest.mark.parametrize("part", ["measure", "control"])
@pytest.mark.parametrize("id", ["parameter-efficiency", "haar-prior"])
def test_trained_claims_execute(id, part, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    found = getattr(SYSTEM.claim(id), part)(0, "smoke")
    assert found.value == pytest.approx(found.system - found.baseline)
    assert 0 <= found.system <= 1


def test_twins_have_as_many_parameters():
    ours = sum(p.numel() for p in wave_net().parameters())
    for twin in (wavemix.resnet_twin, wavemix.convnext_twin):
        net = twin(wavemix.like_ours(twin))
        assert isinstance(net, nn.Module)
        assert np.isclose(sum(p.numel() for p in net.parameters()), ours, rtol=0.1)

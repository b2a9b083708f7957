"""Dilated branches, the block, the released sizes, other senses on a map, and the claims."""

import pytest
import torch
from torch import nn

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.layers import LayerScale, RepDepthwise, fold, place_dilated
from workbench.probes import cost
from workbench.systems.receptive_fields.unireplknet import (
    BRANCHES,
    RELEASED,
    SYSTEM,
    Forecaster,
    Size,
    UniBlock,
    UniRepLKNet,
    counted_operations,
    forecaster,
    frames_map,
    linear_error,
    lived_in,
    series_map,
    small_network,
    spatial,
    spectrogram_map,
    undilated,
    waves,
)


@pytest.fixture(autouse=True)
def own_place(tmp_path_factory, monkeypatch):
    """Kept trainings of these tests stay among themselves."""
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.getbasetemp() / "build"))


@pytest.mark.parametrize("kernel", BRANCHES)
def test_branches_stay_inside_their_kernel_and_grow_sparser(kernel):
    spans = [dilation * (size - 1) + 1 for size, dilation in BRANCHES[kernel]]
    assert max(spans) <= kernel
    dilations = [dilation for _, dilation in BRANCHES[kernel]]
    assert dilations == sorted(set(dilations))
    assert undilated(BRANCHES[kernel]) == tuple((size, 1) for size, _ in BRANCHES[kernel])


@pytest.mark.parametrize("kernel", [3, 5, *BRANCHES])
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (19, 22)])
def test_a_folded_block_is_the_block_in_float64(kernel, shape):
    block = lived_in(UniBlock(4, kernel).double(), seed=kernel)
    x = torch.randn(2, *shape, 4, dtype=torch.float64).permute(0, 3, 1, 2)  # not contiguous
    folded = block.fold()
    torch.testing.assert_close(folded(x), block(x), rtol=1e-12, atol=1e-12)
    assert not any(isinstance(part, (nn.BatchNorm2d, LayerScale, RepDepthwise)) for part in folded.modules())
    assert isinstance(block.norm, nn.BatchNorm2d)
    assert block.grn.shift.abs().min() > 0
    assert not folded.grn.shift.any()


def test_every_parameter_learns():
    torch.manual_seed(0)  # a gate of few channels may begin with a dead ReLU
    block = UniBlock(16, 7, scale=1.0)
    nn.init.normal_(block.grn.shift)
    block(torch.randn(3, 16, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in block.parameters())


def test_the_folded_kernel_is_the_sum_of_its_placed_branches():
    wide = lived_in(spatial(2, 13).double(), seed=0)
    total = torch.zeros(2, 1, 13, 13, dtype=torch.float64)
    for conv, norm in wide.branches:
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        total += place_dilated(conv.weight, conv.dilation[0], 13) * factor[:, None, None, None]
    torch.testing.assert_close(wide.fold().weight, total)


def test_training_mode_is_refused():
    with pytest.raises(WorkbenchError, match="training mode"):
        fold(small_network())


def test_kernels_without_known_branches_are_a_sentence():
    with pytest.raises(WorkbenchError, match="branches are known for kernels of 7, 9"):
        spatial(4, 19)
    with pytest.raises(WorkbenchError, match="below 7"):
        spatial(4, 5, ((3, 1),))
    assert spatial(4, 19, ((3, 9),))(torch.zeros(1, 4, 5, 5)).shape == (1, 4, 5, 5)


@pytest.mark.parametrize(
    ("name", "millions"), [("A", 4.4), ("F", 6.2), ("P", 10.7), ("N", 18.3), ("T", 31), ("S", 56)]
)
def test_folded_sizes_have_the_published_parameters(name, millions):
    with torch.device("meta"):
        net = fold(UniRepLKNet(RELEASED[name]).eval())
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.015)


def test_kernels_by_stage():
    assert RELEASED["T"].kernels[2] == (13, 3) * 9
    assert RELEASED["S"].kernels[2] == (13, 3, 3) * 9
    assert all(set(size.kernels[0]) == {3} for size in RELEASED.values())
    with pytest.raises(WorkbenchError, match="one kernel for each block"):
        UniRepLKNet(Size((2,), (8,), ((3,),)))
    with pytest.raises(WorkbenchError, match="halves once or twice"):
        UniRepLKNet(RELEASED["A"], halvings=3)


def test_stages_halve_and_a_folded_network_costs_less():
    net = small_network().eval()
    assert [
        tuple(stage(torch.zeros(1, c, 21, 17)).shape[2:])
        for stage, c in zip(net.stages, (1, 12), strict=True)
    ] == [
        (11, 9),
        (11, 9),
    ]
    shape = (1, 1, 40, 40)
    assert cost(fold(net), shape).macs.value < cost(net, shape).macs.value
    twice = UniRepLKNet(Size((1,), (8,), ((3,),)), inputs=3, outputs=2).eval()
    assert twice.stages(torch.zeros(2, 3, 16, 16)).shape == (2, 8, 4, 4)


def test_series_and_spectrograms_lose_nothing_on_a_map():
    series = torch.randn(2, 12, 8)
    picture = series_map(series, 16)
    assert picture.shape == (2, 1, 6, 16)
    assert torch.equal(picture[1, 0, 2], torch.cat([series[1, 4], series[1, 5]]))
    assert torch.equal(picture.reshape(2, 12, 8), series)
    with pytest.raises(WorkbenchError, match="whole lines"):
        series_map(series, 7)
    spectrogram = torch.randn(2, 5, 9)
    assert torch.equal(spectrogram_map(spectrogram)[1, 0, :, 3], spectrogram[1, 3])
    with pytest.raises(WorkbenchError, match="steps, frequencies"):
        spectrogram_map(spectrogram[0])


def test_frames_lie_in_rows():
    film = torch.randn(2, 6, 3, 4, 5)
    picture = frames_map(film, columns=3)
    assert picture.shape == (2, 3, 8, 15)
    assert torch.equal(picture[1, :, 4:, 5:10], film[1, 4])
    with pytest.raises(WorkbenchError, match="whole rows"):
        frames_map(film, columns=4)


def test_the_forecaster_takes_series_of_odd_lengths():
    net = Forecaster(Size((1, 1), (4, 6), ((3,), (7,))), past=(3, 15), outputs=9, width=9)
    assert net(torch.randn(2, 1, 3, 15)).shape == (2, 9)
    assert forecaster(13)(torch.randn(2, 1, 8, 96)).shape == (2, 192)


def test_the_linear_forecast_is_exact_for_linear_waves():
    from workbench.train import task

    assert linear_error(task("oscillators", length=600, stiffening=0.0)) < 1e-3
    assert linear_error(waves(0, "smoke")) > 0.01


def test_operations_are_counted_tap_by_tap():
    inside = sum(min(i, 2) + 1 + min(4 - i, 2) - 0 for i in range(5)) - 0
    assert inside == 5 * 5 - 2 * (2 + 1)
    assert counted_operations(((5, 1),), norms=0, side=5) == 2 * inside**2 + 5**2
    assert counted_operations((), norms=3, side=4) == 3 * 2 * 16


@pytest.mark.parametrize("claim", [claim.id for claim in SYSTEM.claims])
def test_claims_execute(claim):
    assert run_claim(SYSTEM, claim, budget="smoke").verdict is None


def test_folding_is_exact_and_the_control_is_not():
    record = run_claim(SYSTEM, "fold-is-exact", budget="lesson")
    assert record.verdict == "reproduced"
    assert record.value < 1e-6

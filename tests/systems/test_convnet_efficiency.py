"""Blocks against float64 and torch, fused against layer by layer; the waterline by law; traffic; claims."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.claims import run_claim
from workbench.counting import Geometry, Level
from workbench.errors import WorkbenchError
from workbench.exercises.roofline.waterline import waterline
from workbench.kernels import conv_first_bands
from workbench.layers import ConvFirst, MBConv
from workbench.machine import Machine, preset
from workbench.probes import cost
from workbench.quantity import Quantity
from workbench.systems.roofline import convnet_efficiency as ce
from workbench.views import Work
from workbench.views.waterlines import bars

SIZES = [(1, 1, 1), (1, 5, 7), (3, 4, 9), (2, 8, 3)]  # images, height, width


def some(images, height, width, channels=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, channels, height, width, generator=generator)


# The formula and the waterline


def test_latency_and_efficiency_undo_each_other():
    assert ce.efficiency(3e9, ce.latency(3e9, 1e11, 0.4), 1e11) == pytest.approx(0.4)


positive = st.floats(1e3, 1e9)


@given(
    kernels=st.lists(st.tuples(st.floats(0, 1e9), positive), min_size=1, max_size=6),
    peak=st.floats(1e9, 1e12),
    bandwidth=st.floats(1e9, 1e12),
)
def test_laws_of_the_waterline(kernels, peak, bandwidth):
    flops, moved = (np.array(each) for each in zip(*kernels, strict=True))
    seconds, most = ce.attainable(flops, moved, peak, bandwidth)
    assert 0 <= most <= 1 + 1e-12
    assert seconds >= max(flops.sum() / peak, moved.sum() / bandwidth) * (1 - 1e-12)
    assert seconds <= (flops.sum() / peak + moved.sum() / bandwidth) * (1 + 1e-12)
    assert seconds == pytest.approx(ce.attainable(2 * flops, moved, 2 * peak, bandwidth)[0])
    assert seconds == pytest.approx(ce.attainable(flops, moved, peak, np.full(len(moved), bandwidth))[0])
    assert (seconds, most) == pytest.approx(waterline(flops, moved, peak, bandwidth))
    together, _ = ce.attainable([flops.sum()], [moved.sum()], peak, bandwidth)
    assert together <= seconds * (1 + 1e-12)  # one kernel of all could compute while it moves


def test_the_picture_and_the_formula_agree():
    layers = ce.Layers(ce.block_of("MBConv", 16), some(2, 9, 7))
    quantity = {"flops": ("flop", "formula"), "bytes": ("B", "formula")}
    works = {
        str(number): Work(*(Quantity(getattr(step, name), *kind) for name, kind in quantity.items()))
        for number, step in enumerate(layers.steps)
    }
    limits = Quantity(1e11, "flop/s", "formula"), Quantity(2e10, "B/s", "formula")
    drawn = bars(works, *limits).values()
    seconds, most = ce.attainable(
        [step.flops for step in layers.steps], [step.bytes for step in layers.steps], 1e11, 2e10
    )
    assert sum(bar.seconds for bar in drawn) == pytest.approx(seconds)
    assert sum(bar.width for bar in drawn if bar.computes) / seconds == pytest.approx(most)


# Layer by layer


@pytest.mark.parametrize("name", ce.BLOCKS)
@pytest.mark.parametrize("size", SIZES)
def test_kernel_by_kernel_is_the_block_in_float64(name, size):
    x, block = some(*size), ce.block_of(name, 16, seed=1)
    found = ce.Layers(block, x)
    with torch.no_grad():
        expected = block.double()(x.double())
    torch.testing.assert_close(found().double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found().double(), expected, rtol=1e-5, atol=1e-5)  # again: x is as it was


@pytest.mark.parametrize("name", ce.BLOCKS)
def test_each_kernel_alone_gives_the_same_again(name):
    layers = ce.Layers(ce.block_of(name, 16), some(1, 4, 5))
    for step, call in zip(layers.steps, layers.alone(), strict=True):
        first = call().clone()
        if step.name != "add the input":  # adds once more at each call
            assert torch.equal(call(), first)
        assert first.abs().max() > 1e-3


@pytest.mark.parametrize("name", ce.BLOCKS)
def test_operations_are_those_of_the_probe(name):
    x, block = some(2, 6, 5), ce.block_of(name, 16)
    assert ce.Layers(block, x).flops == 2 * cost(block, x.shape).macs.value


@pytest.mark.parametrize("name", ce.BLOCKS)
def test_every_parameter_gets_a_gradient(name):
    block = ce.block_of(name, 16)
    assert ce.untouched(block, some(1, 5, 5)) == ()
    block.branch[0] = nn.Sequential(block.branch[0], nn.Identity())
    forgotten = nn.Module()
    forgotten.block, forgotten.spare = block, nn.Conv2d(16, 16, 7)
    forgotten.forward = block.forward
    assert ce.untouched(forgotten, some(1, 5, 5)) == ("spare.weight", "spare.bias")


def test_a_block_that_has_been_cut_or_transposed_in_memory():
    x = some(2, 9, 11)[:, :, ::2, 1:]
    block = ce.block_of("ConvFirst", 16)
    torch.testing.assert_close(ce.Layers(block, x)(), ce.Layers(block, x.contiguous())())
    torch.testing.assert_close(ce.Bands(block, x, 7)(), ce.Layers(block, x)(), rtol=1e-5, atol=1e-5)


# Fused


@settings(max_examples=25, deadline=None)
@given(
    images=st.integers(1, 4),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    band=st.integers(1, 200),
    kernel=st.sampled_from((1, 3, 5)),
)
def test_any_band_gives_the_block(images, height, width, band, kernel):
    torch.manual_seed(0)
    block, x = ConvFirst(8, expansion=2, kernel=kernel, group_width=4).eval(), some(images, height, width, 8)
    with torch.no_grad():
        torch.testing.assert_close(ce.Bands(block, x, band)(), block(x), rtol=1e-4, atol=1e-5)


def test_zeros_around_a_band_are_wrong_at_its_edges_alone():
    block, x = ce.block_of("ConvFirst", 16), some(1, 8, 6)
    wrong = (ce.Bands(block, x, 12, halo=False)() - ce.Layers(block, x)()).abs().amax((0, 1, 3))
    assert wrong[[0, 7]].max() < 1e-5  # the image's own borders
    assert wrong[1:7].min() > 1e-3  # each row lies at the edge of a band of two rows


def test_the_counted_kernel_is_the_same_block():
    block, x = ce.block_of("ConvFirst", 16, seed=2), some(2, 5, 7)
    given = ce.counted(block, x, 12)
    conv_first_bands(*given.values())
    np.testing.assert_allclose(given["out"], ce.rows(ce.Layers(block, x)()), rtol=1e-4, atol=1e-5)


def test_bytes_by_formula():
    assert ce.bytes_per_pixel(64, 6, fused=False) == 7424
    assert ce.bytes_per_pixel(64, 6, fused=False, epilogue=True) == 4352
    assert ce.bytes_per_pixel(64, 6, fused=True) == 512
    block, x = ce.block_of("ConvFirst", 16), some(2, 6, 5)
    weights = 4 * sum(
        part.numel() for conv in ce.deployed(block) for part in getattr(conv, "parameters", tuple)()
    )
    layers, bands = ce.Layers(block, x), ce.Bands(block, x, 10)
    assert layers.bytes == 60 * ce.bytes_per_pixel(16, 6, fused=False) + weights
    assert bands.bytes == 60 * ce.bytes_per_pixel(16, 6, fused=True) + weights
    assert layers.flops == bands.flops


def test_lines_in_simulated_caches():
    """A band that fits leaves input and output, a line written being read first; a whole one leaves all."""
    cache = Geometry([Level(64 * 1024, 8)])
    fits = ce.streamed_traffic(32, 16, 6, 32, cache)
    assert 3 * 64 * 0.9 < fits < 3 * 64 * 1.15
    whole = ce.streamed_traffic(32, 16, 6, 1024, cache)
    assert whole > 6 * fits
    assert ce.streamed_traffic(32, 16, 6, 4096, cache) == whole
    everything = ce.streamed_traffic(32, 16, 6, 1024, Geometry([Level(4 * 1024**2, 16)]))
    assert everything < whole / 4


@pytest.mark.slow
@pytest.mark.parametrize("band", [16, 32, 1024])
def test_counting_every_access_and_streaming_lines_agree(band):
    block, x = ce.block_of("ConvFirst", 16), ce.photograph(1, 16, 32)
    counted = ce.counted_traffic(block, x, band, ce.SMALL)
    assert ce.streamed_traffic(32, 16, 6, band, ce.SMALL) == pytest.approx(counted, rel=0.25)


# The photograph, the roofs, the networks


def test_cosines_are_orthonormal_and_the_photograph_is_standardised():
    patterns = ce.cosines().reshape(64, 64)
    np.testing.assert_allclose(patterns @ patterns.T, np.eye(64), atol=1e-12)
    x = ce.photograph(3, 16, 20, seed=1)
    assert x.shape == (3, 16, 20, 20)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, ce.photograph(3, 16, 20, seed=1))
    assert not torch.equal(x, ce.photograph(3, 16, 20, seed=2))
    assert 0.2 < float(x.std()) < 3


def test_a_roof_is_that_of_the_memory_that_holds_what_is_touched():
    laptop = preset("laptop")
    limits = laptop.ceilings()
    for touched, level in ((10_000, "L1"), (200_000, "L2"), (10**9, "DRAM")):
        step = ce.Step("", 1, touched, touched, lambda y: y)
        assert ce.roof_of(step, limits, laptop) == (level, limits.bandwidth(level).value)
        in_place = ce.Step("", 1, 2 * touched, touched, lambda y: y)
        assert ce.roof_of(in_place, limits, laptop) == (level, 1.5 * limits.bandwidth(level).value)
    assert ce.roof_of(step, limits, Machine.here())[0] == "DRAM"


@pytest.mark.parametrize("name", ce.NETS)
def test_networks_run_on_digits_and_use_all_their_parameters(name):
    task = ce.digits()
    net = ce.net(name).eval()
    assert net(task.test[0][:2]).shape == (2, 10)
    assert ce.untouched(net, task.test[0][:2]) == ()


def test_digits_are_split_once():
    task = ce.digits(1000)
    assert [len(part) for part in (*task.train, *task.test)] == [1000, 1000, 797, 797]
    assert float(task.train[0].mean()) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        (lambda: ce.Bands(ce.block_of("ConvFirst", 8), some(1, 3, 3, 8), 0), "at least 1 pixel, but 0"),
        (lambda: ce.Bands(ConvFirst(8, 16).eval(), some(1, 3, 3, 8), 4), "keeps size and channels"),
        (lambda: ce.Layers(MBConv(8, stride=2).eval(), some(1, 4, 4, 8)), "but stride .2, 2. came"),
        (lambda: ce.Layers(ce.block_of("basic", 8), torch.zeros(8, 3, 3)), "but shape .8, 3, 3. came"),
        (lambda: ce.photograph(channels=65), "1 to 64 channels here, but 65"),
        (lambda: ce.photograph(side=500), "a side of 1 to 105 fits, but 500"),
    ],
)
def test_a_slip_gets_one_sentence(slip, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        slip()


def test_a_contended_race_is_never_a_result(monkeypatch):
    times = ce.race({"nothing": lambda: None}, 9)
    monkeypatch.setattr(ce, "race", lambda *_: type(times)(**(vars(times) | {"contention": 1.5})))
    with pytest.raises(WorkbenchError, match=r"contended: wall time was 1\.50 of CPU time"):
        ce.quiet_race({"nothing": lambda: None}, 0, "lesson")
    assert ce.quiet_race({"nothing": lambda: None}, 0, "smoke").contention == 1.5


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(claim, id=claim.id, marks=[pytest.mark.slow] * (claim.provenance == "simulated"))
        for claim in ce.SYSTEM.claims
        if not claim.needs
    ],
)
def test_claim_and_control_execute(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    assert math.isfinite(run_claim(ce.SYSTEM, claim, "smoke").value)


@pytest.mark.parametrize("id", ["fewer-operations"])
def test_verdicts_that_do_not_depend_on_the_machine(id, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    record = run_claim(ce.SYSTEM, id, "lesson")
    assert record.verdict == "reproduced"
    assert record.control_failed

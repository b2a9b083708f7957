"""The cost model equals the authors' tables; what is read off cascades meets plain loops and a cache."""

from itertools import pairwise
from statistics import fmean, geometric_mean

import numpy as np
import pytest
import torch
import workbench_datasets

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.probes import CASCADES, interpret, passes
from workbench.systems.attention_cost import fusemax
from workbench.systems.attention_cost.fusemax import (
    DESIGNS,
    GRID,
    KINDS,
    LENGTHS,
    MODELS,
    SYSTEM,
    WALKERS,
    busy,
    cycles,
    fetched,
    linear_seconds,
    moved,
    query_tile,
    seconds,
    speedups,
    timeline,
)

# Seconds from the tables of the artifact: every network, and lengths that compute or wait for memory.
TABLES = {
    ("BERT", "1K"): (0.013386076595744681, 0.015333855319148937, 0.005987131914893616, 0.002013140425531915),
    ("BERT", "1M"): (16220.64, 15859.609373412768, 6277.962834791489, 1891.8274331234043),
    ("TrXL", "4K"): (0.2855696340425532, 0.32377572765957446, 0.12772548085106383, 0.039600476595744685),
    ("T5", "256K"): (675.92, 660.8438293787234, 261.58178478297873, 78.8529152),
    ("XLM", "64K"): (73.10582631489362, 91.77494114042554, 46.40506553191489, 19.026076868085106),
    ("XLM", "1M"): (22283.52, 23485.817842927663, 11879.696776170213, 4862.10858920851),
}
BYTES = {  # of the same tables
    ("BERT", "16K", "+Cascade"): 9663676416,
    ("BERT", "16K", "+Binding"): 6442450944,
    ("BERT", "256K", "FLAT"): 435458144206848,
    ("XLM", "1M", "FLAT"): 9570698963976192,
    ("XLM", "1M", "+Cascade"): 70918499991552,
    ("XLM", "1M", "+Architecture"): 35734127902720,
    ("T5", "1M", "+Binding"): 4535485464576,
}


@pytest.mark.parametrize(("point", "expected"), TABLES.items())
def test_seconds_equal_the_tables(point, expected):
    shape, tokens = MODELS[point[0]], LENGTHS[point[1]]
    for design, value in zip(DESIGNS, expected, strict=True):
        assert seconds(design, shape.dim, tokens, shape.heads) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("point", "expected"), BYTES.items())
def test_bytes_equal_the_tables(point, expected):
    shape = MODELS[point[0]]
    assert moved(point[2], shape.dim, LENGTHS[point[1]], shape.heads) == pytest.approx(expected, rel=1e-12)


def test_dense_layers_equal_the_tables():
    assert linear_seconds("BERT", 2**10) == pytest.approx(0.0075296680851063835, rel=1e-12)
    assert linear_seconds("T5", 2**20) == pytest.approx(3.564561955152926, rel=1e-12)
    assert linear_seconds("XLM", 2**14) == pytest.approx(0.8567089021276597, rel=1e-12)


def test_the_four_designs_in_numbers():
    found = {design: speedups(design) for design in DESIGNS}
    assert len(found["FLAT"]) == len(GRID) == 24
    assert set(found["FLAT"].values()) == {1.0}
    assert fmean(found["+Binding"].values()) == pytest.approx(6.7226, abs=1e-4)
    assert geometric_mean(found["+Binding"].values()) == pytest.approx(6.4625, abs=1e-4)
    assert fmean(found["+Architecture"].values()) == pytest.approx(2.1828, abs=1e-4)
    assert fmean(found["+Cascade"].values()) == pytest.approx(0.9070, abs=1e-4)
    whole = speedups("+Binding", whole=True)
    assert fmean(whole.values()) == pytest.approx(5.3017, abs=1e-4)
    assert geometric_mean(whole.values()) == pytest.approx(4.6047, abs=1e-4)


def test_charged_alike_one_pass_does_not_lose_on_average():
    for exp_cycles in (1, 2):
        assert fmean(speedups("+Cascade", exp_cycles=exp_cycles).values()) > 1
    assert cycles("FLAT", 64, 4096, exp_cycles=2) == cycles("FLAT", 64, 4096) + 256


def test_a_miracle_of_small_heads():
    gains = [seconds("FLAT", dim, 4096) / seconds("+Binding", dim, 4096) for dim in (32, 64, 128, 256)]
    assert gains[0] == pytest.approx(13.5, abs=0.05)
    assert gains[-1] == pytest.approx(1.9, abs=0.05)
    assert gains == sorted(gains, reverse=True)


def test_who_is_busy():
    for name, length in LENGTHS.items():
        assert busy("+Binding", 64, length, "1-D") == pytest.approx(1), name
        assert 0.88 < busy("+Binding", 64, length, "2-D") < 0.993, name
    assert busy("FLAT", 64, 4096, "2-D") == 0.125
    assert busy("+Architecture", 64, 4096, "2-D") == pytest.approx(0.2991266375545852)  # of the table


@pytest.mark.parametrize("design", DESIGNS)
def test_timelines_have_no_overlap_and_end_with_the_cycles(design):
    slots = timeline(design, 64, 4096)
    assert max(start + length for _, _, start, length, _ in slots) == pytest.approx(cycles(design, 64, 4096))
    for array in ("2-D", "1-D"):
        own = sorted((start, start + length) for worker, _, start, length, _ in slots if worker == array)
        assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(own))
    assert {kind for *_, kind in slots} <= set(KINDS)


def test_query_tiles_divide_and_fit():
    for design in DESIGNS[1:]:
        for length in LENGTHS.values():
            blocks = query_tile(design, 128, length)
            assert (length // 256) % blocks == 0
            assert (2 * 128 * 256 + (2 * 128 + 2) * 256 * blocks) * 2 <= 16 * 2**20


def test_shapes_that_do_not_tile_are_refused():
    with pytest.raises(WorkbenchError, match="multiple of 256"):
        cycles("FLAT", 64, 1000)
    with pytest.raises(WorkbenchError, match="'FLASH' came"):
        cycles("FLASH", 64, 1024)
    with pytest.raises(WorkbenchError, match="not one block"):
        query_tile("+Binding", 2**14, 1024)


# Passes


@pytest.mark.parametrize("name", WALKERS)
@pytest.mark.parametrize("keys", [1, 8, 33])
def test_the_loops_compute_attention(name, keys):
    rng = np.random.default_rng(keys)
    S, V, out = 9 * rng.standard_normal((3, keys)), rng.standard_normal((keys, 2)), np.zeros((3, 2))
    WALKERS[name](S, V, out)
    truth = torch.softmax(torch.tensor(S), -1) @ torch.tensor(V)
    np.testing.assert_allclose(out, truth, rtol=1e-12)


@pytest.mark.parametrize("name", WALKERS)
def test_scores_travel_once_a_pass_through_a_small_cache_and_once_through_a_large_one(name):
    assert fetched(name, 256, 0.25) == passes(CASCADES[name]).counts["m"]
    assert fetched(name, 256, 16) == 1


def test_cascades_equal_the_attention_of_a_trained_transformer():
    words = workbench_datasets.load("attention-words", sentence=0, layer=3)
    for head in (0, 5, 11):
        Q, K, V = (words[part][head].astype(np.float64) for part in ("queries", "keys", "values"))
        Q = Q / np.sqrt(Q.shape[-1])
        truth = torch.nn.functional.scaled_dot_product_attention(
            *(torch.tensor(x)[None] for x in (Q, K, V)), scale=1.0
        )[0]
        for name, cascade in CASCADES.items():
            if name.startswith("attention"):
                sizes = {"m0": 4} if cascade.split else {}
                found = interpret(cascade, {"Q": Q, "K": K, "V": V}, sizes)["AV"]
                np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-12)


# Claims


@pytest.mark.parametrize("claim", [claim for claim in SYSTEM.claims if not claim.needs], ids=lambda c: c.id)
def test_claims_run_and_their_controls_fail(claim):
    record = run_claim(SYSTEM, claim.id, "lesson")  # none depends on a clock or on chance
    assert record.verdict == "reproduced"
    assert not claim.bar.low <= record.control_value <= claim.bar.high


def test_the_claim_of_traffic_knows_where_it_ends():
    assert fusemax.traffic_beside_passes(0.25, 0, "smoke").value == 0
    assert fusemax.traffic_beside_passes(16, 0, "smoke").value == pytest.approx(2 / 3)

"""Kernels written for the page: the layer is torch's, tuning disturbs no result, what is remembered."""

import json

import numpy as np
import pytest

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.systems.roofline import nn_jit_web as web
from workbench.wasm import Passes, Product, Tile, has_node, lite_space

SMALL = Product(8, 16, 12)


@pytest.fixture(params=["V8", "Cranelift"])
def engine(request, monkeypatch):
    if request.param == "Cranelift":
        monkeypatch.setattr(web, "has_node", lambda: False)
    elif not has_node():
        pytest.skip("node is missing: V8 is NOT tested")
    assert web.engine() == request.param
    return request.param


@pytest.mark.parametrize("tokens", [1, 2, 5, 32, 128])
@pytest.mark.parametrize("start", [web.GOOD, Tile(3, 3, 4, relaxed=True)])
def test_the_layer_is_torchs_on_the_same_weights(tokens, start):
    x = web.tokens_in(tokens, seed=1)
    got = web.Layer(tokens, start=start).run(x)
    assert np.abs(got - web.reference(x)).max() < 1e-4


def test_the_weights_are_those_of_the_model_rounded_to_half_precision():
    weights = web.trained()
    assert sum(array.size for array in weights.values()) == 1_774_464
    assert all(np.array_equal(array, array.astype(np.float16)) for array in weights.values())
    assert web.trained(1)["output.dense.bias"].tolist() != weights["output.dense.bias"].tolist()


def test_a_layer_of_made_up_weights_is_torchs_too():
    rng = np.random.default_rng(2)
    weights = {
        name: rng.normal(size=array.shape).astype(np.float32) * 0.05 for name, array in web.trained().items()
    }
    x = rng.normal(size=(7, web.WIDTH)).astype(np.float32)
    assert np.abs(web.Layer(7, weights).run(x) - web.reference(x, weights)).max() < 1e-4


def test_every_inference_is_right_while_its_kernels_change():
    x = web.tokens_in(3, seed=4)
    truth = web.reference(x)
    inference = web.Inference(web.Layer(3), relaxed=True, tries=1)
    used = set()
    for _ in range(12):
        out, seconds = inference.run(x)
        used |= {str(tile) for tile in inference.layer.tiles.values()}
        assert np.abs(out - truth).max() < 1e-4
        assert seconds > 0
    assert len(used) > 1


def test_tuning_ends_and_keeps_what_was_fastest(monkeypatch):
    """With a clock of our own: a tile takes as long as it has loads for its work."""
    layer = web.Layer(2)
    monkeypatch.setattr(web, "lite_space", lambda *sizes, **more: [Tile(), Tile(2, 2), Tile(1, 3)])

    def run(x, clocks):
        clocks.update({part: 1 / web.work_per_load(tile) for part, tile in layer.tiles.items()})
        return x

    monkeypatch.setattr(layer, "run", run)
    inference = web.Inference(layer, tries=2)
    x = web.tokens_in(2)
    for _ in range(4 * 2):
        assert not inference.tuned
        inference.run(x)
    assert inference.tuned
    assert set(layer.tiles.values()) == {web.GOOD}
    again = web.Inference(web.Layer(2), inference.database)
    assert again.tuned, "what is in the database is not measured again"
    assert set(again.layer.tiles.values()) == {web.GOOD}


def test_the_database_keeps_the_best_on_disk(tmp_path):
    path = tmp_path / "kernels.json"
    first = web.Database(path)
    for tile, speed in ((Tile(2, 2), 30.0), (Tile(), 10.0), (Tile(2, 2), 20.0)):
        first.add(SMALL, web.Candidate(tile, speed))
    assert web.Database(path).known(SMALL) == [web.Candidate(Tile(2, 2), 30.0), web.Candidate(Tile(), 10.0)]
    assert web.Database(path).known(Product(9, 16, 12)) == []
    assert json.loads(path.read_text())
    assert [file.name for file in tmp_path.iterdir()] == ["kernels.json"]


def test_the_prior_tries_first_what_was_fast_elsewhere():
    tiles = lite_space(128, 384, 384)
    untold = web.prior(tiles, web.Database())
    assert sorted(untold) == sorted(tiles)
    assert web.work_per_load(untold[0]) == max(map(web.work_per_load, tiles))
    database = web.Database()
    for tile, speed in ((Tile(1, 6), 50.0), (Tile(4, 2), 25.0), (Tile(4, 3), 5.0)):
        database.add(SMALL, web.Candidate(tile, speed))
    told = web.prior(tiles, database)
    assert told[0] == Tile(1, 6)
    assert told.index(Tile(4, 2)) < told.index(Tile(4, 3)) == len(told) - 1


def test_a_sweep_times_and_checks_every_tile(engine):
    tiles = [Tile(), Tile(4, 2, 2), Tile(2, 4, relaxed=True)]
    found = web.sweep(SMALL, tiles, quick=True)
    assert [candidate.tile for candidate in found] == tiles
    assert all(candidate.gflops > 0 for candidate in found)
    assert web.sweep(SMALL, []) == []


def test_kernels_take_turns(engine):
    seconds = web.in_turns(SMALL, [(Tile(), Passes()), (Tile(4, 2), Passes())], rounds=3)
    assert seconds.shape == (3, 2)
    assert (seconds > 0).all()


def test_the_ablation_has_a_row_for_each_pass(engine):
    rows = web.ablation(Product(8, 32, 8), rounds=3)
    assert [row["kernel"] for row in rows] == list(web.ABLATION)
    assert rows[0]["times as fast"] == 1
    assert len({row["bytes"] for row in rows}) == len(rows), "each is another kernel"


def test_a_kernel_that_is_wrong_is_not_timed_in_silence(monkeypatch):
    monkeypatch.setattr(web, "has_node", lambda: False)
    monkeypatch.setattr(web, "_error", lambda shape, tile: 0.5)
    with pytest.raises(WorkbenchError, match=r"wrong by 0\.5"):
        web.sweep(SMALL, [Tile()])


def test_llvms_nests_compute_the_product():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(8, 5)).astype(np.float32), rng.normal(size=(5, 16)).astype(np.float32)
    from workbench.wasm import pack

    for nest, packed in ((web.tiled(4, 8), pack(b, 2)), (web.untiled(4, 8), b.ravel())):
        c = np.full((8, 16), np.nan, np.float32)
        nest(a, packed, c)
        assert np.allclose(c, a @ b, atol=1e-5)


@pytest.mark.parametrize("claim", [claim.id for claim in web.SYSTEM.claims])
def test_claims_and_controls_run(claim):
    record = run_claim(web.SYSTEM, claim, "smoke", seeds=[0])
    assert record.value is None or record.value > 0


def test_without_a_browsers_engine_its_claims_say_so(monkeypatch):
    from workbench.claims import Needs

    monkeypatch.setattr(web, "has_node", lambda: False)
    with pytest.raises(Needs, match="needs hardware: node"):
        web.milliseconds(0, "smoke")

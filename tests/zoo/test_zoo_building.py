"""Builds: what enters, what is turned away, what an interrupt leaves, and processes side by side."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.probes import filters
from workbench.zoo import Arm, Zoo, build, building, goals, grow, store, trained, untrained

TINY = Arm(width=4, depth=3, steps=10)
SURE = replace(TINY, width=8, steps=40)


@pytest.fixture
def here(monkeypatch):
    """Arms are grown in a thread of this process, and counted."""
    grown = []

    @contextlib.contextmanager
    def one_thread(name, jobs):
        with ThreadPoolExecutor(1) as pool:
            yield pool

    def noted(arm):
        grown.append(arm)
        return grow(arm)

    monkeypatch.setattr(building, "_executor", one_thread)
    monkeypatch.setattr(building, "_grow", noted)
    return grown


def lower_the_bar(monkeypatch, to=-10.0):
    known = goals.of_arm

    def lenient(arm):
        task, trivial, _ = known(arm)
        return task, trivial, to

    monkeypatch.setattr(goals, "of_arm", lenient)


def test_a_network_that_learns_enters_with_all_it_is_known_by(here, tmp_path):
    told = []
    (outcome,) = build(chosen=[SURE], progress=lambda *news: told.append(news))
    assert (outcome.state, told) == ("entered", [(1, 1, outcome)])
    assert str(outcome).startswith(f"{SURE.name}: entered, 0.")
    zoo = Zoo(tmp_path / "home" / "zoo")
    (row,) = zoo.query("FROM models").rows()
    assert {name: row[name] for name in SURE.row()} == SURE.row()
    assert (row["model_id"], row["filters"]) == (SURE.model_id, SURE.filters)
    assert row["score"] == outcome.score > row["trivial"]
    assert row["seconds"] > 0
    run = trained(SURE)
    assert run.kept
    assert run.score == row["score"]
    net = run.model
    expected = filters(net.trunk).stack()
    np.testing.assert_allclose(zoo.filters(raw=True), expected, atol=np.abs(expected).max() * 2**-11)
    found = zoo.query("FROM layers ORDER BY depth").rows()
    for layer, now, then in zip(found, filters(net.trunk), untrained(SURE), strict=True):
        w, w0 = now.weights.astype(float), then.weights.astype(float)
        assert layer["init_projection"] == pytest.approx((w * w0).sum() / (w0 * w0).sum(), rel=1e-6)
        assert 0 < layer["init_projection"] < 1


def test_one_that_does_not_beat_the_trivial_score_is_turned_away_for_good(here, tmp_path):
    idle = replace(TINY, steps=1)
    (first,) = build(chosen=[idle])
    assert first.state == "turned away"
    assert first.score <= first.bar
    assert not (tmp_path / "home" / "zoo" / "models").exists()
    assert "does not beat" in str(first)
    (again,) = build(chosen=[idle])
    assert (again.score, again.bar) == (first.score, first.bar)
    assert here == [idle]


def test_a_build_goes_on_where_it_was_stopped(here, monkeypatch):
    lower_the_bar(monkeypatch)
    wanted = [replace(TINY, seed=seed) for seed in range(4)]

    def stop(done, total, outcome):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(chosen=wanted, progress=stop)
    assert here == wanted[:2]
    assert len(Zoo(store.home()).query("FROM models")) == 2
    states = [outcome.state for outcome in build(chosen=wanted)]
    assert states == ["there already", "there already", "entered", "entered"]
    assert here == wanted
    assert len(Zoo(store.home()).query("FROM models")) == 4


def test_a_half_written_model_is_made_again(here, monkeypatch):
    lower_the_bar(monkeypatch)
    build(chosen=[TINY])
    (store.home() / "models" / f"{TINY.model_id}.parquet").unlink()
    assert [outcome.state for outcome in build(chosen=[TINY])] == ["entered"]
    assert len(Zoo(store.home()).filters()) == TINY.filters


def test_one_failure_does_not_stop_the_others(here, monkeypatch):
    lower_the_bar(monkeypatch)
    noted = building._grow

    def sometimes(arm):
        if arm.seed == 0:
            raise MemoryError("no room\nfor this")
        if arm.seed == 1:
            raise WorkbenchError("it diverged")
        return noted(arm)

    monkeypatch.setattr(building, "_grow", sometimes)
    outcomes = build(chosen=[replace(TINY, seed=seed) for seed in range(3)])
    assert [outcome.state for outcome in outcomes] == ["failed", "failed", "entered"]
    assert [outcome.error for outcome in outcomes[:2]] == ["MemoryError: no room", "it diverged"]


def test_the_same_arm_gives_the_same_filters(monkeypatch):
    lower_the_bar(monkeypatch)
    one, again = (grow(TINY, keep=False).entry for _ in range(2))
    for name in store.FILTERS:
        np.testing.assert_array_equal(one.filters[name], again.filters[name])
    other = grow(replace(TINY, seed=1), keep=False).entry
    assert not np.array_equal(one.filters["w0"], other.filters["w0"])


@pytest.mark.parametrize("wiring", ["residual", "concat"])
@pytest.mark.parametrize(
    ("task", "labels"), [("classify", "random"), ("denoise", "true"), ("autoencode", "true")]
)
def test_every_kind_of_arm_can_be_grown(monkeypatch, wiring, task, labels):
    lower_the_bar(monkeypatch, -100)
    grown = grow(replace(TINY, wiring=wiring, task=task, labels=labels, steps=2), keep=False)
    assert len(grown.entry.filters["o"]) == TINY.filters
    assert grown.entry.model["metric"].startswith("accuracy" if task == "classify" else "-error")


def test_settings_that_cannot_be():
    with pytest.raises(WorkbenchError, match="jobs must be at least 1, but 0 came"):
        build(jobs=0)
    with pytest.raises(WorkbenchError, match="budget must be one of"):
        build("large")


@pytest.mark.slow
def test_two_processes_build_what_one_builds(tmp_path):
    wanted = [replace(SURE, seed=seed) for seed in range(2)]
    outcomes = build(chosen=wanted, jobs=2, folder=tmp_path / "two")
    assert [outcome.state for outcome in outcomes] == ["entered", "entered"]
    for arm in wanted:
        expected = grow(arm, keep=False).entry.filters
        found = Zoo(tmp_path / "two").filters(f"model_id = {arm.model_id}")
        np.testing.assert_array_equal(found[:, 0, 0], expected["w0"].astype(np.float32))


@pytest.mark.slow
def test_dask_builds_what_processes_build(tmp_path):
    pytest.importorskip("distributed")
    (outcome,) = build(chosen=[SURE], executor="dask", folder=tmp_path / "dask")
    assert outcome.state == "entered"
    assert len(Zoo(tmp_path / "dask").filters()) == SURE.filters
    with pytest.raises(WorkbenchError, match=r"local, dask or the address .* 'nowhere://x' came"):
        build(chosen=[TINY], executor="nowhere://x", folder=tmp_path / "no")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_loses_no_step_that_was_made(tmp_path):
    program = """
        from workbench.zoo import Arm, build
        if __name__ == "__main__":
            arms = [Arm(width=8, depth=3, steps=40), Arm(width=8, depth=3, steps=100_000, seed=1)]
            build(chosen=arms, folder="zoo", progress=lambda *news: print(news[2].state, flush=True))
    """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(program))
    process = subprocess.Popen(
        [sys.executable, script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "entered\n"
    time.sleep(1)  # the second one has begun
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode
    assert errors.count("Traceback") == 1, errors  # that of the script, which lets the interrupt through
    assert len(Zoo(tmp_path / "zoo").query("FROM models")) == 1
    assert len(list((tmp_path / "build" / "train").glob("*-unfinished.safetensors"))) == 1

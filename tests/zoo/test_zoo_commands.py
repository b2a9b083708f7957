"""The commands: what they print, their exit status, and one sentence for a slip."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from workbench_datasets import filter_zoo

from workbench import zoo as room
from workbench.cli import main
from workbench.zoo import Arm, Outcome


def call(*arguments):
    return CliRunner().invoke(main, ["zoo", *map(str, arguments)])


@pytest.fixture
def nothing_shipped(monkeypatch, tmp_path):
    """As if no database travelled with the project."""
    monkeypatch.setattr(filter_zoo, "FOLDER", tmp_path / "none")


def test_a_reader_adds_asks_and_packs(tmp_path, nothing_shipped):
    save_file({"a.weight": torch.randn(4, 2, 3, 3)}, tmp_path / "w.safetensors")
    added = call("add", tmp_path / "w.safetensors", "--data", "cells", "--task", "segment")
    assert (added.exit_code, added.stdout) == (0, "w.safetensors: 8 filters of 3 x 3; its convolutions: 1\n")
    asked = call("query", "SELECT data, count(*) AS n FROM filters GROUP BY data", "--json")
    assert json.loads(asked.stdout) == [{"data": "cells", "n": 8}]
    assert "segment" in call("info").stdout
    assert "Scanning Files" in call("query", "SELECT w0 FROM filters WHERE data = 'x'", "--explain").stdout
    packed = call("pack", tmp_path / "packed")
    assert [line.split("/")[-1] for line in packed.stdout.splitlines()] == [
        "models.parquet", "layers.parquet", "filters.parquet",
    ]  # fmt: skip
    assert json.loads(call("info", "--folder", tmp_path / "packed", "--json").stdout)[0]["filters"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info",), "there is no filter database yet: `workbench zoo build --budget smoke`"),
        (("query", "SELECT 1", "--folder", "nowhere"), "there is no filter database in nowhere"),
        (("add", "model.pt"), "models come from FILE.safetensors"),
        (("add", "torchvision:"), "torchvision"),
    ],
)
def test_a_slip_gets_one_sentence(nothing_shipped, arguments, words):
    done = call(*arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_build_tells_how_far_it_is_and_whether_all_went_well(monkeypatch):
    outcomes = [
        Outcome(Arm(), "entered", 0.9, 0.1),
        Outcome(Arm(seed=1), "turned away", 0.1, 0.1),
        Outcome(Arm(seed=2), "failed", error="Its process died."),
    ]
    asked = []

    def build(budget, jobs, executor, folder, progress):
        asked.append((budget, jobs, executor, folder))
        for done, outcome in enumerate(outcomes, 1):
            progress(done, 3, outcome)
        return outcomes

    monkeypatch.setattr(room, "build", build, raising=False)
    done = call("build", "--budget", "smoke", "-j", 2)
    assert asked == [("smoke", 2, "local", None)]
    assert done.exit_code == 1
    assert done.stdout == "1 entered, 1 turned away, 1 failed\n"
    lines = done.stderr.splitlines()
    assert lines[0].startswith("1 of 3: digits-classify")
    assert lines[2].endswith("seed2: failed. Its process died.")
    outcomes.pop()
    again = call("build", "--json")
    assert again.exit_code == 0
    assert [row["state"] for row in json.loads(again.stdout)] == ["entered", "turned away"]

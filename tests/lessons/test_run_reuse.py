"""A lesson is run again if anything that went into it has changed, and not otherwise."""

import copy
import json

import pytest
from run_helpers import printed, write_lesson

from workbench.claims.ledger import Ledger
from workbench.lessons import reuse
from workbench.lessons.run import run

USES = (
    "import numpy, workbench_datasets\nfrom workbench.budget import by_budget",
    'image = workbench_datasets.load("coins")',
    "from workbench import _paths\nopened = (_paths.PACKAGE / 'systems' / 'catalog.json').read_text()",
    "from workbench.claims.ledger import Ledger\nLedger().add('prediction', id='guess', choice=2)",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory, launcher):
    """A lesson that uses something of every kind, after its first run."""
    root = tmp_path_factory.mktemp("reuse")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(root / "build"))
        patch.setenv("WORKBENCH_HOME", str(root / "home"))
        patch.delenv("WORKBENCH_LEDGER", raising=False)
        lesson = write_lesson(root, "uses", *USES, systems=["a-system"])
        (result,) = run([lesson], executor=launcher)
        assert result.status == "ok", result.error
        yield lesson, json.loads(result.notebook.with_suffix(".json").read_text())


def test_what_went_in_is_recorded(ran):
    lesson, record = ran
    inputs = record["inputs"]
    assert inputs["notebook"] == reuse.digest(lesson.path.read_text())
    assert "workbench/budget.py" in inputs["files"]  # imported
    assert "workbench/systems/catalog.json" in inputs["files"]  # read
    assert inputs["files"]["workbench/claims/records/a-system.jsonl"] is None  # not there yet
    assert "workbench/lessons/kernel.py" not in inputs["files"]  # the runner's, not the lesson's
    assert inputs["data"].keys() == {"coins"}
    assert "numpy" in inputs["libraries"]
    assert reuse.unchanged(inputs, lesson.path.read_text())


def _with(inputs, *path_and_value):
    *path, last, value = path_and_value
    changed = place = copy.deepcopy(inputs)
    for step in path:
        place = place[step]
    place[last] = value
    return changed


@pytest.mark.parametrize(
    "change",
    [
        ("notebook", "another"),
        ("files", "workbench/budget.py", "another"),
        ("files", "workbench/systems/catalog.json", "another"),
        ("files", "workbench/claims/records/a-system.jsonl", "was there"),
        ("files", "workbench/no_longer_there.py", "was there"),
        ("data", "coins", "another"),
        ("data", "no-longer-there", "was there"),
        ("libraries", "numpy", "0.1"),
        ("libraries", "no-longer-installed", "1.0"),
        ("python", "3.10.0"),
    ],
)
def test_any_change_means_another_run(ran, change):
    lesson, record = ran
    assert not reuse.unchanged(_with(record["inputs"], *change), lesson.path.read_text())


def test_a_file_written_during_the_run_counts_as_changed(ran):
    file = str(reuse.project_roots()["workbench"] / "budget.py")
    seen = {"files": [file], "modules": [], "data": {}}
    assert reuse.inputs("", seen, since=0.0)["files"] == {"workbench/budget.py": reuse.CHANGED}
    assert reuse.unchanged(reuse.inputs("", seen, since=1e12), "")


def test_an_unchanged_lesson_is_reused_with_its_ledger_rows(ran, tmp_path, monkeypatch):
    lesson, record = ran
    told = []
    assert [row["choice"] for row in Ledger().rows("prediction")] == [2]
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "another reader"))
    for _ in range(2):  # merging twice changes nothing
        (result,) = run([lesson], progress=lambda event: told.append(str(event)))
        assert result.row() == {name: record[name] for name in result.row()} | {"reused": True}
    (row,) = Ledger().rows("prediction")
    assert (row["lesson"], row["choice"]) == (lesson.key, 2)
    assert told == ["01-small/uses: unchanged, reused"] * 2


@pytest.mark.slow
def test_a_changed_or_damaged_or_forced_one_is_run_again(ran, launcher):
    lesson, _ = ran
    (result,) = run([lesson], executor=launcher, force=True)
    assert not result.reused
    result.notebook.write_text(result.notebook.read_text() + " ")
    lesson.path.write_text(lesson.path.read_text().replace("coins", "no such data"))
    (failed,) = run([lesson], executor=launcher)
    assert failed.status == "failed"
    assert "no such data" in failed.error
    assert result.notebook.exists()
    lesson.path.write_text(lesson.path.read_text().replace("no such data", "coins"))
    (again,) = run([lesson], executor=launcher)  # as before the change, but the executed copy was damaged
    assert (again.status, again.reused) == ("ok", False)
    assert not failed.notebook.exists()
    assert printed(again.notebook) == ""

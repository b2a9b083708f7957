"""The command line: rows for programs, sentences for people, exit status for scripts."""

import json
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from workbench.cli import main

ROWS = {
    "catalog": {"key", "title", "chapter", "order", "lesson", "state"},
    "data": {"name", "title", "origin", "licence", "shapes", "units", "good_for", "version"},
    "doctor": {"name", "status", "sentence", "remedy"},
}
CLAIM_ROW = {
    *("system", "claim", "value", "low", "high", "bar", "baseline", "paper", "control_value"),
    *("control_failed", "verdict", "provenance", "seeds", "budget", "machine", "when", "stale"),
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))


def rows(*arguments: str) -> list[dict]:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("command", ROWS)
def test_rows_have_the_documented_keys(command):
    found = rows(command)
    assert found
    assert all(set(row) >= ROWS[command] for row in found)


def test_claim_rows_have_exactly_the_documented_keys():
    found = rows("claims")
    assert found
    assert all(set(row) == CLAIM_ROW for row in found)


def test_the_catalog_has_all_systems_and_none_is_claimed_without_code():
    found = rows("catalog")
    assert len(found) == 178
    states = {row["key"]: row["state"] for row in found}
    assert states["large-kernel-design"] != states["simplenet"] or states["simplenet"] != "absent"


def test_progress_prints_rows_for_a_reader_who_has_done_nothing():
    assert {row["lesson"] for row in rows("progress")} >= {"00-start/01-the-tour"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "no-such-lesson"], "no lesson is called 'no-such-lesson'"),
        (["data", "astronout"], "astronaut"),
        (["claims", "--record"], "--measure"),
        (["claims", "no-such-system"], "no-such-system"),
    ],
)
def test_a_slip_gets_one_sentence_and_no_traceback(arguments, words):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_check_tells_problems_by_its_exit_status(tmp_path, monkeypatch):
    root = tmp_path / "notebooks"
    (root / "01-receptive-fields").mkdir(parents=True)
    (root / "01-receptive-fields" / "01-broken.ipynb").write_text("{}")
    monkeypatch.setattr("workbench.lessons.model.lessons_root", lambda: root)
    result = CliRunner().invoke(main, ["check", "--json"])
    assert result.exit_code == 1
    assert {row["lesson"] for row in json.loads(result.stdout)} == {"01-receptive-fields/01-broken"}
    assert {"lesson", "rule", "sentence"} == set(json.loads(result.stdout)[0])


@pytest.mark.slow
def test_run_rows_and_exit_status(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks" / "01-small"
    folder.mkdir(parents=True)
    for name, source in {"01-good": "print(1)", "02-bad": "1 / 0"}.items():
        cells = [nbformat.v4.new_code_cell(source)]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
        nbformat.write(notebook, folder / f"{name}.ipynb")
    monkeypatch.setattr("workbench.lessons.model.lessons_root", lambda: folder.parent)
    result = CliRunner().invoke(main, ["run", "--budget", "smoke", "--json"])
    assert result.exit_code == 1
    good, bad = json.loads(result.stdout)
    assert set(good) == {"lesson", "budget", "status", "seconds", "peak_mib", "reused", "error"}
    assert (good["status"], bad["status"]) == ("ok", "failed")
    assert "ZeroDivisionError" in bad["error"]

"""The learner's copy: blank exercises, updates that take nothing away."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lesson_making import Notebook, code, grader, markdown, notebook, solution, write
from nbgrader.nbgraderformat import MetadataValidator

from workbench.errors import WorkbenchError
from workbench.lessons.study import MANIFEST, study, touched

KEY = "01-far/01-look"
STORY = [markdown("# Look"), code("depth = 3"), solution(), grader(), code("depth")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "notebooks", KEY, notebook(STORY))
    return tmp_path / "notebooks"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    return tmp_path / "study"


def load(path: Path) -> Notebook:
    return json.loads(path.read_text(encoding="utf-8"))


def text(path: Path) -> str:
    return "\n".join("".join(cell["source"]) for cell in load(path)["cells"])


def edit(path: Path, position: int, new: str) -> None:
    changed = load(path)
    changed["cells"][position]["source"] = new
    path.write_text(json.dumps(changed), encoding="utf-8")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*.ipynb")}


def update(root: Path, word: str = "Look again", key: str = KEY) -> None:
    write(root, key, notebook([markdown(f"# {word}"), *STORY[1:]]))


def test_a_new_copy_is_blank_and_valid(root: Path, desk: Path) -> None:
    report = study(desk, root=root)
    [outcome] = report.written
    written = nbformat.read(outcome.path, as_version=4)
    nbformat.validate(written)
    MetadataValidator().validate_nb(written)
    everything = text(outcome.path)
    assert "1 + 2 * depth" not in everything
    assert "assert" not in everything
    assert "raise NotImplementedError" in everything
    assert "checksum" in written.cells[2].metadata.nbgrader
    assert written.cells[3].metadata.deletable is False
    assert report.sentences == [f"1 lesson written to {desk}."]


def test_a_file_may_hold_its_texts_as_lines(root: Path, desk: Path) -> None:
    """As JupyterLab and nbformat write them, and as the lessons are committed."""
    lesson = notebook(STORY)
    for cell in lesson["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    write(root, KEY, lesson)
    [outcome] = study(desk, root=root).written
    assert "raise NotImplementedError" in text(outcome.path)
    assert study(desk, root=root).kept


def test_test_only_cells_are_left_out_and_plumbing_is_folded(root: Path, desk: Path) -> None:
    write(
        root,
        KEY,
        notebook([*STORY, code("assert True", ["remove-cell"]), code("import math", ["hide-input"])]),
    )
    cells = load(study(desk, root=root).written[0].path)["cells"]
    assert len(cells) == len(STORY) + 1
    assert cells[-1]["metadata"]["jupyter"] == {"source_hidden": True}


def test_a_visible_assertion_does_not_stop_run_all(root: Path, desk: Path) -> None:
    write(root, KEY, notebook([solution(), grader(text="assert radius(1) == 3")]))
    cells = load(study(desk, root=root).written[0].path)["cells"]
    assert "raises-exception" in cells[1]["metadata"]["tags"]
    assert "raises-exception" not in cells[0]["metadata"].get("tags", [])


@pytest.mark.slow
def test_run_all_reaches_the_end_of_a_blank_lesson(root: Path, desk: Path) -> None:
    from nbclient import NotebookClient

    write(root, KEY, notebook([solution(), grader(), grader("seen", "assert radius(1) == 3"), code("1 + 1")]))
    blank = nbformat.read(study(desk, root=root).written[0].path, as_version=4)
    NotebookClient(blank, timeout=60).execute()
    assert blank.cells[-1].outputs[0]["data"]["text/plain"] == "2"
    assert blank.cells[2].outputs[0]["ename"] == "NotImplementedError"


def test_a_second_run_changes_nothing_and_loads_nothing_heavy(root: Path, desk: Path) -> None:
    study(desk, root=root)
    before = snapshot(desk)
    script = (
        "import sys; from pathlib import Path; from workbench.lessons.study import study\n"
        f"report = study({str(desk)!r}, root=Path({str(root)!r}))\n"
        "assert len(report.kept) == len(report.outcomes) == 1\n"
        "assert not {'nbgrader', 'nbformat', 'papermill'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert snapshot(desk) == before


def test_an_untouched_lesson_is_replaced(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    update(root)
    assert [o.path for o in study(desk, root=root).updated] == [outcome.path]
    assert "Look again" in text(outcome.path)
    assert len(snapshot(desk)) == 1


def test_executing_is_not_touching(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    ran = load(outcome.path)
    ran["metadata"]["widgets"] = {"state": {}}
    for number, cell in enumerate(ran["cells"]):
        cell["metadata"] |= {"trusted": True, "collapsed": False, "execution": {"started": "now"}}
        cell["source"] = (
            cell["source"] if isinstance(cell["source"], list) else cell["source"].splitlines(True)
        )
        if cell["cell_type"] == "code":
            cell |= {
                "execution_count": number,
                "outputs": [{"output_type": "stream", "name": "stdout", "text": "3"}],
            }
    ran["cells"].append(code("") | {"id": "appended-by-shift-enter"})
    outcome.path.write_text(json.dumps(ran, indent=3), encoding="utf-8")
    assert not touched(desk, KEY)
    update(root)
    assert study(desk, root=root).updated


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_editing_any_cell_is_touching(root: Path, desk: Path, position: int) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, position, "mine")
    assert touched(desk, KEY)
    before = outcome.path.read_bytes()
    update(root)
    [beside] = study(desk, root=root).beside
    assert outcome.path.read_bytes() == before
    assert "Look again" in text(beside.path)
    assert beside.path.name == "01-look.update-1.ipynb"
    assert "01-look.update-1.ipynb" in beside.sentence


def test_answers_are_carried_over_and_updates_do_not_pile_up(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 2, "def radius(depth): return 42")
    update(root)
    [beside] = study(desk, root=root).beside
    assert "return 42" in text(beside.path)
    assert "NotImplementedError" not in text(beside.path)
    assert study(desk, root=root).kept
    update(root, "A third time")
    assert [o.path for o in study(desk, root=root).updated] == [beside.path]
    assert "return 42" in text(beside.path)
    assert "A third time" in text(beside.path)
    edit(beside.path, 0, "my notes")
    update(root, "A fourth time")
    [second] = study(desk, root=root).beside
    assert second.path.name == "01-look.update-2.ipynb"
    assert "return 42" in text(second.path)
    nbformat.validate(nbformat.read(second.path, as_version=4))


def test_an_unanswered_exercise_gets_its_new_wording(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 0, "my notes")
    write(
        root,
        KEY,
        notebook([*STORY[:2], solution(text="def radius(n):\n    ### BEGIN SOLUTION\n    ### END SOLUTION")]),
    )
    [beside] = study(desk, root=root).beside
    assert "def radius(n)" in text(beside.path)
    assert "changed since" not in text(beside.path)


def test_an_answered_exercise_whose_wording_changed_shows_both(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 2, "def radius(depth): return 42")
    write(
        root,
        KEY,
        notebook([*STORY[:2], solution(text="def radius(n):\n    ### BEGIN SOLUTION\n    ### END SOLUTION")]),
    )
    [beside] = study(desk, root=root).beside
    assert "return 42" in text(beside.path)
    assert "def radius(n)" in text(beside.path)


def test_the_answer_to_a_dropped_exercise_is_kept_through_later_updates(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 2, "def radius(depth): return '```'")
    write(root, KEY, notebook([markdown("# Short")]))
    [beside] = study(desk, root=root).beside
    assert "return '```'" in text(beside.path)
    outcome.path.unlink()
    update(root, "Back again")
    assert study(desk, root=root).updated
    assert "return '```'" in text(beside.path)
    assert text(beside.path).count("return '```'") == 1


def test_an_older_answer_in_an_untouched_update_is_not_taken_away(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 2, "def radius(depth): return 41")
    update(root)
    [beside] = study(desk, root=root).beside
    edit(outcome.path, 2, "def radius(depth): return 42")
    update(root, "A third time")
    [second] = study(desk, root=root).beside
    assert "return 41" in text(beside.path)
    assert "return 42" in text(second.path)


def test_a_change_that_the_learner_already_has_brings_nothing(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 0, "# Look again")
    update(root)
    assert study(desk, root=root).kept
    assert len(snapshot(desk)) == 1


@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"texts": 3, "settled": {}}'])
def test_a_lost_or_damaged_manifest_never_loses_work(root: Path, desk: Path, damage: str | None) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 2, "def radius(depth): return 42")
    edit(outcome.path, 0, "my notes")
    before = outcome.path.read_bytes()
    (desk / MANIFEST).unlink() if damage is None else (desk / MANIFEST).write_text(damage)
    [beside] = study(desk, root=root).beside
    assert outcome.path.read_bytes() == before
    assert "return 42" in text(beside.path)
    assert study(desk, root=root).kept


def test_a_lost_manifest_does_not_double_lessons_with_answers_alone(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 2, "def radius(depth): return 42")
    (desk / MANIFEST).unlink()
    assert study(desk, root=root).kept
    assert touched(desk, KEY)
    assert len(snapshot(desk)) == 1


@pytest.mark.parametrize(
    "rubbish", [b"", b"{", b"[]", b'{"cells": [3]}', b'{"cells": [{"source": null}]}', b"\xff"]
)
def test_an_unreadable_file_is_somebody_s_work(root: Path, desk: Path, rubbish: bytes) -> None:
    [outcome] = study(desk, root=root).written
    outcome.path.write_bytes(rubbish)
    update(root)
    [beside] = study(desk, root=root).beside
    assert outcome.path.read_bytes() == rubbish
    assert "Look again" in text(beside.path)


def test_tampered_exercise_metadata_still_counts_as_an_answer(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    changed = load(outcome.path)
    changed["cells"][2]["source"] = "def radius(depth): return 42"
    changed["cells"][2]["metadata"]["nbgrader"] = {"solution": True, "grade": True, "grade_id": "radius"}
    outcome.path.write_text(json.dumps(changed))
    update(root)
    assert "return 42" in text(study(desk, root=root).beside[0].path)


def test_files_of_the_learner_and_removed_lessons_stay(root: Path, desk: Path) -> None:
    write(root, "01-far/02-gone", notebook(STORY))
    study(desk, root=root)
    (desk / "01-far" / "mine.ipynb").write_text("mine")
    (desk / "01-far" / "01-look.update-7.ipynb").write_text("mine too")
    (root / "01-far" / "02-gone.ipynb").unlink()
    before = snapshot(desk)
    update(root)
    [beside] = study(desk, root=root).beside
    assert beside.path.name == "01-look.update-8.ipynb"
    assert before.items() <= snapshot(desk).items()


def test_answers_follow_a_lesson_to_its_new_number(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 2, "def radius(depth): return 42")
    before = outcome.path.read_bytes()
    (root / f"{KEY}.ipynb").unlink()
    update(root, key="02-farther/05-look")
    [written] = study(desk, root=root).written
    assert written.path.name == "05-look.ipynb"
    assert "return 42" in text(written.path)
    assert outcome.path.read_bytes() == before


def test_a_deleted_copy_comes_back_blank_and_a_deleted_update_stays_away(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    edit(outcome.path, 0, "my notes")
    update(root)
    [beside] = study(desk, root=root).beside
    beside.path.unlink()
    assert study(desk, root=root).kept
    outcome.path.unlink()
    assert [o.path for o in study(desk, root=root).written] == [outcome.path]


def test_a_killed_run_leaves_whole_files_and_the_next_one_tidies_up(
    root: Path, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "01-far/02-next", notebook(STORY))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        study(desk, root=root)
    assert not snapshot(desk)
    monkeypatch.undo()
    assert len(study(desk, root=root).written) == 2
    assert not [p for p in desk.rglob(".*") if "tmp" in p.name]


def test_a_run_killed_before_its_manifest_is_picked_up(root: Path, desk: Path) -> None:
    [outcome] = study(desk, root=root).written
    manifest = (desk / MANIFEST).read_bytes()
    update(root)
    study(desk, root=root)
    (desk / MANIFEST).write_bytes(manifest)
    assert study(desk, root=root).kept
    update(root, "A third time")
    assert [o.path for o in study(desk, root=root).updated] == [outcome.path]


def test_two_runs_at_once_write_each_lesson_once(root: Path, desk: Path) -> None:
    reports = []
    runs = [threading.Thread(target=lambda: reports.append(study(desk, root=root))) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted((len(r.written), len(r.kept)) for r in reports) == [(0, 1), (0, 1), (1, 0)]
    assert len(snapshot(desk)) == 1


def test_a_save_during_the_update_wins(root: Path, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.lessons import blank

    [outcome] = study(desk, root=root).written
    update(root)
    carry = blank.with_answers

    def learner_saves(*arguments: Any) -> Any:
        edit(outcome.path, 0, "saved in the last moment")
        return carry(*arguments)

    monkeypatch.setattr(blank, "with_answers", learner_saves)
    assert study(desk, root=root).beside
    assert "saved in the last moment" in text(outcome.path)


def test_places_that_cannot_hold_lessons_are_refused(root: Path, desk: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match="is a file"):
        study(tmp_path / "file", root=root)
    with pytest.raises(WorkbenchError, match="committed lessons"):
        study(root / "study", root=root)
    with pytest.raises(WorkbenchError, match="there are none"):
        study(desk, root=tmp_path / "nothing")


def test_a_lesson_that_nbgrader_refuses_is_named(root: Path, desk: Path) -> None:
    write(root, KEY, notebook([code("### BEGIN SOLUTION\nx = 1")]))
    with pytest.raises(WorkbenchError, match=f"{KEY}: nbgrader refuses"):
        study(desk, root=root)

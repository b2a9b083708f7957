"""Progress is what the learner did, as told by the learner's own files and ledger."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from lesson_making import code, markdown, notebook, solution, write
from rich.console import Console

from workbench.claims.ledger import Ledger
from workbench.lessons.lab import next_lesson
from workbench.lessons.progress import progress, table
from workbench.lessons.study import study

TOUR, LOOK = "00-start/01-tour", "01-far/01-look"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.delenv("WORKBENCH_LESSON", raising=False)
    monkeypatch.delenv("WORKBENCH_RUN", raising=False)
    folder = tmp_path / "notebooks"
    write(folder, TOUR, notebook([markdown("# Tour"), code("1"), code("2"), code("3", ["remove-cell"])]))
    asks = [code('predict("how-far", "How far?", ["3", "5"])'), code('exercise("far/radius").check(radius)')]
    write(folder, LOOK, notebook([markdown("# Look"), *asks, solution()], title="Look"))
    return folder


@pytest.fixture
def desk(tmp_path: Path, root: Path) -> Path:
    study(tmp_path / "study", root=root)
    return tmp_path / "study"


def state(root: Path, desk: Path) -> dict[str, str]:
    return {row["lesson"]: row["state"] for row in progress(root=root, target=desk)}


def execute(path: Path, cells: int) -> None:
    ran = json.loads(path.read_text())
    for number, cell in enumerate([cell for cell in ran["cells"] if cell["cell_type"] == "code"][:cells], 1):
        cell["execution_count"] = number
    path.write_text(json.dumps(ran))


def test_nothing_has_happened_yet(root: Path, desk: Path) -> None:
    assert state(root, desk) == {TOUR: "not started", LOOK: "not started"}
    assert state(root, desk / "nowhere") == {TOUR: "not started", LOOK: "not started"}


def test_a_lesson_without_exercises_is_done_when_every_cell_has_run(root: Path, desk: Path) -> None:
    execute(desk / f"{TOUR}.ipynb", 1)
    assert state(root, desk)[TOUR] == "started"
    assert next_lesson(desk, root) == TOUR
    execute(desk / f"{TOUR}.ipynb", 2)
    assert state(root, desk)[TOUR] == "done"
    assert next_lesson(desk, root) == LOOK


def test_exercises_hints_and_predictions_are_counted(root: Path, desk: Path) -> None:
    ledger = Ledger()
    ledger.add("attempt", exercise="far/radius", passed=False)
    ledger.add("hint", exercise="far/radius", number=1)
    ledger.add("prediction", prediction="how-far", guess="5")
    ledger.add("prediction", prediction="how-far", guess="3", lesson=LOOK)
    ledger.add("prediction", prediction="unasked", guess="3", lesson=LOOK)
    row = progress(root=root, target=desk)[1]
    assert row["exercises"] == ["far/radius"]
    assert row["predictions"] == row["predicted"] == ["how-far"]
    assert (row["state"], row["passed"], row["attempts"], row["hints"]) == ("started", [], 1, 1)
    ledger.add("attempt", exercise="far/radius", passed=True)
    ledger.add("attempt", exercise="far/radius", passed=False)
    assert progress(root=root, target=desk)[1]["passed"] == ["far/radius"]
    assert state(root, desk)[LOOK] == "done"


def test_what_a_run_of_the_solved_lesson_did_is_not_the_learner_s(root: Path, desk: Path) -> None:
    Ledger().add("attempt", exercise="far/radius", passed=True, run="papermill", lesson=LOOK)
    Ledger().add("prediction", prediction="how-far", guess="3", run="papermill", lesson=LOOK)
    assert state(root, desk)[LOOK] == "not started"


def test_a_guess_in_another_lesson_does_not_count(root: Path, desk: Path) -> None:
    Ledger().add("prediction", prediction="how-far", guess="3", lesson=TOUR)
    assert progress(root=root, target=desk)[1]["predicted"] == []


def test_editing_is_starting(root: Path, desk: Path) -> None:
    path = desk / f"{LOOK}.ipynb"
    path.write_text(path.read_text().replace("# Look", "# My look"))
    row = progress(root=root, target=desk)[1]
    assert (row["edited"], row["state"]) == (True, "started")
    assert next_lesson(desk, root) == TOUR


def test_when_all_is_done_the_first_lesson_opens(root: Path, desk: Path) -> None:
    execute(desk / f"{TOUR}.ipynb", 2)
    Ledger().add("attempt", exercise="far/radius", passed=True)
    assert next_lesson(desk, root) == TOUR


def test_the_table_says_it_in_words(root: Path, desk: Path) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(table(progress(root=root, target=desk)))
    shown = console.export_text()
    assert "not started" in shown
    assert "0 of 1" in shown
    assert "none to do" in shown


def test_the_public_names_do_not_depend_on_what_was_imported_first() -> None:
    script = (
        "import sys, workbench.lessons.study, workbench.lessons.progress\n"
        "from workbench.lessons import Lesson, find, lessons, predict, progress, recall, study\n"
        "from workbench.lessons.study import touched\n"
        "assert callable(study) and callable(progress) and callable(predict) and callable(recall)\n"
        "assert workbench.lessons.study is study\n"
        "heavy = {'nbgrader', 'papermill', 'nbformat', 'torch', 'numba', 'plotly', 'ipywidgets', 'IPython'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

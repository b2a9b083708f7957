"""Guesses are kept as they were made, and met again."""

from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
import workbench_widgets.explorer
from lesson_making import code, notebook

from workbench.claims.ledger import Ledger
from workbench.errors import WorkbenchError
from workbench.lessons.predict import history, predict, recall, this_lesson

CHOICES = ["linearly", "as a <root>"]


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    for name in ("WORKBENCH_LESSON", "WORKBENCH_RUN", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    return Ledger()


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbench_widgets.explorer, "front_end_listens", lambda: True)


def every(root: Any, kind: type) -> Any:
    [found] = [w for w in walk(root) if isinstance(w, kind)]
    return found


def walk(widget: Any) -> list[Any]:
    return [widget, *(deeper for child in getattr(widget, "children", ()) for deeper in walk(child))]


def test_a_changed_guess_is_a_new_row(ledger: Ledger) -> None:
    question = predict("growth", "How does it grow?", CHOICES, lesson="01-far/01-look")
    question.commit("linearly", why="it is a sum")
    question.commit("as a <root>")
    assert [(row["guess"], row["why"]) for row in ledger.rows("prediction")] == [
        ("linearly", "it is a sum"),
        ("as a <root>", ""),
    ]
    assert {row["lesson"] for row in ledger.rows("prediction")} == {"01-far/01-look"}


def test_a_guess_is_shown_again_beside_the_answer(ledger: Ledger) -> None:
    ledger.add("prediction", prediction="reach", guess=7, unit="px", when="2026-05-03T10:00:00+00:00")
    ledger.add("prediction", prediction="reach", guess=9.5, unit="px", when="2026-05-04T10:00:00+00:00")
    told = str(recall("reach", 12, unit="px"))
    assert told == "You predicted 7 px on 3 May 2026, then 9.5 px on 4 May 2026. The answer is 12 px."
    assert str(recall("reach")).endswith("2026.")
    assert str(recall("other", "slowly")) == "You have not committed to a guess. The answer is “slowly”."


def test_guesses_of_another_lesson_and_of_a_run_are_not_the_reader_s(ledger: Ledger) -> None:
    ledger.add("prediction", prediction="reach", guess=1, lesson="01-far/01-look")
    ledger.add("prediction", prediction="reach", guess=2, lesson="01-far/02-other")
    ledger.add("prediction", prediction="reach", guess=3)
    ledger.add("prediction", prediction="reach", guess=4, run="papermill")
    assert [row["guess"] for row in history("reach", "01-far/01-look")] == [1, 3]
    assert [row["guess"] for row in history("reach")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", "How?", CHOICES), "needs an id"),
        (("x", "How?", ["one"]), "at least two"),
        (("x", "How?", ["one", "one"]), "at least two"),
        (("x", "How?", (3, 1)), "low < high"),
        (("x", "How?", (0, float("inf"))), "low < high"),
        (("x", "How?", [1, 2, 3]), "at least two"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(arguments: tuple, says: str) -> None:
    with pytest.raises(WorkbenchError, match=says):
        predict(*arguments)


@pytest.mark.parametrize(
    ("choices", "guess", "says"),
    [(CHOICES, "never", "one of 'linearly'"), ((0, 10), 11, "from 0 to 10"), ((0, 10), "5", "from 0 to 10")],
)
def test_a_guess_outside_the_choices_is_refused_and_not_kept(
    ledger: Ledger, choices: Any, guess: Any, says: str
) -> None:
    with pytest.raises(WorkbenchError, match=says):
        predict("x", "How?", choices).commit(guess)
    assert ledger.rows("prediction") == []


def test_without_a_front_end_the_question_stands_still_and_keeps_nothing(ledger: Ledger) -> None:
    bundle = predict("growth", "How does it <grow>?", CHOICES)._repr_mimebundle_()
    assert "<legend>How does it &lt;grow&gt;?</legend>" in bundle["text/html"]
    assert bundle["text/html"].count('type="radio"') == 2
    assert "as a &lt;root&gt;</label>" in bundle["text/html"]
    assert bundle["text/plain"] == "How does it <grow>? (linearly; as a <root>)"
    number = predict("reach", "How far?", (0, 100), unit="px")._repr_mimebundle_()
    assert 'type="number"' in number["text/html"]
    assert number["text/plain"] == "How far? (a number from 0 to 100 px)"
    assert "own guess" in recall("growth", "as a <root>")._repr_mimebundle_()["text/plain"]
    assert not ledger.path.exists()


@pytest.mark.usefixtures("listening")
def test_a_reader_commits_a_choice(ledger: Ledger) -> None:
    panel = predict("growth", "How does it grow?", CHOICES, why=True).panel()
    radio, button = every(panel, widgets.RadioButtons), every(panel, widgets.Button)
    assert radio.value is None
    assert button.disabled
    radio.value = "as a <root>"
    assert not button.disabled
    every(panel, widgets.Textarea).value = " it averages "
    button.click()
    [row] = ledger.rows("prediction")
    assert (row["guess"], row["why"]) == ("as a <root>", "it averages")
    assert "You predicted “as a &lt;root&gt;”" in panel.children[-1].value
    again = predict("growth", "How does it grow?", CHOICES).panel()
    assert "You predicted" in again.children[-1].value


@pytest.mark.usefixtures("listening")
def test_a_reader_commits_a_number(ledger: Ledger) -> None:
    panel = predict("reach", "How far?", (0, 100), unit="px").panel()
    field, button = every(panel, widgets.Text), every(panel, widgets.Button)
    for typed in ("far", "101", "nan"):
        field.value = typed
        button.click()
        assert 'role="alert"' in panel.children[-1].value
    assert ledger.rows("prediction") == []
    field.value = "12,5"
    button.click()
    assert ledger.rows("prediction")[0]["guess"] == 12.5


@pytest.mark.usefixtures("listening")
def test_a_front_end_gets_the_widget() -> None:
    bundle = predict("growth", "How?", CHOICES)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"].startswith("How?")
    assert "not committed" in recall("growth")._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("place", "lesson"),
    [
        ("/somewhere/study/01-far/02-look.ipynb", "01-far/02-look"),
        ("/somewhere/study/01-far/02-look.update-3.ipynb", "01-far/02-look"),
        ("/somewhere/notes.ipynb", None),
        ("", None),
    ],
)
def test_the_lesson_is_told_from_the_notebook(
    place: str, lesson: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", place)
    assert this_lesson() == lesson
    monkeypatch.setenv("WORKBENCH_LESSON", "03-x/01-y")
    assert this_lesson() == "03-x/01-y"


@pytest.mark.slow
def test_an_executed_notebook_holds_the_still_question(ledger: Ledger) -> None:
    import nbformat
    from nbclient import NotebookClient

    asks = 'from workbench.lessons import predict, recall\npredict("x", "How?", ["a", "b"])'
    ran = nbformat.from_dict(notebook([code(asks), code('recall("x", "a")')]))
    NotebookClient(ran, timeout=60).execute()
    assert "<fieldset" in ran.cells[0].outputs[0]["data"]["text/html"]
    assert "widget-view" not in str(ran.cells[0].outputs)
    assert "The answer is “a”." in ran.cells[1].outputs[0]["data"]["text/plain"]
    assert not ledger.path.exists()

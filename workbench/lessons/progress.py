"""What a learner has done: read from the learner's own files and ledger, and from nowhere else."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.lessons.cells import Notebook, code_cells, named, read, source
from workbench.lessons.model import lessons
from workbench.lessons.predict import KIND as PREDICTION
from workbench.lessons.study import chain, touched

if TYPE_CHECKING:
    from rich.table import Table

    from workbench.claims import Ledger

Row = dict[str, Any]


def progress(
    *, root: Path | None = None, target: str | Path = "study", ledger: "Ledger | None" = None
) -> list[Row]:
    """One row a lesson, in reading order:

    `{lesson, title, state, edited, cells_run, cells, exercises, passed, attempts, hints, predictions,
    predicted}`: `state` is "not started", "started" or "done"; `exercises` and `predictions` name what
    the lesson asks, `passed` and `predicted` what the learner has answered; `hints` counts those shown.
    A lesson is done when its exercises are passed or, where it has none, when every code cell has run.
    """
    rows = _ledger_rows(ledger)
    return [_row(lesson.key, lesson.title, lesson.notebook, Path(target), rows) for lesson in lessons(root)]


def table(rows: list[Row]) -> "Table":
    """The rows for a terminal."""
    from rich.table import Table

    shown = Table(title="Your progress", title_justify="left")
    for column in ("lesson", "state", "cells run", "exercises passed", "hints", "predictions"):
        shown.add_column(column, overflow="fold")
    for row in rows:
        exercises = f"{len(row['passed'])} of {len(row['exercises'])}" if row["exercises"] else "none to do"
        predictions = (
            f"{len(row['predicted'])} of {len(row['predictions'])}" if row["predictions"] else "none asked"
        )
        ran = f"{row['cells_run']} of {row['cells']}"
        shown.add_row(row["lesson"], row["state"], ran, exercises, str(row["hints"]), predictions)
    return shown


def _ledger_rows(ledger: "Ledger | None") -> dict[str, list[Row]]:
    """What the reader did; rows with a `run` were written by an executed lesson, not by anybody."""
    from workbench.claims.ledger import Ledger

    book = ledger or Ledger()
    return {kind: book.rows(kind, run=None) for kind in ("attempt", "hint", PREDICTION)}


def _row(key: str, title: str, lesson: Notebook, target: Path, kept: dict[str, list[Row]]) -> Row:
    """An exercise belongs to the lesson that names it, wherever it was attempted; a guess likewise."""
    copies = [notebook for path in chain(target, key) if (notebook := read(path))]
    asked, guesses = named(lesson, "exercise"), named(lesson, "predict")
    attempts = [row for row in kept["attempt"] if row.get("exercise") in asked]
    passes = Counter(row["exercise"] for row in attempts if row.get("passed"))
    shown = [row for row in kept["hint"] if row.get("exercise") in asked]
    made = {row.get("prediction") for row in kept[PREDICTION] if row.get("lesson") in (None, "", key)}
    row = {
        "lesson": key,
        "title": title,
        "edited": touched(target, key),
        "cells_run": max((sum(map(_has_run, code_cells(copy))) for copy in copies), default=0),
        "cells": max(
            (sum(bool(source(c).strip()) for c in code_cells(n)) for n in copies or [lesson]), default=0
        ),
        "exercises": asked,
        "passed": [name for name in asked if passes[name]],
        "attempts": len(attempts),
        "hints": len(shown),
        "predictions": guesses,
        "predicted": [name for name in guesses if name in made],
    }
    return {"lesson": key, "title": title, "state": _state(row), **row}


def _has_run(cell: dict[str, Any]) -> bool:
    return cell.get("execution_count") is not None and bool(source(cell).strip())


def _state(row: Row) -> str:
    finished = (
        len(row["passed"]) == len(row["exercises"]) if row["exercises"] else row["cells_run"] >= row["cells"]
    )
    if finished:
        return "done"
    return (
        "started"
        if any(row[sign] for sign in ("edited", "cells_run", "attempts", "hints", "predicted"))
        else "not started"
    )

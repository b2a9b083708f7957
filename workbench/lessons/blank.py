"""The learner's version of a lesson: exercises blank, and answers written earlier put back in.

What is blanked, locked and sealed is nbgrader's business, done by nbgrader's own preprocessors, so that
a learner's copy is also what nbgrader would hand out and collect.
"""

import ast
import copy
import hashlib
import logging
import re
from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lessons.cells import Cell, Notebook, grading, source, tags

RECIPE = 1  # raise it when the same lesson would come out differently
KEPT = "workbench_kept"  # metadata of a cell that keeps an answer whose exercise is gone
GRADERS_CELL = "# The grader's tests run here."


@dataclass(frozen=True)
class Answer:
    """What a learner wrote into one exercise cell; `asked` is nbgrader's checksum of the cell as handed out.

    `kept` marks a text that an earlier update had already put at the end of the notebook.
    """

    cell_type: str
    text: str
    asked: str | None = None
    kept: bool = False


def blank(notebook: Notebook, key: str) -> Any:
    """The lesson as a learner gets it, as an nbformat notebook.

    Test-only cells are left out, solutions and hidden tests are cleared, exercise cells are locked and
    sealed with nbgrader's checksums. "Run all" reaches the end: what is left of a grader's cell may raise
    without stopping the rest.
    """
    import nbformat
    from nbgrader import preprocessors

    lesson = nbformat.from_dict(copy.deepcopy(notebook))
    lesson.cells = [cell for cell in lesson.cells if grading(cell) or "remove-cell" not in tags(cell)]
    try:
        for name in ("CheckCellMetadata", "LockCells", "ClearSolutions", "ClearHiddenTests"):
            _apply(getattr(preprocessors, name)(), lesson)
        for cell in lesson.cells:
            _settle(cell)
        _apply(preprocessors.ComputeChecksums(), lesson)
        _apply(preprocessors.CheckCellMetadata(), lesson)
    except Exception as error:
        raise WorkbenchError(f"{key}: nbgrader refuses the exercises of this lesson: {error}") from error
    return lesson


def _apply(preprocessor: Any, lesson: Any) -> None:
    preprocessor.log.setLevel(logging.CRITICAL)  # what goes wrong is told once, in the error's sentence
    preprocessor.preprocess(lesson, {})


def _settle(cell: Any) -> None:
    """Drops outputs, folds plumbing in JupyterLab, and keeps a grader's cell from stopping 'run all'."""
    if cell.cell_type != "code":
        return
    cell.outputs, cell.execution_count = [], None
    if "hide-input" in tags(cell):
        cell.metadata["jupyter"] = {"source_hidden": True}
    if grading(cell).get("grade") or grading(cell).get("solution"):
        cell.source = cell.source if cell.source.strip() else GRADERS_CELL
        if _may_raise(cell.source):
            cell.metadata["tags"] = sorted(tags(cell) | {"raises-exception"})


def _may_raise(text: str) -> bool:
    """Whether running the cell does more than define functions; a stub inside one waits to be called."""
    quiet = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    try:
        return not all(isinstance(statement, quiet) for statement in ast.parse(text).body)
    except SyntaxError:
        return True


def answers(notebook: Notebook | None) -> dict[str, Answer]:
    """What a learner has written into the exercises of their copy, by nbgrader's `grade_id`.

    Texts that an earlier update kept at the end come along under a name of their own.
    """
    found: dict[str, Answer] = {}
    for cell in notebook["cells"] if notebook else ():
        kind, text = cell.get("cell_type", "raw"), source(cell)
        if name := cell.get("metadata", {}).get(KEPT):
            found[f"{KEPT}:{name}"] = Answer(kind, text, kept=True)
        elif (
            grading(cell).get("solution") and (name := grading(cell).get("grade_id")) and not _as_given(cell)
        ):
            found[name] = Answer(kind, text, grading(cell).get("checksum"))
    return found


def _as_given(cell: Cell) -> bool:
    """Whether an exercise cell still is what nbgrader's checksum sealed."""
    from nbformat import from_dict
    from nbgrader.utils import compute_checksum

    try:
        return grading(cell).get("checksum") == compute_checksum(from_dict({**cell, "source": source(cell)}))
    except (KeyError, TypeError, ValueError):  # someone edited the metadata: then the text is theirs as well
        return False


def with_answers(lesson: Any, written: dict[str, Answer]) -> Any:
    """A copy of the blank `lesson` with the answers put into the exercises of the same `grade_id`.

    An exercise whose wording has changed is quoted below the answer to the old one. An answer whose
    exercise is gone, or has become another type of cell, is kept at the end.
    """
    from nbformat import from_dict

    lesson = from_dict(copy.deepcopy(lesson))
    left, cells = dict(written), []
    for cell in lesson.cells:
        cells.append(cell)
        name = grading(cell).get("grade_id", "") if grading(cell).get("solution") else ""
        answer = left.get(name)
        if answer is None or answer.cell_type != cell.cell_type:
            continue
        del left[name]
        if answer.asked != grading(cell)["checksum"] and answer.text != cell.source:
            note = (
                f"This exercise has changed since your answer. It now starts from\n\n{_fenced(cell.source)}"
            )
            cells.append(_markdown(f"changed-{name}", note))
        cell.source = answer.text
    farewells = [answer.text if answer.kept else _farewell(name, answer) for name, answer in left.items()]
    for text in dict.fromkeys(farewells):
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        cells.append(_markdown(f"kept-{digest}", text, {KEPT: digest}))
    lesson.cells = cells
    return lesson


def _farewell(name: str, answer: Answer) -> str:
    return f"Your answer to `{name}`, which has no place in this version:\n\n{_fenced(answer.text)}"


def _fenced(text: str) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{text}\n{fence}"


def _markdown(name: str, text: str, metadata: dict[str, str] | None = None) -> Any:
    """A markdown cell whose id depends on its name alone, so that the same update is the same file."""
    from nbformat.v4 import new_markdown_cell

    return new_markdown_cell(text, id=re.sub(r"[^a-zA-Z0-9_-]", "-", name)[:64], metadata=metadata or {})

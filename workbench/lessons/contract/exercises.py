"""Rules about exercises: nbgrader can hand them out, blanks run to the end, wrong answers fail."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from workbench.errors import WorkbenchError
from workbench.lessons.cells import grading, named, source
from workbench.lessons.contract.draft import Draft
from workbench.lessons.contract.rules import rule

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_TESTS, END_TESTS = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"


@rule("nbgrader", "nbgrader's own validator accepts the exercises (schema 3).")
def nbgrader(draft: Draft) -> Iterator[str]:
    if not any(grading(cell) for cell in draft.cells):
        return
    import nbformat
    from nbgrader.nbgraderformat import MetadataValidator

    try:
        MetadataValidator().validate_nb(nbformat.from_dict(draft.notebook))
    except Exception as error:
        yield f"nbgrader refuses the metadata: {str(error).splitlines()[0]}"


@rule(
    "solutions",
    "A solution cell marks its solution, inside a function, so that the blank runs and waits to be called.",
)
def solutions(draft: Draft) -> Iterator[str]:
    for n, cell in enumerate(draft.cells, 1):
        text = source(cell)
        marks = _marks(text, BEGIN_SOLUTION, END_SOLUTION)
        if not grading(cell).get("solution"):
            if marks:
                yield f"cell {n} marks a solution, but nbgrader does not know it as a solution cell"
        elif not marks or not _balanced(marks):
            yield f"cell {n} should hold its solution between {BEGIN_SOLUTION} and {END_SOLUTION}"
        elif cell["cell_type"] == "code" and not _inside_functions(draft.trees.get(n), marks):
            yield f"cell {n} has its solution outside a function: its blank would stop 'run all'"


@rule("graders-cell", "A grader's cell keeps everything that may raise between the marks of hidden tests.")
def graders_cell(draft: Draft) -> Iterator[str]:
    for n, cell in draft.code:
        marks = _marks(source(cell), BEGIN_TESTS, END_TESTS)
        graded = grading(cell).get("grade") and not grading(cell).get("solution")
        if marks and not grading(cell).get("grade"):
            yield f"cell {n} hides tests, but nbgrader does not know it as a grader's cell"
        elif graded and not (marks and _balanced(marks)):
            yield f"cell {n} should hold its tests between {BEGIN_TESTS} and {END_TESTS}"
        elif graded and any(_outside(line, marks) for line in _raising(draft.trees.get(n))):
            yield f"cell {n} raises outside its hidden tests, which stops a learner's 'run all'"


@rule("exercises", "Every exercise that a lesson names exists, and a lesson with a solution cell checks one.")
def exercises(draft: Draft) -> Iterator[str]:
    names = named(draft.notebook, "exercise")
    for name in names:
        if name not in _known():
            yield f"there is no exercise {name!r}"
    if any(grading(cell).get("solution") for cell in draft.cells) and not names:
        yield 'the lesson has a solution cell, but no exercise("…") checks it'


@rule(
    "proof",
    "Every exercise is proved: its reference passes, each wrong answer is rejected with its own hint.",
    "proof",
)
def proof(draft: Draft) -> Iterator[str]:
    from workbench.exercises import exercise, prove

    for name in named(draft.notebook, "exercise"):
        if name in _known():
            try:
                yield from prove(exercise(name))
            except WorkbenchError as error:
                yield f"{name} could not be proved: {error}"


@cache
def _known() -> frozenset[str]:
    from workbench.exercises import exercises as names

    return frozenset(names())


def _marks(text: str, begin: str, end: str) -> list[tuple[int, bool]]:
    """Lines that hold a mark, counted from 1; True begins a region, False ends it."""
    found = re.compile(f"({re.escape(begin)})|{re.escape(end)}")
    return [(n, bool(mark[1])) for n, line in enumerate(text.split("\n"), 1) if (mark := found.search(line))]


def _balanced(marks: list[tuple[int, bool]]) -> bool:
    """Whether regions begin and end in turn."""
    return len(marks) % 2 == 0 and all(begins == (i % 2 == 0) for i, (_, begins) in enumerate(marks))


def _outside(line: int, marks: list[tuple[int, bool]]) -> bool:
    before = [begins for n, begins in marks if n < line]
    return not (before and before[-1])


def _inside_functions(tree: ast.Module | None, marks: list[tuple[int, bool]]) -> bool:
    if tree is None:
        return False
    spans = [(f.lineno, f.end_lineno or 0) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)]
    return all(any(first < n <= last + 1 for first, last in spans) for n, _ in marks)


def _raising(tree: ast.Module | None) -> list[int]:
    """Lines of statements that may raise: all but definitions and imports, as far as syntax can tell."""
    quiet = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    return [statement.lineno for statement in tree.body if not isinstance(statement, quiet)] if tree else []

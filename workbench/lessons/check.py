"""Holds lessons to the notebook contract. The rules themselves are in `contract/`, one idea a module."""

from collections.abc import Iterator, Sequence

from workbench.budget import BUDGETS
from workbench.errors import WorkbenchError
from workbench.lessons.contract import (
    RULES,
    Problem,
    Rule,
    code,
    executed,
    exercises,
    form,
    references,
    story,
)
from workbench.lessons.contract.draft import Draft
from workbench.lessons.contract.executed import Executed
from workbench.lessons.contract.rules import Scope
from workbench.lessons.model import Lesson, lessons

__all__ = ["RULES", "Problem", "check", "rules"]

MODULES = (form, story, code, references, exercises, executed)  # importing them fills RULES


def check(
    chosen: Sequence[Lesson] | None = None, *, budget: str | None = None, dynamic: bool = True
) -> list[Problem]:
    """Breaches of the contract in these lessons (default: all), lesson by lesson; empty when all is well.

    `budget`: also demands a fresh run in this budget and holds it to the contract. Without it only those
    runs are looked at that are there and belong to the present text. `dynamic`: also proves the exercises
    by executing their references and wrong answers.
    """
    if budget is not None and budget not in BUDGETS:
        raise WorkbenchError(f"budget must be one of {', '.join(BUDGETS)}, but {budget!r} came")
    drafts = [Draft(lesson) for lesson in (lessons() if chosen is None else chosen)]
    found = [problem for draft in drafts for problem in _of_lesson(draft, budget, dynamic)]
    return found + _of_books(drafts)


def rules() -> list[dict[str, str]]:
    """The contract as rows: the name of each rule and what it says."""
    return [{"rule": name, "says": known.says} for name, known in RULES.items()]


def _of_lesson(draft: Draft, budget: str | None, dynamic: bool) -> Iterator[Problem]:
    if broken := _held_to("form", draft):  # the other rules rely on the form
        yield from broken
        return
    yield from _held_to("lesson", draft)
    if dynamic:
        yield from _held_to("proof", draft)
    if budget:
        yield from _held_to("demand", Executed(draft.lesson, budget))
    for name in [budget] if budget else BUDGETS:
        run = Executed(draft.lesson, name)
        if run.of_this_text:
            yield from _held_to("run", run)


def _of_books(drafts: list[Draft]) -> list[Problem]:
    """Rules about all lessons together, told for those that were chosen."""
    chosen = {draft.lesson.path for draft in drafts}
    books = {draft.root: [Draft(lesson) for lesson in lessons(draft.root)] for draft in drafts}
    return [
        Problem(key, known.name, sentence)
        for root, book in books.items()
        for known in _rules("book")
        for key, sentence in known.find(book)
        if root / f"{key}.ipynb" in chosen
    ]


def _held_to(scope: Scope, subject: Draft | Executed) -> list[Problem]:
    found = [(known.name, sentence) for known in _rules(scope) for sentence in known.find(subject)]
    return [Problem(subject.lesson.key, name, sentence) for name, sentence in found]


def _rules(scope: Scope) -> list[Rule]:
    return [known for known in RULES.values() if known.scope == scope]

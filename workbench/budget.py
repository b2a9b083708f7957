"""Sizes that depend on how much time there is, chosen in one place."""

from typing import Literal, TypeVar

from workbench.errors import WorkbenchError

Budget = Literal["smoke", "lesson", "full"]
BUDGETS: tuple[Budget, ...] = ("smoke", "lesson", "full")
T = TypeVar("T")


def by_budget(budget: str, *, smoke: T, lesson: T, full: T | None = None) -> T:
    """The value for this budget; `full` falls back to `lesson`.

    >>> steps = by_budget("smoke", smoke=3, lesson=200)
    >>> steps
    3
    """
    if budget not in BUDGETS:
        raise WorkbenchError(f"budget must be one of {', '.join(BUDGETS)}, but {budget!r} came")
    if budget == "smoke":
        return smoke
    return lesson if budget == "lesson" or full is None else full

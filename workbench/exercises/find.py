"""Exercises by name, found by where their module lies; only the one asked for is imported."""

import difflib
import importlib
import re
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.exercises.model import Exercise

HERE = Path(__file__).parent


def exercises() -> list[str]:
    """All names, such as `receptive-fields/radius`, without importing any."""
    modules = sorted(path for path in HERE.glob("*/*.py") if not path.name.startswith("_"))
    return [f"{path.parent.name}/{path.stem}".replace("_", "-") for path in modules]


def exercise(name: str) -> Exercise:
    """The exercise of that name; the same object each time, so that hints go on where they stopped."""
    known = exercises()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
        tip = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
        raise WorkbenchError(f"no exercise is called {name!r}; {tip}")
    module = importlib.import_module("workbench.exercises." + re.sub("-", "_", name).replace("/", "."))
    found: Exercise = module.EXERCISE
    if found.name != name:
        raise WorkbenchError(
            f"the exercise in {module.__name__} should be called {name!r}, but is {found.name!r}"
        )
    return found

"""Small lessons for tests, built as plain notebook JSON."""

import copy
import json
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]

SOLUTION = '''def radius(depth):
    """Receptive field of `depth` layers."""
    ### BEGIN SOLUTION
    return 1 + 2 * depth
    ### END SOLUTION'''

TESTS = """### BEGIN HIDDEN TESTS
assert radius(1) == 3
### END HIDDEN TESTS"""


def markdown(text: str, **metadata: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": metadata, "source": text}


def code(text: str, tags: list[str] | None = None, **metadata: Any) -> dict[str, Any]:
    metadata |= {"tags": tags} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "source": text, "outputs": [], "execution_count": None}


def solution(name: str = "radius", text: str = SOLUTION) -> dict[str, Any]:
    return code(text, nbgrader=_graded(name, solution=True))


def grader(name: str = "radius-tests", text: str = TESTS) -> dict[str, Any]:
    return code(text, ["remove-cell"], nbgrader=_graded(name, grade=True, locked=True) | {"points": 1})


def _graded(name: str, **flags: bool) -> dict[str, Any]:
    return {
        "schema_version": 3,
        "grade": False,
        "solution": False,
        "locked": False,
        "grade_id": name,
        **flags,
    }


def notebook(cells: list[dict[str, Any]], **declared: Any) -> Notebook:
    """A valid notebook; `declared` goes into its `workbench` metadata."""
    cells = copy.deepcopy(cells)
    for position, cell in enumerate(cells):
        cell.setdefault("id", f"cell-{position}")
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "workbench": {"title": "A lesson", **declared},
    }
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def write(root: Path, key: str, lesson: Notebook) -> Path:
    path = root / f"{key}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(lesson), encoding="utf-8")
    return path

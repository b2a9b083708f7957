"""Two small executed lessons, two chapters, three systems and a claim: enough for a book."""

import json
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from workbench_widgets import Picture, explore

from workbench.book.material import Material, Page
from workbench.lessons.model import Cost, Lesson


@dataclass(frozen=True)
class Chapter:
    number: int
    slug: str
    title: str
    question: str

    @property
    def folder(self) -> str:
        return f"{self.number:02d}-{self.slug}"


CHAPTERS = [Chapter(1, "wide", "Seeing wide", "How far?"), Chapter(2, "cost", "What it costs", "Who pays?")]
SYSTEMS = [
    {"key": "big-kernel", "title": "A Big <Kernel>", "chapter": 1, "order": 1, "state": "reproduced"},
    {"key": "small-kernel", "title": "A Small Kernel", "chapter": 1, "order": 2, "state": "absent"},
    {"key": "paged-cache", "title": "A Paged Cache", "chapter": 2, "order": 1, "state": "absent"},
]
CLAIMS = [
    {
        "system": "big-kernel",
        "claim": "reach-grows",
        "value": 0.5123,
        "low": 0.49,
        "high": 0.53,
        "bar": "at least 0.4",
        "baseline": 0.2,
        "paper": "0.5",
        "control_value": 0.11,
        "control_failed": True,
        "verdict": "reproduced",
        "provenance": "counted",
        "seeds": [0, 1, 2, 3, 4],
        "budget": "lesson",
        "machine": "a tested machine",
        "when": "2026-01-02T03:04:05",
        "stale": False,
    }
]


@explore(slope=range(1, 5), dashed=bool)
def line(slope=2, dashed=False):
    figure = go.Figure(
        go.Scatter(x=[0, 1, 2], y=[0, slope, 2 * slope], line_dash="dash" if dashed else "solid")
    )
    figure.update_layout(meta={"alt": f"a line of slope {slope}", "caption": "Steeper is faster."}, width=700)
    return figure


@explore(level=range(3))
def patch(level=1):
    return Picture(np.full((8, 8), level / 2), alt=f"a patch of level {level}")


def figure(alt: str = "three points going up") -> dict:
    shown = go.Figure(go.Scatter(y=[1, 2, 3]), layout={"meta": {"alt": alt, "caption": "Up it goes."}})
    return {"application/vnd.plotly.v1+json": json.loads(shown.to_json()), "text/plain": "Figure"}


def code(source: str, *outputs: dict | str, **metadata) -> nbformat.NotebookNode:
    made = [
        nbformat.v4.new_output("stream", text=output)
        if isinstance(output, str)
        else nbformat.v4.new_output("display_data", data=output)
        for output in outputs
    ]
    cell = nbformat.v4.new_code_cell(source, outputs=made)
    cell.metadata.update(metadata)
    return cell


text = nbformat.v4.new_markdown_cell
SOLVED = (
    "def average(size):\n    ### BEGIN SOLUTION\n    return 41 + size\n    ### END SOLUTION\n\naverage(1)"
)
RIGHT = {"text/html": "<p>✓ Right</p>", "text/plain": "✓ Right"}


def graded(name: str, grade: bool) -> dict:
    """nbgrader's metadata of an exercise, or of the cell that grades it."""
    points = {"points": 1} if grade else {}
    fixed = {"schema_version": 3, "grade_id": name, "task": False}
    return {"nbgrader": {**fixed, "grade": grade, "solution": not grade, "locked": grade, **points}}


def lesson_cells(monkeypatch: pytest.MonkeyPatch) -> list[nbformat.NotebookNode]:
    monkeypatch.setenv("WORKBENCH_BAKE", "1")
    return [
        text("# How far?\n\nLook at this, and then at [the tour](../00-start/01-tour.ipynb)."),
        code('budget = "lesson"', tags=["parameters"]),
        code('budget = "injected"', tags=["injected-parameters"]),
        code("line", line._repr_mimebundle_()),
        code("patch", patch._repr_mimebundle_()),
        text("## Mechanism\n\nA {term}`receptive field` grows as $\\sqrt{n}$."),
        text("Two strides pass a *bar*. A stride again."),
        code("secret_plumbing()", figure(), tags=["hide-input"]),
        code(SOLVED, "42\n", **graded("a", grade=False)),
        code('exercise("start/average").check(average)', RIGHT),
        code("assert average(1) == 42", **graded("b", grade=True)),
        code("only_for_tests()", tags=["remove-cell"]),
    ]


def make_page(runs: Path, key: str, title: str, cells: list, **declared) -> Page:
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
    }
    path = runs / f"{key}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    run = {
        "status": "ok",
        "seconds": 12.34,
        "peak_mib": 321.0,
        "machine": "a tested machine",
        "when": "2026-01-02T03:04:05",
    }
    path.with_suffix(".json").write_text(json.dumps(run), "utf-8")
    return Page(Lesson(path, key, title, minutes=20, **declared), path, run)


def make_material(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Material:
    tour = make_page(runs, "00-start/01-tour", "The tour", [text("# The tour\n\nBegin here.")])
    far = make_page(
        runs,
        "01-wide/01-far",
        "How far?",
        lesson_cells(monkeypatch),
        systems=("big-kernel",),
        prerequisites=("00-start/01-tour",),
        cost={"lesson": Cost(60, 900)},
    )
    return Material("lesson", CHAPTERS, SYSTEMS, CLAIMS, [tour, far])

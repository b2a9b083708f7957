"""Rules about an executed lesson: what a reader of the book will see, and what it cost."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench import _paths
from workbench.lessons import reuse
from workbench.lessons.cells import Cell, Notebook, code_cells, named, read, tags
from workbench.lessons.contract.rules import rule
from workbench.lessons.contract.story import FIRST_CELLS
from workbench.lessons.model import Lesson

PLOTLY = "application/vnd.plotly.v1+json"
EXPLORER = "application/vnd.workbench.explorer+json"
PICTURES = {PLOTLY, EXPLORER, "image/png", "image/svg+xml"}
OUTSIDE = re.compile(
    r"<(?:script|link|img|iframe|source|video)\b[^>]*?\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|@import\s+url\([\"']?https?:|(?:unpkg\.com|cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com|cdn\.plot\.ly)",
    re.IGNORECASE,
)
# A run may be slower than declared on another machine, and a small number says little either way.
TOO_MUCH, GRACE_SECONDS, GRACE_MIB = 1.5, 5, 150
FAR_TOO_LITTLE, NOTABLE_SECONDS, NOTABLE_MIB = 10, 20, 2048


@dataclass
class Executed:
    """The last run of a lesson in one budget."""

    lesson: Lesson
    budget: str

    def _place(self, suffix: str) -> Path:
        return _paths.build_dir() / "runs" / self.budget / f"{self.lesson.key}{suffix}"

    @cached_property
    def notebook(self) -> Notebook | None:
        return read(self._place(".ipynb"))

    @cached_property
    def record(self) -> dict[str, Any] | None:
        try:
            record = json.loads(self._place(".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    @property
    def failed(self) -> bool:
        return self._place(".failed.json").exists()

    @property
    def of_this_text(self) -> bool:
        """Whether the notebook that ran is the one that is committed now."""
        ran = (self.record or {}).get("inputs", {}).get("notebook")
        return self.notebook is not None and ran == reuse.digest(self.lesson.path.read_text(encoding="utf-8"))

    @property
    def story(self) -> list[Cell]:
        """Code cells with outputs that a reader sees; papermill's own cell is not one of the lesson's."""
        return [
            c
            for c in code_cells(self.notebook or {"cells": []})
            if not {"injected-parameters", "remove-cell"} & tags(c)
        ]

    def outputs(self) -> Iterator[tuple[str, Cell, dict[str, Any]]]:
        for n, cell in enumerate((self.notebook or {"cells": []})["cells"], 1):
            for output in cell.get("outputs", ()):
                yield f"cell {n} of the {self.budget} run", cell, output

    def figures(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Everything drawn, as `{"alt", "caption", "data", "layout"}`; a picture has no data."""
        for where, _, output in self.outputs():
            shown = output.get("data", {})
            if EXPLORER in shown:  # its first frame is also there as a plain figure
                yield from ((where, part) for part in shown[EXPLORER].get("frame", ()))
            elif PLOTLY in shown:
                meta = shown[PLOTLY].get("layout", {}).get("meta")
                yield where, {**(meta if isinstance(meta, dict) else {}), **shown[PLOTLY]}


@rule("run", "Where the runs of a budget are asked for, there is a fresh one that ended well.", "demand")
def fresh(run: Executed) -> Iterator[str]:
    remedy = f"workbench run {run.lesson.key} --budget {run.budget}"
    if run.failed:
        yield f"the last {run.budget} run failed: {remedy}"
    elif run.record is None or run.notebook is None:
        yield f"there is no {run.budget} run: {remedy}"
    elif not reuse.unchanged(run.record["inputs"], run.lesson.path.read_text(encoding="utf-8")):
        yield f"the {run.budget} run is stale: {remedy}"


@rule(
    "errors", "No cell of a run ends in an error or prints a traceback, unless failing is the lesson.", "run"
)
def errors(run: Executed) -> Iterator[str]:
    for where, cell, output in run.outputs():
        if "raises-exception" in tags(cell):
            continue
        if output.get("output_type") == "error":
            yield f"{where} ended in {output.get('ename')}: {output.get('evalue', '')[:80]}"
        elif output.get("name") == "stderr" and "Traceback (most recent call last)" in _text(
            output.get("text", "")
        ):
            yield f"{where} prints a traceback"


@rule("solved", "The lesson's own solutions pass their exercises in the run.", "run")
def solved(run: Executed) -> Iterator[str]:
    attempts = [row for row in (run.record or {}).get("ledger", ()) if row.get("kind") == "attempt"]
    passed = {row.get("exercise") for row in attempts if row.get("passed")}
    for name in named(run.lesson.notebook, "exercise"):
        if name not in passed:
            yield f"the lesson's own solution does not pass {name} in the {run.budget} run"


@rule(
    "drawn",
    f"The first picture is really drawn: one of the first {FIRST_CELLS} code cells shows it in the run.",
    "run",
)
def drawn(run: Executed) -> Iterator[str]:
    early = [
        output.get("data", {}).keys()
        for cell in run.story[:FIRST_CELLS]
        for output in cell.get("outputs", ())
    ]
    if not any(PICTURES & kinds for kinds in early):
        yield f"none of the first {FIRST_CELLS} code cells shows a picture in the {run.budget} run"


@rule("figures", "Every figure has a text alternative, a caption, and titles on its axes.", "run")
def figures(run: Executed) -> Iterator[str]:
    for where, figure in run.figures():
        for name, what in (("alt", "text alternative"), ("caption", "caption")):
            if not str(figure.get(name) or "").strip():
                yield f"a figure in {where} has no {what}: views.describe(fig, alt=…, caption=…)"
        for axis in untitled_axes(figure):
            yield f"a figure in {where} has no title on its {axis}"


def untitled_axes(figure: dict[str, Any]) -> list[str]:
    """Axes that carry data and numbers, but no title saying what they are of.

    An axis that is not drawn, or whose tick labels are left to the neighbour that it shares them with,
    needs none; nor do the panels of a figure that names their axes once, below all of them or beside.
    """
    layout, used = figure.get("layout", {}), set()
    for trace in figure.get("data", ()):
        if trace.get("type") in (
            "scatter3d",
            "surface",
            "mesh3d",
            "volume",
            "isosurface",
            "cone",
            "streamtube",
        ):
            used |= {f"{trace.get('scene', 'scene')}.{axis}axis" for axis in "xyz"}
        elif trace.get("type", "scatter") in CARTESIAN:
            used |= {axis + "axis" + trace.get(f"{axis}axis", axis)[1:] for axis in "xy"}
    shared = _shared_titles(layout)
    return sorted(
        name for name in used if not _titled(_axis(layout, name)) and name.split(".")[-1][0] not in shared
    )


def _shared_titles(layout: dict[str, Any]) -> set[str]:
    """Whether a text stands below all panels ("x"), or beside them ("y")."""
    found = set()
    for note in layout.get("annotations") or ():
        if note.get("xref") == note.get("yref") == "paper" and str(note.get("text") or "").strip():
            found |= {"x"} if note.get("y") == 0 and note.get("yanchor") == "top" else set()
            found |= {"y"} if note.get("x") == 0 and note.get("textangle") == -90 else set()
    return found


CARTESIAN = {
    *("scatter", "scattergl", "bar", "heatmap", "contour", "histogram", "histogram2d", "histogram2dcontour"),
    *("box", "violin", "image", "candlestick", "ohlc", "waterfall", "funnel"),
}


def _axis(layout: dict[str, Any], name: str) -> dict[str, Any]:
    """`xaxis2` of the layout, or `xaxis` of one of its scenes."""
    for part in name.split("."):
        layout = layout.get(part) or {}
    return layout


def _titled(axis: dict[str, Any]) -> bool:
    title = axis.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return bool(text) or axis.get("visible") is False or axis.get("showticklabels") is False


@rule("outside", "No output loads anything from outside the page.", "run")
def outside(run: Executed) -> Iterator[str]:
    for where, _, output in run.outputs():
        for kind in ("text/html", "application/javascript", "image/svg+xml"):
            if found := OUTSIDE.search(_text(output.get("data", {}).get(kind, ""))):
                yield f"{where} loads from outside the page: {found[0][:80]}"


@rule("cost", "The declared seconds and MiB are what the run took, within what machines differ by.", "run")
def cost(run: Executed) -> Iterator[str]:
    declared, record = run.lesson.cost.get(run.budget), run.record or {}
    if declared is None:
        return
    for unit, said, took, grace, notable in (
        ("s", declared.seconds, record.get("seconds"), GRACE_SECONDS, NOTABLE_SECONDS),
        ("MiB", declared.mib, record.get("peak_mib"), GRACE_MIB, NOTABLE_MIB),
    ):
        if not took:
            continue
        if took > TOO_MUCH * said + grace or (said >= notable and took < said / FAR_TOO_LITTLE):
            yield f"declares {said:g} {unit} in the {run.budget} budget, but its run took {took:.3g} {unit}"


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)

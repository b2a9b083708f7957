"""An executed notebook as the notebook that its page shows: what readers need, nothing of the machinery."""

import re
from collections.abc import Collection
from posixpath import join, normpath
from typing import Any

from workbench_widgets.explorer import EXPLORER_MIME, PLOTLY_MIME

from workbench.errors import WorkbenchError

from .figures import explorer_html, figure_html
from .help import WHOSE, checked, ladder, reasons
from .material import Page

Cell = dict[str, Any]
GONE_TAGS = {"remove-cell", "injected-parameters"}
SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION.*?^[ \t]*### END SOLUTION[^\n]*$", re.DOTALL | re.MULTILINE
)
SOLUTION_MARKS = re.compile(r"^[ \t]*### (?:BEGIN|END) SOLUTION[^\n]*\n?", re.MULTILINE)
LESSON_LINK = re.compile(r"\]\((?!https?:)([^)\s#]+)\.ipynb(?:#[^)]*)?\)")
HEADING = re.compile(r"\A\s*#\s[^\n]*\n?")


def prepare(page: Page, header: str, footer: str, lessons: Collection[str]) -> dict[str, Any]:
    """The page's notebook: `header` stands below its title, `footer` at its end, both HTML.

    `lessons` holds the keys of all lessons in the book; a link to another one is an error.
    """
    cells = _all_shown(page)
    _check_links(cells, page, lessons)
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "markdown"), None)
    title = HEADING.match(_source(cells[first])) if first is not None else None
    if first is None or title is None:
        raise WorkbenchError(
            f"{page.lesson.key} must begin with a title, a markdown cell with one '# …' line"
        )
    rest = {**cells[first], "source": _source(cells[first])[title.end() :]}
    begin = [_markdown(title[0]), _raw(header), *([rest] if rest["source"].strip() else [])]
    cells[: first + 1] = cells[:first] + begin
    kept = ("kernelspec", "language_info")  # widget state would make the page ask a CDN for its viewer
    metadata = {key: value for key, value in page.notebook["metadata"].items() if key in kept}
    return {
        "cells": [*cells, _raw(footer)] if footer else cells,
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 4,
    }


def is_machinery(cell: Cell) -> bool:
    """Whether a cell serves graders and test runs and not readers."""
    metadata = cell.get("metadata", {})
    graded = metadata.get("nbgrader", {})
    return bool(
        GONE_TAGS & set(metadata.get("tags", ())) or (graded.get("grade") and not graded.get("solution"))
    )


def _all_shown(page: Page) -> list[Cell]:
    """What readers see of every cell; an exercise is followed by its help, its result by whose it is."""
    cells = [
        (number, cell) for number, cell in enumerate(page.notebook["cells"], 1) if not is_machinery(cell)
    ]
    found: list[Cell] = []
    solved = False
    for at, (number, cell) in enumerate(cells):
        shown = _shown(cell, number, page)
        asked = checked(_source(cell)) if cell["cell_type"] == "code" else None
        if cell["cell_type"] == "code" and SOLUTION.search(_source(cell)):
            solved = True
            blank, solution = shown
            if name := _next_exercise(cells[at + 1 :]):
                shown = [blank, _raw(ladder(name)), solution, _raw(reasons(name))]
            if solution["outputs"]:
                solution["outputs"].insert(0, _said(WHOSE))
        elif asked and solved and shown[0]["outputs"]:
            shown[0]["outputs"].insert(0, _said(WHOSE))
            solved = False
        elif asked:
            found.append(_raw(ladder(asked)))
        found += shown
    return found


def _next_exercise(cells: list[tuple[int, Cell]]) -> str | None:
    """The exercise that is checked first in these cells, before another one begins."""
    for _, cell in cells:
        if cell["cell_type"] == "code" and SOLUTION.search(_source(cell)):
            return None
        if cell["cell_type"] == "code" and (name := checked(_source(cell))):
            return name
    return None


def _said(html: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}


def _shown(cell: Cell, number: int, page: Page) -> list[Cell]:
    """The cells that readers see instead of this one."""
    tags = set(cell.get("metadata", {}).get("tags", ()))
    if cell["cell_type"] != "code":
        return [_markdown(_source(cell))]
    source = _source(cell)
    outputs = [_output(output, f"{page.lesson.key}, cell {number}") for output in cell.get("outputs", [])]
    if SOLUTION.search(source):
        blank = _code(SOLUTION.sub(r"\1# your code here", source))
        solved = _code(SOLUTION_MARKS.sub("", source), outputs, "hide-input", "Show one solution")
        return [blank, solved]
    if "parameters" in tags:
        return [_code(source, outputs, "hide-input", "Show the parameters of this run")]
    return [_code(source, outputs, *(["hide-input", "Show the code"] if "hide-input" in tags else []))]


def _check_links(cells: list[Cell], page: Page, lessons: Collection[str]) -> None:
    for cell in cells:
        for link in LESSON_LINK.findall(cell["source"]) if cell["cell_type"] == "markdown" else []:
            key = normpath(join(page.lesson.chapter, link))
            if key not in lessons:
                raise WorkbenchError(
                    f"{page.lesson.key} links to {link}.ipynb, which is no lesson of the book"
                )


def _output(output: dict[str, Any], where: str) -> dict[str, Any]:
    """Figures and Explorers become HTML here, so that no page depends on a renderer being registered."""
    data = output.get("data", {})
    if EXPLORER_MIME in data:
        return _html_output(output, explorer_html(data[EXPLORER_MIME], where))
    if PLOTLY_MIME in data:
        return _html_output(output, figure_html(data[PLOTLY_MIME], where))
    if "text/html" not in data and any(kind.startswith("image/") for kind in data):
        raise WorkbenchError(
            f"{where}: the image has no text alternative; Picture(…, alt=…) or a figure of views has one"
        )
    return output


def _html_output(output: dict[str, Any], html: str) -> dict[str, Any]:
    return {**output, "data": {"text/html": html}, "metadata": {}}


def _code(source: str, outputs: list[dict[str, Any]] | None = None, tag: str = "", prompt: str = "") -> Cell:
    metadata: dict[str, Any] = {"tags": [tag]} if tag else {}
    if prompt:
        metadata["mystnb"] = {"code_prompt_show": prompt, "code_prompt_hide": prompt.replace("Show", "Hide")}
    return {
        "cell_type": "code",
        "source": source,
        "metadata": metadata,
        "outputs": outputs or [],
        "execution_count": None,
    }


def _markdown(source: str) -> Cell:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def _raw(html: str) -> Cell:
    return _markdown(f"```{{raw}} html\n{html}\n```")


def _source(cell: Cell) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)

"""The two notebooks that a page offers: one to work in, and the executed one, which holds the solutions."""

import base64
import copy
import json
from typing import Any

from workbench_widgets.explorer import EXPLORER_MIME

from workbench.lessons.blank import blank
from workbench.lessons.cells import source

from .material import Page
from .prepare import is_machinery
from .stills import picture_png

SOLVED = "executed-with-solutions"


def names(page: Page) -> tuple[str, str]:
    """The files below `downloads/`: the notebook to work in, and the executed one."""
    return f"{page.lesson.key}.ipynb", f"{page.lesson.key}.{SOLVED}.ipynb"


def to_work_in(page: Page) -> str:
    """The lesson as `workbench study` hands it out: exercises blank, no outputs."""
    import nbformat

    lesson = page.lesson.notebook
    whole = {**lesson, "cells": [{**cell, "source": source(cell)} for cell in lesson["cells"]]}
    return nbformat.writes(blank(whole, page.lesson.key))


def executed(page: Page) -> str:
    """The lesson with every output and the solutions, without what only the project's own runs need."""
    notebook = copy.deepcopy(page.notebook)
    cells = [cell for cell in notebook["cells"] if not is_machinery(cell)]
    for cell in cells:
        cell["metadata"].pop("papermill", None)
        for output in cell.get("outputs", []):
            _lighten(output.get("data", {}))
    kept = ("kernelspec", "language_info", "workbench")
    metadata = {key: value for key, value in notebook["metadata"].items() if key in kept}
    return json.dumps({**notebook, "cells": cells, "metadata": metadata}, indent=1, ensure_ascii=False) + "\n"


def _lighten(data: dict[str, Any]) -> None:
    """Frames that only the page can turn become the picture or the figure that any viewer shows."""
    stored = data.pop(EXPLORER_MIME, None)
    picture = next((part for part in stored["frame"] if part["kind"] == "picture"), None) if stored else None
    if picture and len(data) == 1:
        data["image/png"] = base64.b64encode(picture_png(picture)).decode()

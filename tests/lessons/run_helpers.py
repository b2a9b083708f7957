"""Small lessons, written where a test wants them, and a look at what is still running."""

import contextlib
import os
from pathlib import Path

import nbformat
import psutil
from lesson_making import code, markdown, notebook, write

from workbench.lessons.model import Lesson


def write_lesson(root: Path, name: str, *cells: str, **declared: object) -> Lesson:
    """A lesson `01-small/<name>`: a heading, the parameters, then these code cells (the first is cell 3)."""
    parameters = code('budget = "lesson"\nseed = 0', ["parameters"])
    lesson = notebook([markdown(f"# {name}"), parameters, *map(code, cells)], **declared)
    return Lesson.read(write(root, f"01-small/{name}", lesson), root)


def printed(notebook: Path) -> str:
    """All that an executed notebook has printed."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def running(build: Path) -> list[psutil.Process]:
    """The processes that have this build folder in their environment, but for this one and its warm ones."""
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get("WORKBENCH_BUILD") == str(build)
            if mine and process.status() != psutil.STATUS_ZOMBIE and process.pid not in ours:
                found.append(process)
    return found

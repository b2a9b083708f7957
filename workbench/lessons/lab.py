"""Opens JupyterLab on the learner's copy, at the lesson to go on with."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from workbench.errors import WorkbenchError
from workbench.lessons.progress import progress
from workbench.lessons.study import chain


def open_lab(
    target: str | os.PathLike[str] = "study",
    args: Sequence[str] = (),
    *,
    no_browser: bool = False,
    root: Path | None = None,
) -> int:
    """Starts JupyterLab in `target` at the first lesson that is not finished; returns its exit status.

    `args` go to `jupyter lab`. With `no_browser` JupyterLab only prints the address. Where the system
    allows it, JupyterLab takes the place of this process, so that signals reach it directly.
    """
    if not Path(target).is_dir():
        raise WorkbenchError(f"expected the folder with your lessons at {target}, but there is none")
    command = lab_command(Path(target), [*args, *["--no-browser"] * no_browser], root)
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)
    return subprocess.call(command)


def lab_command(target: Path, args: Sequence[str] = (), root: Path | None = None) -> list[str]:
    """The command that `open_lab` starts; `--allow-root` only for root, whom Jupyter refuses otherwise."""
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={target.resolve()}"]
    # page_config.json beside this file: no question about news over the first lesson, no look for updates,
    # and nbgrader's buttons only where a class has them, which starts JupyterLab in its own way
    command.append(f"--LabApp.app_settings_dir={Path(__file__).resolve().parent}")
    if lesson := next_lesson(target, root):
        place = chain(target, lesson)[-1].relative_to(target).as_posix()
        command.append(f"--LabApp.default_url=/lab/tree/{quote(place)}")
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in args:
        command.append("--allow-root")
    return [*command, *args]


def next_lesson(target: Path, root: Path | None = None) -> str | None:
    """The first lesson in the folder that is not done, or the first one when all are."""
    rows = [row for row in progress(root=root, target=target) if chain(target, row["lesson"])]
    unfinished = [row for row in rows if row["state"] != "done"]
    return next((row["lesson"] for row in [*unfinished, *rows]), None)

"""From executed lessons to a folder of pages: write, let Sphinx build, check, only then replace."""

import json
import shutil
import subprocess
import sys
import webbrowser
import zipfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from workbench._paths import build_dir
from workbench.errors import WorkbenchError

from . import downloads, pages
from .inside import inside
from .material import Material, gather
from .outside import outside
from .prepare import prepare

ROOM = Path(__file__).parent
MADE_BY_SPHINX = ".buildinfo"


def book(
    budget: str = "lesson",
    jobs: int = 1,
    target: Path | None = None,
    run: bool = True,
    open: bool = False,
    zip: bool = False,
) -> Path:
    """Executes the lessons (unchanged ones are reused) and renders them; returns the front page.

    With `zip` the book is also packed into one file to hand out, `<target>.zip`, and that path is returned.

    A lesson that is missing or has failed fails the book with one sentence. `target` is `_build/html` by
    default and is replaced only when the new book is complete.
    """
    if run:
        _run(budget, jobs)
    index = render(gather(budget), target or build_dir() / "html")
    if open:
        webbrowser.open(index.resolve().as_uri())
    return pack(index.parent) if zip else index


def pack(html: Path) -> Path:
    """The book as one zip file beside its folder, holding one folder `kernel-workbench`."""
    packed = html.with_name(f"{html.name}.zip")
    beside = packed.with_name(f"{packed.name}.new")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(html.rglob("*")):
            archive.write(file, Path("kernel-workbench") / file.relative_to(html))
    beside.replace(packed)
    return packed


def _run(budget: str, jobs: int) -> None:
    """Runs the lessons; the first one that fails is the error."""
    from workbench.lessons.model import lessons
    from workbench.lessons.run import run

    for result in run(lessons(), budget=budget, jobs=jobs):
        if not result.ok:
            raise WorkbenchError(
                f"the book needs every lesson to run, but {result.lesson} did not: {result.error}"
            )


def render(material: Material, target: Path) -> Path:
    """Renders the material to `target`, replacing it as a whole; returns the front page."""
    target = target.resolve()
    if target.exists() and not (target / MADE_BY_SPHINX).is_file() and any(target.iterdir()):
        raise WorkbenchError(
            f"{target} would be replaced, but it is no book: a new or empty folder was expected"
        )
    source, made = build_dir().resolve() / "book-src", build_dir().resolve() / "book-new"
    for folder in (source, made):
        shutil.rmtree(folder, ignore_errors=True)
    _write_source(material, source)
    html = made / "html"
    _sphinx(source, html)
    for page in material.pages:
        to_work_in, executed = downloads.names(page)
        _write(html / "downloads" / to_work_in, downloads.to_work_in(page))
        _write(html / "downloads" / executed, downloads.executed(page))
    if loads := outside(html):
        raise WorkbenchError(f"the book must load nothing from outside, but {_first(loads)}")
    if faults := inside(html):
        raise WorkbenchError(f"the book must keep what it promises, but {_first(faults)}")
    _replace(target, html)
    shutil.rmtree(made)
    return target / "index.html"


def _first(found: Sequence[object]) -> str:
    return f"{found[0]} and {len(found) - 1} more" if len(found) > 1 else str(found[0])


def _replace(target: Path, new: Path) -> None:
    """Puts `new` in the place of `target`; until the last moment the old book stands."""
    beside, old = target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")
    for folder in (beside, old):
        shutil.rmtree(folder, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(new, beside)
    if target.exists():
        target.rename(old)
    beside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _write_source(material: Material, source: Path) -> None:
    _write(source / "index.md", pages.front(material))
    _write(source / "map.md", pages.map_page(material))
    _copy(ROOM / "site" / "glossary.md", source / "glossary.md")
    for chapter in material.chapters:
        _write(source / chapter.folder / "index.md", pages.chapter_page(material, chapter))
    keys = {page.lesson.key for page in material.pages}
    for page in material.pages:
        shown = prepare(page, pages.header(material, page), pages.footer(material, page), keys)
        _write(source / f"{page.lesson.key}.ipynb", json.dumps(shown))
    _write_scripts(source / "_static")


def _write_scripts(static: Path) -> None:
    """One script draws live and baked Explorers; here it is joined with the part that knows these pages."""
    from workbench_widgets.live import plotly_path
    from workbench_widgets.templates import templates

    widgets = files("workbench_widgets") / "static"
    parts = [
        "(() => {",
        f"const TEMPLATES = {json.dumps(templates(), separators=(',', ':'))};",
        (widgets / "explorer.js").read_text("utf-8"),
        (ROOM / "site" / "page.js").read_text("utf-8"),
        "})();",
    ]
    _write(static / "book.js", "\n".join(parts))
    _write(static / "explorer.css", (widgets / "explorer.css").read_text("utf-8"))
    _copy(plotly_path(), static / "plotly.min.js")


def _sphinx(source: Path, output: Path) -> None:
    """In a process of its own: Sphinx keeps state in the process, and its warnings are errors here."""
    static = f"{ROOM / 'static'},{source / '_static'}"
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        "html",
        "-c",
        str(ROOM / "site"),
        "-j",
        "auto",
        "-q",
        "-W",
    ]
    command += ["--keep-going", "-D", f"html_static_path={static}", "-d", str(source / ".doctrees")]
    done = subprocess.run([*command, str(source), str(output)], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "WARNING" in line or "rror" in line]
        first = (lines or done.stderr.splitlines() or ["no reason was given"])[0]
        raise WorkbenchError(f"the book did not build: {first.replace(str(source) + '/', '')}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(origin: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, to)

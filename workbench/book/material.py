"""Everything that the book is made from, gathered before a page is written."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from workbench_widgets.explorer import EXPLORER_MIME

from workbench._paths import build_dir
from workbench.errors import WorkbenchError
from workbench.lessons.model import Lesson, lessons

Row = dict[str, Any]


class Chapter(Protocol):
    """A chapter of the catalog."""

    @property
    def number(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def folder(self) -> str: ...


@dataclass(frozen=True)
class Page:
    """A lesson with its executed notebook and the record of that run."""

    lesson: Lesson
    executed: Path
    run: Row

    @cached_property
    def notebook(self) -> dict[str, Any]:
        """The executed notebook as plain JSON."""
        return json.loads(self.executed.read_text("utf-8"))

    @property
    def explorers(self) -> list[dict[str, Any]]:
        """What the lesson's Explorers stored, in order."""
        outputs = [output for cell in self.notebook["cells"] for output in cell.get("outputs", [])]
        return [
            output["data"][EXPLORER_MIME] for output in outputs if EXPLORER_MIME in output.get("data", {})
        ]

    @property
    def seconds(self) -> float | None:
        """What the run took without the frames that only the book needs."""
        baking = sum(stored["baked"]["seconds"] for stored in self.explorers if "baked" in stored)
        return None if self.run.get("seconds") is None else max(0.0, self.run["seconds"] - baking)


@dataclass(frozen=True)
class Material:
    """Chapters and systems of the catalog, claims, and executed lessons in reading order."""

    budget: str
    chapters: Sequence[Chapter]
    systems: Sequence[Row]
    claims: Sequence[Row] = ()
    pages: Sequence[Page] = field(default_factory=tuple)

    def systems_of(self, chapter: Chapter) -> list[Row]:
        """Rows of the chapter's systems in the catalog's order."""
        return sorted((s for s in self.systems if s["chapter"] == chapter.number), key=lambda s: s["order"])

    def pages_of(self, chapter: Chapter) -> list[Page]:
        """The chapter's lessons in reading order."""
        return [page for page in self.pages if page.lesson.chapter == chapter.folder]

    def claims_of(self, keys: Iterable[str]) -> list[Row]:
        """Claims of the systems in `keys`."""
        wanted = set(keys)
        return [claim for claim in self.claims if claim["system"] in wanted]

    def system(self, key: str) -> Row | None:
        """The system's row, or None for a key that the catalog does not know."""
        return next((row for row in self.systems if row["key"] == key), None)

    def outside_chapters(self) -> list[Page]:
        """Lessons of no chapter, such as the tour."""
        folders = {chapter.folder for chapter in self.chapters}
        return [page for page in self.pages if page.lesson.chapter not in folders]


def gather(budget: str, wanted: Sequence[Lesson] | None = None) -> Material:
    """Reads catalog, claims and the runs of `budget`; a lesson that has not run well is an error."""
    from workbench.claims import rows as claim_rows
    from workbench.systems import catalog

    chosen = lessons() if wanted is None else list(wanted)
    claims = in_words(claim_rows())
    return Material(
        budget=budget,
        chapters=catalog.chapters(),
        systems=[{**row, "state": shown_state(row, claims)} for row in catalog.rows()],
        claims=claims,
        pages=[read_page(lesson, budget) for lesson in chosen],
    )


def in_words(claims: Sequence[Row]) -> list[Row]:
    """The rows with what each claim says, in which unit, and who says so, as its system words it now."""
    from workbench.claims import load_system, present

    found, here = [], set(present())
    for row in claims:
        told = load_system(row["system"]).claims if row["system"] in here else ()
        words = [{"says": c.says, "unit": c.unit, "paper": c.paper} for c in told if c.id == row["claim"]]
        found.append({**row, **words[0]} if words else row)
    return found


def shown_state(system: Row, claims: Sequence[Row]) -> str:
    """The catalog's state, or where there are verdicts, the one that all claims of the system share."""
    if system["state"] != "verdicts":
        return system["state"]
    verdicts = {claim["verdict"] for claim in claims if claim["system"] == system["key"]} - {None}
    return verdicts.pop() if len(verdicts) == 1 else "mixed"


def read_page(lesson: Lesson, budget: str) -> Page:
    """The executed lesson, or one sentence that says what is missing."""
    executed = build_dir() / "runs" / budget / f"{lesson.key}.ipynb"
    record, failed = executed.with_suffix(".json"), executed.with_suffix(".failed.json")
    if failed.is_file():  # an older good run may lie beside it
        record = failed
    elif not (executed.is_file() and record.is_file()):
        raise WorkbenchError(
            f"the book needs every lesson executed, but {lesson.key} has no run in the {budget} budget; "
            f"workbench run {lesson.key} --budget {budget} makes one"
        )
    run = json.loads(record.read_text("utf-8"))
    if run.get("status") != "ok":
        raise WorkbenchError(
            f"the book needs every lesson to run, but {lesson.key} ended as {run.get('status')!r}: "
            f"{run.get('error') or 'no reason was recorded'}"
        )
    return Page(lesson, executed, run)

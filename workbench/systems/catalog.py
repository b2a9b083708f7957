"""The catalog: 27 chapters, 178 published systems, and how far each has come.

The state of a system is derived, never typed: from its module's file, its committed records and the
source that these were made from. Nothing here imports a system.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from workbench._paths import lessons_root
from workbench.claims.find import nearest, system_file
from workbench.claims.record import standing
from workbench.errors import WorkbenchError

Summary = Literal["absent", "present", "verdicts", "stale"]


@dataclass(frozen=True)
class Chapter:
    """A chapter: its number, the question it asks, and where its lessons and systems live."""

    number: int
    slug: str
    title: str
    question: str

    @property
    def folder(self) -> str:
        """The chapter's folder of notebooks, e.g. `01-receptive-fields`."""
        return f"{self.number:02}-{self.slug}"

    @property
    def package(self) -> str:
        """The chapter's package below `workbench.systems`, e.g. `receptive_fields`."""
        return self.slug.replace("-", "_")


@dataclass(frozen=True)
class Entry:
    """A published system: its key, its title, and its place in the book."""

    key: str
    title: str
    chapter: int
    order: int

    @property
    def module(self) -> str:
        """The module that defines the system, whether it exists yet or not."""
        return f"workbench.systems.{chapters()[self.chapter - 1].package}.{self.key.replace('-', '_')}"


@dataclass(frozen=True)
class State:
    """How far a system has come: its code, the verdict of each measured claim, and the stale records."""

    code: Literal["absent", "present"]
    verdicts: dict[str, str]
    stale: list[str]

    @property
    def summary(self) -> Summary:
        """One word for the map."""
        if self.code == "absent":
            return "absent"
        if self.stale:
            return "stale"
        return "verdicts" if self.verdicts else "present"

    def __str__(self) -> str:
        return self.summary


@cache
def _catalog() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("catalog.json").read_text(encoding="utf-8"))


@cache
def chapters() -> tuple[Chapter, ...]:
    """The chapters in reading order; chapter n stands at n − 1."""
    return tuple(Chapter(**chapter) for chapter in _catalog()["chapters"])


@cache
def entries() -> tuple[Entry, ...]:
    """All systems, by chapter and order."""
    return tuple(
        sorted((Entry(**system) for system in _catalog()["systems"]), key=lambda e: (e.chapter, e.order))
    )


def entry(key: str) -> Entry:
    """The system with this key."""
    known = {entry.key: entry for entry in entries()}
    if key not in known:
        raise WorkbenchError(f"the catalog has no system {key!r}; {nearest(key, known)}")
    return known[key]


def state(key: str) -> State:
    """How far the system has come, found out now."""
    entry(key)
    records = standing(key)
    return State(
        code="present" if system_file(key) else "absent",
        verdicts={claim: record.verdict for claim, record in records.items() if record.verdict},
        stale=[claim for claim, record in records.items() if record.stale],
    )


def rows() -> list[dict[str, Any]]:
    """Catalog rows of `workbench catalog --json`: `{key, title, chapter, order, lesson, state}`.

    `state` is one word, `state(key)` tells more. `lesson` is the key of the first lesson that names
    the system in its metadata, or None.
    """
    taught = _lessons_by_system()
    return [
        {**asdict(entry), "lesson": taught.get(entry.key), "state": state(entry.key).summary}
        for entry in entries()
    ]


def _lessons_by_system() -> dict[str, str]:
    """System -> the first lesson, in reading order, whose notebook names it."""
    root = lessons_root()
    taught: dict[str, str] = {}
    for path in sorted(root.glob("*/*.ipynb")):
        try:
            metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        except (ValueError, KeyError):
            raise WorkbenchError(f"{path.relative_to(root)} is not a notebook: it has no metadata") from None
        for key in metadata.get("workbench", {}).get("systems", ()):
            taught.setdefault(key, path.relative_to(root).with_suffix("").as_posix())
    return taught

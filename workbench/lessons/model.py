"""A lesson as data: where it is, what it declares, and how lessons are found."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench._paths import lessons_root
from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Cost:
    """What a run in one budget may use: wall seconds and peak MiB of the lesson's processes."""

    seconds: float
    mib: float


@dataclass(frozen=True)
class Lesson:
    """One committed notebook. `key` is its path below the lessons' root, without suffix."""

    path: Path
    key: str
    title: str = ""
    systems: tuple[str, ...] = ()
    minutes: int = 0
    prerequisites: tuple[str, ...] = ()
    cost: dict[str, Cost] = field(default_factory=dict)
    exclusive: bool = False

    @property
    def chapter(self) -> str:
        """The chapter's folder, e.g. `01-receptive-fields`."""
        return self.key.split("/")[0]

    @cached_property
    def notebook(self) -> dict[str, Any]:
        """The notebook as plain JSON."""
        return json.loads(self.path.read_text(encoding="utf-8"))

    @classmethod
    def read(cls, path: Path, root: Path) -> "Lesson":
        """Reads the declaration in the notebook's `workbench` metadata; absent or malformed parts stay empty.

        What is malformed is `check`'s to say: one broken lesson must not hide the others.
        """
        try:
            declared = json.loads(path.read_text(encoding="utf-8")).get("metadata", {}).get("workbench", {})
        except ValueError as error:
            raise WorkbenchError(f"{path.name} is not a notebook: expected JSON, but {error}") from None
        declared = declared if isinstance(declared, dict) else {}
        return cls(
            path=path,
            key=path.relative_to(root).with_suffix("").as_posix(),
            title=str(declared.get("title", "")),
            systems=_names(declared.get("systems")),
            minutes=declared["minutes"] if isinstance(declared.get("minutes"), int) else 0,
            prerequisites=_names(declared.get("prerequisites")),
            cost=_costs(declared.get("cost")),
            exclusive=declared.get("exclusive") is True,
        )


def _names(value: Any) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _costs(value: Any) -> dict[str, Cost]:
    number = (int, float)
    return {
        budget: Cost(used["seconds"], used["mib"])
        for budget, used in (value.items() if isinstance(value, dict) else ())
        if isinstance(used, dict)
        and isinstance(used.get("seconds"), number)
        and isinstance(used.get("mib"), number)
    }


def lessons(root: Path | None = None) -> list[Lesson]:
    """All lessons in reading order (folders and files are numbered)."""
    root = root or lessons_root()
    paths = sorted(p for p in root.glob("*/*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    return [Lesson.read(path, root) for path in paths]


def find(names: list[str], root: Path | None = None) -> list[Lesson]:
    """Lessons by key, chapter folder, number (`01`, `01/02`) or file path; all of them for no name."""
    known = lessons(root)
    if not names:
        return known
    chosen: list[Lesson] = []
    for name in names:
        wanted = name.removesuffix(".ipynb").rstrip("/")
        parts = wanted.split("/")
        found = [
            lesson
            for lesson in known
            if wanted.endswith(lesson.key)
            or all(have.startswith(want) for have, want in zip(lesson.key.split("/"), parts, strict=False))
        ]
        if not found:
            keys = ", ".join(lesson.key for lesson in known) or "none"
            raise WorkbenchError(f"no lesson is called {name!r}; there are {keys}")
        chosen += [lesson for lesson in found if lesson not in chosen]
    return chosen

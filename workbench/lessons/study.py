"""The learner's copy of the lessons: written once, updated where untouched, never overwritten.

For every lesson the folder holds a chain of files: `01-x.ipynb`, and beside it the updates that came
while the learner was working, `01-x.update-1.ipynb` and so on. Only the last link is ever replaced, and
only while its text is exactly what was written here. Everything else stays as it is.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench._paths import lessons_root
from workbench.errors import WorkbenchError
from workbench.lessons import blank as blanks
from workbench.lessons.cells import Notebook, read, source, text_hash, version_hash
from workbench.lessons.model import Lesson, lessons

MANIFEST = ".manifest.json"
LOCK = ".manifest.lock"
SCRATCH = ".study-tmp"

What = Literal["written", "updated", "beside", "kept"]


@dataclass(frozen=True)
class Outcome:
    """What happened to one lesson: which file, and one sentence for a human."""

    lesson: str
    what: What
    path: Path
    sentence: str


@dataclass
class StudyReport:
    """What `study` did in `target`, lesson by lesson."""

    target: Path
    outcomes: list[Outcome] = field(default_factory=list)

    def of(self, what: What) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.what == what]

    @property
    def written(self) -> list[Outcome]:
        """Lessons that were not there."""
        return self.of("written")

    @property
    def updated(self) -> list[Outcome]:
        """Untouched lessons that were replaced by their update."""
        return self.of("updated")

    @property
    def beside(self) -> list[Outcome]:
        """Touched lessons whose update was put beside them."""
        return self.of("beside")

    @property
    def kept(self) -> list[Outcome]:
        """Lessons with nothing to do."""
        return self.of("kept")

    @property
    def sentences(self) -> list[str]:
        """The report for a human: a count where there is nothing to decide, else one sentence a lesson."""
        counts = [
            f"{len(some)} lesson{'s' * (len(some) != 1)} {did} {self.target}."
            for some, did in [
                (self.written, "written to"),
                (self.updated, "updated in"),
                (self.kept, "as before in"),
            ]
            if some
        ]
        return counts + [outcome.sentence for outcome in self.beside]


def study(target: str | os.PathLike[str] = "study", *, root: Path | None = None) -> StudyReport:
    """Writes the learner's copy of the lessons below `root` (default: this package's) to `target`.

    Exercises are blank. An untouched lesson is replaced by its update; a touched one gets the update
    beside it with the learner's answers carried over by `grade_id`. Nothing else is overwritten and
    nothing is deleted. Executing a notebook is not touching it. May be interrupted, repeated and run
    twice at once.

    Raises `WorkbenchError` where `target` cannot hold the lessons.
    """
    from filelock import FileLock

    root, folder = root or lessons_root(), Path(target)
    if folder.exists() and not folder.is_dir():
        raise WorkbenchError(f"the lessons need a folder, but {folder} is a file")
    if folder.resolve().is_relative_to(root.resolve()):
        raise WorkbenchError(f"{folder} lies inside the committed lessons: choose a folder of your own")
    if not (known := lessons(root)):
        raise WorkbenchError(f"expected lessons in {root}, but there are none")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK):
            return _bring_all(folder, known)
    except OSError as error:
        raise WorkbenchError(f"could not write the lessons to {folder}: {error}") from None


def touched(target: Path, lesson: str) -> bool:
    """Whether the learner has edited the text of any of their files of this lesson."""
    shelf = Shelf.open(target)
    return any(not shelf.untouched(path) for path in chain(target, lesson))


def chain(target: Path, lesson: str) -> list[Path]:
    """The learner's files of a lesson in the order in which they came: the copy, then its updates."""
    place = target / f"{lesson}.ipynb"
    pattern = re.compile(re.escape(place.stem) + r"\.update-(\d+)\.ipynb")
    near = place.parent.iterdir() if place.parent.is_dir() else ()
    updates = {int(found[1]): path for path in near if (found := pattern.fullmatch(path.name))}
    return [place] * place.exists() + [path for _, path in sorted(updates.items())]


@dataclass
class Shelf:
    """The target folder and its manifest.

    `texts`: for each file written here the hash of its text. `settled`: for each lesson the version that
    its files are up to date with. A lost or damaged manifest only makes files look touched.
    """

    target: Path
    texts: dict[str, str] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, target: Path) -> "Shelf":
        try:
            manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
            return cls(target, dict(manifest["texts"]), dict(manifest["settled"]))
        except (OSError, ValueError, TypeError, KeyError):
            return cls(target)

    def save(self) -> None:
        manifest = {"texts": self.texts, "settled": self.settled}
        _replace(self.target / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))

    def name(self, path: Path) -> str:
        return path.relative_to(self.target).as_posix()

    def untouched(self, path: Path) -> bool:
        notebook = read(path)
        return notebook is not None and self.texts.get(self.name(path)) == text_hash(notebook)

    def sign(self, path: Path, notebook: Notebook) -> None:
        self.texts[self.name(path)] = text_hash(notebook)


def _bring_all(target: Path, known: list[Lesson]) -> StudyReport:
    for folder in {target} | {(target / lesson.key).parent for lesson in known}:
        for left in folder.glob(f".*{SCRATCH}"):  # of a run that was killed; the lock keeps living ones out
            left.unlink(missing_ok=True)
    shelf, report = Shelf.open(target), StudyReport(target)
    before = (dict(shelf.texts), dict(shelf.settled))
    keys = {lesson.key for lesson in known}
    try:
        for lesson in known:
            report.outcomes.append(_bring(shelf, lesson, keys))
    finally:
        if before != (shelf.texts, shelf.settled) or not (target / MANIFEST).exists():
            shelf.save()
    return report


def _bring(shelf: Shelf, lesson: Lesson, keys: set[str]) -> Outcome:
    """Brings one lesson up to date in the learner's folder."""
    version = version_hash(lesson.notebook, blanks.RECIPE)
    files = chain(shelf.target, lesson.key)
    if files and shelf.settled.get(lesson.key) == version:
        return Outcome(lesson.key, "kept", files[-1], f"{lesson.key} is as before.")

    fresh = blanks.blank(_whole(lesson.notebook), lesson.key)
    donors = files or [
        path for key in _former_names(shelf, lesson, keys) for path in chain(shelf.target, key)
    ]
    update = blanks.with_answers(fresh, _answers(shelf, donors))
    head = files[-1] if files else None
    outcome = _place(shelf, lesson, head, fresh, update)
    shelf.settled[lesson.key] = version
    return outcome


def _whole(notebook: Notebook) -> Notebook:
    """The same notebook with every text in one piece: files may hold lists of lines, nbgrader may not."""
    return {**notebook, "cells": [{**cell, "source": source(cell)} for cell in notebook["cells"]]}


def _place(shelf: Shelf, lesson: Lesson, head: Path | None, fresh: Any, update: Any) -> Outcome:
    """Puts the update where it takes nothing away: into a new file, or over an untouched one."""
    import nbformat

    text = nbformat.writes(update)
    if head is not None:
        seen = os.stat(head)
        old = read(head)
        if old is not None and text_hash(old) == text_hash(update):
            shelf.sign(head, fresh)  # with answers in it the file counts as touched from now on
            return Outcome(lesson.key, "kept", head, f"{lesson.key} has all that the update brings.")
        if shelf.untouched(head) and _holds_all(update, blanks.answers(old)) and _same(seen, os.stat(head)):
            _replace(head, text)
            shelf.sign(head, update)
            return Outcome(lesson.key, "updated", head, f"{head.name} was untouched and is now up to date.")
    for place in _free_places(shelf.target / f"{lesson.key}.ipynb", beside=head is not None):
        if _create(place, text):
            break
    shelf.sign(place, update)
    if head is None:
        return Outcome(lesson.key, "written", place, f"{place.name} is new.")
    sentence = (
        f"You have worked on {head.name}: its update is beside it, {shelf.name(place)}, with your answers."
    )
    return Outcome(lesson.key, "beside", place, sentence)


def _answers(shelf: Shelf, files: list[Path]) -> dict[str, blanks.Answer]:
    """Answers from all files of a lesson; for one exercise the newest file that was edited counts."""
    newest_first = sorted(reversed(files), key=shelf.untouched)
    found: dict[str, blanks.Answer] = {}
    for path in newest_first:
        for name, answer in blanks.answers(read(path)).items():
            found.setdefault(name, answer)
    return found


def _holds_all(update: Notebook, written: dict[str, blanks.Answer]) -> bool:
    """Whether none of these answers would disappear with the file that holds them."""
    everything = "\n".join(map(source, update["cells"]))
    return all(answer.text in everything for answer in written.values())


def _former_names(shelf: Shelf, lesson: Lesson, keys: set[str]) -> list[str]:
    """Keys under which a lesson was known before its chapter or its number changed."""
    title = _unnumbered(lesson.key)
    return [key for key in shelf.settled if key not in keys and _unnumbered(key) == title]


def _unnumbered(key: str) -> str:
    return key.rsplit("/", 1)[-1].partition("-")[2]


def _free_places(place: Path, beside: bool) -> Iterator[Path]:
    """The lesson's own name, unless the update goes beside it; then the numbers above all that are taken."""
    taken = chain(place.parent, place.stem)
    if not beside:
        yield place
    last = max((int(path.stem.rsplit("-", 1)[1]) for path in taken if path != place), default=0)
    while True:
        last += 1
        yield place.with_name(f"{place.stem}.update-{last}.ipynb")


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether nobody has saved the file in between."""
    return (before.st_mtime_ns, before.st_size, before.st_ino) == (
        after.st_mtime_ns,
        after.st_size,
        after.st_ino,
    )


def _beside(path: Path, text: str) -> Path:
    """The text safely on disk next to where it will go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}{SCRATCH}")
    with open(scratch, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return scratch


def _replace(path: Path, text: str) -> None:
    os.replace(_beside(path, text), path)


def _create(path: Path, text: str) -> bool:
    """Writes a file that must not exist yet, whole or not at all; False where there is one already."""
    scratch = _beside(path, text)
    try:
        os.link(scratch, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: the name is claimed first, then filled
        try:
            open(path, "x").close()
        except FileExistsError:
            return False
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
    return True

"""Rules about what a lesson points to: systems, lessons, sections, verdicts, data."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import unquote, urlsplit

from workbench.errors import WorkbenchError
from workbench.lessons import cells
from workbench.lessons.contract.draft import Draft
from workbench.lessons.contract.rules import rule
from workbench.lessons.model import Lesson, lessons

DATA = "workbench_datasets"


@rule("systems", "Every declared system is in the catalog, and its verdict is shown.")
def systems(draft: Draft) -> Iterator[str]:
    known = _catalog()
    shown = {cells.literal(call, 0) for _, call in draft.calls("verdict")}
    for key in draft.lesson.systems:
        if key not in known:
            yield f"the catalog has no system {key!r}"
        elif key not in shown and not draft.is_tour:
            yield f"the lesson declares the system {key}, but shows no verdict on it: verdict({key!r}, …)"


@rule("prerequisites", "Prerequisites are lessons that come earlier, so that no circle is possible.")
def prerequisites(draft: Draft) -> Iterator[str]:
    order = [lesson.key for lesson in lessons(draft.root)]
    for key in draft.lesson.prerequisites:
        if key not in order:
            yield f"there is no lesson {key!r} to require"
        elif order.index(key) >= order.index(draft.lesson.key):
            yield f"{key} is required, but it does not come before this lesson"


@rule("links", "Links to lessons and their sections lead somewhere; images travel inside the notebook.")
def links(draft: Draft) -> Iterator[str]:
    for link in draft.links:
        address = urlsplit(unquote(link.target))
        if address.scheme in ("http", "https", "mailto", "doi"):
            continue
        if problem := _broken(draft, address.path, address.fragment):
            yield f"the link [{link.text}]({link.target}) in cell {link.cell} leads nowhere: {problem}"
    for image in draft.images:
        name = unquote(image.target).removeprefix("attachment:")
        if not image.target.startswith("attachment:"):
            yield f"the image {image.target[:60]!r} in cell {image.cell} lies outside: attach it to the cell"
        elif name not in draft.cells[image.cell - 1].get("attachments", {}):
            yield f"the image {name!r} is not attached to cell {image.cell}"


def _broken(draft: Draft, path: str, fragment: str) -> str | None:
    """What is wrong with a link, or None."""
    if path:
        target = (draft.lesson.path.parent / path).resolve()
        if not target.is_relative_to(draft.root.resolve()):
            return "it leaves the lessons, which travel alone"
        if not target.is_file():
            return f"there is no {path}"
        if not fragment:
            return None
        if target.suffix != ".ipynb":
            return f"{path} has no sections"
        draft = Draft(Lesson.read(target, draft.root.resolve()))
    sections = {anchor(heading.text) for heading in draft.headings}
    return None if anchor(fragment) in sections else f"there is no section {fragment!r}"


def anchor(heading: str) -> str:
    """A heading as the last part of an address, the same for JupyterLab's spelling and the book's."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-")


@rule("verdicts", "Every verdict shown is that of a declared or recorded claim.")
def verdicts(draft: Draft) -> Iterator[str]:
    for n, call in draft.calls("verdict"):
        system, claim = cells.literal(call, 0), cells.literal(call, 1)
        if system is None or claim is None:
            yield f'cell {n} should write out which verdict it shows: verdict("system", "claim")'
        elif claim not in (known := _claims(system)):
            there = f"there are {', '.join(sorted(known))}" if known else "the system declares none"
            yield f"cell {n} shows the verdict on {system}/{claim}, but {there}"


@rule("data", "Every data set that is loaded has a card.")
def data(draft: Draft) -> Iterator[str]:
    import workbench_datasets

    functions, modules = _loaders(draft)
    for n, call in draft.nodes(ast.Call):
        match call.func:
            case ast.Name(id=name) if name in functions:
                pass
            case ast.Attribute(value=ast.Name(id=name), attr="load") if name in modules:
                pass
            case _:
                continue
        wanted = cells.literal(call, 0)
        if wanted is not None and wanted not in workbench_datasets.names():
            yield f"cell {n} loads {wanted!r}, but there is no data set of that name"


def _loaders(draft: Draft) -> tuple[set[str], set[str]]:
    """What the lesson calls `workbench_datasets.load`, and the module itself."""
    functions, modules = set(), set()
    for _, node in draft.nodes(ast.Import, ast.ImportFrom):
        for alias in node.names:
            if isinstance(node, ast.Import) and alias.name == DATA:
                modules.add(alias.asname or DATA)
            elif isinstance(node, ast.ImportFrom) and node.module == DATA and alias.name == "load":
                functions.add(alias.asname or "load")
    return functions, modules


@cache
def _catalog() -> frozenset[str]:
    from workbench.systems.catalog import entries

    return frozenset(entry.key for entry in entries())


def _claims(system: str) -> set[str]:
    """Claims of a system: recorded ones, and declared ones where the system has code."""
    from workbench import claims

    recorded = {record.claim for record in claims.records(system)}
    try:
        return recorded | {claim.id for claim in claims.load_system(system).claims}
    except WorkbenchError:
        return recorded

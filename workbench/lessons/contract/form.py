"""Rules about the file: what is committed, and what the lesson declares about itself."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from workbench.lessons.cells import tags
from workbench.lessons.contract.draft import Draft
from workbench.lessons.contract.rules import rule

ALLOWED_TAGS = {"parameters", "hide-input", "remove-cell", "raises-exception"}
RUN_METADATA = {"papermill", "execution", "collapsed", "scrolled", "trusted", "jp-MarkdownHeadingCollapsed"}
REQUIRED = {"title", "systems", "minutes", "prerequisites", "cost", "exclusive"}
KINDS = {"lesson", "tour"}


@rule(
    "valid", "The file is a valid notebook (nbformat 4.5 or later) whose cells have ids of their own.", "form"
)
def valid(draft: Draft) -> Iterator[str]:
    import nbformat

    notebook = draft.notebook
    version = (notebook.get("nbformat"), notebook.get("nbformat_minor"))
    if version[0] != 4 or not isinstance(version[1], int) or version[1] < 5:
        yield f"expected notebook format 4.5 or later (cells with ids), not {version[0]}.{version[1]}"
        return
    for error in nbformat.validator.iter_validate(notebook):
        yield f"the file is not a valid notebook: {str(error).splitlines()[0]}"
        return
    counted = Counter(cell["id"] for cell in notebook["cells"])
    for name, times in counted.items():
        if times > 1:
            yield f"the cell id {name!r} is used {times} times"


@rule("stripped", "Nothing of a run is committed: no outputs, counts, widget state or traces of papermill.")
def stripped(draft: Draft) -> Iterator[str]:
    for n, cell in draft.code:
        if cell["outputs"] or cell["execution_count"] is not None:
            yield f"cell {n} is committed with its outputs or execution count: clear them"
    for name in ("widgets", "papermill"):
        if name in draft.notebook["metadata"]:
            yield f"the notebook's metadata hold {name!r}, which a run leaves behind: remove it"
    for n, cell in enumerate(draft.cells, 1):
        for name in sorted(RUN_METADATA & cell["metadata"].keys()):
            yield f"the metadata of cell {n} hold {name!r}, which a run or an editor leaves behind: remove it"


@rule("kernel", "The kernel is python3 and the language is declared, as papermill wants it.")
def kernel(draft: Draft) -> Iterator[str]:
    metadata = draft.notebook["metadata"]
    spec = metadata.get("kernelspec", {}).get("name")
    if spec != "python3":
        yield f"expected the kernelspec python3, but {spec!r} is declared"
    language = metadata.get("language_info", {}).get("name")
    if language != "python":
        yield f"expected language_info with the name python, but {language!r} is declared"


@rule(
    "tags",
    "Tags are parameters, hide-input, remove-cell and raises-exception; nothing else hides code.",
)
def known_tags(draft: Draft) -> Iterator[str]:
    for n, cell in enumerate(draft.cells, 1):
        for tag in sorted(tags(cell) - ALLOWED_TAGS):
            yield f"cell {n} has the tag {tag!r}, but there are only {', '.join(sorted(ALLOWED_TAGS))}"
        if any(cell["metadata"].get("jupyter", {}).get(f"{what}_hidden") for what in ("source", "outputs")):
            yield f"cell {n} is folded by its metadata: use the tag hide-input, or show it"


@rule(
    "metadata",
    "The `workbench` metadata declare title, systems, minutes, prerequisites, cost, exclusive; no more.",
)
def metadata(draft: Draft) -> Iterator[str]:
    declared = draft.declared
    if missing := sorted(REQUIRED - declared.keys()):
        yield f"the workbench metadata lack {', '.join(missing)}"
    if unknown := sorted(declared.keys() - REQUIRED - {"kind"}):
        yield f"the workbench metadata know no {', '.join(map(repr, unknown))}"
    for name, expected, good in (
        ("title", "a text", lambda x: isinstance(x, str) and x.strip()),
        ("systems", "a list of catalog keys", _texts),
        ("prerequisites", "a list of lesson keys", _texts),
        (
            "minutes",
            "a whole number of minutes above 0",
            lambda x: isinstance(x, int) and x is not True and x > 0,
        ),
        ("exclusive", "true or false", lambda x: isinstance(x, bool)),
        ("kind", " or ".join(sorted(KINDS)), lambda x: x in KINDS),
    ):
        if name in declared and not good(declared[name]):
            yield f"{name} should be {expected}, but {declared[name]!r} came"
    if "cost" in declared:
        yield from _costs(declared["cost"])


def _costs(cost: Any) -> Iterator[str]:
    if not isinstance(cost, dict) or not {"smoke", "lesson"} <= cost.keys() <= {"smoke", "lesson", "full"}:
        yield f"cost should name the budgets smoke and lesson (and perhaps full), but {cost!r} came"
        return
    for budget, used in cost.items():
        if (
            not isinstance(used, dict)
            or used.keys() != {"seconds", "mib"}
            or not all(map(_positive, used.values()))
        ):
            yield f'cost of {budget} should be {{"seconds": s, "mib": m}}, both above 0, but {used!r} came'


def _texts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(item, str) for item in value)
        and len(set(value)) == len(value)
    )


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


@rule(
    "chapter-time",
    "The smoke runs of a chapter take at most 75 s on two cores, the lesson run of a lesson at most 90 s.",
    "book",
)
def chapter_time(drafts: list[Draft]) -> Iterator[tuple[str, str]]:
    chapters: dict[str, list[Draft]] = {}
    for draft in drafts:
        chapters.setdefault(draft.lesson.chapter, []).append(draft)
        if (seconds := _seconds(draft, "lesson")) > MOST_LESSON_SECONDS:
            yield (
                draft.lesson.key,
                f"declares {seconds:g} s in the lesson budget, but {MOST_LESSON_SECONDS} s is the most",
            )
    for chapter, members in chapters.items():
        # Two lessons run at a time, but for those that need the machine for themselves.
        total = sum(_seconds(draft, "smoke") / (1 if draft.lesson.exclusive else 2) for draft in members)
        if total > MOST_SMOKE_SECONDS:
            last = members[-1].lesson.key
            yield (
                last,
                f"the smoke runs of {chapter} take {total:g} s on two cores, "
                f"but {MOST_SMOKE_SECONDS} s is the most",
            )


MOST_SMOKE_SECONDS, MOST_LESSON_SECONDS = 75, 90


def _seconds(draft: Draft, budget: str) -> float:
    """Declared seconds; 0 where the declaration itself is broken, which is another rule's business."""
    cost = draft.declared.get("cost")
    used = cost.get(budget) if isinstance(cost, dict) else None
    seconds = used.get("seconds") if isinstance(used, dict) else None
    return float(seconds) if _positive(seconds) and seconds is not None else 0.0

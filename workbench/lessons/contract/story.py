"""Rules about the story: its parts and their order, the first picture, short cells, text alternatives."""

import ast
import re
import statistics
from collections.abc import Iterator, Sequence

from workbench.lessons.cells import calls, source
from workbench.lessons.contract.draft import Draft
from workbench.lessons.contract.rules import rule

PARTS = (
    "Question",
    "Prediction",
    "Mechanism",
    "Instrument",
    "Turn",
    "Claim",
    "Exercise",
    "Where it breaks",
    "Bridge",
    "Sources",
)
# What the code of a part has to call; "" stands for any code at all.
CALLED_IN = {
    "Prediction": "predict",
    "Mechanism": "",
    "Instrument": "",
    "Turn": "",
    "Claim": "verdict",
    "Exercise": "exercise",
}
FIRST_CELLS = 3
MOST_LINES, MEDIAN_LINES = 20, 6
DRAWING_MODULES = {"views", "go", "px", "plotly"}
MARKER = re.compile(r"\s*###\s*(BEGIN|END) (SOLUTION|HIDDEN TESTS)")


@rule("title", "The first cell opens with the declared title as the only heading of level 1.")
def title(draft: Draft) -> Iterator[str]:
    tops = [heading for heading in draft.headings if heading.level == 1]
    if len(tops) != 1 or tops[0].cell != 1:
        yield f"expected one heading of level 1, in the first cell, but there are {len(tops)}"
    elif tops[0].text != draft.declared.get("title"):
        yield f"the heading says {tops[0].text!r}, but the metadata say {draft.declared.get('title')!r}"


@rule("anatomy", f"The headings of level 2 hold the parts of a lesson in order: {', '.join(PARTS)}.")
def anatomy(draft: Draft) -> Iterator[str]:
    if draft.is_tour:
        return
    found = [part for heading in draft.headings if heading.level == 2 and (part := part_of(heading.text))]
    if missing := [part for part in PARTS if part not in found]:
        yield f"parts are missing: {', '.join(missing)}"
    if twice := sorted({part for part in found if found.count(part) > 1}):
        yield f"{', '.join(twice)} stands there more than once"
    elif found != (ordered := sorted(found, key=PARTS.index)):
        first = next(part for part, right in zip(found, ordered, strict=True) if part != right)
        yield f"{first} stands out of order: {', '.join(PARTS)} is the order"


def part_of(heading: str) -> str | None:
    """The part that a heading opens: `Turn`, or `Turn: how deep?`."""
    return next((p for p in PARTS if re.fullmatch(rf"{p}s?(\s*[:–—].*)?", heading, re.IGNORECASE)), None)


@rule(
    "parts",
    "Each part does its work: asks for a guess, shows code, prints the verdict, checks the exercise.",
)
def parts(draft: Draft) -> Iterator[str]:
    if draft.is_tour:
        return
    opens = {part: h.cell for h in draft.headings if h.level == 2 and (part := part_of(h.text))}
    starts = [*sorted(opens.values()), len(draft.cells) + 1]
    for part, name in CALLED_IN.items():
        if part not in opens:
            continue  # the rule on anatomy has said so
        end = next(start for start in starts if start > opens[part])
        trees = [tree for n, tree in draft.trees.items() if opens[part] <= n < end]
        if not any(any(calls(tree, name)) if name else tree.body for tree in trees):
            yield f"the part {part} " + (f"calls no {name}(…)" if name else "shows no code")


@rule(
    "answers",
    "What a prediction is compared with is computed, so that the code above the answer does not tell it.",
)
def answers(draft: Draft) -> Iterator[str]:
    for n, tree in draft.trees.items():
        for call in calls(tree, "recall"):
            given = [*call.args[1:], *(word.value for word in call.keywords if word.arg == "answer")]
            if any(isinstance(answer, ast.Constant) and answer.value is not None for answer in given):
                yield f"cell {n} writes the answer of recall(…) down: compute it from what was measured"


@rule("first-picture", f"A figure or an Explorer stands within the first {FIRST_CELLS} code cells.")
def first_picture(draft: Draft) -> Iterator[str]:
    early = [tree for n, _ in draft.story[:FIRST_CELLS] if (tree := draft.trees.get(n))]
    if not any(draws(tree, drawing_names(draft)) for tree in early):
        yield f"none of the first {FIRST_CELLS} code cells draws a figure or an Explorer"


def drawing_names(draft: Draft) -> set[str]:
    """Names that draw when they are called: drawing modules, what is imported from them, `explore`, and the
    lesson's own functions that call one of these.
    """
    names = set(DRAWING_MODULES) | {"explore"}
    for _, node in draft.nodes(ast.Import, ast.ImportFrom):
        source = getattr(node, "module", None) or ""
        for alias in node.names:
            if DRAWING_MODULES & set(f"{source}.{alias.name}".split(".")):
                names.add(alias.asname or alias.name.split(".")[0])
    own = {node.name for _, node in draft.nodes(ast.FunctionDef) if _calls_one(node.body, names)}
    return names | own


def draws(tree: ast.Module, names: set[str]) -> bool:
    """Whether it calls one of these names itself: a function that is only written down draws nothing."""
    done: list[ast.AST] = []
    for statement in tree.body:
        done += statement.decorator_list if isinstance(statement, ast.FunctionDef) else [statement]
    return _calls_one(done, names)


def _calls_one(trees: Sequence[ast.AST], names: set[str]) -> bool:
    nodes = (node for tree in trees for node in ast.walk(tree))
    return any(isinstance(node, ast.Call) and _first_name(node.func) in names for node in nodes)


def _first_name(node: ast.expr) -> str:
    """`views` of `views.heat(…).show`."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""


@rule(
    "cell-length",
    f"A code cell has at most {MOST_LINES} lines, and half of a lesson's have at most {MEDIAN_LINES}.",
)
def cell_length(draft: Draft) -> Iterator[str]:
    lengths = {n: _lines(source(cell)) for n, cell in draft.story}
    for n, lines in lengths.items():
        if lines > MOST_LINES:
            yield f"cell {n} has {lines} lines, but {MOST_LINES} is the most: import what is plumbing"
    if lengths and (median := statistics.median(lengths.values())) > MEDIAN_LINES:
        yield f"the median code cell has {median:g} lines, but {MEDIAN_LINES} is the most"


def _lines(text: str) -> int:
    """Lines that a reader reads: neither empty nor a marker of nbgrader's."""
    return sum(bool(line.strip()) and not MARKER.match(line) for line in text.split("\n"))


@rule("alt-text", "Every image in the text has a text alternative.")
def alt_text(draft: Draft) -> Iterator[str]:
    for image in draft.images:
        if not image.text.strip():
            yield f"the image {image.target[:60]!r} in cell {image.cell} has no text alternative"

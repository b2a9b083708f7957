"""Reading notebooks as plain JSON: sources, tags, Python trees, fingerprints. Light, and never writes."""

import ast
import hashlib
import json
import re
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]
Cell = dict[str, Any]

_MAGIC = re.compile(r"^(\s*)(%%?)(\w+)(.*)$")
_TIMED_EXPRESSION = {"timeit", "time", "prun"}


def read(path: Path) -> Notebook | None:
    """The notebook at `path`, or None where there is no readable notebook."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return notebook if _is_notebook(notebook) else None


def _is_notebook(data: Any) -> bool:
    """Whether `data` has the shape that everything below relies on."""
    return (
        isinstance(data, dict)
        and isinstance(data.get("metadata", {}), dict)
        and isinstance(data.get("cells"), list)
        and all(isinstance(c, dict) and isinstance(c.get("metadata", {}), dict) for c in data["cells"])
    )


def source(cell: Cell) -> str:
    """The text of a cell, which a file may hold whole or as a list of lines."""
    text = cell.get("source", "")
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def tags(cell: Cell) -> set[str]:
    found = cell.get("metadata", {}).get("tags")
    return set(map(str, found)) if isinstance(found, list) else set()


def grading(cell: Cell) -> dict[str, Any]:
    """nbgrader's metadata of a cell; empty for an ordinary one."""
    found = cell.get("metadata", {}).get("nbgrader")
    return found if isinstance(found, dict) else {}


def code_cells(notebook: Notebook) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell.get("cell_type") == "code"]


def text_hash(notebook: Notebook) -> str:
    """Changes when somebody edits the text of a cell, and not when the notebook is merely executed.

    Empty cells are skipped: JupyterLab appends one when the last cell is run.
    """
    text = [
        [c.get("cell_type"), source(c), c.get("attachments")] for c in notebook["cells"] if source(c).strip()
    ]
    return _digest(text)


def version_hash(notebook: Notebook, recipe: int) -> str:
    """Changes when a committed lesson changes in a way that its learner would see."""
    seen = [
        [c.get("cell_type"), source(c), c.get("attachments"), sorted(tags(c)), grading(c)]
        for c in notebook["cells"]
    ]
    return _digest([recipe, seen])


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def python(cell: Cell) -> str:
    """A code cell as plain Python: a timing magic gives way to what it times, any other to `pass`."""
    lines = []
    for line in source(cell).split("\n"):
        magic = _MAGIC.match(line)
        if magic and magic[2] == "%":
            timed = magic[4].strip() if magic[3] in _TIMED_EXPRESSION else ""
            line = magic[1] + (timed or "pass")
        elif magic or line.lstrip().startswith("!"):
            line = (magic[1] if magic else line[: len(line) - len(line.lstrip())]) + "pass"
        lines.append(line)
    return "\n".join(lines)


def tree(cell: Cell) -> ast.Module | None:
    """The syntax tree of a code cell, or None where it is not Python."""
    try:
        return ast.parse(python(cell))
    except SyntaxError:
        return None


@dataclass(frozen=True)
class Names:
    """The global names that a code cell reads and those that it gives a meaning to."""

    read: frozenset[str]
    made: frozenset[str]


def names(cell: Cell) -> Names:
    """What Python's own symbol tables say of a cell; nothing where it is not Python."""
    try:
        top = symtable.symtable(python(cell), "cell", "exec")
    except SyntaxError:
        return Names(frozenset(), frozenset())
    read = {s.get_name() for table in _tables(top) for s in table.get_symbols() if _reads_global(table, s)}
    made = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return Names(frozenset(read), frozenset(made))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _reads_global(table: symtable.SymbolTable, symbol: symtable.Symbol) -> bool:
    return symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module")


def trees(notebook: Notebook) -> Iterator[ast.Module]:
    yield from (parsed for cell in code_cells(notebook) if (parsed := tree(cell)))


def magics(cell: Cell) -> set[str]:
    """Names of the IPython magics in a cell; `!` stands for a shell command."""
    found = {magic[3] for line in source(cell).split("\n") if (magic := _MAGIC.match(line))}
    return found | (
        {"!"} if any(line.lstrip().startswith("!") for line in source(cell).split("\n")) else set()
    )


def calls(root: ast.AST, name: str) -> Iterator[ast.Call]:
    """Calls of `name(...)` or `anything.name(...)`."""
    for node in ast.walk(root):
        if isinstance(node, ast.Call) and called(node) == name:
            yield node


def called(call: ast.Call) -> str:
    """The last part of what is called: `f` of `a.b.f(...)`."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def literal(call: ast.Call, position: int) -> str | None:
    """The string written out as the argument at `position`, or None."""
    match call.args[position : position + 1]:
        case [ast.Constant(value=str(text))]:
            return text
    return None


def named(notebook: Notebook, function: str) -> list[str]:
    """First arguments of all calls of `function` that are written out as strings, in order, once each."""
    found = [literal(call, 0) for parsed in trees(notebook) for call in calls(parsed, function)]
    return list(dict.fromkeys(name for name in found if name is not None))

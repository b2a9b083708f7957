"""Imports run one way: a room may import from lower floors, from floor 0, and from itself."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS = (
    {"workbench", "workbench.errors", "workbench.budget", "workbench.quantity", "workbench._paths"},
    {"workbench_datasets", "workbench.counting"},
    {"workbench.kernels", "workbench.wasm"},
    {"workbench.machine", "workbench.layers"},
    {"workbench.probes"},
    {"workbench.views", "workbench.train", "workbench.claims", "workbench.judge", "workbench.proposers"},
    {"workbench.systems", "workbench.zoo"},
    {"workbench.exercises"},
    {"workbench_widgets"},
    {"workbench.lessons", "workbench.book", "workbench.classroom", "workbench.bench", "workbench.cli"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms} | {"workbench.__main__": 9}
# The commands call every room, the book is made of executed lessons, and systems ask the filter database,
# which needs the training bench of the floor below.
SAME_FLOOR = {
    "workbench.systems": {"workbench.zoo"},
    "workbench.cli": {"workbench.lessons", "workbench.book", "workbench.classroom", "workbench.bench"},
    "workbench.book": {"workbench.lessons"},
    "workbench.classroom": {"workbench.lessons"},
    "workbench.__main__": {"workbench.cli"},
}
PACKAGES = {"workbench": ".", "workbench_widgets": "widgets", "workbench_datasets": "datasets"}


def room_of(module: str) -> str:
    """`workbench.claims.ledger` -> `workbench.claims`; the other two packages are one room each."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "workbench" else parts[0]


def imported(source: str, module: str, is_package: bool, face: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Line and full name of all that is imported, inside functions too, except for type checkers."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                kept = package[: len(package) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            for alias in node.names:
                # `from workbench import Claim` reaches into the room that the public face names.
                full = face.get(alias.name, alias.name) if base == "workbench" else ""
                yield node.lineno, f"{base}.{full}" if full else base


def public_face(root: Path) -> dict[str, str]:
    """Name -> module below `workbench`, as the stub of `import workbench` says."""
    stub = root / "workbench" / "__init__.pyi"
    tree = ast.parse(stub.read_text(encoding="utf-8")) if stub.exists() else ast.Module([], [])
    return {
        alias.asname or alias.name: node.module or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def sources(root: Path) -> Iterator[tuple[str, Path]]:
    """Module name and file of all code and stubs of the three packages, but for the public face."""
    for package, folder in PACKAGES.items():
        base = root / folder
        for path in sorted((base / package).rglob("*.py*")):
            below = path.relative_to(base).with_suffix("")
            if path.suffix in (".py", ".pyi") and below.as_posix() != "workbench/__init__":
                parts = below.parts[:-1] if below.name == "__init__" else below.parts
                yield ".".join(parts), path


def problems(root: Path) -> list[str]:
    """One sentence for each import that leads upwards or aside."""
    found = []
    face = public_face(root)
    for module, path in sources(root):
        room = room_of(module)
        where = path.relative_to(root).as_posix()
        if room not in FLOOR:
            found.append(f"{where}: the room {room} has no floor; add it to the table in DESIGN.md and here")
            continue
        text = path.read_text(encoding="utf-8")
        for line, name in imported(text, module, path.stem == "__init__", face):
            target = room_of(name)
            if name.split(".")[0] not in PACKAGES or target == room:
                continue
            if target not in FLOOR and (root / "workbench" / target.split(".")[-1]).exists():
                found.append(f"{where}:{line}: imports {target}, which has no floor")
            elif room == "workbench_datasets":
                found.append(f"{where}:{line}: workbench_datasets stands alone, but imports {target}")
            elif FLOOR.get(target, 0) >= max(FLOOR[room], 1) and target not in SAME_FLOOR.get(room, ()):
                found.append(
                    f"{where}:{line}: {room} (floor {FLOOR[room]}) imports {target} (floor {FLOOR[target]}); "
                    f"move what both need to a lower floor"
                )
    return found


def notebook_problems(root: Path) -> list[str]:
    """One sentence for each import of a lesson from above floor 8, but for the public face of lessons."""
    found = []
    face = public_face(root)
    stub = root / "workbench" / "lessons" / "__init__.pyi"
    public = {"workbench.lessons"}
    if stub.exists():
        listed = ast.walk(ast.parse(stub.read_text(encoding="utf-8")))
        names = {alias.name for node in listed if isinstance(node, ast.ImportFrom) for alias in node.names}
        public |= {f"workbench.lessons.{name}" for name in names}
    for path in sorted((root / "notebooks").glob("*/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for number, cell in enumerate(cells):
            if cell["cell_type"] != "code":
                continue
            lines = "".join(cell["source"]).splitlines()
            code = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)
            for _, name in imported(code, "lesson", False, face):
                if FLOOR.get(room_of(name), 0) > 8 and name not in public:
                    found.append(
                        f"{path.relative_to(root).as_posix()}, cell {number}: imports {name}; "
                        f"lessons import floors 1 to 8 and the public face of workbench.lessons"
                    )
    return found


def test_imports_run_one_way():
    found = problems(ROOT)
    assert not found, "\n" + "\n".join(found)


def test_lessons_import_what_readers_may():
    found = notebook_problems(ROOT)
    assert not found, "\n" + "\n".join(found)


def test_the_table_is_that_of_the_rooms():
    modules = {room_of(module) for module, _ in sources(ROOT)}
    assert modules <= set(FLOOR)
    assert len(modules) > 10


@pytest.mark.parametrize(
    ("where", "line", "sentence"),
    [
        (
            "workbench/kernels/a.py",
            "from workbench.probes import x",
            "kernels (floor 2) imports workbench.probes",
        ),
        ("workbench/kernels/a.py", "def f():\n    import workbench.claims.ledger", "a.py:2: "),
        ("workbench/kernels/a.py", "from ..views import plot", "imports workbench.views (floor 5)"),
        ("workbench/kernels/a.py", "from workbench import lessons", "imports workbench.lessons (floor 9)"),
        ("workbench/kernels/a.py", "from workbench import exercise", "imports workbench.exercises (floor 7)"),
        ("workbench/claims/__init__.py", "from ..judge import judge", "imports workbench.judge (floor 5)"),
        ("workbench/claims/__init__.pyi", "from workbench.systems import x", "__init__.pyi:1: "),
        ("workbench/zoo/a.py", "from workbench.systems import x", "imports workbench.systems (floor 6)"),
        ("workbench/train/a.py", "from workbench.zoo import query", "imports workbench.zoo (floor 6)"),
        ("workbench/errors.py", "import workbench.kernels", "workbench.errors (floor 0) imports"),
        ("workbench/new/a.py", "", "the room workbench.new has no floor"),
        ("datasets/workbench_datasets/a.py", "from workbench.errors import WorkbenchError", "stands alone"),
        ("workbench/systems/a.py", "import workbench_widgets", "imports workbench_widgets (floor 8)"),
        ("workbench/lessons/a.py", "from workbench.book import book", "imports workbench.book (floor 9)"),
        ("workbench/views/a.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import workbench.cli", "a.py:4: "),
    ],
)
def test_an_import_that_leads_upwards_is_found(tmp_path, where, line, sentence):
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    face = tmp_path / "workbench" / "__init__.pyi"
    face.parent.mkdir(exist_ok=True)
    face.write_text("from .exercises import exercise\n")
    path.write_text(line)
    found = problems(tmp_path)
    assert len(found) == 1, found
    assert sentence in found[0]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (
            "workbench/probes/a.py",
            "from workbench.kernels import x\nfrom workbench.errors import WorkbenchError",
        ),
        (
            "workbench/probes/a.py",
            "from . import other\nfrom .other import x\nimport torch, workbench.quantity",
        ),
        ("workbench/kernels/a.py", "if TYPE_CHECKING:\n    from workbench.views import Figure"),
        ("workbench/kernels/a.py", "from typing import *\nfrom workbench import WorkbenchError"),
        ("workbench/cli.py", "def book():\n    from workbench.book import book"),
        ("workbench/systems/a.py", "from workbench.zoo import shipped"),
        ("workbench/zoo/a.py", "from workbench.train import train\nfrom workbench_datasets import load"),
        ("workbench/quantity.py", "from workbench.errors import WorkbenchError"),
        ("workbench/__init__.pyi", "from .exercises import exercise"),
    ],
)
def test_an_import_that_leads_downwards_is_not(tmp_path, where, line):
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (
            "%matplotlib inline\nfrom workbench.lessons import predict\nfrom workbench.claims import verdict",
            0,
        ),
        ("from workbench import exercise\nimport workbench_widgets", 0),
        ("from workbench.lessons.engine import go", 1),
        ("import workbench.cli", 1),
        ("from workbench import book", 1),
    ],
)
def test_imports_of_lessons(tmp_path, line, count):
    stub = tmp_path / "workbench" / "lessons" / "__init__.pyi"
    stub.parent.mkdir(parents=True)
    stub.write_text("from .predict import predict\n")
    notebook = tmp_path / "notebooks" / "01-a" / "01-b.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text(json.dumps({"cells": [{"cell_type": "code", "source": line.splitlines(True)}]}))
    assert len(notebook_problems(tmp_path)) == count

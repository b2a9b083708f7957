"""The fingerprint of a claim: a hash of the code that its number depends on, read without importing it.

Starting at the call `Claim("id", ...)` in a system's module, names are followed statically: to top-level
definitions of the module, through imports to other modules of the project (and through the `.pyi` stubs
with which lazily loading packages re-export names), from there on to what those use. Each definition
contributes its syntax without comments, formatting and docstrings; a library contributes only its name
(data sets too: records keep their versions). Left out are the claims room itself and the words of the
claim (`says`, `paper`, `unit`, `against`): none is measured.

Names are matched without regard to local variables, so that a local one with the name of a top-level
definition draws that in as well: a record may then turn stale without need, never stay fresh wrongly.
"""

import ast
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench._paths import PACKAGE
from workbench.claims import find
from workbench.errors import WorkbenchError

WORDS = {"says", "paper", "unit", "against"}
SYNTAX_ONLY = {"ctx", "kind", "type_comment"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)

_known: set[tuple[str, int, int]] = set()

# Either (module, name) for a definition, or (dotted name, None) for a whole module or library.
Target = tuple[str, str | None]


@dataclass(frozen=True)
class Source:
    """One module of the package, parsed: its top-level names with the statements that make or change them."""

    package: str
    body: Sequence[ast.stmt]
    defined: dict[str, list[ast.stmt]]
    imported: dict[str, Target]
    stars: list[str]


def claim_hash(system: str, claim: str) -> str | None:
    """Hash of what a present system's claim depends on; None where the system or the claim is gone."""
    forget_edited()
    module = find.system_module(system)
    start = claim_nodes(module, claim) if module else []
    if not module or not start:
        return None
    return hashlib.sha256("\n".join(sorted(closure(module, start))).encode()).hexdigest()[:16]


def forget_edited() -> None:
    """Keeps what was read until a file of the package changes: hundreds of claims share most of it."""
    global _known
    now = {stamp for folder in {PACKAGE, find.SYSTEMS} for stamp in stamps(folder)}
    if now != _known:
        read.cache_clear()
        definition.cache_clear()
        _known = now


def stamps(folder: Path | str) -> Iterator[tuple[str, int, int]]:
    """Path, time of change and size of every source file below a folder."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.endswith((".py", ".pyi")):
                stat = entry.stat()
                yield entry.path, stat.st_mtime_ns, stat.st_size
            elif entry.is_dir():
                yield from stamps(entry.path)


def claim_nodes(module: str, claim: str) -> Sequence[ast.AST]:
    """Where a claim's closure begins: the arguments of its `Claim(...)` call, words left out.

    A claim that is made inside a function, or with a computed id, cannot be told from its siblings:
    then it begins at the whole of `SYSTEM`.
    """
    source = read(module)
    computed = False
    for statement in source.body:
        for call in ast.walk(statement):
            if not isinstance(call, ast.Call) or dotted(call.func).split(".")[-1] != "Claim":
                continue
            ids = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "id")]
            if isinstance(statement, DEFINITIONS) or not (ids and isinstance(ids[0], ast.Constant)):
                computed = True
            elif ids[0].value == claim:
                return [*call.args, *(word for word in call.keywords if word.arg not in WORDS)]
    return source.defined.get("SYSTEM", []) if computed else []


def closure(module: str, start: Sequence[ast.AST]) -> Iterator[str]:
    """One line for each definition that is reached: where it stands, its syntax, what its names mean."""
    line, todo = described(module, "", start)
    yield line
    seen = set(todo)
    while todo:
        line, targets = definition(*todo.pop())
        yield line
        todo += [target for target in targets if target not in seen]
        seen.update(targets)


@cache
def definition(module: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    """A top-level definition's line, and the definitions that it uses."""
    return described(module, name, read(module).defined[name])


def described(module: str, name: str, nodes: Sequence[ast.AST]) -> tuple[str, list[tuple[str, str]]]:
    """The line of some code of a module, and the definitions that it uses."""
    package = read(module).package
    meanings = []
    targets: dict[tuple[str, str], None] = {}  # a set that keeps its order
    for node in nodes:
        local, _ = imports(ast.walk(node), module, package)  # a function may import what it uses
        for used in sorted(uses(node)):
            for where, what in resolve(module, used.split("."), local):
                meanings.append(f"{used}={where}:{what}")
                if what is not None:
                    targets[where, what] = None
    return " ".join([f"{module}:{name}", *map(plain, nodes), *sorted(meanings)]), list(targets)


def resolve(module: str, parts: Sequence[str], local: dict[str, Target]) -> Iterator[Target]:
    """What a dotted name used in a module means; nothing for builtins and local variables."""
    head, *rest = parts
    source = read(module)
    if head in source.defined and head not in local:
        yield module, head
    if origin := local.get(head) or source.imported.get(head):
        yield from follow(origin, rest)
    elif head not in source.defined:
        if file_of(f"{module}.{head}"):
            yield from follow((f"{module}.{head}", None), rest)
        for star in source.stars:
            yield from resolve(star, parts, {}) if is_measured(star) else [(star, None)]


def follow(origin: Target, rest: Sequence[str]) -> Iterator[Target]:
    """From what an import binds, along the attributes, to definitions; a bare module means all of it."""
    where, name = origin
    if not is_measured(where):
        yield ".".join([where, *([name] if name else []), *rest]), None
    elif name or rest:
        yield from resolve(where, [name, *rest] if name else rest, {})
    else:
        yield from ((where, defined) for defined in read(where).defined)


def is_measured(module: str) -> bool:
    """Whether a module's code counts: it belongs to the package, and not to the claims room."""
    top, *parts = module.split(".")
    return top == PACKAGE.name and parts[:1] != ["claims"]


@cache
def read(module: str) -> Source:
    """A module's source with the re-exports of its `.pyi` stub; empty where there is none."""
    file = file_of(module)
    if file is None:
        return Source("", [], {}, {}, [])
    body: list[ast.stmt] = []
    for path in (file, file.with_suffix(".pyi")):
        if not path.is_file():
            continue
        try:
            body += ast.parse(path.read_text(encoding="utf-8")).body
        except SyntaxError as error:
            raise WorkbenchError(f"{path.name} is not Python: line {error.lineno}, {error.msg}") from None
    defined = defaultdict(list)
    for statement in body:
        for name in touched(statement):
            defined[name].append(statement)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    imported, stars = imports(top_level(body), module, package)
    return Source(package, body, dict(defined), imported, stars)


def imports(nodes: Iterable[ast.AST], module: str, package: str) -> tuple[dict[str, Target], list[str]]:
    """What the import statements among these nodes bind, and the modules imported with a star."""
    bound: dict[str, Target] = {}
    stars = []
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                target = alias.name if alias.asname else alias.name.split(".")[0]
                bound[alias.asname or target] = (target, None)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                if alias.name == "*":
                    stars.append(origin)
                elif origin == module:  # a package that imports from itself means its submodule
                    bound[alias.asname or alias.name] = (f"{origin}.{alias.name}", None)
                else:
                    bound[alias.asname or alias.name] = (origin, alias.name)
    return bound, stars


def top_level(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """These nodes and what they contain, but not the insides of functions and classes."""
    for node in nodes:
        yield node
        if not isinstance(node, (*DEFINITIONS, ast.Lambda)):
            yield from top_level(ast.iter_child_nodes(node))


def touched(statement: ast.stmt) -> set[str]:
    """Names that a top-level statement defines or changes: `f`, `x` in `x = …`, `x[k] = …`, `x.add(…)`."""
    names = set()
    for node in top_level([statement]):
        if isinstance(node, DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            names.add(root(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            names.add(root(node.value.func))
    return names - {""}


def root(node: ast.AST) -> str:
    """The name at which `x.a`, `x[k]` or `x.a[k].b` begins, or nothing."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def dotted(node: ast.AST) -> str:
    """`a.b.c` as text; empty where the chain does not begin with a name."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{start}.{attr}" if (start := dotted(value)) else ""
    return ""


def uses(node: ast.AST) -> set[str]:
    """Dotted names that a piece of code mentions."""
    match node:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute() if "." in (chain := dotted(node)):
            return {chain}
    return {name for child in ast.iter_child_nodes(node) for name in uses(child)}


def plain(node: object) -> str:
    """Syntax as text that is the same in every version of Python: `ast.dump` is not."""
    if isinstance(node, list):
        kept = [item for item in node if not isinstance(item, IMPORTS) and not is_bare_text(item)]
        return f"[{' '.join(map(plain, kept))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if name not in SYNTAX_ONLY)
    said = [f"{name}={plain(value)}" for name, value in fields if value is not None and value != []]
    return f"{type(node).__name__}({' '.join(said)})"


def is_bare_text(node: object) -> bool:
    """A docstring, or a string that stands alone as a comment."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def file_of(module: str) -> Path | None:
    """The file of a module of the package, found without importing anything."""
    top, *parts = module.split(".")
    if top != PACKAGE.name:
        return None
    base = find.SYSTEMS.joinpath(*parts[1:]) if parts[:1] == ["systems"] else PACKAGE.joinpath(*parts)
    return next((file for file in (base / "__init__.py", base.with_suffix(".py")) if file.is_file()), None)

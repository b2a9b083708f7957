"""Where each array variable of a normal form gets its memory from."""

import ast
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numba import types

from workbench.counting.inference import Facts
from workbench.counting.normal import Normal, outside
from workbench.counting.source import Source

Root = tuple[Literal["parameter"], str] | tuple[Literal["allocation"], int]
VIEWS = {"T", "real", "imag"}
VIEW_METHODS = {"reshape", "transpose"}
PLAIN = {"shape", "ndim", "size", "dtype", "strides", "itemsize", "nbytes"}
ALLOCATORS: dict[Any, bool] = {
    np.empty: False,
    np.empty_like: False,
    np.zeros: True,
    np.zeros_like: True,
    np.ones: True,
    np.ones_like: True,
    np.full: True,
    np.full_like: True,
}  # and whether it writes every element


@dataclass
class Flow:
    """The array variables of a kernel: dimensions, and the roots (parameters, allocations) of each.

    `allocations` names the variable that each allocating line sets, `again` says whether the line may take
    its old place again.
    """

    dimensions: dict[str, int] = field(default_factory=dict)
    roots: dict[str, set[Root]] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    allocations: dict[int, str] = field(default_factory=dict)
    again: dict[int, bool] = field(default_factory=dict)

    def mixed(self, name: str) -> bool:
        """Whether a variable holds now one array, now another."""
        return len(self.roots[name]) > 1


def is_array(kind: types.Type | None) -> bool:
    return isinstance(kind, types.Array)


def flatten(kind: Any) -> tuple[Any, ...]:
    """The parts of a tuple's type, or the type itself."""
    is_tuple: bool = isinstance(kind, types.BaseTuple)
    return tuple(kind) if is_tuple else (kind,)


def base_of(value: ast.expr) -> str | None:
    """The variable whose memory the value of a statement may be a view of."""
    match value:
        case ast.Name(name):
            return name
        case ast.Subscript(ast.Name(name)) | ast.Attribute(ast.Name(name)):
            return name
        case ast.Call(ast.Attribute(ast.Name(name))):
            return name
    return None


def follow(source: Source, normal: Normal, facts: Facts) -> Flow:
    """Follows every array of a kernel from its root; refuses what changes its kind on the way."""
    flow = Flow()
    for name in sorted(normal.local):
        kinds = facts.names.get(name, set())
        arrays = {kind.ndim for kind in kinds if isinstance(kind, types.Array)}
        if arrays and (len(arrays) > 1 or not all(map(is_array, kinds))):
            raise source.refuse(
                source.first_line, f"{name} is an array here and something else there; give it two names, in"
            )
        if arrays:
            flow.dimensions[name] = arrays.pop()
            flow.roots[name] = set()
    for argument in normal.tree.args.args:
        if argument.arg in flow.roots:
            flow.roots[argument.arg].add(("parameter", argument.arg))
    for node in ast.walk(normal.tree):
        match node:
            case ast.Assign([ast.Name(name)], value) if name in flow.roots and node.lineno in facts.reached:
                made = outside(value.func, normal.local, source) if isinstance(value, ast.Call) else None
                if made is not None and made in ALLOCATORS:
                    flow.roots[name].add(("allocation", node.lineno))
                    flow.allocations[node.lineno] = name
                elif parent := base_of(value):
                    flow.parents.setdefault(name, set()).add(parent)
    changed = True
    while changed:
        changed = False
        for name, parents in flow.parents.items():
            found = set().union(*(flow.roots.get(parent, set()) for parent in parents))
            changed |= not found <= flow.roots[name]
            flow.roots[name] |= found
    _find_scopes(normal.tree.body, normal, flow)
    return flow


def _find_scopes(block: list[ast.stmt], normal: Normal, flow: Flow) -> None:
    """An allocation may take its old place again if nobody can still be looking at the array before.

    That is so where every mention of it, and of its views, stands in the rest of its own block.
    """
    for number, statement in enumerate(block):
        for inner in ("body", "orelse"):
            _find_scopes(getattr(statement, inner, []), normal, flow)
        root: Root = ("allocation", statement.lineno)
        holders = {name for name, roots in flow.roots.items() if root in roots}
        if holders:
            rest = sum(_mentions(later, holders) for later in block[number:])
            alone = rest == _mentions(normal.tree, holders) and not any(map(flow.mixed, holders))
            returned = any(
                _mentions(node, holders) for node in ast.walk(normal.tree) if isinstance(node, ast.Return)
            )
            flow.again[statement.lineno] = alone and not returned


def _mentions(tree: ast.AST, names: set[str]) -> int:
    return sum(isinstance(node, ast.Name) and node.id in names for node in ast.walk(tree))

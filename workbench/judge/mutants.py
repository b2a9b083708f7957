"""Small mistakes, made on purpose: every way to change one place of a kernel's text.

A mutant differs from a right kernel by one slip of the pen: a bound, an index, a sign, a dropped line.
Operators named "same: …" change the text and provably not the meaning; they are the controls.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

Edit = Callable[[ast.AST], Iterator[ast.AST]]
SWAPPED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.FloorDiv: ast.Mod,
}
EDGES = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
CALLS = {"max": "min", "min": "max", "maximum": "minimum", "exp": "exp2", "log": "log2", "sqrt": "square"}
TYPES = {"float32": "float16", "float64": "float16"}


@dataclass(frozen=True)
class Mutant:
    """One changed place: `operator` says how, `line` where (in the original), `text` is the whole kernel.

    same: it provably means the same as the original.
    """

    name: str
    operator: str
    line: int
    text: str
    same: bool = False


@cache
def mutants(text: str, entry: str = "kernel") -> tuple[Mutant, ...]:
    """All mutants of the function `entry` in a text, in the order of its places; equal texts come once."""
    tree = ast.parse(text)
    seen, found = {_unparsed(tree)}, list[Mutant]()
    count: dict[tuple[str, int], int] = {}
    for holder, field, place in _places(tree, entry):
        for operator, edit in OPERATORS.items():
            for changed in edit(place):
                mutated = _replaced(tree, holder, field, changed)
                if mutated in seen:
                    continue
                seen.add(mutated)
                line = getattr(place, "lineno", 0)
                number = count[operator, line] = count.get((operator, line), 0) + 1
                name = f"{operator}, line {line}" + f" ({number})" * (number > 1)
                found.append(Mutant(name, operator, line, mutated, operator.startswith("same")))
    return tuple(found)


def _places(tree: ast.Module, entry: str) -> Iterator[tuple[Any, Any, ast.AST]]:
    """Every node of the function, with what holds it: an object and its field, or a list and its index."""
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name == entry:
            for parent in ast.walk(function):
                for name, value in ast.iter_fields(parent):
                    if isinstance(value, ast.AST):
                        yield parent, name, value
                    elif isinstance(value, list):
                        yield from (
                            (value, at, item) for at, item in enumerate(value) if isinstance(item, ast.AST)
                        )


def _replaced(tree: ast.Module, holder: Any, field: Any, changed: ast.AST) -> str:
    """The whole text with another node in this place; the tree is as before afterwards."""
    in_list = isinstance(holder, list)
    before = holder[field] if in_list else getattr(holder, field)
    put = holder.__setitem__ if in_list else partial(setattr, holder)
    put(field, changed)
    try:
        return _unparsed(ast.fix_missing_locations(tree))
    finally:
        put(field, before)


def _unparsed(tree: ast.Module) -> str:
    return ast.unparse(tree) + "\n"


def _arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in SWAPPED:
        yield _with(node, op=SWAPPED[type(node.op)]())


def _comparison(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in EDGES:
        yield _with(node, ops=[EDGES[type(node.ops[0])]()])


def _turned(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        yield _with(node, ops=[TURNED[type(node.ops[0])]()])


def _constant(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Constant) and type(node.value) is float:
        yield ast.Constant(node.value * 2 if node.value else 1.0)


def _shorter(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call) and _is_range(node):
        stop = 0 if len(node.args) == 1 else 1
        yield _with(node, args=_put(node.args, stop, _plus(node.args[stop], -1)))


def _later(node: ast.AST) -> Iterator[ast.AST]:
    if not (isinstance(node, ast.Call) and _is_range(node)):
        return
    if len(node.args) == 1:
        yield _with(node, args=[ast.Constant(1), node.args[0]])
    else:
        yield _with(node, args=_put(node.args, 0, _plus(node.args[0], 1)))


def _neighbour(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_element(node):
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        last = _put(inside, len(inside) - 1, _plus(inside[-1], -1))
        yield _with(node, slice=ast.Tuple(last, ast.Load()) if len(last) > 1 else last[0])


def _crossed(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == 2:
        yield _with(node, slice=ast.Tuple(node.slice.elts[::-1], ast.Load()))


def _dropped(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        yield ast.Pass()


def _overwritten(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value)


def _unguarded(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (ast.If, ast.IfExp)):
        yield _with(node, test=ast.Constant(True))


def _other_function(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        name = node.func
        if isinstance(name, ast.Name) and name.id in CALLS:
            yield _with(node, func=ast.Name(CALLS[name.id], ast.Load()))
        elif isinstance(name, ast.Attribute) and name.attr in CALLS:
            yield _with(node, func=_with(name, attr=CALLS[name.attr]))


def _narrower(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Attribute) and node.attr in TYPES:
        yield _with(node, attr=TYPES[node.attr])


def _unsigned(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def _commuted(node: ast.AST) -> Iterator[ast.AST]:
    """Sums and products of two floats are the same the other way round, to the last bit."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        yield _with(node, left=node.right, right=node.left)


def _mirrored(node: ast.AST) -> Iterator[ast.AST]:
    """a < b is b > a."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        ops: list[ast.cmpop] = [TURNED[type(node.ops[0])]()]
        yield _with(node, left=node.comparators[0], ops=ops, comparators=[node.left])


OPERATORS: dict[str, Edit] = {
    "another operation": _arithmetic,
    "edge of a comparison": _comparison,
    "comparison turned": _turned,
    "another constant": _constant,
    "range ends early": _shorter,
    "range starts late": _later,
    "neighbour's index": _neighbour,
    "indices crossed": _crossed,
    "line dropped": _dropped,
    "overwritten, not added": _overwritten,
    "condition ignored": _unguarded,
    "another function": _other_function,
    "narrower type": _narrower,
    "sign lost": _unsigned,
    "same: terms commuted": _commuted,
    "same: comparison mirrored": _mirrored,
}


def _with(node: ast.AST, **changes: object) -> ast.AST:
    """A copy of a node with some fields changed; everything below it is copied too."""
    fresh = copy.deepcopy(node)
    for name, value in changes.items():
        setattr(fresh, name, copy.deepcopy(value))
    return fresh


def _is_range(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "range"


def _is_element(node: ast.Subscript) -> bool:
    """Whether it reads one element rather than a slice, a shape, or an axis."""
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return isinstance(node.value, ast.Name) and not any(isinstance(part, ast.Slice) for part in inside)


def _plus(node: ast.expr, more: int) -> ast.expr:
    op: ast.operator = ast.Add() if more > 0 else ast.Sub()
    return ast.BinOp(node, op, ast.Constant(abs(more)))


def _put(items: list[ast.expr], at: int, item: ast.expr) -> list[ast.expr]:
    return [item if i == at else old for i, old in enumerate(items)]

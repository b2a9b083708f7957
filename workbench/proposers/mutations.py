"""`Mutations`: one small change to the best kernel, blind to what it means. Most of them are mistakes."""

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from workbench.proposers.answer import fenced
from workbench.proposers.contract import Message
from workbench.proposers.prompt import Prompt
from workbench.proposers.rewriting import (
    Rewrite,
    blocks,
    copied,
    function_in,
    generator,
    loops,
    normal,
    seen,
    variable,
)

NOTHING = "There is no parent to change."
OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
EDGE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
Operator = Callable[[ast.FunctionDef], Iterator[str]]


def arithmetic(tree: ast.FunctionDef) -> Iterator[str]:
    """+ for −, × for ÷, and the reverse."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OTHER:
            before = node.op
            node.op = OTHER[type(before)]()
            yield f"line {node.lineno}: another operator"
            node.op = before


def numbers(tree: ast.FunctionDef) -> Iterator[str]:
    """Every number one more, one less, or nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            before: Any = node.value
            for value in (before + 1, before - 1, 0 * before):
                if value != before:
                    node.value = value
                    yield f"line {node.lineno}: {before} becomes {value}"
            node.value = before


def bounds(tree: ast.FunctionDef) -> Iterator[str]:
    """Every loop one step shorter at either end, or one longer."""
    for loop in loops(tree):
        assert isinstance(loop.iter, ast.Call)
        before = loop.iter.args
        first, last = ([ast.Constant(0), *before] if len(before) == 1 else before)[:2]
        rest = before[2:]
        for what, ends in (
            ("ends one earlier", [first, ast.BinOp(last, ast.Sub(), ast.Constant(1))]),
            ("ends one later", [first, ast.BinOp(last, ast.Add(), ast.Constant(1))]),
            ("begins one later", [ast.BinOp(first, ast.Add(), ast.Constant(1)), last]),
        ):
            loop.iter.args = [*ends, *rest]
            yield f"line {loop.lineno}: the loop over {variable(loop)} {what}"
        loop.iter.args = before


def places(tree: ast.FunctionDef) -> Iterator[str]:
    """Two indices exchanged, or one loop's variable for another's."""
    names = [variable(loop) for loop in loops(tree)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            elements = node.slice.elts
            node.slice.elts = elements[::-1]
            yield f"line {node.lineno}: the indices in reverse order"
            node.slice.elts = elements
        if isinstance(node, ast.Subscript):
            for name in ast.walk(node.slice):
                if isinstance(name, ast.Name) and name.id in names:
                    before = name.id
                    for other in dict.fromkeys(names):
                        if other != before:
                            name.id = other
                            yield f"line {node.lineno}: index {other} for {before}"
                    name.id = before


def comparisons(tree: ast.FunctionDef) -> Iterator[str]:
    """< for ≤, > for ≥, = for ≠, and the reverse."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in EDGE:
            before = node.ops[0]
            node.ops[0] = EDGE[type(before)]()
            yield f"line {node.lineno}: another comparison"
            node.ops[0] = before


def deletions(tree: ast.FunctionDef) -> Iterator[str]:
    """Any statement left out."""
    for block in blocks(tree):
        for i, statement in enumerate(list(block)):
            if isinstance(statement, ast.Return):
                continue
            block[i] = ast.copy_location(ast.Pass(), statement)
            yield f"line {statement.lineno}: left out"
            block[i] = statement


def accumulations(tree: ast.FunctionDef) -> Iterator[str]:
    """`=` for `+=`."""
    for block in blocks(tree):
        for i, statement in enumerate(list(block)):
            if isinstance(statement, ast.AugAssign):
                target = copied(statement.target)
                block[i] = ast.copy_location(ast.Assign([target], statement.value), statement)
                yield f"line {statement.lineno}: overwritten instead of accumulated"
                block[i] = statement


def parallel(tree: ast.FunctionDef) -> Iterator[str]:
    """Any loop spread over threads."""
    for loop in loops(tree):
        assert isinstance(loop.iter, ast.Call)
        assert isinstance(loop.iter.func, ast.Name)
        before = loop.iter.func.id
        loop.iter.func.id = "range" if before == "prange" else "prange"
        yield f"line {loop.lineno}: {loop.iter.func.id} for {before}"
        loop.iter.func.id = before


OPERATORS: tuple[Operator, ...] = (
    arithmetic,
    numbers,
    bounds,
    places,
    comparisons,
    deletions,
    accumulations,
    parallel,
)


@lru_cache(maxsize=64)
def mutants(code: str, operators: tuple[Operator, ...] = OPERATORS) -> tuple[Rewrite, ...]:
    """Every kernel that is one change away from `code`, each once. An operator changes the tree, yields,
    and puts it back."""
    text = normal(code)
    tree = function_in(text)
    found = {text: ""}
    for operator in operators:
        for what in operator(tree):
            found.setdefault(ast.unparse(ast.fix_missing_locations(tree)), what)
    return tuple(Rewrite(what, text + "\n") for text, what in found.items() if what)


class Mutations:
    """Answers with one random mutant of the best kernel that was not proposed yet."""

    def __init__(
        self, seed: int = 0, operators: Sequence[Operator] = OPERATORS, name: str = "mutations"
    ) -> None:
        self.seed, self.operators, self.name = seed, tuple(operators), name

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        asked = Prompt.read(prompt)
        if not asked.parent:
            return NOTHING
        before = seen(asked, history)
        fresh = [one for one in mutants(asked.parent, self.operators) if one.normal not in before]
        if not fresh:
            return "Every single change was proposed already."
        pick = fresh[generator(self.seed, prompt, history).integers(len(fresh))]
        return fenced(pick.code, f"One change: {pick.what}.")

"""`Schedule`: the rewrites of an optimising compiler, proposed one at a time.

A compiler proves that a rewrite is right before it makes it. These are only plausible: fusing two loops, say,
is wrong where the second one needs what the first one has not finished. Whoever judges decides.
"""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.proposers.answer import fenced
from workbench.proposers.contract import Message
from workbench.proposers.prompt import Prompt
from workbench.proposers.rewriting import (
    Rewrite,
    blocks,
    copied,
    free_name,
    function_in,
    generator,
    loops,
    normal,
    read,
    renamed,
    same,
    seen,
    source,
    variable,
    written,
)

TILE = 8
NOTHING = "I see nothing to rewrite."
PREFERENCE = 4  # one in so many proposals does not care for the costliest array
COSTLIEST = re.compile(r"^costliest array: (\w+)$", re.M)
Found = Iterator[tuple[str, ast.FunctionDef, set[str]]]  # in words, the tree after it, names
Rule = Callable[[ast.FunctionDef], Found]


def interchange(tree: ast.FunctionDef) -> Found:
    """for i: for j: …  →  for j: for i: …"""
    for number in range(len(loops(tree))):
        new = copied(tree)
        outer = loops(new)[number]
        inner = outer.body[0]
        if len(outer.body) > 1 or inner not in loops(outer) or variable(outer) in read(inner.iter):
            continue
        assert isinstance(inner, ast.For)
        outer.target, inner.target = inner.target, outer.target
        outer.iter, inner.iter = inner.iter, outer.iter
        yield f"loops {variable(inner)} and {variable(outer)} exchanged", new, _arrays(outer)


def fuse(tree: ast.FunctionDef) -> Found:
    """Two loops over the same range become one; plain statements between them go first."""
    for b, block in enumerate(blocks(tree)):
        for i, first in enumerate(block):
            j = next((k for k in range(i + 1, len(block)) if isinstance(block[k], ast.For)), None)
            if j is None or not isinstance(first, ast.For) or not isinstance(second := block[j], ast.For):
                continue
            between = block[i + 1 : j]
            ranged = loops(tree)
            if first not in ranged or second not in ranged or not same(first.iter, second.iter):
                continue
            touched = read(first) | written(first)
            if any(written(s) & touched or read(s) & written(first) for s in between):
                continue
            new = copied(tree)
            here = list(blocks(new))[b]
            one, other = here[i], here[j]
            assert isinstance(one, ast.For)
            assert isinstance(other, ast.For)
            body = [renamed(statement, variable(other), variable(one)) for statement in other.body]
            one.body += body
            here[i : j + 1] = [*here[i + 1 : j], one]
            yield f"two loops over {variable(one)} fused", new, _arrays(one)


def hold(tree: ast.FunctionDef) -> Found:
    """An element that a loop updates again and again stays in a variable meanwhile."""
    for b, block in enumerate(blocks(tree)):
        for i, loop in enumerate(block):
            if not isinstance(loop, ast.For):
                continue
            changed = written(loop)
            for text in dict.fromkeys(
                ast.unparse(n)
                for n in ast.walk(loop)
                if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)
            ):
                place = ast.parse(text, mode="eval").body
                assert isinstance(place, ast.Subscript)
                if read(place.slice) & changed:
                    continue
                new = copied(tree)
                here, name = list(blocks(new))[b], free_name(tree, "held")
                held = _Replace(place, name).visit(here[i])
                here[i : i + 1] = [_assign(name, place), held, _store(place, name)]
                yield f"{text} kept in a variable", new, _arrays(place)


def hoist(tree: ast.FunctionDef) -> Found:
    """What a loop computes or loads anew each time, though nothing in it changes, goes before the loop."""
    for b, block in enumerate(blocks(tree)):
        for i, loop in enumerate(block):
            if not isinstance(loop, ast.For):
                continue
            changed = written(loop)
            for part in _distinct(loop.body):
                if read(part) & changed:
                    continue
                new = copied(tree)
                here, name = list(blocks(new))[b], free_name(tree, "fixed")
                inside = here[i]
                assert isinstance(inside, ast.For)
                inside.body = [_Replace(part, name).visit(s) for s in inside.body]
                here[i:i] = [_assign(name, part)]
                yield f"{ast.unparse(part)} taken out of the loop", new, _arrays(part)


def reuse(tree: ast.FunctionDef) -> Found:
    """What a block computes or loads twice is kept from the first time."""
    for b, block in enumerate(blocks(tree)):
        for part in _distinct(block):
            holds = [i for i, s in enumerate(block) if any(same(part, n) for n in _values(s))]
            if sum(sum(same(part, n) for n in _values(block[i])) for i in holds) < 2:
                continue
            first, last = holds[0], holds[-1]
            if any(read(part) & written(s) for s in block[first:last]) or isinstance(block[first], ast.For):
                continue
            new = copied(tree)
            here, name = list(blocks(new))[b], free_name(tree, "kept")
            for i in holds:
                here[i] = _Replace(part, name).visit(here[i])
            here[first:first] = [_assign(name, part)]
            yield f"{ast.unparse(part)} computed once", new, _arrays(part)


def forward(tree: ast.FunctionDef) -> Found:
    """What was just stored is taken from a variable, and is not loaded again."""
    for b, block in enumerate(blocks(tree)):
        for i, statement in enumerate(block):
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Subscript):
                continue
            place = copied(statement.targets[0])
            place.ctx = ast.Load()
            if not any(same(place, n) for s in block[i + 1 :] for n in _values(s)):
                continue
            new = copied(tree)
            here, name = list(blocks(new))[b], free_name(tree, "now")
            after = [_Replace(place, name).visit(s) for s in here[i + 1 :]]
            here[i:] = [_assign(name, statement.value), _store(place, name), *after]
            yield f"{ast.unparse(place)} passed on in a variable", new, _arrays(place)


def drop(tree: ast.FunctionDef) -> Found:
    """An array that is written and never read disappears."""
    used = read(tree)
    stores = [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name)
    ]
    arguments = {argument.arg for argument in tree.args.args}
    for name in dict.fromkeys(n.value.id for n in stores if isinstance(n.value, ast.Name)):
        reads = (
            sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(tree))
            - 1
            - sum(isinstance(n.value, ast.Name) and n.value.id == name for n in stores)
        )
        if name in arguments or reads or name not in used:
            continue
        new = copied(tree)
        for block in list(blocks(new)):
            block[:] = [s for s in block if not _writes_only(s, name)] or [ast.Pass()]
        yield f"the array {name} left out", new, {name}


def multiply(tree: ast.FunctionDef) -> Found:
    """x / y  →  x · (1 / y): no gain alone, but the quotient may leave the loop later."""
    divisions = [n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)]
    for number, division in enumerate(divisions):
        if isinstance(division.left, ast.Constant):
            continue
        new = copied(tree)
        here = [n for n in ast.walk(new) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)][number]
        here.op, here.right = ast.Mult(), ast.BinOp(ast.Constant(1.0), ast.Div(), here.right)
        yield f"{ast.unparse(division)} as a product", new, _arrays(division)


def tile(tree: ast.FunctionDef) -> Found:
    """A loop in blocks, each of which may then change its place with another loop."""
    for number, loop in enumerate(loops(tree)):
        assert isinstance(loop.iter, ast.Call)
        if len(loop.iter.args) > 1:
            continue
        new, name = copied(tree), free_name(tree, f"{variable(loop)}_block")
        inner = loops(new)[number]
        assert isinstance(inner.iter, ast.Call)
        last = inner.iter.args[0]
        end = ast.parse(f"min({name} + {TILE}, {ast.unparse(last)})", mode="eval").body
        outer = ast.parse(f"for {name} in range(0, {ast.unparse(last)}, {TILE}): pass").body[0]
        assert isinstance(outer, ast.For)
        outer.body = [
            ast.For(inner.target, ast.Call(inner.iter.func, [ast.Name(name), end], []), inner.body, [])
        ]
        for block in blocks(new):
            block[:] = [outer if s is inner else s for s in block]
        yield f"the loop over {variable(loop)} in blocks of {TILE}", new, _arrays(loop)


RULES: tuple[Rule, ...] = (interchange, fuse, hold, hoist, reuse, forward, drop, multiply, tile)


@lru_cache(maxsize=256)
def rewrites(code: str, rules: tuple[Rule, ...] = RULES) -> tuple[Rewrite, ...]:
    """Every kernel that one rule makes of `code`, each once."""
    text = normal(code)
    tree = function_in(text)
    found = {text + "\n": Rewrite("", code)}
    for rule in rules:
        for what, new, names in rule(tree):
            text = source(new)
            found.setdefault(text, Rewrite(what, text, frozenset(names)))
    return tuple(one for one in found.values() if one.what)


class Schedule:
    """Answers with the best kernel after one random rewrite, or after several in a row.

    depths: one is drawn for each proposal, and so many rewrites follow one another unseen. guided: rewrites
    that are about the array which the counters name as the costliest are preferred.
    """

    def __init__(
        self,
        seed: int = 0,
        depths: Sequence[int] = (1,),
        *,
        guided: bool = True,
        rules: Sequence[Rule] = RULES,
        name: str = "schedule",
    ) -> None:
        self.seed, self.depths, self.guided, self.rules, self.name = (
            seed,
            tuple(depths),
            guided,
            tuple(rules),
            name,
        )

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        asked = Prompt.read(prompt)
        if not asked.parent:
            return NOTHING
        rng, before = generator(self.seed, prompt, history), seen(asked, history)
        hot = COSTLIEST.search(asked.counters) if self.guided else None
        code, done = asked.parent, []
        for _ in range(int(rng.choice(self.depths))):
            pick = self._pick(code, before, rng, hot[1] if hot else "")
            if pick is None:
                break
            code = pick.code
            done.append(pick.what)
        return fenced(code, f"Rewritten: {'; '.join(done)}.") if done else NOTHING

    def _pick(self, code: str, before: set[str], rng: np.random.Generator, hot: str) -> Rewrite | None:
        """A rule at random, then one of the kernels that it makes: if possible about the costliest array."""
        if rng.random() < 1 / PREFERENCE:
            hot = ""
        for wanted in dict.fromkeys((hot, "")):
            for number in rng.permutation(len(self.rules)):
                found = [one for one in rewrites(code, (self.rules[number],)) if one.normal not in before]
                found = [one for one in found if not wanted or wanted in one.about]
                if found:
                    return found[rng.integers(len(found))]
        return None


class _Replace(ast.NodeTransformer):
    """One expression, wherever it stands, becomes a variable, both where it is loaded and stored."""

    def __init__(self, expression: ast.expr, name: str) -> None:
        self.text, self.name = ast.unparse(expression), name

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and ast.unparse(node) == self.text:
            return ast.Name(self.name, getattr(node, "ctx", ast.Load()))
        return self.generic_visit(node)


def _values(tree: ast.AST) -> list[ast.expr]:
    """Expressions that cost something: arithmetic, calls, elements of arrays; none of them in a loop's head,
    an index or a target."""
    found: list[ast.expr] = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(tree, ast.For) and child in (tree.iter, tree.target):
            continue
        if isinstance(child, (ast.BinOp, ast.Call)) or (
            isinstance(child, ast.Subscript) and isinstance(child.ctx, ast.Load)
        ):
            found.append(child)
        if not isinstance(child, ast.Subscript):
            found += _values(child)
    return found


def _distinct(block: Sequence[ast.stmt]) -> list[ast.expr]:
    """The values of a block that may be computed early: no allocations, no shapes."""
    texts = dict.fromkeys(ast.unparse(n) for s in block for n in _values(s))
    parts = [ast.parse(text, mode="eval").body for text in texts]
    return [p for p in parts if "np." not in ast.unparse(p) and ".shape" not in ast.unparse(p)]


def _arrays(tree: ast.AST) -> set[str]:
    return {
        n.value.id for n in ast.walk(tree) if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)
    }


def _writes_only(statement: ast.stmt, name: str) -> bool:
    """Whether a statement does nothing but allocate or fill this array."""
    if not isinstance(statement, ast.Assign):
        return False
    target = statement.targets[0]
    inner = target.value if isinstance(target, ast.Subscript) else target
    return isinstance(inner, ast.Name) and inner.id == name


def _assign(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], copied(value), lineno=0)


def _store(place: ast.Subscript, name: str) -> ast.Assign:
    target = copied(place)
    target.ctx = ast.Store()
    return ast.Assign([target], ast.Name(name, ast.Load()), lineno=0)

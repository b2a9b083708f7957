"""Tools for proposers that rewrite a kernel: its loops, its names, what a statement reads and writes."""

import ast
import hashlib
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from workbench.proposers.answer import code_of
from workbench.proposers.contract import Message
from workbench.proposers.prompt import Prompt

Tree = TypeVar("Tree", bound=ast.AST)


@dataclass(frozen=True)
class Rewrite:
    """One changed kernel: what was done, in words, the source after it as `ast.unparse` writes it, and the
    names that it is about."""

    what: str
    code: str
    about: frozenset[str] = frozenset()

    @property
    def normal(self) -> str:
        """The same as `normal(code)`, which would parse once more."""
        return self.code.rstrip("\n")


def copied(tree: Tree) -> Tree:
    """A deep copy, in a fifth of the time that `copy.deepcopy` takes."""
    return pickle.loads(pickle.dumps(tree, pickle.HIGHEST_PROTOCOL))


def function_in(code: str) -> ast.FunctionDef:
    """The last function of a source."""
    return [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)][-1]


def blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every list of statements below `tree`, outermost first; the lists themselves, to be changed."""
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def loops(tree: ast.AST) -> list[ast.For]:
    """The loops over ranges with a plain variable, outermost first."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.For)
        and isinstance(node.target, ast.Name)
        and isinstance(node.iter, ast.Call)
        and isinstance(node.iter.func, ast.Name)
        and node.iter.func.id in ("range", "prange")
        and not node.orelse
    ]


def variable(loop: ast.For) -> str:
    """The name of a loop's variable."""
    assert isinstance(loop.target, ast.Name)
    return loop.target.id


def read(tree: ast.AST) -> set[str]:
    """Names that are loaded: numbers, and arrays whose elements are used."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def written(tree: ast.AST) -> set[str]:
    """Names that are assigned, and arrays that an element of is stored to."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            names |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
            names |= {n.id for n in ast.walk(node.target.value) if isinstance(n, ast.Name)}
    return names


def renamed(tree: Tree, old: str, new: str) -> Tree:
    """A copy in which one name is another."""
    other = copied(tree)
    for node in ast.walk(other):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new
    return other


def free_name(tree: ast.AST, stem: str) -> str:
    """A name that stands nowhere in `tree`."""
    taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    taken |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    return next(name for name in (stem, *(f"{stem}{i}" for i in range(2, 1000))) if name not in taken)


def same(a: ast.AST, b: ast.AST) -> bool:
    """Whether two trees are the same expression."""
    return ast.dump(a) == ast.dump(b)


def source(tree: ast.AST) -> str:
    """The text of a tree."""
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


@lru_cache(maxsize=4096)
def normal(code: str) -> str:
    """Two sources are the same kernel if this is the same: comments, blanks and docstrings are gone."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and len(node.body) > 1 and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.unparse(tree)


def seen(prompt: Prompt, history: Sequence[Message]) -> set[str]:
    """The kernels that were proposed in the conversation so far, and the parent."""
    answers = [code_of(m.text, prompt.function).code for m in history if m.role == "assistant"]
    return {normal(code) for code in (prompt.parent, *answers) if code}


def generator(seed: int, prompt: str, history: Sequence[Message]) -> np.random.Generator:
    """Random numbers that depend on the seed and on what was said, and on nothing else."""
    digest = hashlib.sha256("\0".join((prompt, *(m.text for m in history))).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])

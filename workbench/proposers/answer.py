"""From an answer to code: the one fenced block that defines the function, or the reason why there is none."""

import ast
import re
from dataclasses import dataclass
from typing import Literal

OPEN = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n`]*$")
LANGUAGES = ("", "python", "py", "python3", "numba")
Kind = Literal["code", "empty", "refusal", "truncated", "no function", "syntax"]


@dataclass(frozen=True)
class Answer:
    """`code` holds the source, or is empty; then `kind` and `why` say what came instead."""

    kind: Kind
    code: str = ""
    why: str = ""

    def __bool__(self) -> bool:
        return self.kind == "code"


def code_of(text: str, function: str) -> Answer:
    """The source of `function` in a proposer's answer. Nothing is executed.

    Of several fenced blocks the last one that defines the function counts: a model corrects itself
    downwards. A bare answer counts if the whole of it is Python. An open fence at the end was cut off.
    """
    if not text.strip():
        return Answer("empty", why="the answer is empty")
    blocks, cut = fenced_blocks(text)
    candidates = blocks or ([] if cut is not None else [text])
    broken = ""
    for block in reversed(candidates):
        try:
            tree = ast.parse(block)
        except (SyntaxError, ValueError) as error:
            broken = broken or f"a block is not Python: {error.__class__.__name__} in line {_line(error)}"
            continue
        if any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body):
            return Answer("code", block.strip("\n") + "\n")
    if cut is not None:
        return Answer("truncated", why="the answer ends inside its fenced block: it was cut off")
    if not blocks and not re.search(r"^\s*def ", text, re.M):
        return Answer("refusal", why="the answer holds no code")
    if broken:
        return Answer("syntax", why=broken)
    return Answer("no function", why=f"no block defines the function {function}")


def fenced_blocks(text: str) -> tuple[list[str], str | None]:
    """All closed blocks of Python, in order, and what stands in a last one that was never closed."""
    blocks: list[str] = []
    inside: list[str] | None = None
    fence, language = "", ""
    for line in text.splitlines():
        match = OPEN.match(line)
        if inside is None:
            if match:
                fence, language, inside = match[1], match[2].lower(), []
        elif line.strip() == fence[0] * len(line.strip()) and len(line.strip()) >= len(fence):
            if language in LANGUAGES:
                blocks.append("\n".join(inside) + "\n")
            inside = None
        else:
            inside.append(line)
    return blocks, None if inside is None else "\n".join(inside)


def fenced(code: str, before: str = "") -> str:
    """An answer that holds `code`, as a language model would write it."""
    return f"{before}\n\n```python\n{code.rstrip()}\n```\n".lstrip("\n")


def _line(error: Exception) -> int:
    return int(getattr(error, "lineno", None) or 0)

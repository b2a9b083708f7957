"""A committed lesson as the rules see it: cells, syntax trees, headings, links, pictures."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from workbench.lessons import cells
from workbench.lessons.cells import Cell, Notebook
from workbench.lessons.model import Lesson


@dataclass(frozen=True)
class Heading:
    cell: int
    level: int
    text: str


@dataclass(frozen=True)
class Reference:
    """A link or an image in a markdown cell; `text` is the link's text or the image's alternative."""

    cell: int
    target: str
    text: str


@dataclass
class Draft:
    """One lesson and everything the rules ask of it, worked out once."""

    lesson: Lesson

    @cached_property
    def notebook(self) -> Notebook:
        return self.lesson.notebook

    @property
    def root(self) -> Path:
        """The folder of all lessons."""
        return self.lesson.path.parents[len(self.lesson.key.split("/")) - 1]

    @property
    def declared(self) -> dict[str, Any]:
        """The `workbench` metadata as written."""
        found = self.notebook.get("metadata", {}).get("workbench")
        return found if isinstance(found, dict) else {}

    @property
    def is_tour(self) -> bool:
        """A tour shows the way round and has no anatomy of its own."""
        return self.declared.get("kind") == "tour"

    @cached_property
    def cells(self) -> list[Cell]:
        return self.notebook["cells"]

    @cached_property
    def code(self) -> list[tuple[int, Cell]]:
        """Code cells with their numbers, counted from 1 over all cells, as JupyterLab shows them."""
        return [(n, cell) for n, cell in enumerate(self.cells, 1) if cell["cell_type"] == "code"]

    @cached_property
    def story(self) -> list[tuple[int, Cell]]:
        """Code cells that a reader reads: neither test-only nor a grader's."""
        return [
            (n, cell)
            for n, cell in self.code
            if "remove-cell" not in cells.tags(cell)
            and (cells.grading(cell).get("solution") or not cells.grading(cell).get("grade"))
        ]

    @cached_property
    def trees(self) -> dict[int, ast.Module]:
        """Syntax trees of the code cells that are Python."""
        return {n: tree for n, cell in self.code if (tree := cells.tree(cell))}

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[tuple[int, Any]]:
        """All nodes of these kinds with the number of their cell."""
        for n, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, kinds):
                    yield n, node

    def calls(self, name: str) -> Iterator[tuple[int, ast.Call]]:
        for n, tree in self.trees.items():
            for call in cells.calls(tree, name):
                yield n, call

    @cached_property
    def markdown(self) -> list[tuple[int, list[Any]]]:
        """Markdown cells as tokens."""
        from markdown_it import MarkdownIt

        parser = MarkdownIt("commonmark")
        return [
            (n, parser.parse(cells.source(cell)))
            for n, cell in enumerate(self.cells, 1)
            if cell["cell_type"] == "markdown"
        ]

    @cached_property
    def headings(self) -> list[Heading]:
        return [
            Heading(n, int(token.tag[1:]), tokens[i + 1].content.strip())
            for n, tokens in self.markdown
            for i, token in enumerate(tokens)
            if token.type == "heading_open"
        ]

    @cached_property
    def links(self) -> list[Reference]:
        found = []
        for n, token, following in self._inline():
            if token.type == "link_open":
                text = following[0].content if following else ""
                found.append(Reference(n, str(token.attrGet("href") or ""), text))
        return found

    @cached_property
    def images(self) -> list[Reference]:
        """Images written in markdown or as HTML."""
        found = []
        for n, token, _ in self._inline():
            if token.type == "image":
                found.append(Reference(n, str(token.attrGet("src") or ""), token.content))
            elif token.type in ("html_inline", "html_block"):
                found += [
                    Reference(n, tag.get("src") or "", tag.get("alt") or "")
                    for tag in _tags(token.content, "img")
                ]
        return found

    def _inline(self) -> Iterator[tuple[int, Any, list[Any]]]:
        """Tokens inside paragraphs and the like, and blocks of HTML, each with those that follow it."""
        for n, tokens in self.markdown:
            for token in tokens:
                if token.type == "html_block":
                    yield n, token, []
                for i, child in enumerate(token.children or ()):
                    yield n, child, token.children[i + 1 :]


def _tags(text: str, wanted: str) -> list[dict[str, str | None]]:
    """Attributes of all `wanted` tags in a piece of HTML."""
    found: list[dict[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == wanted:
                found.append(dict(attrs))

    Reader().feed(text)
    return found

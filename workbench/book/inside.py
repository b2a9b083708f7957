"""Finds what a finished book promises and does not have: links that lead nowhere, images without words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ADDRESSES = {"href", "src", "poster", "data"}
CSS_ADDRESS = re.compile(r"""url\(\s*["']?(?P<url>[^"')\s]+)["']?\s*\)""", re.IGNORECASE)
THEME = "_static"  # the theme ships page fragments there that are no pages of the book


@dataclass(frozen=True)
class Fault:
    """One promise that the book does not keep: the file, the line, and what is wrong, as one sentence."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.what}"


@dataclass
class _Page(HTMLParser):
    """The addresses that a page names, the places in it that others may name, and its silent images."""

    addresses: list[tuple[int, str]] = field(default_factory=list)
    places: set[str] = field(default_factory=set)
    silent: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if values.get(name)}
        self.addresses += [(line, value) for name, value in values.items() if name in ADDRESSES and value]
        if tag == "img" and not values.get("alt", "").strip():
            self.silent.append(line)


def inside(html: Path) -> list[Fault]:
    """Every broken inside link and every image without a text alternative below `html`, file by file."""
    pages = {
        file.resolve(): _read(file) for file in sorted(html.rglob("*.html")) if not _is_themes(file, html)
    }
    found = []
    for file, page in pages.items():
        name = file.relative_to(html.resolve()).as_posix()
        found += [Fault(name, line, "shows an image without a text alternative") for line in page.silent]
        for line, address in page.addresses:
            if why := _broken(address, file, pages):
                found.append(Fault(name, line, f"links to {address}, {why}"))
    return found + list(_styles(html))


def _broken(address: str, file: Path, pages: dict[Path, _Page]) -> str | None:
    """Why the address leads nowhere; None where it leads somewhere, or out of the book."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_file():
        return "but there is no such file in the book"
    place = unquote(parts.fragment).split("&")[0]  # what follows is the state of an Explorer's knobs
    if place and target in pages and place not in pages[target].places:
        return f"but nothing on that page is called {place}"
    return None


def _styles(html: Path) -> Iterator[Fault]:
    for file in sorted(html.rglob("*.css")):
        text = file.read_text("utf-8", errors="replace")
        for match in CSS_ADDRESS.finditer(text):
            if why := _broken(match["url"], file, {}) if not match["url"].startswith("#") else None:
                line = 1 + text.count("\n", 0, match.start())
                yield Fault(file.relative_to(html).as_posix(), line, f"loads {match['url']}, {why}")


def _read(file: Path) -> _Page:
    page = _Page()
    page.feed(file.read_text("utf-8"))
    return page


def _is_themes(file: Path, html: Path) -> bool:
    return file.relative_to(html).parts[0] == THEME

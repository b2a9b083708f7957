"""Finds what a finished book would load from outside. Links that a reader may follow are no loads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

REMOTE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
LOADING_RELS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "modulepreload",
    "preconnect",
    "dns-prefetch",
    "manifest",
}
SOURCES = {"src", "srcset", "poster", "data", "background"}

# every address in a style or script that stands in quotes or brackets, and what before it makes it a load
ADDRESS = re.compile(r"""[`'"(]\s*(?P<url>(?:https?:)?//[^\s`'")]+)""", re.IGNORECASE)
CSS_LOADS = re.compile(r"(?:url\(\s*|@import\s*)$", re.IGNORECASE)
JS_LOADS = re.compile(
    r"""(?:\b(?:fetch|import|importScripts|sendBeacon)\(|\b(?:import|from)|\.src\s*=
      |\bnew\s+(?:(?:Shared)?Worker|WebSocket|EventSource)\(|\.open\(\s*["'`][a-z]+["'`]\s*,)\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
STYLE_SHEET = re.compile(r"\.href\s*=\s*$")
BEFORE = 40  # characters before an address that can make it a load

# plotly's map traces load icons; figures.py lets no map trace into the book
NEVER_REACHED = {("_static/plotly.min.js", "https://cdn.jsdelivr.net/npm/@mapbox/maki")}


@dataclass(frozen=True)
class Outside:
    """One load from outside: the file, the line, and the address."""

    file: str
    line: int
    url: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} loads {self.url}"


def outside(html: Path) -> list[Outside]:
    """Every load from outside in the pages, styles and scripts below `html`, in the order of the files."""
    found = []
    for file in sorted(html.rglob("*")):
        if file.suffix in READERS:
            text = file.read_text("utf-8", errors="replace")
            name = file.relative_to(html).as_posix()
            found += [Outside(name, line, url) for line, url in READERS[file.suffix](text)]
    return [load for load in found if not _never_reached(load)]


def _never_reached(load: Outside) -> bool:
    return any(load.file == file and load.url.startswith(url) for file, url in NEVER_REACHED)


def _loads(pattern: re.Pattern[str], text: str, first_line: int = 1) -> Iterator[tuple[int, str]]:
    for match in ADDRESS.finditer(text):
        at = match.start() + (match[0][0] == "(")  # a bracket belongs to the call, a quote to the address
        before, url = text[max(0, at - BEFORE) : at], match["url"]
        if pattern.search(before) or (STYLE_SHEET.search(before) and ".css" in url):
            yield first_line + text.count("\n", 0, match.start()), url


def _css(text: str) -> Iterator[tuple[int, str]]:
    return _loads(CSS_LOADS, text)


def _js(text: str) -> Iterator[tuple[int, str]]:
    return _loads(JS_LOADS, text)


def _html(text: str) -> Iterator[tuple[int, str]]:
    page = _Page()
    page.feed(text)
    yield from page.found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str]] = []
        self.within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        values = {name: value or "" for name, value in attrs}
        rels = set(values.get("rel", "").lower().split())
        for name, value in values.items():
            loads = (
                name in SOURCES
                or (name == "href" and tag == "link" and rels & LOADING_RELS)
                or (name in ("href", "xlink:href") and tag in ("image", "use", "script"))
            )
            # a srcset names several addresses
            for url in value.split(",") if name == "srcset" else [value]:
                if loads and REMOTE.match(url):
                    self.found.append((line, url.strip().split()[0]))
        self.found += _loads(CSS_LOADS, values.get("style", ""), line)
        self.within = tag
        if tag == "script" and values.get("type", "") not in ("", "module", "text/javascript"):
            self.within = ""  # data, not script

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        pattern = {"script": JS_LOADS, "style": CSS_LOADS}.get(self.within)
        if pattern:
            self.found += _loads(pattern, data, self.getpos()[0])


READERS = {".html": _html, ".css": _css, ".js": _js}

"""The accesses of a small kernel: arrays as grids of cells, the last accesses coloured, the line marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import prod
from textwrap import wrap
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, ORANGE, PURPLE, SIGNS, VERMILION, describe
from workbench.views.words import listed

MOST_CELLS = 4096  # of one array
WRAP = 32  # cells in a row of an array with one axis
MOST_LINES = 20  # of the source
LINE = 19  # pixels of one source line
LONGEST = 46  # characters of a source line, on the narrowest page
NEVER, BEFORE, RECENT = range(3)  # codes of cells; from RECENT on, the level that held the line
FAINT, GREY = "rgba(128, 128, 128, 0.18)", "rgba(128, 128, 128, 0.6)"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
LEVELS = (BLUE, ORANGE, PURPLE)


class Traced(Protocol):
    """What `trace` returns, as far as it is drawn; the columns are [accesses]."""

    @property
    def kernel(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...
    @property
    def array(self) -> NDArray[Any]: ...
    @property
    def index(self) -> NDArray[Any]: ...
    @property
    def store(self) -> NDArray[Any]: ...
    @property
    def line(self) -> NDArray[Any]: ...
    @property
    def level(self) -> NDArray[Any]: ...
    @property
    def source(self) -> Sequence[tuple[int, str]]: ...
    @property
    def geometry(self) -> Any: ...


@dataclass(frozen=True)
class _Grid:
    """One array as rows and columns of cells, and where it stands on the figure (0 to 1)."""

    name: str
    number: int
    shape: tuple[int, ...]
    rows: int
    columns: int
    across: tuple[float, float] = (0.0, 1.0)
    down: tuple[float, float] = (0.0, 1.0)

    @property
    def axis(self) -> str:
        return str(self.number + 1) if self.number else ""

    @property
    def title(self) -> str:
        folded = f", {self.columns} a row" if len(self.shape) == 1 and self.rows > 1 else ""
        return f"{self.name} [{' × '.join(map(str, self.shape))}{folded}]"


def accesses(
    trace: Traced, upto: int | None = None, *, recent: int = 16, caption: str | None = None
) -> go.Figure:
    """The state of a kernel after `upto` accesses (default all): which cells it touched, and which just now.

    trace: what `workbench.trace` returned. The last `recent` accesses are coloured by what held their line: a
    cache, or memory; cells touched before are grey. A ring marks the last one if it loads, a square if it
    stores, and its source line is marked below. Arrays of up to 4096 cells; axes before the last are rows.
    """
    total = len(trace.array)
    done = total if upto is None else upto
    if not isinstance(done, int | np.integer) or not 0 <= done <= total:
        raise WorkbenchError(f"upto must be a whole number from 0 to {total} accesses, but {upto!r} came")
    if recent < 1:
        raise WorkbenchError(f"recent must be at least 1 access, but {recent} came")
    grids = _grids(trace)
    lines = _shown_lines(trace)
    grids, tall = _laid_out(grids, len(lines))
    held = [*(getattr(trace.geometry, "names", ()) or ()), "memory"]
    inks = [*LEVELS[: len(held) - 1], VERMILION]
    letters = [name[-1] for name in held[:-1]] + ["M"]
    if sum(grid.columns for grid in grids) > 30:
        letters = []  # there is no room for them
    last = int(done) - 1
    cells = [_cells(grid, _codes(trace, grid, int(done), recent), inks, letters) for grid in grids]
    kinds = [("not touched", FAINT), ("before", GREY)]
    kinds += [(f"from {name}", ink) for name, ink in zip(held, inks, strict=True)]
    source = _source(lines, int(trace.line[last]) if last >= 0 else None, tall)
    layout: dict[str, Any] = {  # all at once: to add part by part takes plotly ten times as long
        "height": tall + 90,
        "margin": {"l": 10, "r": 10, "t": 70, "b": 20},
        "showlegend": True,
        "legend": {"y": 1.1},
        "annotations": [*(_title(grid) for grid in grids), *(text for text, _ in source)],
        "shapes": [*(_ring(trace, grid, last) for grid in grids), *(band for _, band in source)],
    }
    for grid in grids:
        layout |= _axes(grid)
    fig = go.Figure([*cells, *(_key(name, ink) for name, ink in kinds)], layout)
    alt, said = _words(trace, int(done), held)
    signs = f"{SIGNS['counted']} order counted, {SIGNS['simulated']} levels simulated"
    return describe(fig, alt=alt, caption=f"{caption or said} ({signs})")


def _grids(trace: Traced) -> list[_Grid]:
    """The arrays that are accessed, as rows and columns."""
    grids: list[_Grid] = []
    used = set(np.unique(trace.array).tolist())
    for code, name in enumerate(trace.names):
        shape = tuple(trace.shapes[name])
        cells = prod(shape)
        if code not in used or cells == 0:
            continue
        if cells > MOST_CELLS:
            raise WorkbenchError(
                f"accesses are drawn for arrays of up to {MOST_CELLS} cells, but {name} has {cells}: "
                f"trace a smaller call"
            )
        columns = shape[-1] if len(shape) > 1 else min(cells, WRAP)
        grids.append(_Grid(name, len(grids), shape, -(-cells // columns), columns))
    if not grids:
        raise WorkbenchError(f"{trace.kernel} accesses no array: there is nothing to draw")
    return grids


def _laid_out(grids: list[_Grid], lines: int) -> tuple[list[_Grid], int]:
    """Grids side by side, or one below the other if they are wide; and the pixels of all, source included."""
    beside = all(grid.columns <= 1.5 * grid.rows for grid in grids) and len(grids) <= 4
    pixels = [260] if beside else [min(28, 840 // grid.columns) * grid.rows + 34 for grid in grids]
    source = LINE * lines + 16
    tall = sum(pixels) + source
    top, placed = 1.0, []
    for place, grid in enumerate(grids):
        if beside:
            wide = 1 / len(grids)
            across = place * wide + 0.01, (place + 1) * wide - 0.01
            down = source / tall, 1.0
        else:
            across = 0.0, 1.0
            down = top - (pixels[place] - 34) / tall, top
            top -= pixels[place] / tall
        placed.append(_Grid(grid.name, grid.number, grid.shape, grid.rows, grid.columns, across, down))
    return placed, tall


def _codes(trace: Traced, grid: _Grid, done: int, recent: int) -> NDArray[np.int64]:
    """What is known of every cell, [rows, columns]; cells after the last one of the array are -1."""
    codes = np.full(grid.rows * grid.columns, -1)
    codes[: prod(grid.shape)] = NEVER
    mine = trace.array[:done] == list(trace.names).index(grid.name)
    codes[trace.index[:done][mine]] = BEFORE
    late = np.flatnonzero(mine)
    late = late[late >= done - recent]
    for access in late:  # in their order: the last one counts
        codes[trace.index[access]] = RECENT + trace.level[access]
    return codes.reshape(grid.rows, grid.columns)


def _cells(grid: _Grid, codes: NDArray[np.int64], inks: list[str], letters: list[str]) -> dict[str, Any]:
    """The grid as a heat map of whole codes, with a letter in the coloured cells where there is room."""
    colours = [FAINT, GREY, *inks]
    scale: list[list[Any]] = []
    for code, ink in enumerate(colours):
        scale += [[code / len(colours), ink], [(code + 1) / len(colours), ink]]
    written: dict[str, Any] = {}
    if letters:
        signs = ["", "", *letters]
        text = [[signs[max(code, 0)] for code in row] for row in codes.tolist()]
        written = {"text": text, "texttemplate": "%{text}", "textfont": {"size": 12}}
    return {
        "type": "heatmap",
        "z": [[None if code < 0 else code for code in row] for row in codes.tolist()],
        "zmin": -0.5,
        "zmax": len(colours) - 0.5,
        "colorscale": scale,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": f"{grid.name} row %{{y}}, column %{{x}}<extra></extra>",
        "xaxis": f"x{grid.axis}",
        "yaxis": f"y{grid.axis}",
        **written,
    }


def _key(name: str, ink: str) -> dict[str, Any]:
    """An entry of the legend."""
    return {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "markers",
        "marker": {"symbol": "square", "size": 12, "color": ink},
        "name": name,
        "hoverinfo": "skip",
    }


def _axes(grid: _Grid) -> dict[str, Any]:
    """Square cells, the first row on top, nothing around them."""
    bare = {"showgrid": False, "showticklabels": False, "ticks": "", "constrain": "domain"}
    return {
        f"xaxis{grid.axis}": {
            "domain": grid.across,
            "range": [-0.6, grid.columns - 0.4],
            "anchor": f"y{grid.axis}",
            **bare,
        },
        f"yaxis{grid.axis}": {
            "domain": grid.down,
            "range": [grid.rows - 0.4, -0.6],
            "anchor": f"x{grid.axis}",
            "scaleanchor": f"x{grid.axis}",
            "constraintoward": "top",
            **bare,
        },
    }


def _title(grid: _Grid) -> dict[str, Any]:
    return {
        "text": grid.title,
        "x": sum(grid.across) / 2,
        "y": grid.down[1],
        "xref": "paper",
        "yref": "paper",
        "xanchor": "center",
        "yanchor": "bottom",
        "font": {"size": 13},
    }


def _ring(trace: Traced, grid: _Grid, last: int) -> dict[str, Any]:
    """Around the last access; hidden if that is elsewhere, so that states differ in little.

    It has no colour of its own and takes the ink of the page.
    """
    here = last >= 0 and trace.names[trace.array[last]] == grid.name
    row, column = divmod(int(trace.index[last]), grid.columns) if here else (0, 0)
    return {
        "type": "rect" if last >= 0 and trace.store[last] else "circle",
        "x0": column - 0.5,
        "x1": column + 0.5,
        "y0": row - 0.5,
        "y1": row + 0.5,
        "line": {"width": 3},
        "visible": here,
        "xref": f"x{grid.axis}",
        "yref": f"y{grid.axis}",
    }


def _shown_lines(trace: Traced) -> list[tuple[int, str]]:
    """The source without decorators and empty lines; of a long one, only the lines that access arrays."""
    lines = [(n, text) for n, text in trace.source if text.strip() and not text.lstrip().startswith("@")]
    if len(lines) > MOST_LINES:
        busy = set(np.unique(trace.line).tolist())
        lines = [(n, text) for n, text in lines if n in busy][:MOST_LINES]
    indent = min((len(text) - len(text.lstrip()) for _, text in lines), default=0)
    return [(n, part) for n, text in lines for part in _wrapped(text[indent:])]


def _wrapped(text: str) -> list[str]:
    """One source line, folded so that it fits the narrowest page."""
    indent = text[: len(text) - len(text.lstrip())]
    return wrap(text, LONGEST, subsequent_indent=f"{indent}        ", break_long_words=False)


def _source(
    lines: list[tuple[int, str]], current: int | None, tall: int
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The source below the grids: each line as its text and a band behind it, seen if it is at work."""
    found = []
    for place, (number, text) in enumerate(lines):
        y = (LINE * (len(lines) - place) - LINE / 2) / tall
        here = number == current
        written = {
            "text": ("▶ " if here else "\u00a0 ") + escape(text, quote=False).replace(" ", "\u00a0"),
            "x": 0,
            "y": y,
            "xanchor": "left",
            "yanchor": "middle",
            "align": "left",
            "font": {"size": 12, "family": MONO},
        }
        band = {
            "type": "rect",
            "x0": 0,
            "x1": 1,
            "y0": y - LINE / 2 / tall,
            "y1": y + LINE / 2 / tall,
            "fillcolor": BLUE,
            "opacity": 0.25 if here else 0,
            "line": {"width": 0},
            "layer": "below",
        }
        page = {"xref": "paper", "yref": "paper"}
        found.append(({**written, **page}, {**band, **page}))
    return found


def _words(trace: Traced, done: int, held: list[str]) -> tuple[str, str]:
    """Text alternative and caption."""
    total = len(trace.array)
    arrays = listed([f"{name} {list(trace.shapes[name])}" for name in trace.names])
    alt = [f"Accesses of {trace.kernel} to {arrays}, drawn as grids: {done} of {total} are done."]
    if not done:
        return alt[0], f"{trace.kernel} has not begun: {total} accesses are to come."
    last = done - 1
    name = trace.names[trace.array[last]]
    place = ", ".join(str(int(i)) for i in np.unravel_index(int(trace.index[last]), trace.shapes[name]))
    kind = "stores to" if trace.store[last] else "loads"
    level = int(trace.level[last])
    if level == len(held) - 1:
        missed = f" after missing {listed(held[:-1])}" if level else ""
        origin = f"memory{missed}"
    else:
        origin = held[level]
    text = f"Access {done} of {total} {kind} {name}[{place}], from {origin}."
    number = int(trace.line[last])
    code = dict(trace.source).get(number, "").strip()
    alt += [text, f"Line {number}: {code}." if code else f"Line {number}."]
    found = np.bincount(trace.level[:done], minlength=len(held))
    alt.append(f"So far {listed([f'{n} from {one}' for one, n in zip(held, found, strict=True)])}.")
    return " ".join(alt), text

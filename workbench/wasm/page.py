"""Panels that measure the reader's own computer inside a page: JupyterLab, the book, or any file.

A panel is one piece of HTML with its style and its scripts inside. It asks for nothing else: no network, no
kernel, no file beside it. The work is done in a worker that is made of text, because a page that was opened
from a folder may not load one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from .engines import script
from .products import Product, product
from .tiles import REGISTERS, Tile

ROWS = (1, 2, 3, 4, 6, 8)
VECTORS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class Panel:
    """HTML that works by itself; the last value of a cell shows it. `html` is the text."""

    name: str
    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<{self.name}: it runs in a page, shown as HTML>"


def tuner(
    baked: Mapping[tuple[int, int], float] | None = None,
    said: str = "",
    *,
    rows: Sequence[int] = ROWS,
    vectors: Sequence[int] = VECTORS,
    registers: int = REGISTERS,
) -> Panel:
    """A heat map of tiles, in GF/s, that the reader's browser fills in by writing and timing each kernel.

    baked: (mr, nv) -> GF/s to show before, for a product of [128, 384] and [384, 384], and `said` where they
    were measured. registers: tiles that need more are marked.
    """
    values = dict(baked or {})
    told = said or ("Not measured yet." if not values else "Measured where this page was made.")
    given = {
        "rows": list(rows),
        "vectors": list(vectors),
        "registers": registers,
        "baked": [[mr, nv, round(float(value), 3)] for (mr, nv), value in values.items()],
        "said": told,
    }
    return Panel("tuner", _html("tuner", given, f"<p>{escape(told)}</p>{_table(values, rows, vectors)}"))


def machine_card() -> Panel:
    """A button that measures the reader's computer by two kernels, and draws its roofline."""
    return Panel("machine card", _html("card", {}, "<p>Your own machine as a roofline.</p>"))


def _table(values: Mapping[tuple[int, int], float], rows: Sequence[int], vectors: Sequence[int]) -> str:
    """What is known before any script runs, or where none does."""
    if not values:
        return ""
    head = "".join(f'<th scope="col">{nv}</th>' for nv in vectors)
    lines = "".join(
        f'<tr><th scope="row">{mr}</th>'
        + "".join(f"<td>{values[mr, nv]:.3g}</td>" if (mr, nv) in values else "<td></td>" for nv in vectors)
        + "</tr>"
        for mr in rows
    )
    return f'<table class="wbw-map"><tr><th>rows \\ vectors</th>{head}</tr>{lines}</table>'


def _html(panel: str, given: dict[str, Any], still: str) -> str:
    given |= {
        "simd": list(product(Product(1, 4, 1))),
        "relaxed": list(product(Product(1, 4, 1), Tile(relaxed=True))),
        "worker": "\n".join([script(), _text("worker.js")]),
    }
    name = f"wbw-{panel}-{hashlib.sha256(json.dumps(given).encode()).hexdigest()[:8]}"
    data = json.dumps(given, separators=(",", ":")).replace("<", "\\u003c")
    body = "\n".join([_text("panel.js"), _text(f"{panel}.js")])
    needs = "<noscript><p>To measure your own computer, this part needs scripts.</p></noscript>"
    return (
        f'<div class="wbw" id="{name}"><style>{_text("page.css")}</style><div>{still}{needs}</div></div>'
        f"<script>(() => {{\nconst ROOT = document.querySelector('#{name} > div:not([data-on])');\n"
        f"if (!ROOT) return;\nROOT.dataset.on = '';\nconst GIVEN = {data};\n{body}\n}})();</script>"
    )


@cache
def _text(name: str) -> str:
    return files("workbench.wasm").joinpath(name).read_text("utf-8")

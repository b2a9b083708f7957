"""Stored outputs of lessons as HTML that book.js draws: figures, and Explorers with all their frames."""

import json
from html import escape
from typing import Any

from workbench_widgets.frames import plain, plotly_part

from workbench.errors import WorkbenchError

from .stills import still

DIGITS = 6  # what a figure that does not turn keeps of its numbers
OUTSIDE_TRACES = {  # these load maps from outside when drawn
    *("scattergeo", "scattermap", "scattermapbox", "choropleth", "choroplethmap", "choroplethmapbox"),
    *("densitymap", "densitymapbox"),
}


def figure_html(figure: dict[str, Any], where: str) -> str:
    """A plotly figure, given as JSON; `where` names its place in errors."""
    part = plain(plotly_part(figure), DIGITS)
    _check_part(part, where)
    height = part["layout"].get("height") or 450
    return (
        f'<figure class="wb-figure" style="--height: {float(height):.0f}px">'
        f'<div class="wb-stage">{still(part)}</div>{_caption(part["caption"])}{_json(part)}</figure>'
    )


def explorer_html(stored: dict[str, Any], where: str) -> str:
    """An Explorer as its descriptor, first frame and baked frames."""
    where = f"{where}, the Explorer {stored['name']}"
    if "baked" not in stored:
        raise WorkbenchError(
            f"{where}: its frames were not computed; run the lesson again with WORKBENCH_BAKE=1"
        )
    for part in stored["frame"]:
        _check_part(part, where)
    baked = stored["baked"]["data"]
    shown = {key: value for key, value in stored.items() if key != "baked"}
    first = "".join(map(still, stored["frame"]))  # all that is there without script
    captions = " ".join(part["caption"] for part in stored["frame"])
    return (
        f'<figure class="wbx wb-explorer" id="explorer-{escape(stored["id"])}">'
        f'<div class="wb-stage">{first}</div>{_caption(captions)}{_json(shown)}'
        f'<script type="text/plain">{baked}</script></figure>'
    )


def _check_part(part: dict[str, Any], where: str) -> None:
    if not part["alt"]:
        raise WorkbenchError(
            f"{where}: the figure has no text alternative; views.describe(fig, alt=…) gives one"
        )
    for trace in part.get("data", []):
        if trace.get("type") in OUTSIDE_TRACES:
            raise WorkbenchError(
                f"{where}: a {trace['type']} trace loads maps from outside, and the book must not"
            )


def _caption(caption: str) -> str:
    return f"<figcaption>{escape(caption)}</figcaption>" if caption else ""


def _json(data: Any) -> str:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'

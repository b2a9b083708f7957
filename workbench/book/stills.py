"""First frames as images that a page shows without script: pictures as PNG, plain figures as SVG.

The SVG is a sketch of what plotly draws, made of the marks that lessons use most (lines, points, bars, heat
maps). A figure with anything else in it gets no sketch rather than a wrong one; its words stand there anyway.
"""

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from workbench_widgets.templates import templates

Part = dict[str, Any]

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 96, 12, 16, 46
KNOWN = {"scatter", "bar", "heatmap"}
LEGEND = 18  # height of one row


def still(part: Part) -> str:
    """The part as an image with its text alternative, or its words alone where it cannot be sketched."""
    if part["kind"] == "picture":
        data = base64.b64encode(picture_png(part)).decode()
        width = part["width"] * part["scale"]
        return (
            f'<img class="wb-still" alt="{escape(part["alt"])}" width="{width}" '
            f'src="data:image/png;base64,{data}">'
        )
    drawn = sketch(part)
    words = f'<p class="wb-alt">{escape(part["alt"])}</p>'
    return f'<div class="wb-still" aria-hidden="true">{drawn}</div>{words}' if drawn else words


def picture_png(part: Part) -> bytes:
    """A picture's pixels, with what lies over them, as a PNG file."""
    from PIL import Image

    shape = (part["height"], part["width"], part["channels"])
    pixels: np.ndarray = np.frombuffer(base64.b64decode(part["pixels"]), np.uint8).reshape(shape)
    if over := part.get("over"):
        marks = np.frombuffer(base64.b64decode(over["pixels"]), np.uint8).reshape(shape[:2])
        above = np.array(over["colours"], float)[marks]
        pixels = np.rint(pixels + (above[..., :3] - pixels) * (above[..., 3:] / 255)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "png", optimize=True)
    return file.getvalue()


def sketch(part: Part) -> str:
    """A plotly part as SVG; empty where it holds marks, axes or panels that this cannot draw."""
    traces, layout = part["data"], part["layout"]
    panels = {key for key in layout if key[:5] in ("xaxis", "yaxis", "scene", "polar", "geo")}
    if not traces or {t.get("type", "scatter") for t in traces} - KNOWN or panels - {"xaxis", "yaxis"}:
        return ""
    if any(t.get("orientation") == "h" or _measured_map(t) for t in traces):
        return ""
    bars = [_column(t, "y") for t in traces if t.get("type") == "bar"]
    cells = any(t.get("type") == "heatmap" for t in traces)
    stacked = layout.get("barmode") == "stack"
    tops = [list(np.sum([[v or 0 for v in bar] for bar in bars], axis=0))] if stacked and bars else bars
    named = [t for t in traces if t.get("name") and t.get("type", "scatter") != "heatmap"]
    legend = LEGEND * len(named) if len(named) > 1 else 0
    try:
        x = _Axis(
            layout.get("xaxis", {}),
            [_column(t, "x") for t in traces],
            LEFT,
            WIDTH - RIGHT,
            bool(bars) or cells,
        )
        values = [_column(t, "y") for t in traces if t.get("type") != "bar"] + tops
        y = _Axis(layout.get("yaxis", {}), values, HEIGHT - BOTTOM, TOP, cells, zero=bool(bars))
    except (TypeError, ValueError):  # dates, mixed columns, a logarithm of what is not positive
        return ""
    ground = np.zeros(max((len(bar) for bar in bars), default=0))
    drawn = []
    for number, trace in enumerate(traces):
        kind, colour = trace.get("type", "scatter"), _colour(trace, number)
        if kind == "heatmap":
            drawn.append(_heatmap(trace, x, y))
        elif kind == "bar":
            drawn.append(
                _bars(trace, x, y, colour, ground, stacked, bars.index(_column(trace, "y")), len(bars))
            )
        else:
            drawn.append(_points(trace, x, y, colour))
    names = []
    for i, trace in enumerate(named if legend else []):
        colour, up = _colour(trace, traces.index(trace)), HEIGHT + LEGEND * i
        names.append(
            f'<rect x="{LEFT}" y="{up + 2}" width="12" height="12" fill="{colour}"/>'
            f'<text x="{LEFT + 20}" y="{up + 13}">{escape(str(trace["name"]))}</text>'
        )
    body = "".join([*drawn, x.drawn(horizontal=True), y.drawn(horizontal=False), *names])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + legend}" font-size="13" fill="currentColor">'
        f'<g clip-path="inset(0)">{body}</g></svg>'
    )


class _Axis:
    """Places of values on the page, along one axis: numbers (plain or logarithmic) or words."""

    def __init__(
        self,
        layout: Part,
        columns: Sequence[list[Any]],
        low: float,
        high: float,
        wide: bool,
        zero: bool = False,
    ) -> None:
        values = [value for column in columns for value in column if value is not None]
        self.title = (
            (layout.get("title") or {}).get("text", "") if isinstance(layout.get("title"), dict) else ""
        )
        self.words = list(dict.fromkeys(values)) if any(isinstance(v, str) for v in values) else []
        self.longest = max((len(str(word)) for word in self.words), default=0) + 2
        self.logarithmic = layout.get("type") == "log"
        numbers = [0.0] if not values else [self.number(v) for v in values]
        if zero and not self.logarithmic:
            numbers.append(0.0)
        begin, end = min(numbers), max(numbers)
        room = 0.5 if self.words or wide else 0.04 * ((end - begin) or 1)
        begin, end = begin - room, end + room
        if layout.get("range"):
            begin, end = map(float, layout["range"])
        elif layout.get("autorange") == "reversed":
            begin, end = end, begin
        self.begin, self.end, self.low, self.high = begin, end, low, high

    def number(self, value: Any) -> float:
        if self.words:
            return float(self.words.index(value))
        return math.log10(value) if self.logarithmic else float(value)

    def at(self, value: Any) -> float:
        """Where the value lies, in units of the drawing."""
        return self.place(self.number(value))

    def place(self, number: float) -> float:
        share = (number - self.begin) / ((self.end - self.begin) or 1)
        return round(self.low + share * (self.high - self.low), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """About five places with what is written there."""
        low, high = sorted((self.begin, self.end))
        if self.words:
            every = max(1, math.ceil(len(self.words) * self.longest / 90)) if self.low < self.high else 1
            return [(float(i), str(word)) for i, word in enumerate(self.words) if i % every == 0]
        rough = (high - low) / 5 or 1
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        if self.logarithmic:
            step = max(1, round(step))
        at = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
        return [(tick, f"{10**tick if self.logarithmic else tick:.6g}") for tick in at]

    def drawn(self, horizontal: bool) -> str:
        marks = []
        for number, text in self.ticks():
            at = self.place(number)
            x, y, anchor = (at, HEIGHT - BOTTOM + 16, "middle") if horizontal else (LEFT - 6, at + 4, "end")
            shown = text if len(text) <= 12 else f"{text[:11]}…"
            marks.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(shown)}</text>')
        title = escape(self.title)
        if horizontal:
            line = f"M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"
            marks.append(
                f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{title}</text>'
            )
        else:
            line = f"M{LEFT} {TOP}V{HEIGHT - BOTTOM}"
            middle = (TOP + HEIGHT - BOTTOM) / 2
            marks.append(
                f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{title}</text>'
            )
        return f'<path d="{line}" stroke="currentColor" opacity="0.5"/>{"".join(marks)}'


def _points(trace: Part, x: _Axis, y: _Axis, colour: str) -> str:
    across, up = _column(trace, "x"), _column(trace, "y")
    places = [
        (x.at(a), y.at(b)) if a is not None and b is not None else None
        for a, b in zip(across, up, strict=False)
    ]
    mode = trace.get("mode") or ("lines+markers" if len(places) < 20 else "lines")
    drawn, pen = "", "M"
    if "lines" in mode:
        for place in places:
            if place:
                drawn += f"{pen}{place[0]} {place[1]}"
            pen = "L" if place else "M"
        dash = ' stroke-dasharray="6 4"' if (trace.get("line") or {}).get("dash", "solid") != "solid" else ""
        drawn = f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
    if "markers" in mode:
        drawn += "".join(f'<circle cx="{p[0]}" cy="{p[1]}" r="3.5" fill="{colour}"/>' for p in places if p)
    return drawn


def _bars(
    trace: Part, x: _Axis, y: _Axis, colour: str, ground: np.ndarray, stacked: bool, number: int, of: int
) -> str:
    drawn = ""
    group = abs(x.place(1) - x.place(0)) * 0.8
    width = group if stacked else group / of
    for i, (a, b) in enumerate(zip(_column(trace, "x"), _column(trace, "y"), strict=False)):
        if b is None:
            continue
        base = ground[i] if stacked else (10**y.begin if y.logarithmic else 0.0)
        low, high = sorted((y.at(base), y.at(base + b if stacked else b)))
        left = x.at(a) - group / 2 + (0 if stacked else number * width)
        drawn += (
            f'<rect x="{left:.1f}" y="{low}" width="{width:.1f}" height="{high - low:.1f}" fill="{colour}"/>'
        )
        ground[i] += b if stacked else 0
    return drawn


def _heatmap(trace: Part, x: _Axis, y: _Axis) -> str:
    """As grey from dark (low) to light (high): a sketch has no colour bar."""
    from PIL import Image

    z = np.array([[math.nan if v is None else float(v) for v in row] for row in trace["z"]])
    low, high = float(trace.get("zmin", np.nanmin(z))), float(trace.get("zmax", np.nanmax(z)))
    grey = np.nan_to_num(np.clip((z - low) / ((high - low) or 1), 0, 1)) * 255
    left, right = sorted((x.place(-0.5), x.place(z.shape[1] - 0.5)))
    top, bottom = sorted((y.place(-0.5), y.place(z.shape[0] - 0.5)))
    if y.place(1) < y.place(0):  # row 0 lies at the bottom
        grey = grey[::-1]
    file = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "png", optimize=True)
    return (
        f'<image x="{left}" y="{top}" width="{right - left:.1f}" height="{bottom - top:.1f}" '
        f'preserveAspectRatio="none" style="image-rendering: pixelated" '
        f'href="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"/>'
    )


def _measured_map(trace: Part) -> bool:
    """Whether a heat map's cells stand at numbers of their own instead of side by side."""
    given = [trace.get("x"), trace.get("y")] if trace.get("type") == "heatmap" else []
    return any(column and not isinstance(column[0], str) for column in given)


def _column(trace: Part, name: str) -> list[Any]:
    """A trace's coordinates; those that it leaves out are the whole numbers."""
    if trace.get("type") == "heatmap":
        z = trace["z"]
        return list(trace.get(name) or range(len(z[0]) if name == "x" else len(z)))
    other = trace.get("y" if name == "x" else "x") or []
    return list(trace.get(name) or range(len(other)))


def _colour(trace: Part, number: int) -> str:
    for key in ("line", "marker"):
        colour = (trace.get(key) or {}).get("color")
        if isinstance(colour, str):
            return escape(colour)
    colours = templates()["light"]["layout"]["colorway"]
    return colours[number % len(colours)]

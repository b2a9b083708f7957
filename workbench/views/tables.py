"""Tables of what a kernel did: its source with counts beside each line, and counters with what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views.charts import Table, table
from workbench.views.theme import SIGNS
from workbench.views.words import short

if TYPE_CHECKING:  # drawing alone does not load numba
    from workbench.counting import Counts, Line

BAR = "rgba(0, 114, 178, 0.35)"  # half transparent, so that the text is read on both grounds
FOLD = "overflow-x:auto;max-width:100%"


@dataclass(frozen=True)
class AnnotatedSource:
    """Source lines with numbers beside them, as HTML with bars in the cells and as plain text.

    columns: by title, one number for each line; a bar shows the line's share of the column.
    """

    lines: tuple[tuple[int, str], ...]
    columns: Mapping[str, tuple[int, ...]]
    caption: str
    alt: str

    def _repr_html_(self) -> str:
        heads = "".join(
            f'<th scope="col" style="text-align:right;white-space:normal">{escape(one)}</th>'
            for one in self.columns
        )
        rows = "".join(self._row(place) for place in range(len(self.lines)))
        return (
            f'<div style="{FOLD}" role="region" tabindex="0" aria-label="{escape(self.alt, quote=True)}">'
            f'<table class="wb-table"><caption>{escape(self.caption)}</caption><thead><tr>'
            f'<th scope="col">line</th><th scope="col" style="text-align:left">source</th>{heads}'
            f"</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def _row(self, place: int) -> str:
        number, text = self.lines[place]
        cells = "".join(_bar(column[place], sum(column)) for column in self.columns.values())
        code = f'<code style="white-space:pre;background:none">{escape(text)}</code>'
        return (
            f'<tr><td style="text-align:right">{number}</td>'
            f'<th scope="row" style="text-align:left;font-weight:normal">{code}</th>{cells}</tr>'
        )

    def __str__(self) -> str:
        heads = ["line", *self.columns]
        rows = [
            [
                str(number),
                *(f"{column[place]:,}" if column[place] else "" for column in self.columns.values()),
            ]
            for place, (number, _) in enumerate(self.lines)
        ]
        widths = [max(map(len, cells)) for cells in zip(heads, *rows, strict=True)]
        written = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in [heads, *rows]
        ]
        texts = ["", *(text for _, text in self.lines)]
        together = [f"{row}  {text}".rstrip() for row, text in zip(written, texts, strict=True)]
        return "\n".join([self.caption, *together])


def annotated_source(counts: "Counts", *, caption: str | None = None) -> AnnotatedSource:
    """The source of a counted kernel; beside each line its loads, stores, flops, and misses by level."""
    lines: Sequence[Line] = counts.by_line
    if not lines:
        raise WorkbenchError(f"{counts.kernel} has no source lines to show")
    counted, simulated = SIGNS["counted"], SIGNS["simulated"]
    columns = {
        f"{counted}\u00a0{what}": tuple(getattr(line, what) for line in lines)
        for what in ("loads", "stores", "flops")
    } | {
        f"{simulated}\u00a0{name} misses": tuple(line.misses[name] for line in lines) for name in counts.cache
    }
    said = []
    for title, numbers in columns.items():
        most = max(range(len(lines)), key=numbers.__getitem__)
        what = title[2:]
        if total := sum(numbers):
            part = f"{100 * numbers[most] / total:.3g} %"
            said.append(f"line {lines[most].number} has {part} of {short(total)} {what}")
    signs = f"{counted} counted" + (f", {simulated} simulated" if counts.cache else "")
    text = caption or f"{counts.kernel}: {said[-1] if said else 'it neither loads, stores nor calculates'}."
    return AnnotatedSource(
        lines=tuple((line.number, line.text) for line in lines),
        columns=columns,
        caption=f"{text} ({signs})",
        alt=f"Source of {counts.kernel} with counts: {'; '.join(said) or 'none'}.",
    )


def _bar(number: int, total: int) -> str:
    """A cell with its number, behind it a bar as long as its share."""
    if not number:
        return "<td></td>"
    share = 100 * number / total
    style = (
        f"text-align:right;background:linear-gradient(to right,{BAR} {share:.3g}%,transparent {share:.3g}%)"
    )
    exact = f"{number:,}".replace(",", "\u202f")
    return f'<td style="{style}" title="{exact}, {share:.3g} %">{short(number).replace(" ", "&nbsp;")}</td>'


def counters_table(reading: Any, *, caption: str | None = None) -> Table:
    """Counters by name: value, unit and provenance; or the sentence why one is not available.

    reading: a mapping from names to a `Quantity`, a sentence (why not) or None; or something with
    `quantities()` that gives one, as counts have.
    """
    values = reading if isinstance(reading, Mapping) else _quantities(reading)
    if not values:
        raise WorkbenchError("a table of counters needs at least one counter, but none came")
    rows: list[dict[str, object]] = [_counter(str(name), value) for name, value in values.items()]
    missing = sum(not isinstance(value, Quantity) for value in values.values())
    measured = [one for one in values.values() if isinstance(one, Quantity) and one.machine and one.when]
    text = caption or "Counters"
    if measured and caption is None:
        text += f" of {measured[0].machine}, {measured[0].when}"
    if missing and caption is None:
        text += f"; {missing} of {len(values)} are not available here"
    return table(rows, ["counter", "value", "unit", "origin"], caption=f"{text}.".replace("..", "."))


def _quantities(reading: Any) -> Mapping[str, Any]:
    found = getattr(reading, "quantities", None)
    if callable(found):
        found = found()
    if not isinstance(found, Mapping):
        raise WorkbenchError(
            f"counters come as a mapping or from something with quantities(); {type(reading).__name__} came"
        )
    return found


def _counter(name: str, value: Any) -> dict[str, object]:
    if isinstance(value, Quantity):
        whole = float(value.value).is_integer()
        number = f"{value.value:,.0f}".replace(",", "\u202f") if whole else f"{value.value:.4g}"
        span = "" if value.low is None or value.high is None else f" [{value.low:.3g}, {value.high:.3g}]"
        origin = f"{SIGNS[value.provenance]} {value.provenance}"
        return {
            "counter": name,
            "value": f"{number}{span}",
            "unit": value.unit,
            "origin": origin,
        }
    if value is None or isinstance(value, str):
        why = "not available here" + (f": {value}" if value else "")
        return {"counter": name, "value": why, "unit": "", "origin": "–"}
    raise WorkbenchError(
        f"the counter {name!r} must be a Quantity, a sentence that says why not, or None; "
        f"{type(value).__name__} came"
    )

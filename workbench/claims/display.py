"""A claim as a lesson shows it: what the authors report, and what was measured here and by this reader."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from workbench.claims.find import load_system
from workbench.claims.ledger import Ledger
from workbench.claims.measure import run_claim
from workbench.claims.model import Claim, System
from workbench.claims.record import Record, standing
from workbench.claims.stats import Interval

MARKS = {"formula": "○", "counted": "●", "simulated": "◆", "measured": "■"}
TABLE = "border-collapse: collapse; color: inherit; background: transparent; margin-left: 0"
CAPTION = "caption-side: top; text-align: left; color: inherit; padding: 0.3em 0.8em"
CELL = "text-align: left; vertical-align: top; padding: 0.3em 0.8em; border-bottom: 1px solid currentColor"
NOTHING = "—"
FOLDED = ("machine", "date")  # the same for most claims of a lesson
UNTOLD = (NOTHING, "not measured yet")
LEGEND = {
    "value": "what was measured, the mean over the seeds; the brackets hold an interval of 95 %.",
    "seed": "one run with its own random start.",
    "bar": "what the value must meet.",
    "baseline": "the number for what the authors compare with.",
    "negative control": "the same measurement with the idea taken away. It must miss the bar.",
    "reproduced": "the whole interval meets the bar, and that of the control misses it.",
    "direction only": "there is an effect, but too small for the bar, or it is not sure that it "
    "meets the bar and the control misses it.",
    "inconclusive": "the intervals are too wide to tell.",
    "not reproduced at this scale": "the whole interval misses the bar.",
}

ROUNDING = 1e-12  # a difference of equal numbers, seldom exactly 0
ONCE = "what was computed. No random start is in it, so once is enough; what the number is, the claim says."


def verdict(system: str, claim: str, remeasure: bool = False, budget: str = "lesson") -> "VerdictTable":
    """The claim's committed record beside the latest measurement in this reader's ledger.

    With `remeasure` the claim is measured now, in `budget`, and kept in the ledger.
    """
    declared = load_system(system)
    chosen = declared.claim(claim)
    ledger = Ledger()
    if remeasure:
        ledger.add("claim", **_measured_now(declared, chosen, budget).stored())
    own = ledger.rows("claim", system=system, claim=claim)
    return VerdictTable(
        system, chosen, standing(system).get(claim), Record.restored(own[-1]) if own else None
    )


@dataclass(frozen=True)
class VerdictTable:
    """What a notebook shows for one claim: a table without script, and without colours of its own."""

    system: str
    claim: Claim
    committed: Record | None
    own: Record | None

    @property
    def columns(self) -> tuple[str, ...]:
        """What stands side by side: the reader's own measurement only where there is one."""
        return ("committed record", "measured by you") if self.own else ("committed record",)

    def rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """Heading and cells of each row: one cell that belongs to all columns, or one for each."""
        told: list[tuple[str, tuple[str, ...]]] = [
            ("authors report", (self.claim.paper,)),
            ("bar", (str(self.claim.bar),)),
        ]
        shown = (self.committed, self.own) if self.own else (self.committed,)
        for head, say in SAYINGS.items():
            if head == "baseline" and not any(record and record.baseline is not None for record in shown):
                continue  # a number that is not compared with another one
            cells = tuple(_cell(record, say) for record in shown)
            if set(cells) == {NOTHING} and all(record and record.value is None for record in shown):
                continue  # declared, never measured
            after = {"value": f" {self.claim.unit}", "baseline": f" {self.claim.against}"}.get(
                head, ""
            ).rstrip()
            told.append((head, tuple(cell if cell in UNTOLD else cell + after for cell in cells)))
        return told

    def sentence(self) -> str:
        """What came out and why, in words: of the reader's own measurement where there is one."""
        record = self.own or self.committed
        if record is None:
            return "Not measured yet."
        said = _verdict(record)
        if record.value is None:
            return f"{said[0].upper()}{said[1:]}."
        unit = f" {self.claim.unit}" if self.claim.unit else ""
        told = f"{said[0].upper()}{said[1:]}. The value is {record.value:.4g}{unit}, the bar {self.claim.bar}"
        if record.control_value is not None:
            told += f"; the negative control gives {record.control_value:.4g}"
        return f"{told}.{_reason(record, self.claim)}"

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="{CELL}">{name}</th>' for name in self.columns)
        body = ""
        for name, cells in self.rows():
            if name in FOLDED:
                continue
            span = f' colspan="{len(self.columns)}"' if len(cells) == 1 else ""
            told = "".join(f'<td{span} style="{CELL}">{escape(cell)}</td>' for cell in cells)
            body += f'<tr><th scope="row" style="{CELL}">{name}</th>{told}</tr>'
        caption = (
            f"<strong>{escape(self.system)} / {escape(self.claim.id)}</strong>: {escape(self.claim.says)}"
            f"<br/><em>{escape(self.sentence())}</em>{self._legend()}"
        )
        return (
            f'<table style="{TABLE}"><caption style="{CAPTION}">{caption}</caption>'
            f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _legend(self) -> str:
        """Folded: what each row means, and where the numbers were measured."""
        told = {**LEGEND, "value": ONCE} if self.claim.seeds == 1 else dict(LEGEND)
        told |= {
            f"{column}, {name}": cell
            for name, cells in self.rows()
            if name in FOLDED
            for column, cell in zip(self.columns, cells, strict=True)
        }
        words = "".join(f"<br/><strong>{word}</strong>: {escape(says)}" for word, says in told.items())
        told_where = "How to read this, and where it was measured"
        return f"<details><summary>{told_where}</summary><small>{words}</small></details>"

    def _repr_markdown_(self) -> str:
        lines = [f"**{self.system} / {self.claim.id}**: {self.claim.says} *{self.sentence()}*", ""]
        for cells in ("", *self.columns), ("---",) * (1 + len(self.columns)):
            lines.append(f"| {' | '.join(cells)} |")
        for name, cells in self.rows():
            told = cells + ("",) * (len(self.columns) - len(cells))
            lines.append(f"| {' | '.join([name, *(cell.replace('|', '∣') for cell in told)])} |")
        return "\n".join(lines)

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.rows())
        lines = [f"{self.system} / {self.claim.id}: {self.claim.says}", f"  {self.sentence()}"]
        lines += [f"  {name:{width}}  {'  |  '.join(cells)}" for name, cells in self.rows()]
        return "\n".join(lines)


def _reason(record: Record, claim: Claim) -> str:
    """Why it is neither reproduced nor plainly refuted, where the three numbers alone do not say it."""
    if record.verdict not in ("direction only", "inconclusive") or record.low is None or record.high is None:
        return ""
    got = Interval(record.value or 0, record.low, record.high)
    reasons = []
    if claim.bar.missed_by(got):
        reasons.append("there is an effect, but it is smaller than the bar")
    elif not claim.bar.met_by(got):
        reasons.append(
            f"the interval from {record.low:.4g} to {record.high:.4g} has values that meet the bar "
            "and values that miss it"
        )
    if not record.control_failed:
        reasons.append("the control did not clearly fail")
    told = ", and ".join(reasons)
    return f" {told[0].upper()}{told[1:]}." if told else ""


def _cell(record: Record | None, say: Callable[[Record], str]) -> str:
    if record is None:
        return "not measured yet" if say is _value else NOTHING
    return say(record)


def _value(record: Record) -> str:
    return _span(record.value, record.low, record.high)


def _control(record: Record) -> str:
    if record.control_value is None:
        return NOTHING
    failed = {True: "failed, as it must", False: "did not clearly fail", None: "executed"}[
        record.control_failed
    ]
    return f"{_span(record.control_value, record.control_low, record.control_high)}: {failed}"


def _verdict(record: Record) -> str:
    said = record.why or record.verdict or "none: a smoke run only shows that claim and control execute"
    return said + ("; stale: code or data have changed since" if record.stale else "")


def _provenance(record: Record) -> str:
    if record.value is None:  # declared, not measured: no machine took part
        return NOTHING
    runs = f", {record.seeds} {'seed' if record.seeds == 1 else 'seeds'}" if record.seeds else ""
    return f"{MARKS[record.provenance]} {record.provenance}{runs}, {record.budget} budget"


def _span(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return NOTHING
    low, high = value if low is None else low, value if high is None else high
    return str(Interval(*(0.0 if abs(end) < ROUNDING else end for end in (value, low, high))))


SAYINGS: dict[str, Callable[[Record], str]] = {
    "value": _value,
    "baseline": lambda record: _span(record.baseline, None, None),
    "negative control": _control,
    "verdict": _verdict,
    "provenance": _provenance,
    "machine": lambda record: NOTHING if record.value is None else record.machine,
    "date": lambda record: record.when[:10],
}


def _measured_now(system: System, claim: Claim, budget: str) -> Record:
    """Measures with a progress bar that goes when it is done."""
    from rich.progress import Progress  # on first use: only a reader who measures needs it

    with Progress(transient=True) as bar:
        task = bar.add_task(f"{system.key}/{claim.id}", total=None)
        return run_claim(
            system,
            claim,
            budget,
            progress=lambda done, total, what: bar.update(
                task, completed=done, total=total, description=what
            ),
        )

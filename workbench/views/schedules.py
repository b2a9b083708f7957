"""Who works when: bars over time, one row for each worker."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.theme import OKABE_ITO, describe

WAITING = "waiting"
WIDE, NARROW = 0.036, 0.03  # of the axis: for each letter of a name beside the other; for an upright name


class Slot(NamedTuple):
    """What a worker does from `start` on, and of which kind it is; the kind "waiting" is drawn hollow."""

    worker: str
    name: str
    start: float
    length: float
    kind: str


def schedule(
    slots: Sequence[Slot | tuple[str, str, float, float, str]],
    *,
    kinds: Sequence[str] | None = None,
    x_title: str = "cycles",
    end: float | None = None,
    caption: str | None = None,
) -> go.Figure:
    """A Gantt chart: one row for each worker, one colour for each kind of work; idling is left empty.

    slots: `Slot`s, or tuples in that order. kinds: all that may occur, in the order of their colours, so that
    several charts agree; default those of the slots. end: where the axis ends; default the last slot's end.
    """
    bars = [Slot(*slot) for slot in slots]
    if not bars or any(bar.length < 0 or bar.start < 0 for bar in bars):
        raise WorkbenchError("expected at least one slot, each with a start and a length of at least 0")
    order = [kind for kind in kinds or dict.fromkeys(bar.kind for bar in bars) if kind != WAITING]
    if unknown := [bar.kind for bar in bars if bar.kind not in (*order, WAITING)]:
        raise WorkbenchError(f"expected one of the kinds {', '.join(order)}, but {unknown[0]!r} came")
    workers = list(dict.fromkeys(bar.worker for bar in bars))
    last = max(bar.start + bar.length for bar in bars)
    whole = end or last
    fig = go.Figure()
    for kind in (*order, WAITING):
        own = [bar for bar in bars if bar.kind == kind]
        if not own and kind not in (kinds or order):
            continue
        colour = None if kind == WAITING else OKABE_ITO[order.index(kind) % len(OKABE_ITO)]
        fig.add_bar(
            x=[bar.length for bar in own] or [0],
            base=[bar.start for bar in own] or [0],
            y=[bar.worker for bar in own] or workers[:1],
            orientation="h",
            name=kind,
            showlegend=True,
            text=[bar.name if _wide(bar, whole) else "" for bar in own],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="none",
            textfont={"size": 12, **({"color": _ink(colour)} if colour else {})},
            marker={
                "color": colour or "rgba(128,128,128,0.12)",
                "line": {"width": 1, "color": "#F2F2F2" if colour else "#808080"},
            },
            hovertext=[f"{bar.name}: {bar.start:g} to {bar.start + bar.length:g}" for bar in own],
            hoverinfo="text",
        )
        for bar in own:
            if NARROW * whole < bar.length and not _wide(bar, whole):
                fig.add_annotation(
                    x=bar.start + bar.length / 2,
                    y=bar.worker,
                    text=bar.name,
                    textangle=-90,
                    showarrow=False,
                    font={"size": 11, **({"color": _ink(colour)} if colour else {})},
                )
    shares = ", ".join(f"{name} works {share:.0%} of them" for name, share in working(bars).items())
    fig.update_layout(
        height=200 + 56 * len(workers),
        barmode="overlay",
        bargap=0.25,
        margin={"t": 95},
        xaxis={"title": {"text": x_title}, "range": [0, 1.02 * whole]},
        yaxis={"title": {"text": "array"}, "categoryorder": "array", "categoryarray": workers[::-1]},
    )
    told = {
        worker: ", ".join(
            f"{bar.name} {bar.start:g} to {bar.start + bar.length:g}" for bar in bars if bar.worker == worker
        )
        for worker in workers
    }
    return describe(
        fig,
        alt=f"Bars over {x_title} until {last:g}: "
        + "; ".join(f"{worker}: {what}" for worker, what in told.items())
        + f". {shares}.",
        caption=caption or f"{last:g} {x_title}; {shares}.",
    )


def working(slots: Sequence[Slot]) -> Mapping[str, float]:
    """For each worker, the share of the whole time in which it works."""
    last = max(slot.start + slot.length for slot in slots)
    return {
        worker: sum(slot.length for slot in slots if slot.worker == worker and slot.kind != WAITING) / last
        for worker in dict.fromkeys(slot.worker for slot in slots)
    }


def _wide(bar: Slot, whole: float) -> bool:
    return bar.length > WIDE * len(bar.name) * whole


def _ink(colour: str) -> str:
    return "#FFFFFF" if colour == OKABE_ITO[0] else "#1A1A1A"

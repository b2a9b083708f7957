"""The efficiency gap: between the time that a model needs at the peak and the time that it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, log10

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views.theme import Role, describe, mark
from workbench.views.words import duration, listed, spoken
from workbench.views.work import colours, legend, told, where_and_when


@dataclass(frozen=True)
class Scored:
    """One model: its score (accuracy, or work done), its operations in flop, its time in s."""

    score: Quantity
    flops: Quantity
    seconds: Quantity
    role: Role | None = None

    def __post_init__(self) -> None:
        if not self.flops.value > 0 or not self.seconds.value > 0:
            raise WorkbenchError(
                f"a timed model needs positive flops and seconds, but {self.flops} and {self.seconds} came"
            )


def efficiency_gap(
    models: Mapping[str, Scored],
    *,
    peak: Quantity,
    y_title: str = "accuracy",
    caption: str | None = None,
) -> go.Figure:
    """Score against logarithmic time, a pair for each model: ideal F/P and measured T.

    The length of the line between them is -log10 of the efficiency F/(T P): the shorter, the better the
    machine is used. models: `Scored` by name. peak: flop/s.
    """
    if not models or not peak.value > 0:
        raise WorkbenchError(f"an efficiency gap needs at least one model and a positive peak; {peak} came")
    fig, said = go.Figure(), []
    share = {name: one.flops.value / (one.seconds.value * peak.value) for name, one in models.items()}
    inks = colours(one.role for one in models.values())
    for (name, one), ink in zip(models.items(), inks, strict=True):
        least, taken = one.flops.value / peak.value, one.seconds
        fig.add_scatter(
            x=[least, taken.value],
            y=[one.score.value] * 2,
            name=name,
            mode="lines+markers",
            line={"color": ink, "width": 2},
            marker={
                **mark(one.flops.provenance, ink, 10),
                "symbol": [mark(q.provenance)["symbol"] for q in (one.flops, taken)],
            },
            error_x=_interval([None, taken]),
            error_y=_interval([None, one.score]),
            hovertext=[f"{name}, ideal: {duration(least)}<br>{told(one.flops)}", f"{name}: {told(taken)}"],
            hoverinfo="text",
        )
        fig.add_annotation(
            x=(log10(least) + log10(taken.value)) / 2,
            y=one.score.value,
            text=f"{100 * share[name]:.2g} %",
            yanchor="bottom",
            yshift=3,
            font={"size": 12},
        )
        said.append(
            f"{name}: {y_title} {one.score.value:.4g}, ideal {duration(least)}, "
            f"taken {duration(taken.value)}, efficiency {100 * share[name]:.3g} %, "
            f"a gap of {-log10(share[name]):.2g} decades"
        )
    times = [x for trace in fig.data for x in trace.x]
    steps = (1,) if max(times) > 100 * min(times) else (1, 2, 5)
    decades = range(floor(log10(min(times))), ceil(log10(max(times))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    texts = [duration(tick) for tick in ticks]
    fig.update_layout(
        height=440,
        showlegend=True,
        xaxis={"type": "log", "title": {"text": "time"}, "tickvals": ticks, "ticktext": texts},
        yaxis={"title": {"text": y_title}},
    )
    known = [peak, *(q for one in models.values() for q in (one.flops, one.seconds, one.score))]
    best, worst = max(share, key=share.__getitem__), min(share, key=share.__getitem__)
    text = f"{best} uses {100 * share[best]:.3g} % of the peak"
    if best != worst:
        text += f", {worst} {100 * share[worst]:.3g} %"
    if wrong := [name for name, part in share.items() if part > 1]:
        text = f"{listed(wrong)} would be faster than the peak allows: the count or the clock is wrong"
    return describe(
        fig,
        alt=f"{y_title} over logarithmic time, ideal and taken, for a peak of "
        f"{spoken(peak.value, 'flop/s')}. {'; '.join(said)}.{where_and_when(known)}",
        caption=f"{caption or f'{text}.'} ({legend(known)})",
    )


def _interval(pair: list[Quantity | None]) -> dict[str, object] | None:
    if not any(one and one.low is not None and one.high is not None for one in pair):
        return None
    high = [None if one is None or one.high is None else one.high - one.value for one in pair]
    low = [None if one is None or one.low is None else one.value - one.low for one in pair]
    return {"type": "data", "symmetric": False, "array": high, "arrayminus": low}

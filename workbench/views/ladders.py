"""A ladder of changes, each on top of those before: what every one gains or loses."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from workbench.errors import WorkbenchError
from workbench.quantity import Provenance
from workbench.views.theme import BLUE, GREY, VERMILION, describe, mark


def ladder(
    rungs: Mapping[str, ArrayLike],
    *,
    x_title: str,
    groups: Mapping[str, Sequence[str]] | None = None,
    provenance: Provenance = "measured",
    caption: str | None = None,
) -> go.Figure:
    """A waterfall: every bar runs from the mean of the rung above it to its own, blue for a gain.

    rungs: by name, one value for each repetition [repetitions], the same ones in each; the first rung is
    the start. The interval at a bar's end is that of the *change*, paired by repetition: 95 % of Student's t.
    groups: which rungs belong together, by the name of the group; a group's whole change goes to the caption.
    """
    names = list(rungs)
    values = np.array([np.asarray(rungs[name], dtype=float) for name in names])
    if len(names) < 2 or values.ndim != 2 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise WorkbenchError(
            "a ladder needs at least two rungs, each with as many finite values, two or more, "
            f"but shape {values.shape} came"
        )
    if unknown := [name for members in (groups or {}).values() for name in members if name not in names]:
        raise WorkbenchError(f"groups must name rungs, but {unknown[0]!r} came")
    means, changes = values.mean(axis=1), np.diff(values, axis=0)
    gained, half = changes.mean(axis=1), _half_width(changes)
    shown = np.round(gained, 1) + 0.0  # no negative zero
    fig = go.Figure()
    fig.add_scatter(
        x=[means[0]],
        y=[names[0]],
        mode="markers+text",
        marker=mark(provenance, GREY, 10),
        text=[f" {means[0]:.1f}"],
        textposition="middle right",
        hoverinfo="skip",
    )
    colours = [BLUE if gain >= 0 else VERMILION for gain in gained]
    fig.add_bar(
        x=gained,
        base=means[:-1],
        y=names[1:],
        orientation="h",
        marker={"color": colours, "opacity": 0.55},
        hovertext=[
            f"{name}: {gain:+.2f} [{gain - h:+.2f}, {gain + h:+.2f}]"
            for name, gain, h in zip(names[1:], gained, half, strict=True)
        ],
        hoverinfo="text",
    )
    for name, end, gain, h, colour in zip(names[1:], means[1:], shown, half, colours, strict=True):
        fig.add_scatter(
            x=[end],
            y=[name],
            mode="markers",
            marker=mark(provenance, colour, 8),
            error_x={"type": "data", "array": [h], "color": colour, "thickness": 1.5},
            hoverinfo="skip",
        )
        fig.add_annotation(
            x=1, xref="paper", xanchor="right", y=name, text=f"{gain:+.1f} ± {h:.1f}", font={"size": 12}
        )
    ends = np.concatenate([means, means[1:] - half, means[1:] + half])
    low, high = ends.min(), ends.max()
    span = max(high - low, 1e-9)
    fig.update_layout(
        height=110 + 34 * len(names),
        margin_t=20,
        showlegend=False,
        bargap=0.35,
        xaxis={"title": {"text": x_title}, "range": [low - 0.05 * span, high + 0.45 * span]},
        yaxis={
            "categoryorder": "array",
            "categoryarray": names,
            "autorange": "reversed",
            "title": {"text": "rung"},
        },
    )
    said = "; ".join(
        f"{name} {gain:+.1f} with an interval of ± {h:.1f}"
        for name, gain, h in zip(names[1:], shown, half, strict=True)
    )
    whole = {
        group: sum(gained[names.index(name) - 1] for name in members if name != names[0])
        for group, members in (groups or {}).items()
    }
    told = ", ".join(f"{group} {gain:+.1f}" for group, gain in whole.items())
    best = names[1 + int(gained.argmax())]
    return describe(
        fig,
        alt=f"Waterfall of {x_title} from {names[0]} at {means[0]:.1f} to {means[-1]:.1f}, "
        f"{values.shape[1]} repetitions. {said}.{f' In all: {told}.' if told else ''}",
        caption=caption
        or (f"In all: {told}." if told else f"The longest step is {best}: {gained.max():+.1f}."),
    )


def _half_width(changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of the 95 % interval of each mean change: [rungs, repetitions] -> [rungs]."""
    n = changes.shape[1]
    return stdtrit(n - 1, 0.975) * changes.std(axis=1, ddof=1) / np.sqrt(n)

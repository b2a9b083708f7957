"""Who works on what, and when: lanes against steps, above what each step needs from memory."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, GREEN, ORANGE, PURPLE, SKY, describe

MOST_STEPS, MOST_LANES = 400, 64
FAINT = "rgba(128, 128, 128, 0.18)"
TURNS = (SKY, PURPLE, GREEN)  # of the rounds, again and again
ROOM = 8  # steps a number needs


def space_time(
    query: ArrayLike,
    keys: ArrayLike,
    *,
    queries: ArrayLike,
    limit: float | None = None,
    most: float | None = None,
    caption: str | None = None,
) -> go.Figure:
    """Lanes downwards, steps to the right; a colour is one round of queries, grey is idle. Below: new
    vectors.

    query [steps, lanes]: the query that a lane works on, -1 where it is idle; a lane begins another query
    where the number changes, and that is marked by its number if there is room, by a dot if there is not.
    keys, queries [steps]: how many of each come from memory in a step, drawn as bars on top of one another.
    limit: a thin line. most: where the axis of the bars ends (give figures of one comparison the same). Up to
    400 steps and 64 lanes.
    """
    rows, bars = np.asarray(query), [np.asarray(each) for each in (keys, queries)]
    if rows.ndim != 2 or not 1 <= len(rows) <= MOST_STEPS or not 1 <= rows.shape[1] <= MOST_LANES:
        raise WorkbenchError(
            f"expected query [steps, lanes] of up to {MOST_STEPS} steps and {MOST_LANES} lanes, "
            f"but {rows.shape} came"
        )
    if any(each.shape != (len(rows),) for each in bars):
        raise WorkbenchError(
            f"expected keys and queries for {len(rows)} steps, but {bars[0].shape} and {bars[1].shape} came"
        )
    steps, lanes = rows.shape
    colour = np.where(rows < 0, 0, 1 + rows // lanes % len(TURNS))
    fig = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.62, 0.38])
    fig.add_heatmap(
        z=colour.T,
        colorscale=_discrete((FAINT, *TURNS)),
        zmin=-0.5,
        zmax=len(TURNS) + 0.5,
        showscale=False,
        hoverinfo="skip",
        xgap=1 if steps <= 100 else 0,
        ygap=1,
        row=1,
        col=1,
    )
    begun, numbers = _begun(rows)
    roomy = lanes <= 16 and steps <= ROOM * 16
    fig.add_scatter(
        x=begun[:, 0],
        y=begun[:, 1],
        mode="text" if roomy else "markers",
        text=[str(number) for number in numbers] if roomy else None,
        textfont={"size": 12, "color": "black"},
        textposition="middle right",
        marker={"size": 3, "color": "black"},
        showlegend=False,
        hoverinfo="skip",
        row=1,
        col=1,
    )
    for name, each, ink in zip(("keys", "queries"), bars, (BLUE, ORANGE), strict=True):
        fig.add_bar(
            x=np.arange(steps), y=each, name=name, marker={"color": ink, "line": {"width": 0}}, row=2, col=1
        )
    if limit is not None:
        fig.add_shape(type="line", x0=-0.5, x1=steps - 0.5, y0=limit, y1=limit, row=2, col=1)
    together = bars[0] + bars[1]
    top = max(float(together.max()), limit or 0) if most is None else most
    fig.update_yaxes(
        title_text="lane", autorange="reversed", showgrid=False, dtick=max(1, lanes // 8), row=1, col=1
    )
    fig.update_yaxes(title_text="new vectors", range=[0, 1.1 * top], row=2, col=1)
    fig.update_xaxes(range=[-0.5, steps - 0.5], showgrid=False)
    fig.update_xaxes(title_text="step", row=2, col=1)
    fig.update_layout(
        height=430, barmode="stack", bargap=0.1, margin={"t": 45}, legend={"traceorder": "normal"}
    )
    idle, many = float((rows < 0).mean()), f"{lanes} lane{'s' * (lanes > 1)}"
    said = (
        f"the busiest step needs {together.max():g} vectors from memory, the mean step {together.mean():.2f}"
    )
    return describe(
        fig,
        alt=f"{many} over {steps} steps: {len(numbers)} queries are begun, lanes are idle for "
        f"{idle:.0%} of the time, and {said}.",
        caption=caption or f"{many}: {said}.",
    )


def _begun(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(step, lane) of each beginning, and the number of the query."""
    before = np.vstack([np.full((1, rows.shape[1]), -1), rows[:-1]])
    places = np.argwhere((rows != before) & (rows >= 0))
    return places, rows[places[:, 0], places[:, 1]]


def _discrete(colours: tuple[str, ...]) -> list[list[object]]:
    """A colour scale of steps, one for each whole number."""
    n = len(colours)
    return [[(i + end) / n, colour] for i, colour in enumerate(colours) for end in (0, 1)]

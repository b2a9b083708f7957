"""Numbers as pairs of mantissa and exponent, on the line of exponents where a float32 has its ends."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.views.theme import ORANGE, SKY, describe, line

LEAST, MOST = -126, 128  # 2^-126 is the smallest float32 with all its digits; 2^128 is beyond the largest


def pair_line(
    numbers: tuple[ArrayLike, ArrayLike],
    sums: tuple[ArrayLike, ArrayLike] | None = None,
    *,
    caption: str | None = None,
) -> go.Figure:
    """Each number m * 2^n as a point: its exponent n across, its mantissa m upwards.

    numbers: (m [points], n [points]). sums: (M [sums], N [sums]), running sums in their order, joined by a
    line. The band is where a float32 can hold the number; left of it is 0, right of it overflow.
    """
    m, n = _pairs(numbers, "numbers")
    inside = int(((n >= LEAST) & (n < MOST)).sum())
    fig = go.Figure()
    fig.add_shape(
        type="rect",
        x0=LEAST,
        x1=MOST,
        y0=0,
        y1=1,
        yref="paper",
        fillcolor=SKY,
        opacity=0.2,
        line={"width": 0},
        layer="below",
    )
    fig.add_annotation(
        x=(LEAST + MOST) / 2,
        y=1,
        yref="paper",
        yanchor="bottom",
        text="a float32 holds these",
        font={"size": 12},
    )
    fig.add_scatter(
        x=n,
        y=m,
        mode="markers",
        name="each number",
        marker={"color": ORANGE, "size": 8, "symbol": "circle"},
        hovertemplate="%{y:.4g} · 2^%{x}<extra></extra>",
    )
    said = f"{len(m)} numbers with exponents from {n.min():g} to {n.max():g}, {inside} of them within float32"
    top = m.max()
    if sums is not None:
        M, N = _pairs(sums, "sums")
        top = max(top, M.max())
        fig.add_scatter(
            x=N,
            y=M,
            mode="lines+markers",
            name="their sum so far",
            line={**line("system"), "width": 1},
            marker={"color": line("system")["color"], "size": 6, "symbol": "diamond"},
            hovertemplate="%{y:.4g} · 2^%{x}<extra></extra>",
        )
        said += f"; the sum of all is {M[-1]:.3g} times 2 to the {N[-1]:g}"
    fig.update_layout(
        height=380,
        showlegend=True,
        legend={"y": 1.1},
        margin={"t": 70},
        xaxis={"title": {"text": "exponent n"}},
        yaxis={"title": {"text": "mantissa m"}, "range": [0, 1.1 * top]},
    )
    return describe(
        fig,
        alt=f"Pairs of mantissa and exponent: {said}.",
        caption=caption or f"{inside} of {len(m)} numbers lie where a float32 can hold them.",
    )


def _pairs(given: tuple[ArrayLike, ArrayLike], what: str) -> tuple[np.ndarray, np.ndarray]:
    m, n = (np.asarray(part, float) for part in given)
    if m.ndim != 1 or m.shape != n.shape or m.size == 0:
        raise WorkbenchError(
            f"{what} must be mantissas [points] and as many exponents, but {m.shape} and {n.shape} came"
        )
    if not (np.isfinite(m).all() and np.isfinite(n).all()):
        raise WorkbenchError(f"{what} must be finite pairs: leave out an empty sum (0, -inf)")
    return m, n

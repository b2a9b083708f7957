"""What a knob trades, as a curve, and the atoms of a dictionary at one of its places."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.views.pictures import pixel_axes
from workbench.views.theme import BLUE, DIVERGING, GREY, describe, mark
from workbench.views.words import listed

MOST = 6  # atoms in a row


def pareto_atoms(
    curve: Mapping[str, tuple[float, float]],
    atoms: ArrayLike,
    *,
    at: str,
    rivals: Mapping[str, tuple[float, float]] | None = None,
    x_title: str = "error of rebuilding (share)",
    y_title: str = "area under the curve",
    caption: str | None = None,
) -> go.Figure:
    """A curve of (x, y), one point for each place of a knob, and below it the atoms at the place `at`.

    curve: by name, in the order of the knob. atoms: [r, height, width], each drawn from minus to plus its
    largest entry. rivals: further points by name, in grey. Left is better and up is better; all places share
    the axes, so that turning the knob moves the ring alone.
    """
    maps, places = np.asarray(atoms, dtype=float), {**curve, **(rivals or {})}
    if at not in curve:
        raise WorkbenchError(f"at must be one of {', '.join(curve)}, but {at!r} came")
    if maps.ndim != 3 or not 1 <= len(maps) <= MOST or not np.isfinite(maps).all():
        raise WorkbenchError(
            f"atoms must be 1 to {MOST} finite maps [r, height, width], but shape {maps.shape} came"
        )
    count = len(maps)
    fig = make_subplots(
        2,
        count,
        specs=[[{"colspan": count}, *[None] * (count - 1)], [{}] * count],
        row_heights=[0.52, 0.48],
        vertical_spacing=0.18,
        subplot_titles=["", *(f"atom {number}" for number in range(1, count + 1))],
    )
    xs, ys = zip(*curve.values(), strict=True)
    style = mark("measured", BLUE, 7)
    fig.add_scatter(
        x=xs,
        y=ys,
        mode="lines+markers",
        line={"color": BLUE},
        marker=style,
        hovertext=list(curve),
        hoverinfo="text+x+y",
        row=1,
        col=1,
    )
    ring = {"symbol": "circle-open", "size": 17, "color": BLUE, "line": {"width": 3, "color": BLUE}}
    x, y = curve[at]
    fig.add_scatter(
        x=[x],
        y=[y],
        mode="markers+text",
        marker=ring,
        text=[f"  {at}"],
        textposition="middle right",
        textfont={"size": 13},
        hoverinfo="skip",
        cliponaxis=False,
        row=1,
        col=1,
    )
    for name, (x_rival, y_rival) in (rivals or {}).items():
        fig.add_scatter(
            x=[x_rival],
            y=[y_rival],
            mode="markers+text",
            marker=mark("measured", GREY, 9),
            text=[f"{name}  "],
            textposition="middle left",
            textfont={"size": 12},
            hoverinfo="text",
            hovertext=[name],
            cliponaxis=False,
            row=1,
            col=1,
        )
    corners = np.array(list(places.values()))
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.maximum(high - low, 1e-3)
    for axis, title, k, (before, after) in (("x", x_title, 0, (0.3, 0.4)), ("y", y_title, 1, (0.12, 0.12))):
        span = [low[k] - before * room[k], high[k] + after * room[k]]
        fig.update_layout({f"{axis}axis": {"title": {"text": title}, "range": span}})
    for number, atom in enumerate(maps, start=1):
        shown = np.round(atom / (np.abs(atom).max() or 1.0), 2)
        fig.add_heatmap(
            z=shown.astype(np.float32),
            zmin=-1,
            zmax=1,
            colorscale=DIVERGING,
            showscale=False,
            xgap=1,
            ygap=1,
            hovertemplate="row %{y}, column %{x}: %{z}<extra></extra>",
            row=2,
            col=number,
        )
        axes = pixel_axes(*atom.shape)
        fig.update_xaxes({**axes["xaxis"], "visible": False}, row=2, col=number)
        anchor = {"scaleanchor": f"x{number + 1}", "visible": False}
        fig.update_yaxes({**axes["yaxis"], **anchor}, row=2, col=number)
    fig.update_layout(height=520, showlegend=False)
    fig.update_annotations(font={"size": 13})
    said = [f"{name} ({x_one:.3g}, {y_one:.3g})" for name, (x_one, y_one) in places.items()]
    return describe(
        fig,
        alt=f"{y_title} over {x_title}: {listed(said)}. The ring is at {at}; below it are its {count} atoms "
        "as maps, blue above zero and brown below.",
        caption=caption or f"At {at}: {x_title} {x:.2g}, {y_title} {y:.2g}. Up and left is better.",
    )

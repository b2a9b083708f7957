"""How fast each tile of a kernel is, over its rows and vectors, with the register budget drawn in."""

from collections.abc import Mapping

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.theme import VERMILION, describe
from workbench.wasm import Tile


def tile_map(
    speeds: Mapping[Tile, float],
    *,
    registers: int = 16,
    limit: float | None = None,
    caption: str | None = None,
) -> go.Figure:
    """A heat map of Gflop/s: rows of the tile downwards, vectors across.

    speeds: by tile, at most one for each pair of rows and vectors. registers: tiles that need more are framed
    by dashes. limit: the top of the colours (default: the fastest). caption: what to notice; default the
    fastest tile within the budget, and of all.
    """
    places = {(tile.mr, tile.nv): speed for tile, speed in speeds.items()}
    if not speeds or len(places) < len(speeds):
        raise WorkbenchError(
            f"expected one speed for each pair of rows and vectors, but {len(speeds)} tiles of {len(places)} "
            f"pairs came"
        )
    rows, vectors = (sorted({pair[axis] for pair in places}) for axis in range(2))
    z = [[places.get((mr, nv)) for nv in vectors] for mr in rows]
    fig = go.Figure(
        go.Heatmap(
            z=z,
            x=[str(nv) for nv in vectors],
            y=[str(mr) for mr in rows],
            text=[["" if value is None else f"{value:.3g}" for value in line] for line in z],
            texttemplate="%{text}",
            hovertemplate="%{y} rows, %{x} vectors: %{z:.3g} Gflop/s<extra></extra>",
            colorscale="Cividis",
            zmin=0,
            zmax=limit or max(places.values()),
            colorbar={"title": {"text": "Gflop/s"}},
            xgap=4,
            ygap=4,
        )
    )
    beyond = [pair for pair in places if Tile(*pair).registers > registers]
    for mr, nv in beyond:
        x, y = vectors.index(nv), rows.index(mr)
        fig.add_shape(
            type="rect",
            x0=x - 0.46,
            x1=x + 0.46,
            y0=y - 0.44,
            y1=y + 0.44,
            line={"color": VERMILION, "width": 2, "dash": "dash"},
        )
    fig.update_layout(
        height=120 + 46 * len(rows),
        xaxis={"title": {"text": "vectors of four floats, across"}, "type": "category", "showgrid": False},
        yaxis={
            "title": {"text": "rows"},
            "type": "category",
            "autorange": "reversed",
            "showgrid": False,
        },
    )
    fits = {pair: speed for pair, speed in places.items() if pair not in beyond}
    best = _named(places)
    within = f"within {registers} registers {_named(fits)}" if fits else f"none fits {registers} registers"
    return describe(
        fig,
        alt=f"Heat map of {len(places)} tiles. The fastest is {best}; {within}. {len(beyond)} tiles need "
        f"more than {registers} registers and are framed by dashes.",
        caption=caption or f"Fastest of all: {best}; {within}. Dashes: more than {registers} registers.",
    )


def _named(places: Mapping[tuple[int, int], float]) -> str:
    mr, nv = max(places, key=lambda pair: places[pair])
    return f"{mr} × {nv} with {places[mr, nv]:.3g} Gflop/s"

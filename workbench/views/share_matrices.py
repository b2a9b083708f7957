"""Shares in two directions: how many of a row's tasks go well in each column."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.theme import describe

HALFWAY = 0.6  # above it, the colour is bright enough for dark text


def share_matrix(
    table: Mapping[str, Mapping[str, float]],
    *,
    title: str = "share",
    x_title: str = "",
    y_title: str = "",
    caption: str | None = None,
) -> go.Figure:
    """Row -> column -> share from 0 to 1, as coloured cells that also say their number.

    Columns are those of all rows, in the order in which they come; a share that a row does not have stays
    an empty cell.
    """
    if not table or not any(table.values()):
        raise WorkbenchError("a matrix of shares needs at least one row with a share, but none came")
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    shares = np.array([[row.get(column, np.nan) for column in columns] for row in table.values()])
    if np.nanmin(shares) < 0 or np.nanmax(shares) > 1:
        raise WorkbenchError(
            f"shares lie between 0 and 1, but {np.nanmin(shares):g} to {np.nanmax(shares):g} came"
        )
    fig = go.Figure(
        go.Heatmap(
            z=shares,
            x=columns,
            y=list(table),
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            colorbar={"title": {"text": title}},
            xgap=2,
            ygap=2,
            hovertemplate="%{y}, %{x}: %{z:.2f}<extra></extra>",
        )
    )
    for i, row in enumerate(table):
        for j, column in enumerate(columns):
            if not np.isnan(shares[i, j]):
                ink = "#000000" if shares[i, j] > HALFWAY else "#FFFFFF"
                fig.add_annotation(
                    x=column,
                    y=row,
                    text=f"{shares[i, j]:.2f}",
                    showarrow=False,
                    font={"size": 13, "color": ink},
                )
    fig.update_xaxes(title={"text": x_title}, showgrid=False, ticks="")
    fig.update_yaxes(title={"text": y_title}, autorange="reversed", showgrid=False, ticks="")
    fig.update_layout(height=(170 if x_title else 145) + 30 * len(table))
    best = {column: float(np.nanmean(shares[:, j])) for j, column in enumerate(columns)}
    told = "; ".join(f"{column}: {mean:.2f} on average" for column, mean in best.items())
    return describe(
        fig,
        alt=f"{title.capitalize()} for {len(table)} rows and {len(columns)} columns. {told}.",
        caption=caption or f"{title.capitalize()}. {told}.",
    )

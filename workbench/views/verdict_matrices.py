"""Who is rejected by whom: candidates in rows, judges or single rules in columns."""

from collections.abc import Mapping

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, ORANGE, describe

COLOURS = {"rejected": BLUE, "by this alone": ORANGE}
SYMBOLS = {"rejected": "square", "by this alone": "star"}


def verdict_matrix(
    rejected: Mapping[str, Mapping[str, bool]],
    *,
    alone: Mapping[str, str] | None = None,
    rows: str = "kernel",
    columns: str = "judge",
    caption: str | None = None,
) -> go.Figure:
    """Row -> column -> whether that column rejects that row, as a filled square or an empty place.

    alone: row -> the one column that the row needs; its square is a star. Rows may lack columns.
    rows, columns: what they are, for the axes.
    """
    if not rejected or not any(rejected.values()):
        raise WorkbenchError("a matrix of verdicts needs at least one row with a verdict, but none came")
    across = list(dict.fromkeys(column for row in rejected.values() for column in row))
    down, needed = list(rejected), dict(alone or {})
    places = [(row, column) for row in down for column in across if rejected[row].get(column)]
    fig = go.Figure()
    for name, star in (("rejected", False), ("by this alone", True)):
        shown = [(row, column) for row, column in places if (needed.get(row) == column) == star]
        fig.add_scatter(
            x=[across.index(column) for _, column in shown],
            y=[down.index(row) for row, _ in shown],
            text=[f"{row}<br>{column}" for row, column in shown],
            mode="markers",
            name=name,
            marker={"symbol": SYMBOLS[name], "color": COLOURS[name], "size": 12},
            showlegend=bool(needed),
            hovertemplate="%{text}: " + name + "<extra></extra>",
        )
    for axis, names, title, ends in (
        (fig.update_xaxes, across, columns, (-0.5, len(across) - 0.5)),
        (fig.update_yaxes, down, rows, (len(down) - 0.5, -0.5)),
    ):
        axis(range=ends, tickvals=list(range(len(names))), ticktext=names, title={"text": title})
    fig.update_xaxes(tickangle=-60)
    fig.update_layout(height=170 + 22 * len(down))
    passing = {c: sum(not row[c] for row in rejected.values() if c in row) for c in across}
    told = "; ".join(f"{column} lets {count} pass" for column, count in passing.items())
    return describe(
        fig,
        alt=f"A matrix of {len(down)} rows ({rows}) and {len(across)} columns ({columns}): {told}.",
        caption=caption or f"A square is a rejection. Of {len(down)}: {told}.",
    )

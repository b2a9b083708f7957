"""A search as a family tree: who came from whom, what it costs, and who was turned away."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, GREY, ORANGE, VERMILION, describe

STYLES = {
    "kept": ("circle", BLUE),
    "refused": ("x", VERMILION),
    "kept but wrong": ("triangle-down", ORANGE),
}


class Descendant(NamedTuple):
    """One candidate: its generation, its parent's number (None for the first), its cost or None where it has
    none, its fate (kept, refused, or kept by its judge but wrong) and a few words."""

    generation: int
    parent: int | None
    cost: float | None
    fate: str
    says: str = ""


def lineage(
    family: Sequence[Descendant],
    *,
    y_title: str = "cost (model cycles)",
    most: float | None = None,
    caption: str | None = None,
) -> go.Figure:
    """Generations to the right, cost upwards, a line from each kept candidate to its parent.

    family: in the order in which they came; a parent is a position in it. Refused candidates have no cost:
    they stand at the foot of the figure. The cheapest of all that were kept, right or wrong, is the winner:
    it has a ring, and the way to it is thick. most: the end of the axis, if several figures share it.
    """
    if not family or any(d.fate not in STYLES for d in family):
        raise WorkbenchError(f"a lineage needs candidates with a fate among {', '.join(STYLES)}")
    if any(d.parent is not None and not 0 <= d.parent < i for i, d in enumerate(family)):
        raise WorkbenchError("a parent must come before its child, but one does not")
    kept = [i for i, d in enumerate(family) if d.fate != "refused" and d.cost is not None]
    if not kept:
        raise WorkbenchError("a lineage needs at least one kept candidate with a cost, but none came")
    best = min(kept, key=lambda i: family[i].cost or 0.0)
    wrong, winning = family[best].fate != "kept", STYLES[family[best].fate][1]
    way = [best]
    while (parent := family[way[-1]].parent) is not None:
        way.append(parent)
    costs = [d.cost for d in family if d.cost is not None]
    top = most or 1.05 * max(costs)
    foot = -0.06 * top
    places = _places(family, foot)
    fig = go.Figure()
    for links, style in (
        ([i for i in kept if family[i].parent is not None], {"color": GREY, "width": 1}),
        (way[:-1], {"color": winning, "width": 3}),
    ):
        xs, ys = [], []
        for i in links:
            start, end = places[family[i].parent or 0], places[i]
            xs += [start[0], end[0], None]
            ys += [start[1], end[1], None]
        fig.add_scatter(x=xs, y=ys, mode="lines", line=style, hoverinfo="skip", showlegend=False)
    for fate, (symbol, colour) in STYLES.items():
        mine = [i for i, d in enumerate(family) if d.fate == fate]
        if mine:
            fig.add_scatter(
                x=[places[i][0] for i in mine],
                y=[places[i][1] for i in mine],
                mode="markers",
                name=f"{fate} ({len(mine)})",
                marker={"symbol": symbol, "color": colour, "size": 8},
                hovertext=[family[i].says or fate for i in mine],
                hoverinfo="text",
            )
    fig.add_scatter(
        x=[places[best][0]],
        y=[places[best][1]],
        mode="markers",
        name="winner",
        marker={"symbol": "circle-open", "color": winning, "size": 16, "line": {"width": 2}},
        hoverinfo="skip",
    )
    last = max(d.generation for d in family)
    fig.update_layout(
        height=360,
        xaxis={
            "title": {"text": "generation (its proposals side by side)"},
            "dtick": 1,
            "range": [-0.6, last + 0.6],
        },
        yaxis={"title": {"text": y_title}, "range": [1.8 * foot, top]},
    )
    first, least = family[way[-1]].cost or 0.0, family[best].cost or 0.0
    found = {fate: sum(d.fate == fate for d in family) for fate in STYLES}
    counts = ", ".join(f"{number} {fate}" for fate, number in found.items() if number)
    but = " The winner is wrong." if wrong else ""
    return describe(
        fig,
        alt=f"Family tree of {len(family)} candidates in {last} generations: {counts}. The winner costs "
        f"{least:.0f}, {len(way) - 1} steps after the first, which costs {first:.0f}.{but}",
        caption=caption or f"From {first:.0f} to {least:.0f} in {len(way) - 1} steps.{but}",
    )


def _places(family: Sequence[Descendant], foot: float) -> list[tuple[float, float]]:
    """Where each candidate stands; those of one generation side by side."""
    members: dict[int, list[int]] = {}
    for i, one in enumerate(family):
        members.setdefault(one.generation, []).append(i)
    places = [(0.0, 0.0)] * len(family)
    for generation, numbers in members.items():
        for rank, i in enumerate(numbers):
            aside = 0.7 * ((rank + 0.5) / len(numbers) - 0.5)
            cost = family[i].cost
            places[i] = (generation + aside, foot if cost is None else cost)
    return places

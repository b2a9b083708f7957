"""A cascade of Einsums as a graph: which tensor is made from which, coloured by the pass that makes it."""

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.views.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW, describe
from workbench.views.words import listed

if TYPE_CHECKING:  # drawing alone does not load the instrument
    from workbench.probes import Cascade, Passes

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
INPUT, NO_WALK, SHORT = "input", "no walk", "short walk"
ROW = 60  # pixels
Stop = str | tuple[str, str, int]  # a tensor, or where an arrow crosses a row: source, target, row


def cascade_graph(found: "Passes", rank: str = "m", *, caption: str | None = None) -> go.Figure:
    """One disc for each tensor, arrows from what it is made of, from the inputs above to the outputs below.

    found: of `probes.passes`. rank: the passes over this rank give the colours. A turning arrow in the name
    marks a tensor that is made step by step from itself; a ring around a disc, a short walk over one number
    for each block.
    """
    if rank not in found.counts:
        raise WorkbenchError(f"expected one of the ranks {', '.join(found.counts)}, but {rank!r} came")
    cascade = found.cascade
    paths, places = _layout(cascade)
    fig = go.Figure()
    for path in paths:
        stops = [places[stop] for stop in path]
        if len(stops) > 2:
            bends = [*stops[:-1], _between(stops[-2], stops[-1])]  # round, so that none looks like a tensor
            x, y = zip(*bends, strict=True)
            line = {"color": GREY, "width": 1.2, "shape": "spline"}
            fig.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
            stops = bends[-1:] + stops[-1:]
        fig.add_annotation(_arrow(stops[0], stops[-1], from_disc=len(path) == 2))
    discs = {stop: place for stop, place in places.items() if isinstance(stop, str)}
    groups: dict[str, list[str]] = {}
    for name in discs:
        groups.setdefault(_group(found, rank, name), []).append(name)
    for group in sorted(groups, key=lambda group: (group == NO_WALK, group != INPUT, group)):
        names = groups[group]
        colour = _colour(group)
        fig.add_scatter(
            x=[discs[name][0] for name in names],
            y=[discs[name][1] for name in names],
            name=group,
            mode="markers+text",
            text=[f"{name} ↻" if _turns(cascade, name) else name for name in names],
            textfont={"size": 12, "color": "#FFFFFF" if colour == BLUE else "#1A1A1A"},
            marker={
                "size": 42,
                "symbol": "square" if group == INPUT else "circle",
                "color": colour,
                "line": {"width": 0},
            },
            hovertext=[_told(found, rank, name) for name in names],
            hoverinfo="text",
            cliponaxis=False,
        )
    if ringed := [name for name in discs if _short(found, rank, name)]:
        fig.add_scatter(
            x=[discs[name][0] for name in ringed],
            y=[discs[name][1] for name in ringed],
            name=SHORT,
            mode="markers",
            marker={"size": 50, "symbol": "circle-open", "color": GREY, "line": {"width": 3}},
            hoverinfo="skip",
            cliponaxis=False,
        )
    across = max(abs(x) for x, _ in places.values()) + 0.6
    depth = max(-y for _, y in places.values())
    fig.update_layout(
        height=int(110 + ROW * (depth + 1)),
        margin={"l": 10, "r": 10, "t": 60, "b": 10},
        legend={"itemsizing": "constant"},
        xaxis={"visible": False, "range": [-across, across]},
        yaxis={"visible": False, "range": [-depth - 0.6, 0.6]},
    )
    count = found.counts[rank]
    passes = f"{count} pass{'es' * (count != 1)} over {rank}"
    said = "; ".join(f"{group}: {listed(names)}" for group, names in groups.items())
    if ringed:
        said += f"; {SHORT}: {listed(ringed)}"
    waits = [name for name in cascade.made if any("another walk" in why for why in _whys(found, rank, name))]
    return describe(
        fig,
        alt=f"Graph of the cascade {cascade.name!r}, {passes}. {said}. "
        + (f"A new pass begins at {listed(waits)}." if waits else "No Einsum begins a new pass."),
        caption=caption or f"{cascade.name}: {passes}.",
    )


def _edges(cascade: "Cascade") -> list[tuple[str, str]]:
    """From what is read to what is made, leaving out what only hands on from step to step."""
    last = {one.name: number for number, one in enumerate(cascade.einsums)}
    inputs = dict.fromkeys(cascade.inputs, -1)
    found = (
        (access.name, one.name)
        for one in cascade.einsums
        for access in one.reads
        if access.name in inputs or last.get(access.name, len(last)) < last[one.name]
    )
    return list(dict.fromkeys(found))


def _layout(cascade: "Cascade") -> tuple[list[list[Stop]], dict[Stop, tuple[float, float]]]:
    """Where each tensor stands, and the stops of each arrow: one in every row that it crosses."""
    edges = _edges(cascade)
    row: dict[Stop, int] = dict.fromkeys((*cascade.inputs, *cascade.made), 0)
    for name in sorted(cascade.made, key=lambda name: max(map(cascade.einsums.index, cascade.makers(name)))):
        row[name] = max((row[source] + 1 for source, target in edges if target == name), default=0)
    for name in cascade.inputs:  # just above the first that reads it
        row[name] = min((row[target] - 1 for source, target in edges if source == name), default=0)
    paths: list[list[Stop]] = []
    for source, target in edges:
        between: list[Stop] = [(source, target, level) for level in range(row[source] + 1, row[target])]
        row |= {stop: row[source] + 1 + number for number, stop in enumerate(between)}
        paths.append([source, *between, target])
    return paths, _across(row, paths)


def _across(row: dict[Stop, int], paths: list[list[Stop]]) -> dict[Stop, tuple[float, float]]:
    """Within its row, everything stands near to the middle of what leads to it; arrows need less room."""
    steps = [step for path in paths for step in pairwise(path)]
    x: dict[Stop, float] = {}
    for level in range(max(row.values()) + 1):
        stops = [stop for stop in row if row[stop] == level]
        above = {stop: [x[a] for a, b in steps if b == stop] for stop in stops}
        middle = {stop: sum(xs) / len(xs) if xs else 0.6 for stop, xs in above.items()}
        stops.sort(key=middle.__getitem__)
        widths = [1.0 if isinstance(stop, str) else 0.55 for stop in stops]
        right = list(accumulate(widths))
        for stop, edge, width in zip(stops, right, widths, strict=True):
            x[stop] = edge - width / 2 - right[-1] / 2
    return {stop: (x[stop], -float(level)) for stop, level in row.items()}


def _between(source: tuple[float, float], target: tuple[float, float]) -> tuple[float, float]:
    return 0.6 * source[0] + 0.4 * target[0], 0.6 * source[1] + 0.4 * target[1]


def _arrow(source: tuple[float, float], target: tuple[float, float], *, from_disc: bool) -> dict[str, object]:
    return {
        "x": target[0],
        "y": target[1],
        "ax": source[0],
        "ay": source[1],
        "xref": "x",
        "yref": "y",
        "axref": "x",
        "ayref": "y",
        "showarrow": True,
        "text": "",
        "arrowhead": 2,
        "arrowwidth": 1.2,
        "arrowcolor": GREY,
        "standoff": 22,
        "startstandoff": 20 if from_disc else 0,
    }


def _texts(found: "Passes", name: str) -> list[str]:
    return [one.text for one in found.cascade.makers(name)]


def _whys(found: "Passes", rank: str, name: str) -> list[str]:
    return [found.why[rank][text] for text in _texts(found, name)]


def _group(found: "Passes", rank: str, name: str) -> str:
    if name in found.cascade.inputs:
        return INPUT
    label = max(found.labels[rank][text] for text in _texts(found, name))
    return f"pass {label}" if label else NO_WALK


def _colour(group: str) -> str:
    return COLOURS[(int(group.split()[1]) - 1) % len(COLOURS)] if group.startswith("pass") else "#BBBBBB"


def _turns(cascade: "Cascade", name: str) -> bool:
    return any(one.iterative for one in cascade.makers(name))


def _short(found: "Passes", rank: str, name: str) -> bool:
    return any("a short walk" in why for why in _whys(found, rank, name))


def _told(found: "Passes", rank: str, name: str) -> str:
    lines = [f"{text}<br>{found.why[rank][text]}" for text in _texts(found, name)]
    return "<br>".join(lines) or f"{name}, an input"

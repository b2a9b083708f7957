"""Real social networks as arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._card import Card, DataSet
from ._files import shipped


def _sources() -> list[Path]:
    return [shipped("networkx", "generators", "social.py")]  # the tables stand in the source itself


def _arrays(generator: str, label: Callable[[dict[str, Any]], int] | None = None) -> dict[str, NDArray[Any]]:
    import networkx

    graph = getattr(networkx, generator)()
    arrays = {
        "adjacency": networkx.to_numpy_array(graph, dtype=np.float32),
        "nodes": np.array([str(node) for node in graph]),
    }
    if label is not None:
        arrays["labels"] = np.array([label(graph.nodes[node]) for node in graph], dtype=np.int64)
    return arrays


def karate() -> dict[str, NDArray[Any]]:
    """`adjacency`: float32 [34, 34]; `nodes`: str [34]; `labels`: int64 [34], 0 Mr. Hi, 1 Officer."""
    return _arrays("karate_club_graph", lambda node: int(node["club"] == "Officer"))


def les_miserables() -> dict[str, NDArray[Any]]:
    """`adjacency`: float32 [77, 77]; `nodes`: str [77]."""
    return _arrays("les_miserables_graph")


def florentine() -> dict[str, NDArray[Any]]:
    """`adjacency`: float32 [15, 15]; `nodes`: str [15]."""
    return _arrays("florentine_families_graph")


def davis() -> dict[str, NDArray[Any]]:
    """`adjacency`: float32 [32, 32]; `nodes`: str [32]; `labels`: int64 [32], 0 a woman, 1 an event."""
    return _arrays("davis_southern_women_graph", lambda node: node["bipartite"])


def _data_set(
    name: str,
    load: Callable[[], Any],
    size: int,
    title: str,
    origin: str,
    units: str,
    good_for: str,
    labelled: bool = False,
) -> DataSet:
    shapes = {"adjacency": f"float32 [{size}, {size}]", "nodes": f"str [{size}]"}
    if labelled:
        shapes["labels"] = f"int64 [{size}]"
    card = Card(
        name=name,
        title=title,
        origin=origin,
        licence="unknown; networkx, which carries the table, is BSD-3-Clause",
        shapes=shapes,
        units=units,
        good_for=good_for,
        sources=_sources,
    )
    return DataSet(card, load)


# fmt: off
DATA_SETS = [
    _data_set("karate", karate, 34, "Zachary's karate club",
              "W. Zachary, An information flow model for conflict and fission in small groups, 1977, table 3",
              "node, node; weight: contexts in which two members met, 0 for no edge; "
              "label: the club after the split, 0 Mr. Hi, 1 Officer",
              "communities with a known answer, graph kernels, diffusion", labelled=True),
    _data_set("les-miserables", les_miserables, 77, "Characters of Les Misérables",
              "D. Knuth, The Stanford GraphBase, 1993",
              "node, node; weight: chapters in which two characters appear together, 0 for no edge",
              "weighted graphs, spectral layout, centrality"),
    _data_set("florentine", florentine, 15, "Marriages of Florentine families",
              "R. Breiger and P. Pattison, Cumulated social roles, Social Networks 8, 1986",
              "node, node; 1 for a marriage between two families, 0 for none",
              "graphs small enough to print every matrix"),
    _data_set("davis", davis, 32, "Southern women and the events they attended",
              "A. Davis, B. B. Gardner and M. R. Gardner, Deep South, 1941",
              "node, node; 1 where a woman attended an event, 0 elsewhere; label: 0 a woman, 1 an event",
              "bipartite graphs, co-occurrence, low rank", labelled=True),
]
# fmt: on

"""The family tree of a search: its lines, its way to the best, and what it refuses."""

import pytest

from workbench import views
from workbench.errors import WorkbenchError
from workbench.views import Descendant

FAMILY = [
    Descendant(0, None, 100.0, "kept", "first"),
    Descendant(1, 0, 80.0, "kept"),
    Descendant(1, 0, None, "refused", "memory"),
    Descendant(2, 1, 75.0, "kept but wrong"),
    Descendant(2, 1, 70.0, "kept", "best"),
]


def test_the_way_to_the_cheapest_kept_candidate_is_thick():
    fig = views.lineage(FAMILY)
    thin, thick = fig.data[:2]
    assert [y for y in thick.y if y is not None] == [80.0, 70.0, 100.0, 80.0]
    assert len([y for y in thin.y if y is not None]) == 6
    assert "costs 70" in fig.layout.meta["alt"]
    assert "2 steps" in fig.layout.meta["alt"]
    names = {trace.name for trace in fig.data[2:]}
    assert names == {"kept (3)", "refused (1)", "kept but wrong (1)", "winner"}


def test_a_wrong_kernel_that_was_kept_can_win():
    family = [*FAMILY, Descendant(3, 3, 50.0, "kept but wrong")]
    fig = views.lineage(family)
    thick, ring = fig.data[1], fig.data[-1]
    assert [y for y in thick.y if y is not None] == [75.0, 50.0, 80.0, 75.0, 100.0, 80.0]
    assert tuple(ring.y) == (50.0,)
    assert ring.marker.color != views.lineage(FAMILY).data[-1].marker.color
    assert "The winner is wrong." in fig.layout.meta["alt"]
    assert "wrong" not in views.lineage(FAMILY).layout.meta["caption"]


def test_refused_candidates_stand_at_the_foot_and_nobody_stands_on_another():
    fig = views.lineage(FAMILY, most=200)
    refused = next(trace for trace in fig.data if trace.name == "refused (1)")
    assert refused.y[0] < 0
    assert fig.layout.yaxis.range[0] < refused.y[0]
    assert fig.layout.yaxis.range[1] == 200
    places = [(x, y) for trace in fig.data[2:-1] for x, y in zip(trace.x, trace.y, strict=True)]
    assert len(set(places)) == len(FAMILY)


@pytest.mark.parametrize(
    "family",
    [
        [],
        [Descendant(0, None, 1.0, "lost")],
        [Descendant(0, 0, 1.0, "kept")],
        [Descendant(0, None, None, "kept")],
    ],
)
def test_what_is_no_family_is_refused(family):
    with pytest.raises(WorkbenchError, match=r"lineage|parent"):
        views.lineage(family)

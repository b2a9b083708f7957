"""Costs, errors and ideals: what is drawn where."""

import pytest

from workbench import Quantity, views
from workbench.errors import WorkbenchError


def point(cost, error, ideal):
    return Quantity(cost, "flop", "formula"), error, ideal


POINTS = {
    "all": point(1e6, 0.1, 0.05),
    "some": point(1e5, 0.2, 0.14),
    "none": point(1e4, 0.51, 0.5),
}
TITLES = {"cost_title": "work (flop)", "error_title": "error"}


def test_a_row_for_each_and_a_line_to_the_ideal():
    fig = views.ideal_gap(POINTS, groups={name: "x" if name == "none" else "y" for name in POINTS}, **TITLES)
    assert [trace.name for trace in fig.data] == ["y", "y", "x", "x"]
    assert fig.layout.yaxis.ticktext == ("none", "some", "all")  # the cheapest first
    cost, error = fig.data[:2]
    assert (cost.x, cost.y) == ((1e5, 1e6), (1, 2))
    assert error.x == (0.2, 0.1)
    assert cost.marker.symbol == "circle-open"
    line, dash = fig.layout.shapes[:2]
    assert (line.x0, line.x1, line.y0, line.xref) == (0.1, 0.05, 2, "x2")
    assert (dash.x0, dash.x1) == (0.05, 0.05)
    assert fig.layout.meta["caption"].endswith("Nearest to its own: none.")
    assert "some 100 kflop, 0.2, ideal 0.14" in fig.layout.meta["alt"]


def test_a_family_keeps_its_colour_whoever_is_drawn():
    groups = {"all": "x", "none": "y"}
    both = views.ideal_gap({name: POINTS[name] for name in groups}, groups=groups, **TITLES)
    alone = views.ideal_gap({"none": POINTS["none"]}, groups=groups, **TITLES)
    assert {trace.marker.color for trace in alone.data} == {both.data[2].marker.color}
    assert both.data[0].marker.color != both.data[2].marker.color


def test_figures_can_share_their_axes():
    one, other = (
        views.ideal_gap({name: POINTS[name]}, cost_span=(1e3, 1e7), error_span=(0.1, 1), **TITLES)
        for name in ("all", "none")
    )
    assert one.layout.xaxis.range == other.layout.xaxis.range == (3, 7)
    assert one.layout.xaxis2.ticktext == ("0.1", "0.2", "0.5", "1")
    assert one.layout.xaxis.ticktext == ("1 k", "10 k", "100 k", "1 M", "10 M")


def test_what_cannot_be_drawn():
    with pytest.raises(WorkbenchError, match="at least one point"):
        views.ideal_gap({}, **TITLES)
    with pytest.raises(WorkbenchError, match="need positive numbers, but 'free' has"):
        views.ideal_gap({"free": point(0.0, 1, 1)}, **TITLES)
    many = {str(i): point(1.0 + i, 1, 1) for i in range(9)}
    with pytest.raises(WorkbenchError, match="up to 8 families, but 9 came"):
        views.ideal_gap(many, groups={name: name for name in many}, **TITLES)

"""Costs, errors and ideals: what is drawn where, and that names do not cover each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import Quantity, views
from workbench.errors import WorkbenchError
from workbench.views.ideal_gaps import LINE, spread_out


def point(cost, error, ideal):
    return Quantity(cost, "flop", "formula"), error, ideal


POINTS = {
    "all": point(1e6, 0.1, 0.05),
    "some": point(1e5, 0.2, 0.14),
    "others": point(1.1e5, 0.21, 0.2),
    "none": point(1e4, 0.51, 0.5),
}
TITLES = {"x_title": "work (flop)", "y_title": "error"}


def test_a_mark_and_a_line_down_to_the_ideal():
    fig = views.ideal_gap(POINTS, groups={name: "x" if name == "none" else "y" for name in POINTS}, **TITLES)
    assert [trace.name for trace in fig.data] == ["y", "x"]
    assert fig.data[0].x == (1e6, 1e5, 1.1e5)
    assert fig.data[0].marker.symbol == "circle-open"
    down, dash = fig.layout.shapes[:2]
    assert (down.x0, down.y0, down.y1) == (1e6, 0.1, 0.05)
    assert (dash.y0, dash.y1) == (0.05, 0.05)
    assert np.sqrt(dash.x0 * dash.x1) == pytest.approx(1e6)
    assert fig.layout.meta["caption"].endswith("Nearest to its own: none.")
    assert "some 100 kflop, 0.2, ideal 0.14" in fig.layout.meta["alt"]
    assert {note.text for note in fig.layout.annotations} == set(POINTS)
    assert [note.xanchor for note in fig.layout.annotations if note.text in ("all", "none")] == [
        "left",
        "right",
    ]


def test_figures_can_share_their_axes():
    one, other = (
        views.ideal_gap({name: POINTS[name]}, x_span=(1e3, 1e7), y_span=(0.01, 1), **TITLES)
        for name in ("all", "none")
    )
    assert one.layout.xaxis.range == other.layout.xaxis.range == (3, 7)
    assert one.layout.yaxis.ticktext == ("0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1")


@given(st.lists(st.floats(0, 400), max_size=14))
def test_names_do_not_cover_each_other_and_move_no_more_than_needed(places):
    places = sorted(places)
    moved = spread_out(places, LINE)
    assert np.all(np.diff(moved) >= LINE - 1e-6)
    if np.all(np.diff(places) >= LINE):
        np.testing.assert_allclose(moved, places, atol=1e-6)
    if places:
        assert np.mean(moved) == pytest.approx(np.mean(places), abs=1e-6)


def test_what_cannot_be_drawn():
    with pytest.raises(WorkbenchError, match="at least one point"):
        views.ideal_gap({}, **TITLES)
    with pytest.raises(WorkbenchError, match="need positive numbers, but 'free' has"):
        views.ideal_gap({"free": point(0.0, 1, 1)}, **TITLES)
    many = {str(i): point(1.0 + i, 1, 1) for i in range(9)}
    with pytest.raises(WorkbenchError, match="up to 8 families, but 9 came"):
        views.ideal_gap(many, groups={name: name for name in many}, **TITLES)

"""The waterfall: where its bars stand, how wide its intervals are, what it says."""

import numpy as np
import pytest
from scipy import stats

from workbench.errors import WorkbenchError
from workbench.views.ladders import ladder

RUNGS = {"start": [70.0, 72.0, 74.0], "one": [75.0, 74.0, 79.0], "two": [73.0, 75.0, 74.0]}


def test_bars_run_from_mean_to_mean():
    fig = ladder(RUNGS, x_title="% right")
    bars = next(trace for trace in fig.data if trace.type == "bar")
    assert list(bars.base) == pytest.approx([72, 76])
    assert list(bars.x) == pytest.approx([4, -2])
    assert list(bars.y) == ["one", "two"]
    assert bars.marker.color[0] != bars.marker.color[1]


def test_intervals_are_those_of_the_paired_change():
    fig = ladder(RUNGS, x_title="% right")
    change = np.array(RUNGS["one"]) - np.array(RUNGS["start"])
    low, high = stats.t.interval(0.95, 2, change.mean(), stats.sem(change))
    assert fig.data[2].error_x.array[0] == pytest.approx((high - low) / 2)


def test_it_says_what_it_shows():
    fig = ladder(RUNGS, x_title="% right", groups={"training": ["one"], "architecture": ["two"]})
    assert fig.layout.meta["caption"] == "In all: training +4.0, architecture -2.0."
    assert "from start at 72.0 to 74.0, 3 repetitions" in fig.layout.meta["alt"]
    assert ladder(RUNGS, x_title="% right").layout.meta["caption"] == "The longest step is one: +4.0."
    assert list(fig.layout.yaxis.categoryarray) == list(RUNGS)


def test_the_same_everywhere_is_a_flat_ladder():
    fig = ladder({"a": [1.0, 1.0], "b": [1.0, 1.0]}, x_title="x")
    assert fig.data[1].x[0] == 0


@pytest.mark.parametrize(
    "rungs", [{}, {"a": [1, 2]}, {"a": [1], "b": [2]}, {"a": 1, "b": 2}, {"a": [1, np.nan], "b": [1, 2]}]
)
def test_impossible_ladders_are_a_sentence(rungs):
    with pytest.raises(WorkbenchError, match="a ladder needs"):
        ladder(rungs, x_title="x")


def test_groups_name_rungs():
    with pytest.raises(WorkbenchError, match="groups must name rungs"):
        ladder(RUNGS, x_title="x", groups={"g": ["three"]})

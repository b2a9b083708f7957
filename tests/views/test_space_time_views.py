"""Lanes against steps: what is drawn, what is said, what is refused."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError

QUERY = np.array([[0, -1], [0, 1], [2, 1], [2, -1]])


def test_it_marks_beginnings_and_says_the_busiest_step():
    fig = views.space_time(QUERY, [1, 1, 1, 1], queries=[1, 1, 1, 0], limit=2)
    heat, marks, keys, queries = fig.data
    assert heat.z.shape == (2, 4)
    assert (heat.z[:, 0] == [1, 0]).all()
    assert list(zip(marks.x, marks.y, marks.text, strict=True)) == [(0, 0, "0"), (1, 1, "1"), (2, 0, "2")]
    assert list(keys.y) == [1, 1, 1, 1]
    assert list(queries.y) == [1, 1, 1, 0]
    assert "3 queries are begun, lanes are idle for 25%" in fig.layout.meta["alt"]
    assert "the busiest step needs 2 vectors" in fig.layout.meta["caption"]
    assert fig.layout.shapes[0].y0 == 2
    assert fig.layout.yaxis.autorange == "reversed"


def test_many_lanes_get_dots_and_one_step_is_no_trouble():
    many = np.tile(np.arange(40), (300, 1))
    fig = views.space_time(many, np.ones(300), queries=np.zeros(300))
    assert fig.data[1].mode == "markers"
    assert len(fig.data[1].x) == 40
    assert views.space_time([[0]], [1], queries=[1]).layout.meta["caption"].startswith("1 lane:")


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((401, 2)), np.zeros((2, 65)), np.zeros((0, 2))])
def test_what_is_no_schedule_is_a_sentence(wrong):
    with pytest.raises(WorkbenchError, match=r"expected query \[steps, lanes\]"):
        views.space_time(wrong, [1], queries=[1])
    with pytest.raises(WorkbenchError, match="expected keys and queries for 4 steps"):
        views.space_time(QUERY, [1], queries=[1])

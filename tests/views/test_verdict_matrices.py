"""Verdicts in cells: who rejects whom, and who alone does."""

import pytest

from workbench import views
from workbench.errors import WorkbenchError

REJECTED = {"zeros": {"weak": True, "whole": True}, "tail": {"weak": False, "whole": True}}


def test_every_rejection_is_a_mark_and_the_lenient_judge_is_named():
    fig = views.verdict_matrix(REJECTED)
    squares, stars = fig.data
    assert list(zip(squares.x, squares.y, strict=True)) == [(0, 0), (1, 0), (1, 1)]
    assert len(stars.x) == 0
    assert list(fig.layout.xaxis.ticktext) == ["weak", "whole"]
    assert "weak lets 1 pass; whole lets 0 pass" in fig.layout.meta["alt"]


def test_a_star_marks_the_one_column_that_a_row_needs():
    squares, stars = views.verdict_matrix(REJECTED, alone={"tail": "whole"}).data
    assert list(zip(stars.x, stars.y, strict=True)) == [(1, 1)]
    assert (1, 1) not in zip(squares.x, squares.y, strict=True)


def test_a_matrix_in_which_nobody_rejects_still_names_all():
    fig = views.verdict_matrix({"zeros": {"blind": False}})
    assert list(fig.layout.yaxis.ticktext) == ["zeros"]
    assert not fig.data[0].x


@pytest.mark.parametrize("nothing", [{}, {"zeros": {}}])
def test_no_verdicts_are_refused(nothing):
    with pytest.raises(WorkbenchError, match="at least one row"):
        views.verdict_matrix(nothing)

"""Predicted against measured: every pair is a mark, and the diagonal is that of a perfect model."""

import pytest

from workbench import views
from workbench.errors import WorkbenchError


def test_every_pair_is_a_mark():
    fig = views.predictions({"a": [(1e-3, 2e-3), (1.0, 1.0)], "b": [(0.1, 0.1)]}, caption="Near the line.")
    assert [list(zip(trace.x, trace.y, strict=True)) for trace in fig.data] == [
        [(1e-3, 2e-3), (1.0, 1.0)],
        [(0.1, 0.1)],
    ]
    assert {fig.layout.xaxis.type, fig.layout.yaxis.type} == {"log"}
    line = fig.layout.shapes[0]
    assert (line.x0, line.x1) == (line.y0, line.y1)
    assert "3 cases" in fig.layout.meta["alt"]
    assert fig.layout.meta["caption"] == "Near the line."


@pytest.mark.parametrize("pairs", [{}, {"a": []}, {"a": [(0.0, 1.0)]}])
def test_what_has_no_logarithm_is_refused(pairs):
    with pytest.raises(WorkbenchError, match="above 0"):
        views.predictions(pairs, caption="")

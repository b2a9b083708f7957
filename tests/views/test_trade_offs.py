"""Costs against errors, and many small fields: what is drawn, and what is said of it."""

import numpy as np
import pytest

from workbench import Quantity, views
from workbench.errors import WorkbenchError


def point(cost, error, **ends):
    return Quantity(cost, "s", "formula"), Quantity(error, "%", "counted", **ends)


def test_the_line_joins_what_nothing_beats():
    points = {
        "dear and good": point(4.0, 1.0),
        "cheap": point(1.0, 3.0, low=2.0, high=5.0),
        "beaten": point(2.0, 3.0),
        "twin": point(4.0, 1.0),
    }
    fig = views.trade_off(points, x_title="time (s)", y_title="wrong (%)")
    assert "Nothing beats cheap, dear and good and twin." in fig.layout.meta["caption"]
    assert fig.layout.shapes[0].path == "M1,3L4,1L4,1"
    assert fig.data[1].error_y.array == (2.0,)
    assert fig.data[1].error_y.arrayminus == (1.0,)
    assert [trace.marker.symbol for trace in fig.data] == ["circle"] * 4
    assert [trace.textposition for trace in fig.data] == [
        "middle right",  # its twin lies on it
        "middle left",  # the nearest one is dearer
        "middle right",
        "middle right",
    ]
    with pytest.raises(WorkbenchError, match="at least one point"):
        views.trade_off({}, x_title="x", y_title="y")


def test_small_fields_say_how_wide_they_are():
    spot, cross = np.zeros((9, 9)), np.zeros((9, 9))
    spot[4, 4] = 1
    cross[4], cross[:, 4] = 1, 1
    fig = views.field_grid({"spot": spot, "cross": cross}, exact={"cross": ((0, 8), (0, 8))}, columns=2)
    assert [title.text for title in fig.layout.annotations] == ["spot: 1", "cross: 5"]
    assert "exact field all of it" in fig.layout.meta["alt"]
    assert not fig.layout.shapes
    boxed = views.field_grid({"spot": spot}, exact={"spot": ((3, 5), (2, 6))})
    assert (boxed.layout.shapes[0].x0, boxed.layout.shapes[0].y1) == (1.5, 5.5)


def test_small_fields_have_one_size_and_are_not_too_many():
    with pytest.raises(WorkbenchError, match="one size"):
        views.field_grid({"a": np.ones((3, 3)), "b": np.ones((4, 3))})
    with pytest.raises(WorkbenchError, match="1 to 12 maps, but 0 came"):
        views.field_grid({})

"""Shares in cells: every number is drawn, said and in range."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError


def test_every_share_is_drawn_and_said():
    fig = views.share_matrix({"loss": {"numba": 1.0, "cuda": 0.25}, "index": {"numba": 0.0}}, title="passed")
    (cells,) = fig.data
    assert list(cells.x) == ["numba", "cuda"]
    assert list(cells.y) == ["loss", "index"]
    np.testing.assert_array_equal(np.array(cells.z, float), [[1.0, 0.25], [0.0, np.nan]])
    assert [note.text for note in fig.layout.annotations] == ["1.00", "0.25", "0.00"]
    assert (cells.zmin, cells.zmax) == (0, 1)
    assert "numba: 0.50 on average; cuda: 0.25 on average" in fig.layout.meta["alt"]


def test_text_stands_out_from_its_cell():
    fig = views.share_matrix({"a": {"x": 1.0, "y": 0.0}})
    bright, dark = fig.layout.annotations
    assert bright.font.color == "#000000"
    assert dark.font.color == "#FFFFFF"


@pytest.mark.parametrize("table", [{}, {"a": {}}, {"a": {"x": 1.5}}, {"a": {"x": -0.1}}])
def test_what_is_no_share_is_refused(table):
    with pytest.raises(WorkbenchError, match="share"):
        views.share_matrix(table)

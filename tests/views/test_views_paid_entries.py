"""The sorted row: order, who pays, floor, and the words for those who cannot see it."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError


def test_entries_are_sorted_by_the_exact_weight_and_coloured_by_who_pays():
    exact, found = np.array([0.1, 0.6, 0.3, 0.0]), np.array([0.2, 0.6, 0.2, 0.0])
    fig = views.paid_entries(exact, found, [False, True, False, False])
    line, kept, features = fig.data
    np.testing.assert_allclose(line.y, [0.6, 0.3, 0.1, 1e-6])
    np.testing.assert_allclose(kept.y, [0.6])
    np.testing.assert_allclose(features.x, [2, 3, 4])
    np.testing.assert_allclose(features.y, [0.2, 0.2, 1e-6])
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert fig.layout.meta["caption"].startswith("1 of 4 entries are kept exactly, with 60% of the weight")
    assert f"{error:.2f}" in fig.layout.meta["alt"]
    assert fig.layout.xaxis.title.text
    assert fig.layout.yaxis.title.text


def test_all_rows_have_one_axis():
    ranges = {
        views.paid_entries(w, w, np.zeros(3, bool)).layout.yaxis.range
        for w in (np.ones(3) / 3, np.array([1, 1e-9, 0]))
    }
    assert len(ranges) == 1


@pytest.mark.parametrize(
    ("exact", "found", "pays", "needs"),
    [
        (np.ones(3), np.ones(2), np.ones(3), "shapes"),
        (np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2)), "shapes"),
        (np.ones(0), np.ones(0), np.ones(0), "shapes"),
        (np.array([1, np.nan]), np.ones(2), np.ones(2), "finite"),
    ],
)
def test_what_is_no_row_is_refused(exact, found, pays, needs):
    with pytest.raises(WorkbenchError, match=needs):
        views.paid_entries(exact, found, pays)

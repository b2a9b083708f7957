"""A picture beside what was chosen for its patches."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError


def test_equal_numbers_have_equal_colours_and_all_are_told():
    grids = {"one": [[0, 11], [3, 3]], "other": np.array([[3, 1], [2, 11]])}
    fig = views.patch_choices(np.eye(4), grids, caption="Two choices.")
    assert [t.type for t in fig.data] == ["image", "heatmap", "heatmap"]
    colours = np.stack([fig.data[1].z, fig.data[2].z])
    assert colours.tolist() == [[[2, 1], [0, 0]], [[0, 3], [4, 1]]]  # what comes often first, then by number
    assert [a.text for a in fig.layout.annotations] == ["the picture", "one", "other"]
    assert "one: 0 11; 3 3. other: 3 1; 2 11" in fig.layout.meta["alt"]


def test_only_what_comes_often_has_a_colour():
    fig = views.patch_choices(np.eye(2), {"many": [[*range(9), 8]]}, caption="Nine.")
    colours = fig.data[1].z[0]
    assert colours[8] == colours[9] == 0
    assert sorted(colours[:5]) == [1, 2, 3, 4, 5]
    assert set(colours[5:8]) == {6}


@pytest.mark.parametrize(
    "wrong", [{}, {"a": [[0.5]]}, {"a": [1, 2]}, {"a": [[-1]]}, {key: [[1]] for key in "abcd"}]
)
def test_what_is_no_grid_is_a_sentence(wrong):
    with pytest.raises(WorkbenchError, match="expected 1 to 3 grids"):
        views.patch_choices(np.eye(2), wrong, caption="?")

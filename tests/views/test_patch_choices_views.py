"""A picture beside what was chosen for its patches."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError


def test_equal_numbers_have_equal_colours_and_all_are_told():
    grids = {"one": [[0, 11], [3, 3]], "other": np.array([[3, 1], [2, 0]])}
    fig = views.patch_choices(np.eye(4), grids, caption="Two choices.")
    assert [t.type for t in fig.data] == ["image", "heatmap", "heatmap"]
    assert fig.data[1].z[0][1] == fig.data[1].z[1][0] == fig.data[2].z[0][0]  # 11 repeats the colour of 3
    assert [a.text for a in fig.layout.annotations] == ["the picture", "one", "other"]
    assert "one: 0 11; 3 3. other: 3 1; 2 0" in fig.layout.meta["alt"]


@pytest.mark.parametrize(
    "wrong", [{}, {"a": [[0.5]]}, {"a": [1, 2]}, {"a": [[-1]]}, {key: [[1]] for key in "abcd"}]
)
def test_what_is_no_grid_is_a_sentence(wrong):
    with pytest.raises(WorkbenchError, match="expected 1 to 3 grids"):
        views.patch_choices(np.eye(2), wrong, caption="?")

"""A query on a photograph: which pixels are clear, yellow, dark and dotted, and what the text says."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.kernels.neighborhood_windows import Neighborhood
from workbench.views import painted_neighborhood
from workbench.views.neighborhoods import HALO, OUTSIDE, QUERY, TILE, WINDOW

PHOTOGRAPH = np.linspace(0, 1, 48 * 36).reshape(48, 36)


def tokens(painting, patch=3):
    """The mark of a corner of every patch: dots lie in the middle."""
    return painting.marks[::patch, ::patch]


def test_marks_are_window_halo_and_the_rest():
    geometry = Neighborhood.of((16, 12), 3)
    painting = painted_neighborhood(PHOTOGRAPH, geometry, (5, 6), (4, 4))
    marks = tokens(painting)
    assert (marks == WINDOW).sum() == 8
    assert np.isin(marks[4:7, 5:8], [WINDOW, QUERY]).all()
    assert marks[5, 6] == QUERY
    assert (marks != OUTSIDE).sum() == 6 * 6  # a tile of 4 and a window of 3
    assert (painting.marks == QUERY).sum() == 3 * 3
    assert (painting.marks == TILE).sum() == 15
    assert "3 × 3 keys" in painting.caption
    assert "2.25 scores" not in painting.caption  # that would be without the borders of windows
    assert f"{16 * 36 / (16 * 9):.3g} scores" in painting.caption


def test_a_corner_shifts_and_dilation_scatters():
    geometry = Neighborhood.of((16, 12), (3, 5), dilation=(2, 1))
    marks = tokens(painted_neighborhood(PHOTOGRAPH, geometry, (0, 0), (2, 2)))
    rows, columns = np.nonzero(np.isin(marks, [WINDOW, QUERY]))
    assert sorted(set(rows.tolist())) == [0, 2, 4]
    assert sorted(set(columns.tolist())) == [0, 1, 2, 3, 4]
    assert not np.isin(marks[1::2], [WINDOW, HALO]).any()


def test_a_coloured_picture_keeps_its_colours():
    picture = np.random.default_rng(0).random((48, 36, 3))
    painting = painted_neighborhood(picture, Neighborhood.of((16, 12), 3), (5, 6), (4, 4))
    clear = painting.marks == WINDOW
    np.testing.assert_array_equal(painting.rgb[clear], painting.pixels[clear])
    assert painting.pixels.shape == picture.shape


@pytest.mark.parametrize(
    ("space", "sentence"),
    [((16,), "two axes, but a neighbourhood on .16,. came"), ((16, 16), "whole patches of 3 pixels or more")],
)
def test_a_slip_gets_one_sentence(space, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        painted_neighborhood(PHOTOGRAPH, Neighborhood.of(space, 3), (0, 0), (2, 2))

"""A picture in two layers: marks are checked, small when baked, and mixed as `Painting.rgb` mixes them."""

import json

import numpy as np
import pytest
from workbench_widgets import Picture, bake, explore, unbake

from workbench import views
from workbench.errors import WorkbenchError

PHOTO = np.random.default_rng(0).random((48, 48, 3))
COLOURS = np.array([[0, 0, 0, 0], [255, 0, 0, 255]], np.uint8)


@explore(top=range(0, 40, 4))
def box(top=0):
    return views.painted_field(PHOTO, ((top, top + 5), (top, 30)))


def test_an_explorer_draws_a_painting():
    painting = box()
    (part,) = box.frame()
    assert (part["kind"], part["alt"], part["scale"]) == ("picture", painting.alt, painting.scale)
    assert part["over"]["colours"] == painting.colours.tolist()


def test_what_lies_below_is_baked_once():
    baked = bake(box)
    below = len(json.dumps(baked["frame"]))
    assert baked["baked"]["bytes"] < below / 2, "ten states of marks, not ten photographs"
    for state in [(0,), (3,), (9,)]:
        assert unbake(baked["frame"], baked["baked"]["data"], state) == box.frame(state)


def test_an_opaque_colour_covers_and_a_clear_one_does_not():
    painting = views.Painting(np.full((1, 2), 40, np.uint8), np.array([[0, 1]], np.uint8), COLOURS, "", "", 1)
    assert painting.rgb.tolist() == [[[40, 40, 40], [255, 0, 0]]]


@pytest.mark.parametrize(
    ("marks", "colours", "sentence"),
    [
        (np.zeros((2, 3), np.uint8), COLOURS, r"shape \[2, 2\] .* uint8 \[2, 3\]"),
        (np.full((2, 2), 2, np.uint8), COLOURS, "below 2, one of the colours; .* up to 2 came"),
        (np.zeros((2, 2)), COLOURS, "marks must be uint8 .* float64"),
        (np.zeros((2, 2), np.uint8), COLOURS[:, :3], r"colours must be uint8 of shape \[colours, 4\]"),
        (np.zeros((2, 2), np.uint8), None, "colours must be uint8"),
    ],
)
def test_marks_that_do_not_fit_are_named(marks, colours, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        Picture(np.zeros((2, 2)), marks=marks, colours=colours).part()

"""Painted fields: every pixel's mark follows from the fields, and the words say the same numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from workbench import views
from workbench.errors import WorkbenchError
from workbench.layers import conv_stack
from workbench.probes import EffectiveField, effective_field, receptive_field
from workbench.views.painted import EXACT, GLOW, SEEN, SHADE, SHADED, SQUARE, STEPS

PHOTO = np.random.default_rng(0).random((40, 48, 3))
NET = conv_stack(5, 3, 4)
BOX = ((14, 26), (18, 30))  # of the middle output


def field_of(map, center):
    map = np.asarray(map, dtype=float)
    return EffectiveField(map, center, (0, 0), map[None])


def bell(shape, center, width=3.0):
    rows, columns = (np.arange(n) - c for n, c in zip(shape, center, strict=True))
    return field_of(np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * width**2)), center)


def framed(marks, mark):
    """What lies strictly inside a line of this mark: its first and last row, first and last column."""
    rows, columns = np.nonzero(marks == mark)
    return rows.min() + 1, rows.max() - 1, columns.min() + 1, columns.max() - 1


def test_the_line_runs_around_the_exact_field_and_all_else_is_shaded():
    painted = views.painted_field(PHOTO, receptive_field(NET, (1, 3, 40, 48)))
    assert framed(painted.marks, EXACT) == (14, 26, 18, 30)
    assert (painted.marks[14:27, 18:31] == SEEN).all()
    outside = np.ones((40, 48), bool)
    outside[13:28, 17:32] = False
    assert (painted.marks[outside] == SHADED).all()
    np.testing.assert_array_equal(painted.pixels, np.rint(255 * PHOTO))
    np.testing.assert_allclose(painted.rgb[outside], 255 * (1 - SHADE) * PHOTO[outside], atol=1.5)
    assert "rows 14 to 26 and columns 18 to 30, 13 by 13 pixels, 8.8 %" in painted.alt
    assert painted.caption == "The output can see 13 × 13 of 40 × 48 pixels."


def test_a_box_and_a_traced_field_are_painted_alike():
    field = receptive_field(NET, (1, 3, 40, 48))
    np.testing.assert_array_equal(
        views.painted_field(PHOTO, field).marks, views.painted_field(PHOTO, BOX).marks
    )


def test_the_glow_follows_the_root_of_the_gradient():
    images = torch.randn(2, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    seen = effective_field(NET, images)
    painted = views.painted_field(PHOTO, BOX, seen)
    lines = np.isin(painted.marks, (EXACT, SQUARE))
    steps = np.where(painted.marks >= GLOW, painted.marks.astype(int) - GLOW + 1, 0)
    root = STEPS * np.sqrt(seen.map / seen.map.max())
    assert (np.abs(steps - root)[~lines] <= 0.5 + 1e-9).all()
    assert (painted.marks[seen.map == 0] < GLOW).all()
    light = painted.colours[GLOW:].astype(int)
    assert len(light) == STEPS
    assert (np.diff(light[:, 3]) > 0).all()
    assert (np.diff(light[:, :3].sum(axis=1)) > 0).all()


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(float, (10, 13), elements=st.floats(0, 1)).filter(lambda map: map.sum() > 1e-3),
    st.tuples(st.integers(0, 9), st.integers(0, 12)),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.25, 0.5, 0.9]),
)
def test_the_square_holds_the_share_and_the_next_smaller_one_does_not(map, place, between, share):
    wide = np.pad(map, 15)  # so that no square reaches the edge
    field = field_of(wide, tuple(15 + at + between for at in place))
    painted = views.painted_field(np.zeros(wide.shape), None, field, share=share)
    top, bottom, left, right = framed(painted.marks, SQUARE)
    assert (top + bottom, left + right) == tuple(2 * at for at in field.center)
    assert bottom - top == right - left
    enough = share * wide.sum()
    assert wide[top : bottom + 1, left : right + 1].sum() >= enough * (1 - 1e-6)
    assert wide[top + 1 : bottom, left + 1 : right].sum() < enough
    side = bottom - top + 1
    assert f"lies in {side} × {side} of 40 × 43 pixels" in painted.caption


def test_a_field_at_the_edge_is_cut_and_says_so():
    field = receptive_field(NET, (1, 3, 40, 48))
    painted = views.painted_field(PHOTO, field, position=(0, 0))
    assert (painted.marks[0, :7] == EXACT).all(), "the line stays on the picture"
    assert "rows 0 to 6 and columns 0 to 6" in painted.alt
    assert "Its field of 13 by 13 pixels runs over the edge." in painted.alt
    everything = receptive_field(nn.Sequential(NET, nn.AdaptiveAvgPool2d(1)), (1, 3, 40, 48))
    whole = views.painted_field(PHOTO, everything)
    assert SHADED not in whole.marks
    assert "100 % of it" in whole.alt


def test_without_an_exact_field_nothing_is_shaded():
    painted = views.painted_field(PHOTO, None, bell((40, 48), (20, 24)))
    assert not np.isin(painted.marks, (SEEN, SHADED, EXACT)).any()
    assert painted.caption.startswith("50 % of what moves the output lies in ")
    assert views.painted_field(PHOTO, None).caption == "Nothing is known of what the output sees."


def test_a_large_image_is_painted_in_blocks_and_says_so():
    photo = np.linspace(0, 1, 200 * 130).reshape(200, 130)
    painted = views.painted_field(photo, ((30, 89), (60, 61)), bell((200, 130), (60, 60), 9), most=96)
    assert painted.marks.shape == painted.pixels.shape == (67, 44)
    assert abs(painted.pixels[-1, -1] - 255 * photo[198:, 129:].mean()) <= 0.5, "smaller blocks at the edge"
    assert framed(painted.marks, EXACT) == (10, 29, 20, 20)
    assert "can see 60 × 2 of 200 × 130 pixels" in painted.caption
    assert painted.caption.endswith("One pixel of the picture is 3 × 3 of the image.")
    assert painted.scale * 67 <= 420


def test_a_grey_photograph_is_painted_in_colour():
    grey = views.painted_field(PHOTO[..., 0], BOX)
    colour = views.painted_field(np.stack([PHOTO[..., 0]] * 3, axis=-1), BOX)
    assert grey.pixels.ndim == 2
    np.testing.assert_array_equal(grey.rgb, colour.rgb)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: views.painted_field(PHOTO, BOX, np.ones((4, 4))), "must have the image's shape"),
        (lambda: views.painted_field(PHOTO, BOX, np.zeros((40, 48))), "nothing moves this output"),
        (lambda: views.painted_field(PHOTO, (None, (1, 2))), "of a box, but"),
        (lambda: views.painted_field(PHOTO, BOX, most=2), "at least 8 pixels a side, but most=2 came"),
        (lambda: views.painted_field(PHOTO * 2, BOX), "values from 0 to 1"),
    ],
)
def test_a_slip_is_one_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()

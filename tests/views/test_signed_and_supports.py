"""Signed maps and shapes of supports: what is drawn, what is said, what is refused."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from workbench import views
from workbench.errors import WorkbenchError


def test_a_signed_map_has_zero_in_the_middle_of_its_colours():
    fig = views.signed_picture([[-1.0, 0.5], [0.25, 0.0]], name="gate")
    heat = fig.data[0]
    assert (heat.zmin, heat.zmax) == (-1, 1)
    np.testing.assert_allclose(heat.z, [[-1, 0.5], [0.25, 0]], atol=1e-6)
    assert "from -1 to 0.5, 50 % of it above zero" in fig.layout.meta["alt"]
    assert fig.layout.yaxis.range[0] > fig.layout.yaxis.range[1]  # row 0 on top


def test_an_unsigned_map_spans_its_own_range_and_zeros_are_no_trouble():
    assert views.signed_picture(np.arange(6.0).reshape(2, 3), signed=False).data[0].zmin is None
    assert views.signed_picture(np.zeros((1, 1))).data[0].zmax == 1


@pytest.mark.parametrize("wrong", [np.zeros(3), np.full((2, 2), np.nan), np.zeros((0, 2))])
def test_what_is_no_map_is_a_sentence(wrong):
    with pytest.raises(WorkbenchError, match=r"expected a map \[height, width\]"):
        views.signed_picture(wrong)


def cross(size=9):
    map = np.zeros((size, size))
    map[size // 2, 1:-1] = map[2:-2, size // 2] = 1e-9
    map[size // 2, size // 2] = 4.0
    return map


def test_supports_tell_share_and_size_and_leave_the_rest_empty():
    fig = views.supports({"cross": cross(), "square": np.ones((9, 9))})
    titles = [a.text for a in fig.layout.annotations]
    assert titles == ["cross: 31 % of 5 × 7", "square: 100 % of 9 × 9"]
    box = fig.layout.shapes[0]
    assert (box.x0, box.x1, box.y0, box.y1) == (0.5, 7.5, 1.5, 6.5)
    pixels = np.array(Image.open(BytesIO(base64.b64decode(fig.data[0].source.split(",")[1]))))
    np.testing.assert_array_equal(pixels[..., 3] > 0, cross() > 0)
    assert "cross sees 31 % of 5 × 7" in fig.layout.meta["alt"]


@pytest.mark.parametrize("wrong", [{}, {"a": np.zeros((3, 3))}, {"a": np.ones((3, 3)), "b": np.ones((2, 3))}])
def test_supports_refuse_nothing_seen_and_different_sizes(wrong):
    with pytest.raises(WorkbenchError, match="with something seen"):
        views.supports(wrong)

"""What a page shows without script: the pixels themselves, and sketches that put marks where values say."""

import base64
import io
import re
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from workbench_widgets import Picture
from workbench_widgets.frames import frame_of, plain

from workbench.book.stills import picture_png, sketch, still


def part_of(shown):
    return plain(frame_of(shown), 6)[0]


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3), (1, 1)])
def test_a_picture_comes_out_pixel_by_pixel(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    png = np.asarray(Image.open(io.BytesIO(picture_png(part_of(Picture(pixels, alt="noise"))))))
    np.testing.assert_array_equal(png, pixels)


def test_what_lies_over_a_picture_is_mixed_in():
    marks = np.array([[0, 1]], np.uint8)
    colours = np.array([[0, 0, 0, 0], [255, 0, 0, 255]], np.uint8)
    picture = Picture(np.full((1, 2), 100, np.uint8), alt="two", marks=marks, colours=colours)
    png = np.asarray(Image.open(io.BytesIO(picture_png(part_of(picture)))))
    assert png.tolist() == [[[100, 100, 100], [255, 0, 0]]]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=15, unique=True))
def test_points_keep_their_order_on_the_page(values):
    drawn = sketch(part_of(go.Figure(go.Scatter(y=values, mode="markers"))))
    heights = [float(y) for y in re.findall(r'cy="([-0-9.]+)"', drawn)]
    assert len(heights) == len(values)
    for (a, b), (above, below) in zip(pairwise(values), pairwise(heights), strict=True):
        assert (a < b) == (above > below) or above == below


def test_stacked_bars_stand_on_each_other():
    figure = go.Figure([go.Bar(x=["a"], y=[1]), go.Bar(x=["a"], y=[2])], layout={"barmode": "stack"})
    (low, first), (high, second) = re.findall(
        r'y="([0-9.]+)" width="[0-9.]+" height="([0-9.]+)"', sketch(part_of(figure))
    )[:2]
    assert float(second) == pytest.approx(2 * float(first), abs=0.2)
    assert float(high) + float(second) == pytest.approx(float(low), abs=0.2)


def test_a_gap_in_a_line_is_a_gap():
    drawn = sketch(part_of(go.Figure(go.Scatter(y=[1, None, 2, 3], mode="lines"))))
    assert re.search(r'd="M[^ML]+M[^ML]+L[^ML]+" fill="none"', drawn)


def test_a_heat_map_is_grey_by_value_with_the_first_row_at_the_bottom():
    drawn = sketch(part_of(go.Figure(go.Heatmap(z=[[0, 1], [2, 4]]))))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(re.search('base64,([^"]+)', drawn)[1]))))
    assert pixels.tolist() == [[127, 255], [0, 63]]


@pytest.mark.parametrize(
    "figure",
    [
        go.Figure(go.Surface(z=[[1, 2], [3, 4]])),
        go.Figure([go.Bar(x=[1], y=[1], xaxis="x2")], layout={"xaxis2": {"title": {"text": "b"}}}),
        go.Figure(go.Bar(x=[1], y=["a"], orientation="h")),
        go.Figure(go.Heatmap(z=[[1, 2]], x=[0.1, 0.7])),
        go.Figure(go.Scatter(y=[0, -1]), layout={"yaxis": {"type": "log"}}),
        go.Figure(),
    ],
)
def test_what_cannot_be_sketched_is_left_to_its_words(figure):
    part = {**part_of(figure), "alt": "the words"}
    assert sketch(part) == ""
    assert still(part) == '<p class="wb-alt">the words</p>'

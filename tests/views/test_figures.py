"""Figures carry what they should: words, axes, true pixels, few bytes."""

import base64
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from workbench import views
from workbench.errors import WorkbenchError
from workbench.layers import conv_stack, spread
from workbench.probes import cost, effective_field, receptive_field
from workbench.quantity import Quantity
from workbench.views.fields import _heat
from workbench.views.words import listed

PHOTO = np.random.default_rng(0).random((40, 48, 3))
IMAGES = torch.randn(2, 3, 40, 48, generator=torch.Generator().manual_seed(0))
NET = conv_stack(5, 3, 4)
EXACT = receptive_field(NET, (1, 3, 40, 48))
EFFECTIVE = effective_field(NET, IMAGES)


def named(fig) -> dict:
    return {shape.name: shape for shape in fig.layout.shapes}


def words(fig) -> str:
    assert set(fig.layout.meta) == {"alt", "caption"}
    assert "\n" not in fig.layout.meta["caption"]
    return fig.layout.meta["alt"]


def pixels_of(trace) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(trace.source.split(",")[1]))))


# the field on a photograph


def test_the_box_surrounds_exactly_the_pixels_that_are_seen():
    fig = views.receptive_field(PHOTO, EXACT, effective=EFFECTIVE)
    box = named(fig)["exact field"]
    assert (box.y0, box.y1, box.x0, box.x1) == (13.5, 26.5, 17.5, 30.5)
    assert "rows 14 to 26 and columns 18 to 30, 13 by 13 pixels" in words(fig)
    assert f"within {EFFECTIVE.radius():g} pixels" in words(fig)
    square = named(fig)["50 % of the gradient"]
    assert square.x1 - square.x0 == 2 * EFFECTIVE.radius() + 1
    assert fig.layout.yaxis.scaleanchor == "x"
    assert fig.layout.yaxis.range[0] > fig.layout.yaxis.range[1]  # row 0 on top


def test_the_photograph_is_stored_pixel_by_pixel():
    fig = views.receptive_field(PHOTO, EXACT)
    np.testing.assert_array_equal(pixels_of(fig.data[0]), np.round(PHOTO * 255))
    grey = views.receptive_field(PHOTO[..., 0], ((0, 3), (2, 2)))
    np.testing.assert_array_equal(pixels_of(grey.data[0]), np.round(PHOTO[..., 0] * 255))
    assert all(trace.zsmooth is False for trace in fig.data)
    assert "rows 0 to 3 and columns 2 to 2, 4 by 1 pixels" in words(grey)


def test_a_field_that_runs_over_the_edge_says_so():
    fig = views.receptive_field(PHOTO, EXACT, position=(0, 0))
    assert "rows 0 to 6" in words(fig)
    assert "Its field of 13 by 13 pixels runs over the edge." in words(fig)
    everything = receptive_field(nn.Sequential(NET, nn.AdaptiveAvgPool2d(1)), (1, 3, 40, 48))
    assert "100 % of the image" in words(views.receptive_field(PHOTO, everything))


def test_the_overlay_is_clear_where_nothing_is():
    fig = views.receptive_field(PHOTO, EXACT, effective=EFFECTIVE)
    alpha = pixels_of(fig.data[1])[..., 3]
    assert (alpha[EFFECTIVE.map == 0] == 0).all()
    assert alpha[np.unravel_index(EFFECTIVE.map.argmax(), alpha.shape)] == alpha.max() > 200


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((PHOTO * 255, EXACT), "values from 0 to 1"),
        ((PHOTO[0, 0], EXACT), "an image must be"),
        ((PHOTO, ((0, 3), None)), "first and last row"),
        ((PHOTO, EXACT, np.ones((3, 3))), "must have the image's shape"),
    ],
)
def test_bad_pictures_are_a_sentence(arguments, sentence):
    image, field, *effective = arguments
    with pytest.raises(WorkbenchError, match=sentence):
        views.receptive_field(image, field, effective=effective[0] if effective else None)


# maps


def test_maps_of_one_comparison_share_colours_and_say_their_numbers():
    wide = effective_field(conv_stack(13, 1, 4), IMAGES)
    fig = views.effective_map({"deep": EFFECTIVE, "wide": wide}, exact={"deep": EXACT})
    heats = [trace for trace in fig.data if trace.type == "heatmap"]
    assert {heat.coloraxis for heat in heats} == {"coloraxis"}
    for heat in heats:
        assert np.asarray(heat.z).sum() == pytest.approx(100, rel=0.01)
    assert f"deep: 50 % of the gradient within {EFFECTIVE.radius():g} pixels" in words(fig)
    assert f"deviation {wide.moments.std[0]:.3g} down" in words(fig)
    assert words(fig).count("exact field 13 by 13") == 1
    assert sum(shape.name == "one standard deviation" for shape in fig.layout.shapes) == 2
    assert sum(shape.showlegend is True for shape in fig.layout.shapes) == 3


def test_the_ellipse_lies_one_standard_deviation_out():
    line = np.zeros((21, 31))
    line[10, 5:26] = 1
    path = named(views.effective_map(line))["one standard deviation"].path
    points = np.array([point.split(",") for point in path[1:-1].split("L")], float)
    std = ((21**2 - 1) / 12) ** 0.5
    assert np.ptp(points[:, 0]) == pytest.approx(2 * std, rel=1e-3)
    assert points[:, 1] == pytest.approx(10)


def test_large_maps_are_summed_in_blocks_and_say_so():
    big = np.random.default_rng(1).random((224, 300))
    heat = _heat(big, 3)
    z = np.asarray(heat.z)
    assert z.shape == (75, 100)
    assert z[0, 0] == pytest.approx(100 * big[:3, :3].sum() / big.sum(), rel=0.005)
    assert (heat.x0, heat.dx) == (1, 3)
    fig = views.effective_map(big)
    assert fig.layout.coloraxis.colorbar.title.text == "% per 3 × 3 pixels"
    assert len(fig.to_json()) < 200_000


@pytest.mark.parametrize("size", [224])
def test_figures_are_light(size):
    # smooth like a photograph; white noise does not compress
    rows, columns = np.indices((size, size)) / size
    photo = np.stack([rows, columns, 0.5 + 0.4 * np.sin(9 * rows * columns)], axis=2)
    map = np.exp(-((rows - 0.5) ** 2 + (columns - 0.5) ** 2) * 40)
    assert len(views.receptive_field(photo, ((50, 180), (50, 180)), effective=map).to_json()) < 200_000
    assert len(views.effective_map({"a": map, "b": map}).to_json()) < 200_000


def test_one_to_four_maps():
    with pytest.raises(WorkbenchError, match="one to four maps, but 5 came"):
        views.effective_map({str(i): EFFECTIVE for i in range(5)})
    with pytest.raises(WorkbenchError, match="zero everywhere"):
        views.effective_map(np.zeros((3, 3)))


# lines, bars, tables


def test_growth_has_marks_intervals_and_laws():
    depths = [1, 4, 9]
    law = [spread(3, n) for n in depths]
    measured = views.Series([1, 2, 3.1], [0.9, 1.8, 3], [1.2, 2.1, 3.3], role="system", provenance="measured")
    fig = views.growth(depths, {"3 × 3": measured, "reach": [3, 9, 19]}, ideals={"root law": law})
    line = fig.data[0]
    assert line.marker.symbol == "square"
    np.testing.assert_allclose(line.error_y.array, [0.2, 0.1, 0.2])
    np.testing.assert_allclose(line.error_y.arrayminus, [0.1, 0.2, 0.1])
    assert fig.data[1].marker.symbol == "circle-open"
    assert named(fig)["root law"].line.color is None
    assert "3 × 3 goes from 1 to 3.1 (measured)" in words(fig)
    assert fig.layout.meta["caption"] == "At 9 layers: 3.1 for 3 × 3 and 19 for reach."
    with pytest.raises(WorkbenchError, match="'short' must have 3 values"):
        views.growth(depths, {"short": [1]})
    with pytest.raises(WorkbenchError, match="at least one series"):
        views.growth(depths, {})


def test_cost_bars_say_where_numbers_come_from():
    costs = {"wide": cost(conv_stack(13, 1, 4), (1, 3, 16, 16)), "deep": cost(NET, (1, 3, 16, 16))}
    time = {
        name: Quantity(0.01, "s", "measured", 0.009, 0.012, machine="here", when="today") for name in costs
    }
    fig = views.cost_bars(costs, also={"time (s)": time}, roles={"wide": "system", "deep": "baseline"})
    bars = [trace for trace in fig.data if trace.type == "bar"]
    marks = [trace for trace in fig.data if trace.type == "scatter"]
    assert list(bars[0].x) == [cost.parameters.value for cost in costs.values()]
    assert len(set(bars[0].marker.color)) == 2
    assert set(marks[0].marker.symbol) == {"circle-open"}
    marks, numbers = marks[::2], marks[1::2]
    assert set(marks[3].marker.symbol) == {"square"}
    np.testing.assert_allclose(marks[3].error_x.array, 0.002)
    np.testing.assert_allclose(numbers[3].x, 0.012)  # beyond the whisker
    assert numbers[3].text[0].strip() == "10 ms"
    assert "wide 2.03 thousand" in words(fig)
    assert "○ formula and ■ measured" in fig.layout.meta["caption"]
    titles = [getattr(fig.layout, f"xaxis{n}").title.text for n in ("", 2, 3, 4)]
    assert titles == ["parameters", "multiply-adds", "bytes moved", "time (s)"]
    for bad in ({"measures": ["watts"]}, {"also": {"time": {"wide": time["wide"]}}}):
        with pytest.raises(WorkbenchError):
            views.cost_bars(costs, **bad)
    with pytest.raises(WorkbenchError, match="at least one cost"):
        views.cost_bars({})


def test_tables_are_html_and_text():
    rows = [
        {"layer": "<a>", "size": 12345, "part": 0.123456, "cost": Quantity(5, "B", "formula")},
        {"layer": "b", "size": None, "part": True},
    ]
    shown = views.table(rows, caption="Layers & sizes")
    html = shown._repr_html_()
    assert "<caption>Layers &amp; sizes</caption>" in html
    assert '<th scope="row" style="text-align:left">&lt;a&gt;</th>' in html
    assert "12\u202f345" in html
    assert "○\u00a05\u00a0B" in html  # mark, number and unit stay together
    assert html.count("–") == 2
    assert "0.1235" in str(shown)
    assert views.table(rows, ["size"], caption="c").columns == ("size",)
    with pytest.raises(WorkbenchError, match="no row has a column 'height'"):
        views.table(rows, ["height"], caption="c")
    with pytest.raises(WorkbenchError, match="at least one row"):
        views.table([], caption="c")
    views.table(EXACT.rows(), caption="Layers")._repr_html_()


def test_lists_in_words():
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_every_drawn_axis_has_a_title():
    costs = {"wide": cost(NET, (1, 3, 16, 16))}
    for fig in (
        views.receptive_field(PHOTO, EXACT, effective=EFFECTIVE),
        views.effective_map({"a": EFFECTIVE, "b": EFFECTIVE}),
        views.growth([1, 2], {"a": [1, 2]}),
        views.cost_bars(costs),
    ):
        for axis in [*fig.select_xaxes(), *fig.select_yaxes()]:
            assert axis.title.text or axis.showticklabels is False

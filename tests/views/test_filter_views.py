"""Figures of filters say what was found, keep zero in the middle of signed colours, and mark the null."""

import numpy as np
import plotly.io as pio
import pytest
import torch
from torch import nn

from workbench import views
from workbench.errors import WorkbenchError
from workbench.probes import (
    FilterWatch,
    components,
    filter_quality,
    orientations,
    shifts,
    spectrum,
    watch_filters,
)
from workbench.views.theme import DIVERGING

SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def some(n=400, k=(3, 3), seed=0, tilt=0.0):
    stream = np.random.default_rng(seed)
    X = stream.normal(size=(n, *k))
    return X + tilt * stream.normal(size=(n, *[1] * len(k))) * np.linspace(-1, 1, k[-1])


def words(fig) -> str:
    assert set(fig.layout.meta) == {"alt", "caption"}
    assert "\n" not in fig.layout.meta["caption"]
    assert "nan" not in fig.layout.meta["alt"].lower()
    assert len(fig.to_json()) < 200_000
    assert fig.layout.template == pio.templates["workbench"]
    return fig.layout.meta["alt"]


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 5, groups=8), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 3)
    )


# Patterns


def test_eigenfilters_share_one_range_with_zero_in_the_middle():
    found = components(some(tilt=2.0))
    fig = views.eigenfilters(found)
    assert [trace.type for trace in fig.data] == ["heatmap"] * 9
    colours = fig.layout.coloraxis
    assert colours.cmin == -colours.cmax
    assert colours.cmax == pytest.approx(np.abs(found.eigenfilters).max())
    assert [stop for stop, _ in colours.colorscale] == [stop for stop, _ in DIVERGING]
    np.testing.assert_allclose(fig.data[2].z, found.eigenfilters[2], atol=1e-3)
    assert fig.layout.annotations[0].text == f"1<br>{100 * found.ratios[0]:.0f} %"
    assert fig.layout.yaxis3.range[0] > fig.layout.yaxis3.range[1]  # row 0 on top
    assert fig.layout.yaxis3.scaleanchor == "x3"
    assert "9 patterns of 3 by 3 weights" in words(fig)
    assert f"{found.needed(0.9)} of 9 patterns explain 90 %" in fig.layout.meta["caption"]


def test_eigenfilters_of_one_dimension_and_of_large_kernels():
    line = views.eigenfilters(components(some(k=(7,))), most=3)
    assert np.shape(line.data[0].z) == (3, 7)
    assert "3 patterns of 7 weights" in words(line)
    assert len(views.eigenfilters(components(some(k=(7, 7))), most=5).data) == 5
    assert len(views.eigenfilters(components(some(k=(2, 2)))).data) == 4
    with pytest.raises(WorkbenchError, match="1 to 12 patterns, but most=13 came"):
        views.eigenfilters(components(some()), most=13)
    with pytest.raises(WorkbenchError, match="one or two dimensions"):
        views.eigenfilters(components(some(k=(2, 2, 2))))


def test_ridges_are_densities_of_the_common_range():
    plain, tilted = some(1000), some(500, tilt=3.0, seed=1)
    along = components(np.concatenate([plain, tilted]))
    fig = views.coefficient_ridges({"plain": plain, "tilted": tilted}, along)
    assert len(fig.data) == 18
    assert [trace.showlegend for trace in fig.data].count(True) == 2
    first = fig.data[0]
    assert (min(first.x), max(first.x)) == (
        pytest.approx(along.low, abs=0.05),
        pytest.approx(along.high, abs=0.05),
    )
    tops = [max(fig.data[0].y), max(fig.data[9].y)]
    assert max(tops) == pytest.approx(8.92)  # the higher one of both fills the first ridge
    heights = np.array(first.y[1:-1]) - 8
    counts = along.histograms(plain)[0]
    np.testing.assert_allclose(heights / heights.sum(), counts / counts.sum(), atol=1e-3)
    spread = along.coefficients(tilted)[:, 0].std()
    assert f"tilted: {spread:.2g}" in words(fig)
    with pytest.raises(WorkbenchError, match="one to four populations, but 0 came"):
        views.coefficient_ridges({}, along)


# Shifts


def test_a_matrix_of_shifts_marks_the_null():
    kinds = {
        "digits": [some(800, seed=i) for i in range(3)],
        "faces": [some(800, seed=i + 10) for i in range(3)],
        "waves": [some(800, seed=i + 20, tilt=2.0) for i in range(3)],
    }
    found = shifts(kinds, resamples=40)
    fig = views.shift_matrix(found)
    heat, rings = fig.data
    assert heat.zmin == 0
    assert heat.zmax == pytest.approx(np.nanmax(found.matrix()))
    assert sorted(zip(rings.x, rings.y, strict=True)) == [("digits", "faces"), ("faces", "digits")]
    assert heat.text[0][0] == ""
    assert "digits and faces" in words(fig)
    assert words(fig).count("within the null") == 1
    assert "1 of 3 pairs are no further apart than exchanged models" in fig.layout.meta["caption"]
    raw = views.shift_matrix(found, what="raw")
    assert len(raw.data) == 1
    assert raw.data[0].zmax > heat.zmax
    assert "with its bias" in words(raw)
    with pytest.raises(WorkbenchError, match="what must be 'value' or 'raw'"):
        views.shift_matrix(found, what="colour")


# Quality


def test_depth_shows_each_layer_on_its_null():
    quality = filter_quality(net())
    fig = views.filter_depth(quality)
    null, entropy, sparse = fig.data
    assert list(entropy.x) == [0, 1 / 3, 1]  # 1 × 1 has none
    assert list(sparse.x) == [0, 1 / 3, 2 / 3, 1]
    assert list(null.y[:2]) == [quality[0].null_low, quality[0].null_high]
    thresholds = [shape.y0 for shape in fig.layout.shapes if shape.name == "published threshold"]
    assert thresholds == [quality[0].threshold, quality[3].threshold]  # of 3 × 3 only
    assert all(shape.line.color is None for shape in fig.layout.shapes)  # the ink of the page
    assert "0 of 3 below 99 % of random ones" in words(fig)
    two = views.filter_depth({"one": quality, "other": quality[:1]})
    assert [trace.name for trace in two.data if trace.showlegend] == ["random layers", "one", "other"]
    for channels in (1, 2):  # one filter, two filters
        words(views.filter_depth(filter_quality(nn.Conv2d(1, channels, 3))))
    deep = nn.Sequential(*[nn.Conv2d(2, 2, 3) for _ in range(15)])
    assert ", between " in words(views.filter_depth(filter_quality(deep)))
    for wrong in ([], {}, {"a": []}):
        with pytest.raises(WorkbenchError, match="one to four models"):
            views.filter_depth(wrong)


def test_a_course_has_a_line_for_each_layer_that_has_an_answer():
    model = net()
    with watch_filters(model) as seen:
        for _ in range(3):
            model(torch.zeros(1, 1, 12, 12))
            with torch.no_grad():
                model[0].weight.mul_(0.5)
    fig = views.filter_course(seen)
    assert [trace.name for trace in fig.data] == ["0", "1", "2", "3"]
    assert list(fig.data[0].y) == [1, 0.5, 0.25, 0.125]
    assert "over 3 steps" in words(fig)
    assert [trace.name for trace in views.filter_course(seen, "entropy").data] == ["0", "1", "3"]
    deep = nn.Sequential(*[nn.Conv2d(1, 1, 1) for _ in range(20)])
    with watch_filters(deep) as many:
        deep(torch.zeros(1, 1, 2, 2))
    lines = [trace.name for trace in views.filter_course(many, "rms").data]
    assert (lines[0], lines[-1], len(lines)) == ("0", "19", 8)
    with pytest.raises(WorkbenchError, match="no layer was seen with a number for 'rms'"):
        views.filter_course(FilterWatch(), "rms")
    with pytest.raises(WorkbenchError, match="a row has no number 'colour'"):
        views.filter_course(seen, "colour")


# Frequencies and directions


def test_spectra_share_their_range():
    fig = views.power_spectra({"random": spectrum(some()), "edges": spectrum(SOBEL[None])})
    assert len(fig.data) == 2
    assert (fig.layout.coloraxis.cmin, fig.layout.coloraxis.cmax) == (0, pytest.approx(16 / 3, rel=0.2))
    assert "edges (1) have" in words(fig)
    lines = views.power_spectra(spectrum(some(k=(9,))))
    assert lines.data[0].type == "scatter"
    assert lines.data[0].x[0] == 0
    assert {shape.name for shape in lines.layout.shapes} == {"random filters"}
    words(lines)
    with pytest.raises(WorkbenchError, match="all be of 1-D or all of 2-D"):
        views.power_spectra({"a": spectrum(some()), "b": spectrum(some(k=(9,)))})
    with pytest.raises(WorkbenchError, match="one to 4 spectra, but 0 came"):
        views.power_spectra({})


def test_a_rose_is_drawn_on_both_sides_with_its_null():
    fig = views.orientation_rose(orientations(np.array([SOBEL, SOBEL.T, SOBEL])))
    bars, null = fig.data
    assert (bars.theta[0], bars.theta[12]) == (0, 180)
    assert bars.r[0] == bars.r[12] == pytest.approx(200 / 3)
    assert null.name == "random filters"
    assert fig.layout.polar.bgcolor == "rgba(0,0,0,0)"  # the page shows through, light or dark
    assert "point most often to 0 degrees (67 %)" in words(fig)
    assert len(views.orientation_rose({str(i): orientations(some(seed=i)) for i in range(3)}).data) == 4
    with pytest.raises(WorkbenchError, match="one to 3 roses, but 4 came"):
        views.orientation_rose({str(i): orientations(some()) for i in range(4)})


def test_every_drawn_axis_has_a_title():
    along = components(some())
    quality = filter_quality(net())
    figures = [
        views.eigenfilters(components(some(k=(7,)))),
        views.coefficient_ridges({"a": some()}, along),
        views.filter_depth(quality),
        views.power_spectra(spectrum(some())),
        views.shift_matrix(shifts({"a": some(200), "b": some(200, seed=1)}, resamples=0)),
    ]
    for fig in figures:
        for axis in [*fig.select_xaxes(), *fig.select_yaxes()]:
            assert axis.title.text or axis.showticklabels is False or axis.matches

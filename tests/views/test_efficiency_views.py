"""Roofline, efficiency gap and waterline: the marks stand where the arithmetic says, and the words agree."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import views
from workbench.counting import Geometry, Level
from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views import Scored, Work
from workbench.views.waterlines import bars
from workbench.views.words import duration
from workbench.views.work import colours


def flop(value, provenance="counted"):
    return Quantity(value, "flop", provenance)


def byte(value, provenance="simulated"):
    return Quantity(value, "B", provenance)


def measured(value, unit, spread=0.0):
    return Quantity(
        value, unit, "measured", value * (1 - spread), value * (1 + spread), "a laptop", "2026-01-02"
    )


PEAKS = {"SIMD": measured(100e9, "flop/s"), "scalar": measured(5e9, "flop/s")}
BANDWIDTHS = {"L1": measured(200e9, "B/s"), "DRAM": measured(10e9, "B/s")}
TRIAD = Work(flop(2e6), byte(24e6), measured(0.003, "s", 0.1))  # 1/12 flop/B: a roof of 0.833 Gflop/s


def roofline(points, **more):
    return views.roofline(points, peaks=PEAKS, bandwidths=BANDWIDTHS, **more)


def trace_of(fig, name):
    return next(trace for trace in fig.data if trace.name == name)


def texts(fig):
    return [annotation.text for annotation in fig.layout.annotations]


# roofline


def test_a_timed_kernel_stands_at_its_intensity_and_rate_and_says_its_share():
    fig = roofline({"triad": TRIAD})
    mark = trace_of(fig, "triad")
    assert (mark.x[0], mark.y[0]) == (pytest.approx(1 / 12), pytest.approx(2e6 / 0.003))
    assert mark.marker.symbol == ("square",)
    assert mark.error_y.array[0] == pytest.approx(2e6 / 0.0027 - 2e6 / 0.003)
    assert mark.error_y.arrayminus[0] == pytest.approx(2e6 / 0.003 - 2e6 / 0.0033)
    assert "80 % of a roof of 833 million flop/s (DRAM)" in fig.layout.meta["alt"]
    assert "a laptop, 2026-01-02" in fig.layout.meta["alt"]
    assert "● counted, ◆ simulated and ■ measured" in fig.layout.meta["caption"]


def test_a_kernel_that_is_not_timed_stands_on_its_roof_with_the_mark_of_its_bytes():
    fig = roofline({"triad": replace(TRIAD, seconds=None), "product": Work(flop(1e9), byte(1e6))})
    low, high = trace_of(fig, "triad (attainable)"), trace_of(fig, "product (attainable)")
    assert low.y[0] == pytest.approx(10e9 / 12)
    assert low.marker.symbol == ("diamond",)
    assert high.y[0] == 100e9  # the flat part
    assert "(SIMD)" in fig.layout.meta["alt"]


def test_levels_are_joined_and_the_lowest_roof_binds():
    moved = {"L1": byte(80e6, "counted"), "DRAM": byte(1e6)}
    fig = roofline({"product": Work(flop(1e7), moved)})
    mark = trace_of(fig, "product (attainable)")
    assert mark.mode == "lines+markers+text"
    assert mark.text == ("L1", "DRAM")
    assert mark.x == pytest.approx((0.125, 10))
    assert mark.y == pytest.approx((25e9, 25e9))
    assert mark.marker.symbol == ("circle", "diamond")


def test_ridges_stand_where_bandwidths_meet_peaks():
    fig = roofline({"triad": TRIAD})
    ridges = next(trace for trace in fig.data if trace.name is None)
    met = {(x, y) for x, y in zip(ridges.x, ridges.y, strict=True)}
    assert met == {(0.5, 100e9), (10.0, 100e9), (0.025, 5e9), (0.5, 5e9)}


def test_limits_are_shapes_without_a_colour():
    fig = roofline({"triad": TRIAD})
    assert {shape.name for shape in fig.layout.shapes} == {"L1", "DRAM", "SIMD", "scalar"}
    assert all(shape.line.color is None for shape in fig.layout.shapes)
    assert any(text.startswith("DRAM 10 GB/s") for text in texts(fig))


@pytest.mark.parametrize(("seconds", "impossible"), [(0.0025, False), (0.0023, True), (0.0020, True)])
def test_above_the_roof_is_impossible_unless_the_interval_reaches_down(seconds, impossible):
    work = replace(TRIAD, seconds=measured(seconds, "s", 0.02))  # the roof allows no less than 2.4 ms
    fig = roofline({"triad": work})
    said = "above the roof: the count or the clock is wrong"
    assert (said in fig.layout.meta["alt"]) == (said in fig.layout.meta["caption"]) == impossible
    assert ("above the roof" in texts(fig)) == impossible


def test_a_wide_interval_is_no_proof():
    fig = roofline({"triad": replace(TRIAD, seconds=measured(0.0023, "s", 0.1))})
    assert "wrong" not in fig.layout.meta["alt"]


def test_a_kernel_is_held_to_the_peak_that_it_names():
    fig = roofline({"loop": Work(flop(1e9), byte(1e6), measured(0.4, "s"), peak="scalar")})
    assert "50 % of a roof of 5 billion flop/s (scalar)" in fig.layout.meta["alt"]


def test_given_axes_are_kept():
    fig = roofline({"triad": TRIAD}, intensities=(0.01, 100), rates=(1e8, 1e12))
    assert fig.layout.xaxis.range == pytest.approx((-2, 2))
    assert fig.layout.yaxis.range == pytest.approx((8, 12))


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ({}, "at least one point"),
        ({"copy": Work(flop(0), byte(8))}, "'copy' has no flops"),
        ({"x": Work(flop(8), {"L7": byte(8)})}, "'x' moves bytes at 'L7'"),
        ({"x": Work(flop(8), byte(0))}, "intensity is infinite"),
        ({"x": Work(flop(8), byte(8), peak="vector")}, "names the peak 'vector'"),
    ],
)
def test_a_slip_is_one_sentence(points, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        roofline(points)


def test_work_is_not_negative_and_takes_time():
    with pytest.raises(WorkbenchError, match="not negative"):
        Work(flop(-1), byte(1))
    with pytest.raises(WorkbenchError, match="positive"):
        Work(flop(1), byte(1), measured(0, "s"))


def test_colours_of_roles_mean_nothing_else():
    inks = colours(["system", None, "baseline", None, "control"])
    assert len(set(inks)) == 5
    assert colours([None])[0] == views.OKABE_ITO[0]


# traffic


class _Level:
    def __init__(self, misses, writebacks, prefetches=0):
        self.misses, self.writebacks = _Total(misses), _Total(writebacks)
        self.prefetches = prefetches


class _Total:
    def __init__(self, total):
        self.total = total


class _Counts:
    def __init__(self, levels, **cache):
        self.bytes, self.cache = _Total(4096), cache
        self.geometry = Geometry(levels, line=64)


def test_traffic_is_lines_that_come_and_lines_that_go():
    levels = [Level(1024), Level(4096)]
    found = views.traffic(_Counts(levels, L1=_Level(30, 10), L2=_Level(8, 1, prefetches=3)))
    assert {name: q.value for name, q in found.items()} == {"L1": 4096, "L2": 64 * 40, "DRAM": 64 * 12}
    assert [q.provenance for q in found.values()] == ["counted", "simulated", "simulated"]


def test_traffic_without_caches_is_what_the_kernel_asks_for():
    assert {name: q.value for name, q in views.traffic(_Counts([])).items()} == {"DRAM": 4096}


def test_traffic_refuses_stores_that_pass():
    with pytest.raises(WorkbenchError, match="L1 lets stores pass"):
        views.traffic(_Counts([Level(1024, write_allocate=False)], L1=_Level(1, 1)))


# waterline

PEAK, BANDWIDTH = PEAKS["SIMD"], BANDWIDTHS["DRAM"]
ROW = {
    "product": Work(flop(1e9), byte(2e7)),  # 10 ms wide, 0.2 high
    "scale": Work(flop(1e8), byte(4e7)),  # 1 ms wide, 4 high
    "copy": Work(flop(0), byte(3e7)),  # 3 ms
}


def test_the_waterline_adds_up():
    fig = views.waterline(ROW, peak=PEAK, bandwidth=BANDWIDTH)
    product, scale, copy = fig.data
    assert [bar.x[0] for bar in fig.data] == pytest.approx([0, 10, 11])
    assert [bar.width[0] for bar in fig.data] == pytest.approx([10, 1, 3])
    assert [bar.y[0] for bar in fig.data] == pytest.approx([0.2, 4, 1])
    assert copy.marker.pattern.shape
    assert not product.marker.pattern.shape
    assert not scale.marker.pattern.shape
    assert "At least 17 ms in all, maximum efficiency 64.7 %" in fig.layout.meta["caption"]
    assert "scale is 1 ms wide and 4 high, above the waterline" in fig.layout.meta["alt"]
    assert next(s for s in fig.layout.shapes if s.name == "waterline").line.color is None


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**12)), min_size=1, max_size=6))
def test_no_kernel_is_faster_than_its_operations_or_its_bytes(work):
    kernels = {str(n): Work(flop(f), byte(b)) for n, (f, b) in enumerate(work)}
    for (flops, moved), bar in zip(work, bars(kernels, PEAK, BANDWIDTH).values(), strict=True):
        least = max(flops / PEAK.value, moved / BANDWIDTH.value)
        assert math.isclose(bar.seconds, least, rel_tol=1e-9)


def test_a_thin_tower_is_cut_and_says_its_height():
    fig = views.waterline({**ROW, "add": Work(flop(1e6), byte(2e6))}, peak=PEAK, bandwidth=BANDWIDTH)
    assert "▲ 20" in texts(fig)
    assert fig.layout.yaxis.range[1] < 6


def test_a_waterline_takes_one_level_and_something_to_do():
    for work, sentence in [
        (Work(flop(1), {"L1": byte(1)}), "has several"),
        (Work(flop(0), byte(0)), "takes no time"),
    ]:
        with pytest.raises(WorkbenchError, match=sentence):
            views.waterline({"x": work}, peak=PEAK, bandwidth=BANDWIDTH)
    with pytest.raises(WorkbenchError, match="at least one kernel"):
        views.waterline({}, peak=PEAK, bandwidth=BANDWIDTH)


# efficiency gap

MODELS = {
    "small": Scored(measured(0.9, "", 0.01), flop(1e9, "formula"), measured(0.1, "s", 0.05)),
    "wide": Scored(
        measured(0.92, "", 0.01), flop(4e9, "formula"), measured(0.08, "s", 0.05), role="baseline"
    ),
}


def test_the_gap_joins_ideal_and_taken_time():
    fig = views.efficiency_gap(MODELS, peak=PEAK)
    small = trace_of(fig, "small")
    assert small.x == pytest.approx((0.01, 0.1))
    assert small.y == (0.9, 0.9)
    assert small.marker.symbol == ("circle-open", "square")
    assert small.error_x.array[0] is None
    assert small.error_x.array[1] == pytest.approx(0.005)
    assert "10 %" in texts(fig)
    assert "50 %" in texts(fig)
    assert (
        "small: accuracy 0.9, ideal 10 ms, taken 100 ms, efficiency 10 %, a gap of 1 decades"
        in (fig.layout.meta["alt"])
    )
    assert fig.layout.meta["caption"].startswith("wide uses 50 % of the peak, small 10 %.")


def test_faster_than_the_peak_is_named():
    fig = views.efficiency_gap({"odd": replace(MODELS["small"], seconds=measured(0.001, "s"))}, peak=PEAK)
    assert "the count or the clock is wrong" in fig.layout.meta["caption"]


def test_times_are_read_well():
    assert [duration(t) for t in (2.5, 0.0032, 4.56e-5, 7e-9)] == ["2.5 s", "3.2 ms", "45.6 µs", "7 ns"]


def test_marks_that_nearly_touch_share_a_name():
    from workbench.views.rooflines import _labels

    assert _labels({"L2": 0.25, "L3": 18.0, "DRAM": 21.0}) == ["L2", "", "L3, DRAM"]
    assert _labels({"DRAM": 21.0, "L2": 0.25}) == ["DRAM", "L2"]
    assert _labels({"L2": 0.062, "L3": 0.063, "DRAM": 0.069}) == ["", "", "L2, L3, DRAM"]

"""Panels of kernels show what direct counts and views show, stay small when baked, and travel."""

import json

import cloudpickle
import numpy as np
import pytest
from workbench_widgets import bake, machine_panels, unbake
from workbench_widgets.frames import frame_of, plain

from workbench import count, kernel, trace, views
from workbench.counting import Geometry, Level
from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.views import Work


@kernel
def by_rows(A, B, tile):
    for i0 in range(0, A.shape[0], tile):
        for j0 in range(0, A.shape[1], tile):
            for i in range(i0, min(i0 + tile, A.shape[0])):
                for j in range(j0, min(j0 + tile, A.shape[1])):
                    B[i, j] = 2.0 * A[i, j]


@kernel
def by_columns(A, B, tile):
    for j in range(A.shape[1]):
        for i in range(A.shape[0]):
            B[i, j] = 2.0 * A[i, j]


KERNELS = {"rows": by_rows, "columns": by_columns}
PEAKS = {"SIMD": Quantity(1e11, "flop/s", "formula")}
BANDWIDTHS = {name: Quantity(rate, "B/s", "formula") for name, rate in (("L1", 1e11), ("DRAM", 1e10))}


def make_args(tile=4):
    return np.ones((32, 32)), np.zeros((32, 32)), tile


@pytest.fixture(scope="module")
def caches():
    return machine_panels.caches(KERNELS, make_args, cache_KiB=[1, 4], ways=[2, "all"], tile=[8])


def names(panel):
    return [knob.name for knob in panel.knobs.knobs]


def direct(figures):
    return plain(frame_of(figures), 15)


def test_the_knobs_are_the_kernel_its_arguments_and_the_cache(caches):
    assert names(caches) == ["kernel", "cache_KiB", "ways"]  # one tile and one length of lines are no knobs
    assert caches.knobs.values_at(caches.knobs.start) == {
        "kernel": "rows",
        "cache_KiB": 4,
        "ways": "all",
    }


def test_a_panel_shows_what_a_direct_count_shows(caches):
    A, B, _ = make_args()
    geometry = Geometry([Level(1024, 2)], line=64)
    counts = count(by_columns, A, B, 8, geometry=geometry, classes=True)
    heat = caches(kernel="columns", cache_KiB=1, ways=2)[0].data[0]
    expected = [views.cache_map(counts, {"A": A, "B": B}, most=round(heat.zmax**2)), views.miss_bars(counts)]
    shown = caches.frame(kernel="columns", cache_KiB=1, ways=2)
    assert plain(shown, 15) == direct(expected)


def test_all_maps_share_their_colours_and_hide_nothing(caches):
    heats = [plain(caches.frame(index), 4)[0]["data"][0] for index in caches.knobs.grid()]
    (most,) = {heat["zmax"] for heat in heats}
    assert max(max(map(max, heat["z"])) for heat in heats) <= most + 0.01


def test_a_baked_panel_is_small_and_true(caches):
    baked = bake(caches, jobs=1)
    assert len(baked["baked"]["data"]) + len(json.dumps(baked["frame"])) < 60_000
    for index in list(caches.knobs.grid())[::3]:
        assert unbake(baked["frame"], baked["baked"]["data"], index) == plain(caches.frame(index), 4)


def test_a_panel_travels_as_its_finished_figures(caches):
    """So it is drawn in processes that know nothing of a notebook's source."""
    elsewhere = cloudpickle.loads(cloudpickle.dumps(caches.function))
    assert not hasattr(elsewhere, "draw")
    state = {"kernel": "columns", "cache_KiB": 4, "ways": 2}
    assert direct(elsewhere(**state)) == direct(caches(**state))
    assert direct(elsewhere()) == direct(caches())


def test_one_kernel_needs_no_name():
    panel = machine_panels.caches(by_columns, make_args, cache_KiB=[1, 8])
    assert names(panel) == ["cache_KiB"]
    assert all(part["alt"] and part["caption"] for part in panel.frame())


@pytest.mark.parametrize(
    ("kernels", "more", "sentence"),
    [
        ({}, {}, "at least one kernel"),
        (KERNELS, {"block": [1, 2]}, "make_args takes tile, but a knob is called 'block'"),
        (KERNELS, {"cache_KiB": [3], "ways": [7]}, "size must be a multiple"),
        (KERNELS, {"line_bytes": [48]}, "power of two"),
    ],
)
def test_what_cannot_be_built_is_said_at_once(kernels, more, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        machine_panels.caches(kernels, make_args, **more)


def test_longer_lines_bring_lines_back_sooner():
    panel = machine_panels.reuse(KERNELS, make_args, line_bytes=[16, 64], caches={"L1": 1024})
    assert names(panel) == ["kernel", "line_bytes"]
    alts = [panel.frame(kernel="rows", line_bytes=line)[0]["alt"] for line in (16, 64)]
    assert "would miss 50 %" in alts[0]
    assert "would miss 12.5 %" in alts[1]


def test_a_kernel_climbs_the_roof_as_its_traffic_falls():
    geometry = Geometry([Level(1024, 2)])
    asked = []

    def seconds(kernel, tile):
        asked.append((kernel, tile))

    panel = machine_panels.roofline(
        KERNELS,
        make_args,
        peaks=PEAKS,
        bandwidths=BANDWIDTHS,
        geometry=geometry,
        seconds=seconds,
        tile=[4, 8],
    )
    assert asked == [("rows", 4), ("rows", 8), ("columns", 4), ("columns", 8)]
    frames = [panel.frame(kernel=name, tile=8)[0] for name in ("rows", "columns")]
    assert frames[0]["layout"]["xaxis"]["range"] == frames[1]["layout"]["xaxis"]["range"]
    near, far = (next(trace for trace in frame["data"] if trace.get("text"))["x"] for frame in frames)
    counts = count(by_rows, *make_args(8), geometry=geometry)
    assert near[0] == pytest.approx(1024 / counts.bytes.total)
    assert near[1] > far[1]


def test_a_faster_memory_sinks_the_bars():
    work = Work(Quantity(1e6, "flop", "formula"), Quantity(1e6, "B", "formula"))
    panel = machine_panels.waterline(
        {"x": work}, peak=PEAKS["SIMD"], bandwidth=BANDWIDTHS["DRAM"], factors=[2]
    )
    heights = [panel.frame(bandwidth_times=times)[0]["data"][0]["y"] for times in (1, 2)]
    assert heights == [[10], [5]]


# the animation


@pytest.fixture(scope="module")
def traced():
    return trace(
        by_columns, np.ones((6, 6)), np.zeros((6, 6)), 1, geometry=Geometry([Level(256, 2)], line=32)
    )


def test_the_animation_ends_with_everything_done_and_is_small(traced):
    panel = machine_panels.access_animation(traced, steps=9)
    (knob,) = panel.knobs.knobs
    assert knob.play
    assert knob.table[0] == tuple(range(0, 73, 8))
    assert plain(panel.frame(accesses_done=40), 15) == direct(views.accesses(traced, 40))
    baked = bake(panel, jobs=1)
    assert len(baked["baked"]["data"]) + len(json.dumps(baked["frame"])) < 30_000
    assert unbake(baked["frame"], baked["baked"]["data"], (9,)) == plain(panel.frame((9,)), 4)


def test_a_short_trace_is_shown_access_by_access(traced):
    (knob,) = machine_panels.access_animation(traced, steps=1000).knobs.knobs
    assert knob.table[0] == tuple(range(73))


def test_an_animation_has_steps(traced):
    with pytest.raises(WorkbenchError, match="steps must be a whole number from 1"):
        machine_panels.access_animation(traced, steps=0)

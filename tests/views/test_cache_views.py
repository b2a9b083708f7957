"""Pictures of simulated caches hold every miss, at its place, and say it in words."""

import numpy as np
import pytest

from workbench import count, kernel, views
from workbench.counting import Geometry, Level, simulate
from workbench.errors import WorkbenchError
from workbench.views.caches import _bin, _from, _place

GEOMETRY = Geometry([Level(512, 2), Level(2048, 4)], line=32)


@kernel
def add_transposed(A, B, C):
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            C[i, j] = A[i, j] + B[j, i]


ARRAYS = {name: np.ones((32, 32), np.float32) for name in "ABC"}


@pytest.fixture(scope="module")
def counts():
    return count(add_transposed, *ARRAYS.values(), geometry=GEOMETRY, classes=True, reuse=True)


def drawn(fig):
    return np.array(fig.data[0].z) ** 2


# the map


def test_the_map_holds_every_miss_where_it_happened(counts):
    fig = views.cache_map(counts, ARRAYS)
    misses, dy = drawn(fig), fig.data[0].dy * 1024
    assert misses.sum() == pytest.approx(counts.cache["L1"].misses.total, rel=0.01)
    for place, name in enumerate(ARRAYS):
        rows = slice(round(place * 4096 / dy), round((place + 1) * 4096 / dy))
        assert misses[rows].sum() == pytest.approx(counts.cache["L1"].misses[name], rel=0.01)
    assert misses.shape[1] * fig.data[0].dx >= counts.accesses
    assert fig.layout.yaxis.ticktext == ("A<br>4 KiB", "B<br>4 KiB", "C<br>4 KiB")
    assert fig.layout.yaxis.range[0] > fig.layout.yaxis.range[1]  # the first array on top
    assert len(fig.layout.shapes) == 6
    assert "simulated" in fig.layout.meta["caption"]
    assert "in B" in fig.layout.meta["caption"]


def test_maps_share_their_colours_on_request(counts):
    near, far = (views.cache_map(counts, ARRAYS, level=level, most=100) for level in ("L1", "L2"))
    assert near.data[0].zmax == far.data[0].zmax == 10
    assert near.data[0].colorbar.ticktext == ("0", "6", "25", "56", "100")
    assert far.layout.meta["alt"].startswith("Map of the misses of L2")


def test_a_long_run_is_drawn_in_few_cells():
    addresses = np.arange(200_000) % 60_000
    run = simulate(addresses, Geometry([Level(1024, 2)], line=32))
    fig = views.cache_map(run)
    assert max(drawn(fig).shape) <= 96
    assert drawn(fig).sum() == pytest.approx(run.cache["L1"].misses.total, rel=0.01)
    assert fig.layout.yaxis.title.text == "address (KiB)"


def test_arrays_that_share_memory_share_a_band(counts):
    whole = np.ones((64, 32), np.float32)
    fig = views.cache_map(counts, {"A": whole[:32], "B": whole[16:48], "C": np.ones((32, 32), np.float32)})
    assert fig.layout.yaxis.ticktext == ("A, B<br>6 KiB", "C<br>4 KiB")


def test_bytes_may_be_given_and_what_lies_outside_is_said(counts):
    fig = views.cache_map(counts, {"A": (0, 4096), "B": (4096, 8192)})
    assert "fall outside of these arrays" in fig.layout.meta["alt"]


def test_a_map_without_a_miss_is_still_a_map():
    run = simulate(np.zeros(100, np.int64), Geometry([Level(1024, 2), Level(4096, 2)], line=32))
    warm = views.cache_map(run, level="L2")
    assert drawn(warm).sum() == 1


def test_no_caches_no_map():
    with pytest.raises(WorkbenchError, match="no caches were simulated"):
        views.cache_map(simulate([0, 1], Geometry([])))


def test_an_unknown_level_is_named(counts):
    with pytest.raises(WorkbenchError, match="no level 'L9'; there are L1, L2"):
        views.cache_map(counts, level="L9")


# bars


def test_causes_add_up_to_the_misses(counts):
    fig = views.miss_bars(counts)
    for row, level in enumerate(counts.cache.values()):
        compulsory, capacity, conflict, ends = fig.data[4 * row : 4 * row + 4]
        sums = np.add(np.add(compulsory.x, capacity.x), conflict.x)
        assert list(sums) == list(ends.x) == [level.misses[name] for name in "ABC"]
        assert ends.marker.symbol == "diamond"
    assert [bar.name for bar in fig.data[:3]] == ["compulsory", "capacity", "conflict"]
    assert len({bar.marker.pattern.shape for bar in fig.data[:3]}) == 3  # not told apart by colour alone
    assert "compulsory" in fig.layout.meta["alt"]


def test_without_causes_there_is_one_bar():
    run = simulate(np.arange(0, 4096, 4), Geometry([Level(1024, 2)], line=32))
    fig = views.miss_bars(run)
    assert [list(trace.x) for trace in fig.data] == [[128], [128]]
    assert "compulsory" not in fig.layout.meta["alt"]


# reuse


def test_the_histogram_holds_every_access(counts):
    fig = views.reuse_histogram(counts)
    bars = {mark.name: mark for mark in fig.data if mark.type == "scatter"}
    for name in "ABC":
        heights = [height for height in bars[name].y if height]
        assert sum(heights) == counts.loads[name] + counts.stores[name]
        assert bars[name].y[-1] == counts.cold[name]
    assert {shape.name for shape in fig.layout.shapes} <= {"L1", "L2"}
    assert all(shape.line.color is None for shape in fig.layout.shapes)


def test_the_limit_says_what_a_fully_associative_cache_misses(counts):
    full = count(add_transposed, *ARRAYS.values(), geometry=Geometry([Level(512, None)], line=32))
    fig = views.reuse_histogram(counts, caches={"small": 512})
    share = 100 * full.cache["L1"].misses.total / full.accesses
    assert f"(small) would miss {share:.3g} %" in fig.layout.meta["alt"]


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 7, 8, 64, 100])
def test_a_limit_stands_between_what_it_keeps_and_what_it_misses(lines):
    kept, missed = _bin(lines - 1), _bin(lines)
    assert kept - 0.5 <= _place(lines) <= missed + 0.5
    if kept < missed:
        assert _place(lines) == kept + 0.5


def test_bins_begin_where_they_say():
    assert [_from(n) for n in range(5)] == [0, 1, 2, 4, 8]
    assert all(_bin(_from(n)) == n for n in range(10))


def test_reuse_must_have_been_asked_for():
    with pytest.raises(WorkbenchError, match="reuse=True"):
        views.reuse_histogram(simulate([0, 1], GEOMETRY))


# tables of the same counts


def test_the_annotated_source_names_the_line_that_misses(counts):
    shown = views.annotated_source(counts)
    html = shown._repr_html_()
    assert "◆\u00a0L1 misses" in shown.columns
    assert "●\u00a0loads" in shown.columns
    assert sum(shown.columns["◆\u00a0L1 misses"]) == counts.cache["L1"].misses.total
    assert "100 % of" in shown.caption
    assert "linear-gradient" in html
    assert 'scope="row"' in html
    assert "aria-label" in html
    assert "<caption>" in html
    assert "color:" not in html.replace("background", "")  # text takes the ink of the page
    written = str(shown).splitlines()
    assert any(line.endswith("C[i, j] = A[i, j] + B[j, i]") and "1,024" in line for line in written)


def test_source_text_is_escaped():
    source = views.AnnotatedSource(
        ((7, "    if a < b & c:"),), {"● loads": (3,)}, caption="a < b", alt='say "it"'
    )
    html = source._repr_html_()
    assert "a &lt; b &amp; c:" in html
    assert "&quot;it&quot;" in html
    assert "<code" in html


def test_counters_say_why_they_are_missing(counts):
    from workbench.quantity import Quantity

    cycles = Quantity(123456789, "", "measured", 1.2e8, 1.3e8, "a laptop", "2026-01-02")
    table = views.counters_table({"cycles": cycles, "energy": "this machine hides it", "branches": None})
    text = str(table)
    assert "123\u202f456\u202f789 [1.2e+08, 1.3e+08]" in text
    assert "■ measured" in text
    assert "not available here: this machine hides it" in text
    assert text.startswith("Counters of a laptop, 2026-01-02; 2 of 3 are not available here.")
    assert "0" not in [row["value"] for row in table.rows]
    assert "● counted" in str(views.counters_table(counts))


@pytest.mark.parametrize(
    ("reading", "sentence"), [({}, "at least one counter"), ({"x": 3}, "must be a Quantity"), (7, "int came")]
)
def test_a_wrong_reading_is_one_sentence(reading, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        views.counters_table(reading)

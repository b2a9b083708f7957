"""The cache simulator against its brute-force twin and against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.counting.cache_twin import Twin
from workbench.counting import Geometry, Level, simulate
from workbench.errors import WorkbenchError

KiB = 1024


@st.composite
def geometries(draw):
    line = draw(st.sampled_from([8, 64]))
    levels = []
    for _ in range(draw(st.integers(1, 3))):
        policy = draw(st.sampled_from(["lru", "plru", "random"]))
        ways = draw(st.sampled_from([1, 2, 4]) if policy == "plru" else st.integers(1, 5))
        allocate = draw(st.booleans())
        levels.append(
            Level(
                size=line * ways * draw(st.integers(1, 5)),
                ways=ways,
                policy=policy,
                write_allocate=allocate,
                inclusive=allocate and draw(st.booleans()),
                prefetch=draw(st.booleans()),
            )
        )
    return Geometry(levels, line)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), geometry=geometries(), ordered=st.booleans())
def test_twin(data, geometry, ordered):
    """Every count equals the brute force's, whatever the rules; asking for more changes no count."""
    lines = data.draw(st.integers(1, 40))
    steps = st.tuples(st.integers(0, lines * geometry.line - 1), st.booleans(), st.integers(1, 3))
    sequence = [
        (address, store)
        for address, store, times in data.draw(st.lists(steps, max_size=120))
        for _ in range(times)
    ]
    twin = Twin(geometry, lines)
    for address, store in sequence:
        twin.access(address, store)
    found = simulate(
        np.array([address for address, _ in sequence], int),
        geometry,
        stores=[store for _, store in sequence],
        span=lines * geometry.line,
        classes=ordered,
        reuse=ordered,
    )
    levels = list(found.cache.values())
    assert [level.misses.total for level in levels] == twin.misses
    assert [level.writebacks.total for level in levels] == twin.writebacks
    assert [level.prefetches for level in levels] == twin.prefetches
    assert [int(level.map.sum()) for level in levels] == twin.misses
    assert found.unkept == twin.unkept
    if ordered:
        for level, kinds in zip(levels, twin.kinds, strict=True):
            assert {kind: getattr(level, kind).total for kind in kinds} == kinds
        counts, cold = twin.reuse()
        assert {d: int(n) for d, n in enumerate(found.reuse) if n} == counts
        assert found.cold == cold


def test_streaming_misses_each_line_once():
    found = simulate(np.arange(0, 64 * KiB, 4), Geometry([Level(8 * KiB, 4)]), classes=True).cache["L1"]
    assert found.misses.total == found.compulsory.total == 64 * KiB // 64
    assert found.hits.total == 15 * found.misses.total


@pytest.mark.parametrize("stride", [4, 16, 64, 100, 256])
def test_a_stride_touches_as_many_lines_as_it_reaches(stride):
    addresses = np.arange(0, 100 * KiB, stride)
    found = simulate(addresses, Geometry([Level(8 * KiB, 4)])).cache["L1"]
    assert found.misses.total == len(np.unique(addresses // 64))


def test_what_fits_misses_once_and_what_just_does_not_fit_misses_always():
    """LRU's cliff: one line more than the cache, swept in turn, never hits."""
    sweep = np.arange(0, 8 * KiB, 64)
    fits = simulate(np.tile(sweep, 10), Geometry([Level(8 * KiB, None)]), classes=True).cache["L1"]
    assert fits.misses.total == len(sweep)
    more = np.arange(0, 8 * KiB + 64, 64)
    cliff = simulate(np.tile(more, 10), Geometry([Level(8 * KiB, None)]), classes=True).cache["L1"]
    assert (cliff.compulsory.total, cliff.capacity.total, cliff.conflict.total) == (129, 9 * 129, 0)


def test_lines_that_share_a_set_conflict():
    addresses = np.tile(np.arange(3) * 4 * KiB, 50)  # 3 lines, one set of 2 ways
    found = simulate(addresses, Geometry([Level(8 * KiB, 2)]), classes=True).cache["L1"]
    assert (found.compulsory.total, found.capacity.total, found.conflict.total) == (3, 0, 147)


@pytest.mark.parametrize("n", [64, 65, 200])
def test_transposition_by_columns(n):
    """Row after row of the source, column after column of the target: a column needs n lines at once."""
    i, j = np.indices((n, n)).reshape(2, -1)
    base = -(-n * n * 8 // 64) * 64
    trace = np.stack([(i * n + j) * 8, base + (j * n + i) * 8], 1).ravel()
    big = simulate(trace, Geometry([Level(1024 * KiB, None)])).cache["L1"]
    assert big.misses.total == 2 * -(-n * n // 8)
    if n % 8 == 0:
        small = simulate(trace, Geometry([Level(64 * (n - 1), None)])).cache["L1"]
        assert small.misses.total == n * n // 8 + n * n


def test_blocked_product():
    """Three blocks that fit: every block of A, B and C is fetched once for each use."""
    n, b = 32, 8
    g = np.arange(n // b)
    bi, bj, bk = (x.ravel() for x in np.meshgrid(g, g, g, indexing="ij"))
    i, j, k = (x.ravel() for x in np.meshgrid(*[np.arange(b)] * 3, indexing="ij"))
    i, j, k = ((outer[:, None] * b + inner).ravel() for outer, inner in ((bi, i), (bj, j), (bk, k)))
    base = n * n * 8
    trace = np.stack([(i * n + k) * 8, base + (k * n + j) * 8, 2 * base + (i * n + j) * 8], 1).ravel()
    cache = Geometry([Level(4 * b * b * 8, None)])
    blocks, lines = (n // b) ** 3, b * b // 8
    # A block of C stays over bk; the last block of A or B never is the next one's.
    assert simulate(trace, cache).cache["L1"].misses.total == blocks * lines * 2 + (n // b) ** 2 * lines


@pytest.mark.parametrize(("rows", "misses_per_point"), [(3, 2 / 8), (1, 4 / 8)])
def test_stencil_layer_condition(rows, misses_per_point):
    """A 5-point stencil reads its input once if three rows stay in the cache, three times if not."""
    n = 512
    i, j = (x.ravel() for x in np.meshgrid(np.arange(1, n - 1), np.arange(1, n - 1), indexing="ij"))
    base = n * n * 8
    points = [(i - 1, j), (i, j - 1), (i, j), (i, j + 1), (i + 1, j)]
    trace = np.stack([(r * n + c) * 8 for r, c in points] + [base + (i * n + j) * 8], 1).ravel()
    cache = Geometry([Level((2 * rows - 1) * n * 8, None)])
    assert simulate(trace, cache).cache["L1"].misses.total / len(i) == pytest.approx(
        misses_per_point, rel=0.02
    )


def test_next_line_prefetch_leaves_one_miss_of_a_stream():
    found = simulate(np.arange(0, 64 * KiB, 8), Geometry([Level(8 * KiB, 4, prefetch=True)])).cache["L1"]
    assert found.misses.total == 1
    assert found.prefetches == 64 * KiB // 64 - 1


def test_dirty_lines_are_written_back_when_they_leave():
    addresses = np.arange(0, 64 * KiB, 8)
    geometry = Geometry([Level(8 * KiB, 4)])
    assert simulate(addresses, geometry).cache["L1"].writebacks.total == 0
    written = simulate(addresses, geometry, stores=np.ones(len(addresses), bool)).cache["L1"]
    assert written.writebacks.total == (64 - 8) * KiB // 64  # the last 8 KiB stay


def test_parts_are_the_whole():
    addresses = np.random.default_rng(0).integers(0, 64 * KiB, 5000)
    geometry = Geometry([Level(4 * KiB, 4), Level(16 * KiB, 8)])
    whole = simulate(addresses, geometry, span=64 * KiB, reuse=True)
    parts = simulate(iter(np.split(addresses, 10)), geometry, span=64 * KiB, reuse=True)
    assert parts.cache["L2"].misses == whole.cache["L2"].misses
    assert (parts.reuse == whole.reuse).all()


def test_reuse_distances_give_the_misses_of_every_lru_cache():
    addresses = np.random.default_rng(1).integers(0, 300, 20000) ** 2 // 300 * 64
    found = simulate(addresses, Geometry([]), reuse=True)
    for lines in (1, 2, 7, 50, 300):
        exact = simulate(addresses, Geometry([Level(64 * lines, None)])).cache["L1"].misses.total
        assert found.cold + int(found.reuse[lines:].sum()) == exact


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Geometry([Level(1000)]), "multiple of ways x line"),
        (lambda: Geometry([Level(1024, 8)] * 4), "at most 3 levels"),
        (lambda: Geometry([Level(64 * 3, 3, policy="plru")]), "plru needs"),
        (lambda: Geometry([Level(1024, 8, policy="fifo")]), "policy must be"),
        (lambda: Geometry([Level(1024, 8)], line=48), "power of two"),
        (lambda: Geometry([Level(1024, 8, inclusive=True, write_allocate=False)]), "inclusive"),
        (lambda: simulate([-1], Geometry([Level(1024, 8)])), "addresses must lie in"),
        (lambda: simulate([2.5], Geometry([Level(1024, 8)])), "row of integers"),
        (lambda: simulate([2**60], Geometry([Level(1024, 8)])), "common base"),
        (lambda: simulate([1, 2], Geometry([Level(1024, 8)]), stores=[True]), "2 addresses but 1 stores"),
        (lambda: simulate(iter([[1]]), Geometry([Level(1024, 8)])), "need span="),
    ],
)
def test_slips_get_a_sentence(make, says):
    with pytest.raises(WorkbenchError, match=says):
        make()


def test_an_unknown_array_is_not_zero():
    with pytest.raises(WorkbenchError, match="no array is called 'B'; there are addresses"):
        simulate([0], Geometry([Level(1024, 8)])).cache["L1"].misses["B"]

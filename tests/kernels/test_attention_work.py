"""What attention kernels have to do, from shapes, agrees with brute force; paces and waiting follow."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.kernels import (
    Level,
    Pace,
    Stream,
    Work,
    attention_kernels,
    attention_one_pass,
    attention_three_pass,
    attention_two_pass,
    attention_work,
    level_of,
    pace_of,
    predicted_seconds,
    tiled_work,
    waiting_seconds,
)

MEMORY = (Level(1000, 1e12), Level(10_000, 1e11), Level(math.inf, 1e9))
PACE = Pace(1e-9, 1e9)


@pytest.mark.parametrize("attend", [attention_three_pass, attention_two_pass, attention_one_pass])
@pytest.mark.parametrize(
    ("n", "m", "d", "e", "scale"), [(1, 1, 1, 1, 1), (3, 7, 5, 2, 1), (9, 65, 64, 64, 20)]
)
def test_any_number_of_passes_gives_attention(attend, n, m, d, e, scale):
    draws = np.random.default_rng(m)
    Q = (scale * draws.normal(size=(n, d))).astype(np.float32)
    K, V = draws.normal(size=(m, d)).astype(np.float32), draws.normal(size=(m, e)).astype(np.float32)
    O = np.full((n, e), np.nan, np.float32)
    attend(Q, K, V, O)
    S = Q.astype(float) @ K.T.astype(float) / np.sqrt(d)
    P = np.exp(S - S.max(1, keepdims=True))
    np.testing.assert_allclose(O, P / P.sum(1, keepdims=True) @ V, atol=5e-6)


def test_operations_of_tiles_are_those_that_were_counted():
    assert tiled_work(129, 129, 64, 129, 129).flops == 4_648_263  # by `count`, on 129 tokens


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.data())
def test_every_kernel_makes_at_least_the_scores_that_are_needed(tokens, data):
    window = data.draw(st.integers(1, tokens))
    needed = sum(min(window, i + 1) for i in range(tokens))
    for name in attention_kernels(tokens, window):
        work = attention_work(name, tokens, window, 8)
        assert work.scores >= needed
        assert work.flops >= 4 * 8 * needed
    assert attention_work("query by query", tokens, window, 8).scores == needed


def test_one_kernel_knows_no_window():
    assert set(attention_kernels(8, 8)) - set(attention_kernels(8, 7)) == {"library, all before"}
    with pytest.raises(WorkbenchError, match="knows no window"):
        attention_work("library, all before", 8, 7)


@pytest.mark.parametrize(("tokens", "window"), [(4, 5), (4, 0), (0, 0)])
def test_windows_that_do_not_fit_are_refused(tokens, window):
    with pytest.raises(WorkbenchError, match="window of 1 to"):
        attention_work("tiles", tokens, window)


def test_a_kernel_that_is_not_known_is_refused():
    with pytest.raises(WorkbenchError, match="must be one of"):
        attention_work("magic", 4, 4)


@settings(deadline=None)
@given(st.floats(1e-9, 1e-5), st.floats(1e8, 1e12))
def test_a_pace_is_found_again(row, rate):
    works = [Work(rows, 0, flops, ()) for rows, flops in ((10, 10**6), (500, 10**7), (90, 10**8))]
    found = pace_of(works, [rows.rows * row + rows.flops / rate for rows in works])
    assert [found.seconds(work) for work in works] == pytest.approx(
        [Pace(row, rate).seconds(w) for w in works]
    )


def test_a_pace_never_has_a_negative_part():
    works = [Work(100, 0, 10**6, ()), Work(200, 0, 10**7, ())]
    found = pace_of(works, [1e-3, 1.5e-2])  # rows would have to take less than no time
    assert found.row == 0
    flat = pace_of(works, [1e-3, 2e-3])  # rows alone explain them
    assert 0 < flat.rate < float("inf")
    with pytest.raises(WorkbenchError, match="two or more"):
        pace_of(works[:1], [1e-3])


def test_bytes_come_from_the_nearest_level_that_holds_their_reach():
    reaches = {1000: 0, 1001: 1, 10_000: 1, 10_001: 2}
    assert all(level_of(reach, MEMORY) == MEMORY[place] for reach, place in reaches.items())
    work = Work(1, 1, 1, (Stream(10**6, 900, 0), Stream(10**6, 5000, 0), Stream(10**6, 10**6, 0)))
    assert waiting_seconds(work, MEMORY) == pytest.approx(1e-5 + 1e-3)  # the first level costs nothing more


@pytest.mark.parametrize(("once", "seconds"), [(900, 0), (9000, 9e-8), (10**6, 1e-3)])
def test_first_uses_come_from_where_everything_lies(once, seconds):
    assert waiting_seconds(Work(1, 1, 1, (Stream(once, 0, once),)), MEMORY) == pytest.approx(seconds)


def test_query_key_value_and_output_are_touched_by_all():
    for name in attention_kernels(70, 70):
        work = attention_work(name, 70, 70, 8)
        assert work.everything >= 4 * 70 * 8 * 4
        assert all(stream.bytes >= stream.once for stream in work.streams)


def test_the_longer_of_both_times_is_predicted():
    slow, fast = Pace(0, 1e6), Pace(0, 1e15)
    work = attention_work("whole matrix", 64, 64)
    paces = {"whole matrix": slow}
    assert predicted_seconds(64, 64, paces, MEMORY) == {"whole matrix": slow.seconds(work)}
    waits = predicted_seconds(64, 64, {"whole matrix": fast}, MEMORY)
    assert waits == {"whole matrix": pytest.approx(waiting_seconds(work, MEMORY))}
    with pytest.raises(WorkbenchError, match="infinite"):
        predicted_seconds(64, 64, paces, MEMORY[:2])

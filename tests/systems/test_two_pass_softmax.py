"""The source's scheme against float64, the timed kernel and libraries; by law; and what its passes move."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from workbench.claims import run_claim
from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import softmax, softmax_cost, softmax_two_pass
from workbench.systems.attention_cost import two_pass_softmax as tps

F = np.float32
COUNTED = ["element-traffic", "reload-lines", "recompute-lines"]  # compiling a count takes seconds


@pytest.mark.parametrize("n", [1, 7, 63, 64, 65, 1000])
@pytest.mark.parametrize("offset", [0, -1000, 1e5])
def test_the_scheme_keeps_its_digits_at_any_size_and_offset(n, offset):
    x = tps.row(n, seed=n, offset=offset)
    assert tps.relative_error(tps.two_pass(x), x) < 1e-6


@pytest.mark.parametrize("lanes", [1, 2, 3, 7, 16, 200])
def test_lanes_change_only_the_rounding(lanes):
    x = tps.row(130, seed=1)
    np.testing.assert_allclose(tps.two_pass(x, lanes), tps.exact_softmax(x), rtol=1e-6)


def test_the_kernel_and_the_libraries_say_the_same():
    x = tps.row(4099, seed=2)
    y = np.empty_like(x)
    softmax_two_pass(x, y)
    np.testing.assert_allclose(y, tps.two_pass(x, 64), rtol=1e-6)
    np.testing.assert_allclose(y, torch.softmax(torch.from_numpy(x), 0).numpy(), rtol=5e-6)
    np.testing.assert_allclose(y, special.softmax(x.astype(np.float64)), rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    x=hnp.arrays(np.float32, st.integers(1, 70), elements=st.floats(-1000, 1000, width=32)),
    shift=st.integers(-4096, 4096),
    seed=st.integers(0, 99),
)
def test_laws(x, shift, seed):
    """A row of range 2000: it sums to one; a shift and an order change nothing."""
    x = np.round(x)
    y = tps.two_pass(x)
    assert y.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(tps.two_pass(x + F(shift)), y, rtol=2e-6, atol=1e-37)
    order = np.random.default_rng(seed).permutation(x.size)
    np.testing.assert_allclose(tps.two_pass(x[order]), y[order], rtol=1e-6, atol=1e-37)


def test_equal_numbers_share_equally_and_ties_tie():
    for value in (0.0, 88.9, -1000.0, 1e5):
        np.testing.assert_array_equal(tps.two_pass(np.full(64, value, F)), F(1 / 64))
    y = tps.two_pass(np.array([3, 1, 3, 2, 3], F))
    assert y[0] == y[2] == y[4] > y[3] > y[1]


def test_a_row_that_is_not_contiguous():
    x = tps.row(60, seed=3).reshape(20, 3)
    np.testing.assert_array_equal(tps.two_pass(x[:, 1]), tps.two_pass(x[:, 1].copy()))


def test_a_pair_is_the_exponential():
    x = np.linspace(-700, 700, 20_001).astype(F)
    m, n = tps.exp_pair(x)
    assert m.dtype == n.dtype == F
    assert 0.7 < m.min() < m.max() < 1.42
    np.testing.assert_array_equal(n, np.rint(n))
    logs = np.log(m.astype(np.float64)) + n.astype(np.float64) * math.log(2)
    np.testing.assert_allclose(logs, x.astype(np.float64), rtol=0, atol=2e-7)


def test_powers_of_two_are_exact_and_end_at_zero():
    n = np.arange(-126, 128).astype(F)
    np.testing.assert_array_equal(tps.power_of_two(n), np.ldexp(F(1), n.astype(np.int32)))
    far = np.array([-127, -128, -1000, -1e7, -np.inf], F)
    np.testing.assert_array_equal(tps.power_of_two(far), 0)


@given(
    pairs=st.lists(
        st.tuples(st.floats(0.75, 1.375, width=32), st.integers(-300, 300)), min_size=2, max_size=5
    )
)
def test_adding_pairs_is_adding_numbers(pairs):
    """In any order, against whole numbers of Python, which have no limit."""
    total = (F(0), F(-np.inf))
    for m, n in pairs:
        total = tps.add_pairs(total, (F(m), F(n)))
    assert total[1] == max(n for _, n in pairs)
    exact = sum(int(F(m) * 2**24) << (n + 300) for m, n in pairs) / (1 << (24 + 300 + int(total[1])))
    assert total[0] == pytest.approx(exact, rel=1e-6)


def test_nothing_is_summed_to_nothing():
    M, N = tps.sum_of_exp(np.empty(0, F))
    assert M == 0
    assert np.isneginf(N)


def test_what_the_source_does_not_guard():
    """A masked score is not a number there and 0 in the kernel; far from zero its pairs lose digits."""
    x = np.array([0, -np.inf, 1], F)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(tps.two_pass(x)).all()
    np.testing.assert_allclose(softmax(x), special.softmax(x), rtol=1e-6)
    far = tps.row(4096, seed=0, offset=1e7)
    assert tps.relative_error(tps.two_pass(far), far) > 1e-6
    assert tps.relative_error(softmax(far), far) < 1e-6


def test_the_naive_formula_breaks_where_float32_does():
    assert np.isfinite(tps.naive(np.array([88.0, 0], F))).all()
    assert np.isnan(tps.naive(np.array([89.0, 0], F))).any()
    assert tps.relative_error(np.array([np.nan, 0.5], F), np.zeros(2, F)) == 1


@pytest.mark.parametrize(
    ("x", "lanes", "sentence"),
    [
        (np.zeros(3), 16, "x must be float32 .n. with n > 0, but float64 .3,. came"),
        (np.zeros(0, F), 16, "n > 0"),
        (np.zeros((2, 2), F), 16, "but float32 .2, 2. came"),
        (np.zeros(2, F), 0, "lanes must be at least 1, but 0 came"),
    ],
)
def test_a_slip_gets_one_sentence(x, lanes, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        tps.two_pass(x, lanes)


@pytest.mark.parametrize(
    ("method", "touched", "moved"), [("two-pass", 3, 4), ("recompute", 4, 5), ("reload", 5, 6)]
)
def test_passes_add_up_to_the_closed_form(method, touched, moved):
    passes, n = tps.PASSES[method], 4 * 64 * 1000
    assert sum(each.loads + each.stores for each in passes) == touched
    assert sum(each.moved for each in passes) == moved
    cost = softmax_cost(method, n)
    assert sum(each.flops for each in passes) == round(cost.flops / n)
    assert sum(each.loads for each in passes) * n == cost.loads["x"] + cost.loads["y"]
    assert sum(each.stores for each in passes) * n == cost.stores["y"]


@pytest.mark.slow
def test_simulated_lines_are_those_of_the_passes():
    n = 2**17
    x, y = tps.row(n, 0), np.empty(n, F)
    for method, kernel in tps.KERNELS.items():
        counts = count(kernel, x, y, geometry=tps.SMALL)
        moved = sum(each.moved for each in tps.PASSES[method])
        assert tps.dram_bytes(counts) / (4 * n) == pytest.approx(moved, rel=0.02)
        assert tps.accesses(counts) == sum(each.loads + each.stores for each in tps.PASSES[method]) * n


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(claim, id=claim.id, marks=[pytest.mark.slow] if claim.id in COUNTED else [])
        for claim in tps.SYSTEM.claims
    ],
)
def test_claim_and_control_execute(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    assert math.isfinite(run_claim(tps.SYSTEM, claim, "smoke").value)


def test_the_verdict_on_the_error_does_not_depend_on_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    record = run_claim(tps.SYSTEM, "relative-error", "lesson")
    assert record.verdict == "reproduced"
    assert record.control_value == 1

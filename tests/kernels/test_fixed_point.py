"""Fixed point against exact fractions, the running sum against float64, the table of GELU bit by bit."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.kernels import WORD, FixedPoint, delta_table, gelu, gelu_fixed, running_statistic

FORMS = st.builds(
    lambda width, integer: FixedPoint(width, min(integer, width - 1)), st.integers(2, 32), st.integers(1, 31)
)


def codes(form, numbers):
    span = form.highest - form.lowest + 1
    return np.array([form.lowest + number % span for number in numbers], np.int64)


@given(FORMS, st.lists(st.integers(0, 2**33), min_size=1, max_size=5))
def test_codes_are_multiples_of_the_step(form, numbers):
    those = codes(form, numbers)
    np.testing.assert_array_equal(form.of(form.real(those)), those)
    np.testing.assert_array_equal(form.wrap(those + 2**form.width), those)
    assert form.wrap(form.highest + 1) == form.lowest


@given(FORMS, st.integers(0, 2**33), st.integers(0, 2**33))
def test_products_and_quotients_are_rounded_down_and_wrap(form, a, b):
    a, b = codes(form, [a, b])
    step = Fraction(1, form.one)
    exact = math.floor(int(a) * step * int(b) * step / step)
    assert form.times(a, b) == form.wrap(exact)
    if b:
        assert form.divide(a, b) == form.wrap(math.floor(Fraction(int(a), int(b)) / step))


def test_the_edges_of_division_exponential_and_root():
    assert WORD.divide(WORD.one, 0) == WORD.highest
    assert WORD.exp(WORD.of(500.0)) == WORD.highest
    assert WORD.exp(0) == WORD.one
    assert WORD.exp(WORD.of(-500.0)) == 0
    assert WORD.root(WORD.of(-1.0)) == 0
    np.testing.assert_array_equal(WORD.real(WORD.root(WORD.of([0.0, 2.25, 16.0]))), [0, 1.5, 4])


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (7, 16, 4)])
def test_matmul_is_its_loops(shape):
    n, c, m = shape
    draws = np.random.default_rng(0)
    X, W = WORD.of(draws.normal(size=(c, n))).T, WORD.of(draws.normal(size=(m, c)))  # X not contiguous
    start = WORD.of(draws.normal(size=m))
    loops = [
        [
            int(start[j]) + sum(int(x) * int(w) >> 22 for x, w in zip(X[i], W[j], strict=True))
            for j in range(m)
        ]
        for i in range(n)
    ]
    np.testing.assert_array_equal(WORD.matmul(X, W, start), loops)
    np.testing.assert_allclose(
        WORD.real(WORD.matmul(X, W)), WORD.real(X) @ WORD.real(W).T, atol=c * WORD.step
    )


@pytest.mark.parametrize(("width", "integer"), [(33, 10), (16, 16), (1, 1), (8, 0)])
def test_formats_that_do_not_exist(width, integer):
    with pytest.raises(WorkbenchError, match="fixed-point format"):
        FixedPoint(width, integer)


def test_matmul_says_which_shapes_it_wants():
    with pytest.raises(WorkbenchError, match=r"expected X \[n, c\]"):
        WORD.matmul(np.zeros((2, 3), np.int64), np.zeros((2, 4), np.int64))


@pytest.mark.parametrize("keys", [1, 2, 17, 129])
@pytest.mark.parametrize("spread", [0.0, 1.0, 20.0])
def test_the_running_statistic_is_that_of_softmax(keys, spread):
    scores = spread * np.random.default_rng(keys).normal(size=(3, keys))
    total, bias = running_statistic(WORD.of(scores), WORD)
    np.testing.assert_array_equal(bias, WORD.of(scores).max(1))
    exact = np.exp(scores - scores.max(1, keepdims=True)).sum(1)
    np.testing.assert_allclose(WORD.real(total), exact, atol=3 * (keys + 2) * WORD.step, rtol=1e-6)
    turned = np.roll(WORD.of(scores), keys // 2, axis=1)
    np.testing.assert_allclose(running_statistic(turned, WORD)[0], total, atol=3 * (keys + 2), rtol=1e-6)


def test_a_sum_of_512_equal_scores_leaves_the_range():
    for keys, fits in ((511, True), (512, False)):
        total, _ = running_statistic(np.zeros((1, keys), np.int64), WORD)
        assert bool(WORD.real(total[0]) == keys) is fits
    with pytest.raises(WorkbenchError, match="at least one key"):
        running_statistic(np.zeros((2, 0), np.int64), WORD)


def test_the_table_is_the_released_one_to_the_last_bit():
    """The digest is that of the 177 constants of the original code, times 2**22, as int32."""
    digest = hashlib.sha256(delta_table().astype("<i4").tobytes()).hexdigest()
    assert digest == "acdd5a65aa0f2917079a385c133164a97123a443806d8b2d75435005ba8416a4"


def by_hand(code: int) -> int:
    """One number at a time, with fractions."""
    table = delta_table()
    size = Fraction(abs(code), 2**22)
    if size >= Fraction(11, 2):
        return max(code, 0)
    index = int(size * 32)
    between = size * 32 - index
    low, high = int(table[index]), int(table[index + 1])
    return max(code, 0) - math.floor(low + between * (high - low))


@given(st.integers(-6 * 2**22, 6 * 2**22))
def test_gelu_bit_by_bit(code):
    assert gelu_fixed(code) == by_hand(code)
    assert gelu_fixed(code) - gelu_fixed(-code) == code  # GELU(x) - GELU(-x) = x


def test_gelu_beyond_the_table_and_at_its_entries():
    at = np.array([-(2**31), -11 * 2**21, 0, 11 * 2**21, 2**31 - 1])
    np.testing.assert_array_equal(gelu_fixed(at), np.maximum(at, 0))
    places = np.arange(177) * 2**17
    np.testing.assert_array_equal(gelu_fixed(places), places - delta_table())
    x = np.linspace(-9, 9, 10001)
    np.testing.assert_allclose(gelu(x), torch.nn.functional.gelu(torch.from_numpy(x)).numpy(), atol=1e-14)
    with pytest.raises(WorkbenchError, match="at least 5 bits"):
        gelu_fixed(0, FixedPoint(8, 5))


def test_the_usual_formula_is_the_worse_of_the_two():
    x = torch.linspace(-8, 8, 20001, dtype=torch.double)
    tanh = torch.nn.functional.gelu(x, approximate="tanh").numpy()
    table = WORD.real(gelu_fixed(WORD.of(x.numpy())))
    exact = gelu(x.numpy())
    assert np.abs(table - exact).max() < 1e-4 < 4e-4 < np.abs(tanh - exact).max()


def test_reading_the_nearest_entry_is_far_worse_than_reading_between():
    x = np.linspace(-6, 6, 40001)
    nearest = np.rint(np.abs(x) * 32).astype(int).clip(0, 176)
    by_nearest = np.maximum(x, 0) - delta_table()[nearest] / 2**22
    worst = np.abs(by_nearest - gelu(x)).max()
    assert 7e-3 < worst < 8e-3
    assert np.abs(WORD.real(gelu_fixed(WORD.of(x))) - gelu(x)).max() < 1e-4

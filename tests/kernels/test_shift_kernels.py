"""Shifts and bits against products: exact sums, rounded sums, weights of one byte, Hamming distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    ShiftWeights,
    float_vector,
    hamming_scores,
    masked_sums,
    packed_bits,
    plain_vector,
    product_fast,
    shift_linear,
    shift_product,
    shift_product_cost,
    shift_product_fast,
    shift_vector,
    sign_scores,
    weight_bytes,
)

UNHURRIED = settings(deadline=None, max_examples=30)  # the first call compiles
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 13), st.integers(1, 37))


def drawn(shape, seed=0, zeros=True):
    """Codes X [n, c], signs and exponents [m, c]."""
    rng = np.random.default_rng(seed)
    n, c, m = shape
    X = rng.integers(-(2**20), 2**20, (n, c))
    signs = rng.integers(-1, 2, (m, c)) if zeros else rng.choice([-1, 1], (m, c))
    return X, signs, rng.integers(-14, 1, (m, c))


def rounded_sums(X, signs, exponents):
    """Each product rounded down, by the definition."""
    return (signs * np.floor(X[:, None] * 2.0**exponents)).sum(-1).astype(np.int64)


@UNHURRIED
@given(SHAPES, st.integers(0, 99))
def test_shifted_sums_are_the_product_bit_for_bit(shape, seed):
    X, signs, exponents = drawn(shape, seed)
    bias = np.random.default_rng(seed).integers(-(2**20), 2**20, shape[2])
    found = shift_linear(X, signs, exponents + 14, bias)
    wanted = X @ (signs * 2.0**exponents).T + bias  # exact in float64: 20 + 14 + 4 bits
    np.testing.assert_array_equal(found / 2.0**14, wanted)
    np.testing.assert_array_equal(shift_linear(X, signs, exponents + 14, None), found - (bias << 14))


def test_the_largest_codes_still_fit():
    X = np.array([[-(2**31), 2**31 - 1]])
    found = shift_linear(X, np.array([[-1, 1]]), np.array([[14, 14]]), None)
    assert found.item() == (2**31 << 14) + ((2**31 - 1) << 14)


def test_nothing_is_multiplied():
    X, signs, exponents = drawn((3, 5, 7), zeros=False)
    Y = np.zeros((3, 7), np.int64)
    counts = count(shift_product, X, signs.astype(np.int8), (exponents + 14).astype(np.int8), Y)
    cost = shift_product_cost(3, 5, 7)
    assert counts.flops == 0
    assert counts.ops.get("int *", 0) == cost["multiplications"] == 0
    assert counts.loads["X"] == cost["shifts"]


@UNHURRIED
@given(SHAPES, st.integers(0, 99))
def test_the_fast_way_rounds_each_product_down(shape, seed):
    X, signs, exponents = drawn(shape, seed)
    found = shift_product_fast(X.astype(np.int32), ShiftWeights.of(signs, exponents))
    np.testing.assert_array_equal(found, rounded_sums(X, signs, exponents))


def test_the_float_twin_multiplies():
    X, signs, exponents = drawn((6, 11, 18))
    W, floats = (signs * 2.0**exponents).T.astype(np.float32), X.astype(np.float32)
    for rows, columns in ((floats, W.copy()), (np.asfortranarray(floats), np.asfortranarray(W))):
        np.testing.assert_allclose(product_fast(rows, columns), X @ W, rtol=1e-5, atol=1)


def test_inputs_that_are_not_contiguous():
    X, signs, exponents = drawn((8, 6, 10))
    wanted = rounded_sums(X[::2], signs, exponents)
    weights = ShiftWeights.of(np.asfortranarray(signs), exponents[:, ::-1][:, ::-1])
    np.testing.assert_array_equal(shift_product_fast(X.astype(np.int32)[::2], weights), wanted)
    exact = shift_linear(X[::2], np.asfortranarray(signs), exponents + 14, None)
    np.testing.assert_array_equal(exact / 2.0**14, X[::2] @ (signs * 2.0**exponents).T)


@UNHURRIED
@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 99))
def test_weights_of_one_byte(c, m, seed):
    rng = np.random.default_rng(seed)
    signs, exponents = rng.integers(-1, 2, (c, m)), rng.integers(-30, 1, (c, m))
    weights, x = weight_bytes(signs, exponents), rng.integers(-(2**20), 2**20, c).astype(np.int32)
    np.testing.assert_array_equal(shift_vector(x, weights), rounded_sums(x[None], signs.T, exponents.T)[0])
    W, floats = (signs * 2.0**exponents).astype(np.float32), x.astype(np.float32)
    wanted = floats.astype(np.float64) @ W
    for found in (float_vector(floats, weights), plain_vector(floats, W)):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=0.5)


@UNHURRIED
@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 200), st.integers(0, 99))
def test_a_product_of_signs_is_d_minus_twice_the_distance(n, m, d, seed):
    rng = np.random.default_rng(seed)
    Q, K = rng.choice([-1, 1], (n, d)), rng.choice([-1, 1], (m, d))
    np.testing.assert_array_equal(sign_scores(Q, K), Q @ K.T)
    distance = (Q[:, None] != K).sum(-1)
    np.testing.assert_array_equal(sign_scores(Q, K), d - 2 * distance)


def test_all_ones_and_no_ones_in_whole_words():
    ones, minus = np.ones((1, 128)), -np.ones((1, 128))
    assert sign_scores(ones, ones).item() == 128
    assert sign_scores(ones, minus).item() == -128
    assert packed_bits(ones).tolist() == [[2**64 - 1] * 2]
    assert packed_bits(np.eye(3, 65)).tolist() == [[1, 0], [2, 0], [4, 0]]


def test_unused_bits_of_a_word_do_not_count():
    q, k = packed_bits(np.ones((3, 100))), packed_bits(np.ones((4, 100))).T.copy()
    S = np.empty((3, 4), np.int64)
    hamming_scores(q, k, 100, S)
    assert S.tolist() == [[100] * 4] * 3


@pytest.mark.parametrize(("n", "d", "e"), [(1, 1, 1), (7, 5, 3)])
def test_sums_under_a_mask_add_and_never_multiply(n, d, e):
    rng = np.random.default_rng(0)
    B, V, Y = rng.random((n, d)) < 0.5, rng.normal(size=(n, e)), np.zeros((d, e))
    counts = count(masked_sums, B, V, Y)
    np.testing.assert_allclose(Y, B.T.astype(float) @ V, atol=1e-12)
    assert counts.flops == B.sum() * e


@pytest.mark.parametrize(
    "call",
    [
        lambda: shift_linear(np.ones((2, 3)), np.ones((4, 5)), np.ones((4, 5)), None),
        lambda: ShiftWeights.of(np.ones((2, 3)), np.ones((3, 2))),
        lambda: ShiftWeights.of(np.ones((2, 3)), np.ones((2, 3))),
        lambda: weight_bytes(np.ones((1, 1)), np.full((1, 1), -31)),
        lambda: weight_bytes(np.ones(3), np.zeros(3)),
        lambda: shift_vector(np.ones(3, np.int32), np.ones((2, 2), np.int8)),
        lambda: sign_scores(np.ones((2, 3)), np.ones((2, 4))),
        lambda: packed_bits(np.ones(3)),
        lambda: product_fast(np.ones((2, 9), np.float32), np.ones((3, 2), np.float32)),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(call):
    with pytest.raises(WorkbenchError, match=r"expected|must lie"):
        call()

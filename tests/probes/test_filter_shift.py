"""The published shift by a loop, its bias by its law, and what is left when the bias is taken away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from workbench.errors import WorkbenchError
from workbench.probes import components, debiased_shift, shift, shift_bias, shifts
from workbench.probes.filter_shift import EMPTY, distributions, divergence


def pool(n, seed=0, tilt=0.0, k=(3, 3)):
    stream = np.random.default_rng(seed)
    X = stream.normal(size=(n, *k))
    X += tilt * stream.normal(size=(n, *[1] * len(k))) * np.linspace(-1, 1, k[-1])
    return X


def models(count, n, seed=0, own=0.0, **options):
    """Models of one kind; `own` is how much they differ."""
    stream = np.random.default_rng(seed)
    return [
        pool(n, 1000 * seed + i, **options) + own * stream.normal(size=options.get("k", (3, 3)))
        for i in range(count)
    ]


ALONG = components(pool(20_000, seed=99, tilt=0.5))


def loop_shift(A, B, along, bins=70):
    """As the source describes it, one component after the other, one divergence after the other."""
    total = 0.0
    for i, ratio in enumerate(along.ratios):
        p, q = [], []
        for X, found in ((A, p), (B, q)):
            density = np.histogram(along.coefficients(X)[:, i], bins, (along.low, along.high), density=True)[
                0
            ]
            density[density == 0] = np.finfo(np.float32).eps
            found.extend(density / density.sum())
        total += ratio * (entropy(p, q) + entropy(q, p))
    return total


# The published shift


@pytest.mark.parametrize("bins", [70, 7])
def test_the_shift_is_that_of_the_source(bins):
    A, B = pool(300, 1), pool(500, 2, tilt=1.0)
    assert shift(A, B, ALONG, bins) == pytest.approx(loop_shift(A, B, ALONG, bins), rel=1e-10)
    together = components(np.concatenate([A, B]))
    assert shift(A, B) == pytest.approx(loop_shift(A, B, together), rel=1e-10)


def test_one_filter_against_one_is_large_and_finite():
    value = shift(pool(1, 1), pool(1, 2), ALONG)
    assert 0 < value < 100
    assert value == pytest.approx(loop_shift(pool(1, 1), pool(1, 2), ALONG), rel=1e-10)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_shift_is_symmetric_zero_on_itself_and_forgets_order_and_scale(seed):
    stream = np.random.default_rng(seed)
    A, B = pool(200, seed), pool(150, seed + 1, tilt=1.0)
    value = shift(A, B, ALONG)
    assert value > 0
    assert shift(B, A, ALONG) == value
    assert shift(A, A, ALONG) == 0
    louder = A[stream.permutation(200)] * np.exp(stream.normal(size=(200, 1, 1)))
    assert shift(louder, B, ALONG) == pytest.approx(value, rel=0.02)  # rounding may move one across an edge
    assert shift(A[::-1], B, ALONG) == value
    assert shift(4 * A, B, ALONG) == value


def test_empty_bins_get_epsilon_and_shares_add_up():
    shares = distributions(np.array([[3, 0, 1], [0, 0, 2]]), 0.5)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares[0], np.array([1.5, EMPTY, 0.5]) / (2 + EMPTY))


def test_filters_of_any_size_have_a_shift():
    for k in ((7, 7), (9,), (1, 5)):
        A, B = pool(400, 1, k=k), pool(400, 2, tilt=2.0, k=k)
        assert shift(A, B) > shift(A, pool(400, 3, k=k))


# Its bias


def test_the_bias_follows_its_law():
    counts = np.random.default_rng(0).multinomial(16_000, np.full(70, 1 / 70), size=(2000, 2, 1))
    P = distributions(counts, 1 / 70)  # all bins are well filled
    seen = divergence(P[:, 0], P[:, 1], np.ones(1)).mean()
    assert seen == pytest.approx(shift_bias(16_000), rel=0.02)
    assert shift_bias(4000) == 2 * 69 / 4000
    assert shift_bias(1000, 500, bins=11) == pytest.approx(10 * (1 / 1000 + 1 / 500))
    raw = np.mean([shift(pool(4000, i), pool(4000, i + 50), ALONG) for i in range(4)])
    assert 0.7 < raw / shift_bias(4000) < 1.3


@pytest.mark.parametrize(("n", "near"), [(1000, 0.04), (4000, 0.006)])
def test_without_its_bias_one_population_is_no_distance_from_itself(n, near):
    values = [debiased_shift(pool(2 * n, i), pool(2 * n, i + 20), ALONG, resamples=0) for i in range(3)]
    assert abs(np.mean([found.value for found in values])) < near
    for found in values:
        assert found.raw > shift_bias(n) * 0.7
        assert (found.n, found.models, found.low, found.limit) == (n, (1, 1), None, None)


def test_what_is_really_different_stays():
    few, many = (
        debiased_shift(pool(2 * n, 1), pool(2 * n, 2, tilt=1.0), ALONG, resamples=0) for n in (4000, 16_000)
    )
    assert many.value > 0.3
    assert 0.02 < few.value - many.value < 0.07  # bins that one population hardly fills
    assert few.raw - many.raw > 1.5 * (few.value - many.value)


def test_exchanged_models_are_the_null_and_models_the_interval():
    A, B = models(5, 1600, seed=1, own=0.2), models(5, 1600, seed=2, own=0.2)
    same = debiased_shift(A, B, ALONG)
    assert same.value <= same.limit
    assert same.p_value > 0.05
    assert same.value > 0  # models differ, which no number of filters takes away
    far = debiased_shift(A, models(5, 1600, seed=3, own=0.2, tilt=1.5), ALONG)
    assert far.value > far.limit
    assert far.p_value < 0.02
    assert far.low < far.value < far.high
    assert far.low > same.limit
    assert (far.n, far.models) == (4000, (5, 5))
    equal = debiased_shift(models(5, 1600, seed=4), models(5, 1600, seed=5, tilt=1.5), ALONG)
    assert equal.high - equal.low < far.high - far.low  # models that agree leave less to chance


def test_it_is_reproducible_and_symmetric_and_says_how_many_filters_it_took():
    A, B = models(3, 900, seed=1), models(4, 1300, seed=2, tilt=1.0)
    one, again = (debiased_shift(A, B, ALONG, resamples=20) for _ in range(2))
    assert one == again
    np.testing.assert_array_equal(one.null, again.null)
    other = debiased_shift(B, A, ALONG, resamples=0)
    assert other.value == pytest.approx(one.value, rel=0.05)
    assert (one.n, one.models) == (1348, (3, 4))  # 3 * 450 = 1350 is no multiple of 4, 4 * 337 is less
    assert debiased_shift(A, B, ALONG, n=1000, resamples=0).n == 999


def test_a_wide_model_counts_no_more_than_a_narrow_one():
    narrow, wide = pool(600, 1), pool(6000, 2, tilt=2.0)
    together = debiased_shift([narrow, wide], models(2, 600, seed=7), ALONG, resamples=0)
    cut = debiased_shift([narrow, wide[:600]], models(2, 600, seed=7), ALONG, resamples=0)
    assert together.n == 600
    assert together.value == pytest.approx(cut.value, rel=0.3)


# Several populations


def test_a_matrix_of_shifts_knows_which_pairs_are_in_the_null():
    kinds = {
        "plain": models(4, 1200, seed=1, own=0.1),
        "residual": models(4, 1200, seed=2, own=0.1),
        "tilted": models(4, 1200, seed=3, own=0.1, tilt=2.0),
    }
    found = shifts(kinds, n=2000, resamples=60)
    M = found.matrix()
    np.testing.assert_array_equal(M, M.T)
    assert np.isnan(np.diag(M)).all()
    assert M[0, 1] < 0.1 < M[0, 2]
    assert found.in_null(1, 0)
    assert not found.in_null(0, 2)
    assert (found.matrix("raw")[0, 1]) > M[0, 1]
    alone = shifts({name: several[0] for name, several in kinds.items()}, resamples=10)
    assert alone.in_null(0, 1) is None
    assert np.isnan(alone.matrix("low")).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: shift(pool(5), pool(5, k=(5, 5))), "filters of one size, but 3 × 3 and 5 × 5 came"),
        (lambda: shift(pool(5, k=(5, 5)), pool(5, k=(5, 5)), ALONG), "for filters of 3 × 3, but 5 × 5 came"),
        (lambda: debiased_shift(pool(1), pool(9), ALONG), "with at least 0 filters each"),
        (
            lambda: debiased_shift(pool(100), pool(80), ALONG, n=41),
            "samples of 1 to 40 filters, but n = 41 came",
        ),
        (lambda: debiased_shift([], pool(80), ALONG), "but none came"),
        (lambda: shift_bias(0), "at least one filter"),
        (lambda: shifts({"a": pool(5)}), "at least two populations, but 1 came"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()

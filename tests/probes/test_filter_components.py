"""Principal components against scikit-learn, histograms against NumPy."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.decomposition import PCA

from workbench.errors import WorkbenchError
from workbench.probes import components, scaled
from workbench.probes import filter_components as module


def some(n=500, k=(3, 3), seed=0):
    stream = np.random.default_rng(seed)
    X = stream.normal(size=(n, *k)) * stream.uniform(0.01, 5, size=(n, *[1] * len(k)))
    return X + np.linspace(-1, 1, np.prod(k)).reshape(k)


@pytest.mark.parametrize(("n", "k"), [(500, (3, 3)), (40, (2, 5)), (6, (3, 3)), (2, (7,)), (80, (2, 2, 2))])
def test_axes_shares_and_coefficients_are_those_of_scikit_learn(n, k, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 37)  # several chunks, the last one smaller
    X = some(n, k)
    flat = scaled(X).reshape(n, -1)
    found, peer = components(X), PCA().fit(flat)
    rank = min(n - 1, flat.shape[1])
    np.testing.assert_allclose(found.mean.ravel(), peer.mean_, atol=1e-12)
    np.testing.assert_allclose(found.ratios[:rank], peer.explained_variance_ratio_[:rank], atol=1e-10)
    np.testing.assert_allclose(found.ratios[rank:], 0, atol=1e-12)
    C, theirs = found.coefficients(X), peer.transform(flat)
    sign = np.sign((C[:, :rank] * theirs[:, :rank]).sum(axis=0))
    np.testing.assert_allclose(C[:, :rank], theirs[:, :rank] * sign, atol=1e-7)
    assert (found.low, found.high) == (pytest.approx(C.min()), pytest.approx(C.max()))
    axes = found.eigenfilters.reshape(len(found.ratios), -1)
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-10)
    assert (axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] > 0).all()


def test_order_and_loudness_do_not_matter():
    X = some()
    stream = np.random.default_rng(1)
    loud = X[stream.permutation(len(X))] * np.exp(stream.normal(size=(len(X), 1, 1)))
    one, other = components(X), components(loud)
    np.testing.assert_allclose(one.eigenfilters, other.eigenfilters, atol=1e-8)
    np.testing.assert_allclose(one.ratios, other.ratios, atol=1e-12)


def test_weights_count_filters_several_times():
    X = some(20)
    counts = np.arange(20)
    weighted, repeated = components(X, counts), components(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(weighted.eigenfilters, repeated.eigenfilters, atol=1e-8)
    np.testing.assert_allclose(weighted.mean, repeated.mean, atol=1e-12)


def test_filters_come_back_from_their_coefficients():
    X = some(60)
    found = components(X)
    C = found.coefficients(X)
    np.testing.assert_allclose(found.rebuilt(C), scaled(X), atol=1e-12)
    errors = [np.square(found.rebuilt(C[:, :q]) - scaled(X)).mean() for q in range(10)]
    assert all(a >= b for a, b in pairwise(errors))
    assert errors[4] / errors[0] == pytest.approx(found.ratios[4:].sum())


def test_how_many_components_a_share_needs():
    bars = np.array([[[1, 1], [-1, -1]], [[-2, -2], [2, 2]]])
    assert components(bars).needed(1.0) == 1
    found = components(some())
    assert [found.needed(share) for share in (0.0001, 1.0)] == [1, 9]
    with pytest.raises(WorkbenchError, match="share must lie above 0"):
        found.needed(0)


def test_histograms_are_numpys_even_in_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 101)
    X = some(400)
    found = components(X)
    C = found.coefficients(X)
    counts = found.histograms(X, 70)
    for i in range(9):
        np.testing.assert_array_equal(counts[i], np.histogram(C[:, i], 70, (found.low, found.high))[0])
    outside = found.histograms(some(300, seed=9))
    assert outside.sum() == 9 * 300  # none is lost beyond the range


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: components(np.ones((5, 1, 1))), "at least two numbers, but 1 × 1 came"),
        (lambda: components(np.ones((1, 3, 3))), "all patterns are the same"),
        (lambda: components(np.arange(1, 5).reshape(4, 1, 1) * np.full((1, 3, 3), 0.1)), "are the same"),
        (lambda: components(some(), np.zeros(500)), "weights must be 500 numbers"),
        (lambda: components(some()).coefficients(np.ones((2, 5, 5))), "for filters of 3 × 3, but 5 × 5 came"),
        (lambda: components(some()).rebuilt(np.ones((2, 10))), r"\[n, up to 9\]"),
        (lambda: components(some()).histograms(some(), 1), "at least two bins"),
    ],
)
def test_what_has_no_components_is_a_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()

"""Two made picture sets against what their laws say: exact modes, energy, contraction, frames."""

import numpy as np
import pytest
from workbench_datasets import fractals, load, wave_snapshots


@pytest.mark.parametrize(("i", "j", "courant"), [(1, 1, 0.5), (3, 2, 0.7), (5, 7, 0.1)])
def test_a_mode_of_the_membrane_swings_as_the_scheme_says(i, j, courant):
    cells = 17
    N = cells - 1
    y, x = np.mgrid[:cells, :cells]
    mode = np.sin(i * np.pi * x / N) * np.sin(j * np.pi * y / N)
    squares = np.sin(i * np.pi / 2 / N) ** 2 + np.sin(j * np.pi / 2 / N) ** 2
    omega = 2 * np.arcsin(courant * np.sqrt(squares))
    for n, u in enumerate(wave_snapshots.leapfrog(mode[None], 40, courant)):
        np.testing.assert_allclose(u[0], mode * np.cos(n * omega), atol=1e-11)


def test_the_rim_of_the_membrane_stands_still():
    u = wave_snapshots.start(np.array([4.0, 9.0]), 24, np.random.default_rng(0))
    *_, last = wave_snapshots.leapfrog(u, 30)
    for side in (last[:, 0], last[:, -1], last[:, :, 0], last[:, :, -1]):
        assert not side.any()
    assert np.abs(last).max() > 0.01


def test_longer_waves_have_a_coarser_grain():
    data = load("wave-snapshots", images=200)
    X = data["images"] - 0.5
    grain = np.abs(np.diff(X, axis=1)).mean(axis=(1, 2)) / np.abs(X).mean(axis=(1, 2))
    means = [grain[data["labels"] == label].mean() for label in range(4)]
    assert means == sorted(means, reverse=True)
    assert means[0] > 1.5 * means[3]


def test_the_maps_of_a_class_contract_and_stay_the_same():
    for label in range(fractals.CLASSES):
        A, b = fractals.maps(label)
        assert np.linalg.norm(A, 2, axis=(1, 2)).max() <= fractals.SCALES[1]
        assert A.shape == (fractals.MAPS, 2, 2)
        assert b.shape == (fractals.MAPS, 2)
        np.testing.assert_array_equal(A, fractals.maps(label)[0])


def test_one_map_alone_ends_in_its_fixed_point():
    A, b = np.array([[[0.5, 0.2], [0.0, 0.4]]]), np.array([[1.0, -1.0]])
    places = fractals.visits(A[:, None], b[:, None], np.random.default_rng(0))
    fixed = np.linalg.solve(np.eye(2) - A[0], b[0])
    np.testing.assert_allclose(places[-1, 0], fixed, atol=1e-12)


def test_two_maps_visit_the_middle_third_set_and_nothing_between():
    A = np.broadcast_to(np.eye(2) / 3, (1, 2, 2, 2))
    b = np.array([[[0.0, 0.0], [2 / 3, 2 / 3]]])
    places = fractals.visits(A, b, np.random.default_rng(0))[:, 0]
    assert not ((places > 1 / 3 + 1e-6) & (places < 2 / 3 - 1e-6)).any()
    assert 0.4 < (places[:, 0] > 0.5).mean() < 0.6


def test_pictures_of_fractals_fill_their_range():
    data = load("fractals", images=20, size=24)
    assert data["images"].shape == (20, 24, 24)
    assert (data["images"].max(axis=(1, 2)) == 1).all()
    assert data["images"].min() == 0

"""Spectra and directions against transforms on fine grids, and against filters whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.probes import filter_spectra as module
from workbench.probes import orientations, phases, random_orientations, rose, spectrum

SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
LAPLACE = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
GAUSS = np.outer([1.0, 2, 1], [1, 2, 1])
DIAGONAL = np.array([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]])  # brighter up right


def random(n=6, k=(3, 3), seed=0):
    return np.random.default_rng(seed).normal(size=(n, *k))


# Spectra


@pytest.mark.parametrize("k", [(3, 3), (4, 3), (7,)])
def test_the_spectrum_is_the_mean_of_fourier_transforms(k):
    X = random(5, k) * np.exp(random(5, (1,) * len(k), 1))
    unit = X / np.sqrt(np.square(X).sum(axis=tuple(range(1, X.ndim)), keepdims=True))
    axes = tuple(range(1, X.ndim))
    power = np.mean(np.abs(np.fft.fftn(unit, [32] * len(k), axes)) ** 2, axis=0)
    found = spectrum(X, steps=33)
    if len(k) == 2:
        power = np.roll(power[::-1], 1, axis=0)  # rows count downwards, frequencies upwards
    centred = np.fft.fftshift(power)
    np.testing.assert_allclose(found.power[(slice(0, 32),) * len(k)], centred, atol=1e-12)
    assert found.n == 5


def test_random_filters_have_a_flat_spectrum_and_a_box_a_peak():
    found = spectrum(random(50_000))
    np.testing.assert_allclose(found.power, 1, atol=0.03)
    np.testing.assert_allclose(found.radial[1], 1, atol=0.03)
    box = spectrum(np.ones((1, 3, 3)))
    assert box.power.max() == pytest.approx(9)
    assert box.power[16, 16] == box.power.max()
    frequencies, power = box.radial
    assert (frequencies[0], frequencies[-1]) == (0, 0.5)
    assert power[0] == pytest.approx(9)


def test_zeros_are_left_out_of_a_spectrum():
    with_zeros = np.concatenate([random(3), np.zeros((4, 3, 3))])
    np.testing.assert_allclose(spectrum(with_zeros).power, spectrum(random(3)).power)
    assert spectrum(with_zeros).n == 3


# Orientation


def fine_orientation(w, steps=801):
    at = (np.arange(steps) - steps // 2) / steps
    power = np.abs(np.fft.fftshift(np.fft.fft2(w, (steps, steps)))) ** 2
    up, right = np.meshgrid(-at, at, indexing="ij")
    power = power * (np.hypot(up, right) <= 0.5)
    mean = (power * np.exp(2j * np.arctan2(up, right))).sum() / power.sum()
    return np.degrees(np.angle(mean)) / 2 % 180, abs(mean)


@pytest.mark.parametrize("k", [(3, 3), (4, 3), (5, 5)])
def test_angle_and_coherence_are_those_of_a_fine_grid(k):
    X = random(4, k)
    found = orientations(X)
    for w, angle, coherence in zip(X, found.angle, found.coherence, strict=True):
        by_grid = fine_orientation(w)
        assert angle == pytest.approx(by_grid[0], abs=0.05)
        assert coherence == pytest.approx(by_grid[1], abs=1e-3)


def test_known_directions():
    angles = orientations(np.array([SOBEL, SOBEL.T, DIAGONAL, DIAGONAL[:, ::-1], -SOBEL])).angle
    np.testing.assert_allclose(angles, [0, 90, 45, 135, 0], atol=1e-6)
    none = orientations(np.array([np.ones((3, 3)), LAPLACE, GAUSS, np.eye(9)[4].reshape(3, 3)]))
    np.testing.assert_allclose(none.coherence, 0, atol=1e-12)
    np.testing.assert_array_equal(none.angle, 0)
    stripes = np.cos(2 * np.pi * 0.25 * np.arange(31)) * np.ones((31, 1))
    assert orientations(stripes[None]).coherence[0] > 0.95


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_quarter_turn_turns_the_angle(seed):
    X = random(5, (4, 4), seed)
    one = orientations(X)
    turned = orientations(np.rot90(X, axes=(1, 2)))  # counter-clockwise
    np.testing.assert_allclose(np.abs((turned.angle - one.angle - 90 + 90) % 180 - 90), 0, atol=1e-5)
    np.testing.assert_allclose(turned.coherence, one.coherence, atol=1e-9)
    mirrored = orientations(X[:, :, ::-1])
    np.testing.assert_allclose(np.abs((mirrored.angle + one.angle + 90) % 180 - 90), 0, atol=1e-5)
    louder = orientations(X * np.array([1e-9, 1, 7, 1e9, -3]).reshape(5, 1, 1))
    np.testing.assert_allclose(louder.angle, one.angle, atol=1e-5)


def test_a_rose_adds_up_and_random_filters_prefer_the_axes():
    angles, shares = rose(orientations(np.array([SOBEL, SOBEL, SOBEL.T, LAPLACE])), 4)
    np.testing.assert_array_equal(angles, [0, 45, 90, 135])
    np.testing.assert_allclose(shares, [2 / 3, 0, 1 / 3, 0], atol=1e-9)
    null = rose(random_orientations((3, 3)), 12)[1]
    assert null.sum() == pytest.approx(1)
    assert min(null[0], null[6]) > 1.2 / 12
    assert random_orientations((3, 3)) is random_orientations((3, 3))
    assert rose(orientations(LAPLACE[None]))[1].sum() == pytest.approx(0, abs=1e-9)


# Phase


def test_known_phases():
    found = phases(np.array([GAUSS, -GAUSS, SOBEL, -SOBEL, SOBEL.T, LAPLACE]))
    np.testing.assert_allclose(found.phase, [0, 180, -90, 90, 90, 180], atol=1e-6)
    np.testing.assert_allclose(found.even, [1, 1, 0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(found.frequency[:5], [0, 0, 0.25, 0.25, 0.25], atol=1e-9)
    np.testing.assert_allclose(found.angle[:5], [0, 0, 0, 0, 90], atol=1e-9)
    assert found.frequency[5] == pytest.approx(np.hypot(0.5, 0.5))


def test_phases_of_one_dimension():
    found = phases(np.array([[1.0, 2, 1], [-1, 0, 1], [-1, 2, -1], [0, 0, 3.0]]))
    np.testing.assert_allclose(found.phase[:3], [0, -90, 0], atol=1e-6)
    np.testing.assert_allclose(found.frequency[:3], [0, 0.25, 0.5])
    assert found.even.tolist() == [1, 0, 1, 0.5]


def test_a_shift_within_the_filter_turns_the_phase_and_leaves_the_peak(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    wave = np.cos(2 * np.pi * np.arange(-8, 9) / 8)[None] * np.pad(np.hanning(11), 3)
    moved = np.roll(wave, 2, axis=1)  # a quarter of a wave
    found = phases(np.concatenate([wave, moved, moved]), steps=33)
    assert found.frequency[0] == found.frequency[1] == found.frequency[2] == pytest.approx(0.125)
    assert found.phase[1] - found.phase[0] == pytest.approx(-90, abs=1e-6)
    assert found.phase[2] == found.phase[1]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: spectrum(np.ones((3, 1, 1))), "at least two numbers, but 1 × 1 came"),
        (lambda: phases(np.ones((3, 1))), "at least two numbers, but 1 came"),
        (lambda: spectrum(np.ones((3, 2, 2, 2))), "one or two dimensions, but 2 × 2 × 2 came"),
        (lambda: orientations(np.ones((3, 5))), "an orientation needs filters of two dimensions, but 5 came"),
        (lambda: orientations(np.zeros((3, 3, 3))), "all are"),
        (lambda: spectrum(random(), steps=8), "odd number from 3"),
        (lambda: phases(random(), steps=1), "odd number from 3"),
        (lambda: rose(orientations(random()), 1), "at least two sectors"),
    ],
)
def test_what_has_no_spectrum_is_a_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()

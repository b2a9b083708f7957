"""Simulated series and sounds against other ways to compute them."""

import numpy as np
import pytest
from scipy.special import jv
from workbench_datasets import heat_series, load, oscillators, struck_sounds


def rod(heaters: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The heat equation by explicit finite differences, from cold: places, and temperatures by row."""
    width = 1 / cells
    places = np.arange(1, cells) * width
    edges = np.abs(places[:, None] - np.array(heat_series.HEATERS))
    # A cell that a heater covers in part gets that part of its heat.
    cover = np.clip((heat_series.WIDTH / 2 - edges) / width + 0.5, 0, 1)
    steps = int(np.ceil(heat_series.STEP * heat_series.DIFFUSIVITY / (0.4 * width**2)))
    step = heat_series.STEP / steps
    rate = heat_series.DIFFUSIVITY * step / width**2
    assert rate <= 0.5  # the explicit scheme is stable up to here
    temperature, rows = np.zeros(cells + 1), []
    for heat in heaters:
        for _ in range(steps):
            bend = temperature[2:] - 2 * temperature[1:-1] + temperature[:-2]
            temperature[1:-1] += rate * bend + step * (cover @ heat)
        rows.append(temperature[1:-1].copy())
    return places, np.array(rows)


def test_exact_modes_agree_with_finite_differences() -> None:
    heaters = heat_series.HEAT * np.repeat([[1, 0], [1, 1], [0, 1], [0, 0]], 10, axis=0).astype(float)
    places, expected = rod(heaters, cells=100)
    found = heat_series.modes(heaters) @ np.sin(np.pi * np.outer(heat_series.MODES, places))
    assert np.abs(found - expected).max() < 2e-3 * expected.max()


def test_a_rod_heated_for_long_has_the_balance_of_the_equation() -> None:
    """D u'' = -h: straight lines outside the heater, and the heat that flows out is what comes in."""
    found = heat_series.modes(np.tile([heat_series.HEAT, 0.0], (1000, 1)))[-1]
    middle, power = heat_series.HEATERS[0], heat_series.HEAT * heat_series.WIDTH
    for place in (0.1, 0.5, 0.9):
        away = place * (1 - middle) if place < middle else middle * (1 - place)
        exact = power * away / heat_series.DIFFUSIVITY
        assert found @ np.sin(np.pi * heat_series.MODES * place) == pytest.approx(exact, rel=1e-3)


def test_a_rod_without_heaters_cools_by_the_slowest_mode() -> None:
    heaters = np.zeros((400, 2))
    heaters[:10] = heat_series.HEAT
    found = heat_series.modes(heaters)[:, 0]
    rate = heat_series.DIFFUSIVITY * np.pi**2 * heat_series.STEP
    np.testing.assert_allclose(found[200:] / found[199:-1], np.exp(-rate), rtol=1e-9)


def test_the_series_are_temperatures_between_cold_and_balance() -> None:
    data = load("heat-series", length=3000)
    assert data["series"].min() > 0
    assert data["series"].max() < 1.3
    assert set(np.unique(data["heaters"])) == {0, 1}
    assert 0.4 < data["heaters"].mean() < 0.6
    np.testing.assert_allclose(np.diff(data["places"]), 1 / 9)
    # Next to the first heater a row with it on is warmer than the row before, more often than not.
    near = np.abs(data["places"] - heat_series.HEATERS[0]).argmin()
    rises = np.diff(data["series"][:, near]) > 0
    assert rises[data["heaters"][1:, 0] == 1].mean() > rises[data["heaters"][1:, 0] == 0].mean() + 0.5


def test_more_channels_are_more_places_of_the_same_rod() -> None:
    few, many = load("heat-series", channels=3, length=100), load("heat-series", channels=7, length=100)
    np.testing.assert_allclose(few["series"], many["series"][:, 1::2], atol=1e-6)


def test_without_stiffening_the_motion_is_a_sum_of_normal_modes() -> None:
    channels, length = 6, 300
    data = load("oscillators", channels=channels, length=length, stiffening=0)
    number = np.arange(1, channels + 1)
    shapes = np.sqrt(2 / (channels + 1)) * np.sin(np.pi * np.outer(number, number) / (channels + 1))
    frequencies = 2 * np.sin(np.pi * number / (2 * channels + 2))
    # Störmer-Verlet with step h turns a mode faster than it should: sin(Ω h / 2) = ω h / 2.
    step = oscillators.STEP
    turned = 2 / step * np.arcsin(frequencies * step / 2)
    start, push = shapes @ data["series"][0], shapes @ data["velocities"][0]
    times = step * oscillators.STEPS * np.arange(length)[:, None]
    speed = np.sin(turned * step) / step  # what the velocity of the scheme is a turn's share of
    exact = (start * np.cos(turned * times) + push / speed * np.sin(turned * times)) @ shapes
    np.testing.assert_allclose(data["series"], exact, atol=2e-4)
    # And the turn itself is right to the second order of the step.
    np.testing.assert_allclose(turned, frequencies, rtol=step**2 / 5)


@pytest.mark.parametrize("stiffening", [0.0, 1.0, 5.0])
def test_energy_swings_but_does_not_drift(stiffening: float) -> None:
    energies = load("oscillators", length=4000, stiffening=stiffening)["energies"]
    swing = {0.0: 0.002, 1.0: 0.02, 5.0: 0.2}[stiffening]
    assert np.ptp(energies) < swing * energies[0]
    assert abs(energies[:1000].mean() - energies[-1000:].mean()) < 0.1 * swing * energies[0]


def test_time_runs_back_to_where_it_came_from() -> None:
    place, velocity = np.array([0.4, -0.2, 0.9]), np.array([0.1, 0.5, -0.3])
    there = place, velocity
    for _ in range(100):
        there = oscillators._advance(*there, stiffening=1.0)
    back = there[0], -there[1]
    for _ in range(100):
        back = oscillators._advance(*back, stiffening=1.0)
    np.testing.assert_allclose(back[0], place, atol=1e-9)
    np.testing.assert_allclose(-back[1], velocity, atol=1e-9)


def test_the_force_is_the_slope_of_the_energy() -> None:
    place, still = np.array([0.4, -0.2, 0.9, 0.1]), np.zeros(4)
    small = 1e-6 * np.eye(4)
    slope = [
        (oscillators.energy(place + d, still, 0.7) - oscillators.energy(place - d, still, 0.7)) / 2e-6
        for d in small
    ]
    np.testing.assert_allclose(oscillators._force(place, 0.7), -np.array(slope), atol=1e-7)


def test_the_ratios_are_those_of_ideal_bodies() -> None:
    np.testing.assert_array_equal(struck_sounds.ratios("string"), np.arange(1, 13))
    bar = struck_sounds.ratios("bar")
    np.testing.assert_allclose(bar, [1, 2.7565, 5.4039, 8.9330], atol=1e-4)
    beta = 4.730040744862704 * np.sqrt(bar)
    np.testing.assert_allclose(np.cosh(beta) * np.cos(beta), 1, atol=1e-4)
    membrane = struck_sounds.ratios("membrane")
    np.testing.assert_allclose(membrane[:6], [1, 1.5933, 2.1355, 2.2954, 2.6531, 2.9173], atol=1e-4)


def test_no_mode_of_the_membrane_is_missing() -> None:
    """Counted once more, by the changes of sign of every Bessel function on a fine grid."""
    lowest = 2.404825557695773
    grid = np.linspace(1e-3, struck_sounds.HIGHEST * lowest, 2000)
    count = sum((np.diff(np.sign(jv(order, grid))) != 0).sum() for order in range(40))
    assert len(struck_sounds.ratios("membrane")) == count


def test_synthesis_is_the_sum_that_the_card_says() -> None:
    draws = np.random.default_rng(0)
    frequencies, strengths = draws.uniform(100, 3000, (3, 5)), draws.uniform(0, 1, (3, 5))
    damping = draws.uniform(2, 20, (3, 5))
    t = np.arange(struck_sounds.SAMPLES) / struck_sounds.RATE
    exact = (
        strengths[..., None]
        * np.exp(-damping[..., None] * t)
        * np.sin(2 * np.pi * frequencies[..., None] * t)
    ).sum(axis=1)
    np.testing.assert_allclose(struck_sounds.synthesis(frequencies, strengths, damping), exact, atol=1e-9)


def test_a_pure_tone_is_one_line_and_60_decibels_down_is_black() -> None:
    t = np.arange(struck_sounds.SAMPLES) / struck_sounds.RATE
    row = 20
    image = struck_sounds.spectrogram(np.sin(2 * np.pi * 62.5 * (row + 0.5) * t)[None])[0]
    assert (image.argmax(axis=0) == row).all()
    assert image.shape == (64, 31)
    assert image[[row - 5, row + 5]].max() < 0.2
    assert image.max() == 1
    assert image.min() == 0


def test_lines_stand_where_the_modes_are() -> None:
    data = load("struck-sounds", images=60)
    assert np.abs(data["sounds"]).max() <= 1
    for image, label, pitch in zip(data["images"], data["labels"], data["pitches"], strict=True):
        body = struck_sounds.BODIES[label]
        if body == "membrane":
            continue  # its modes lie too close to be seen apart
        for ratio in struck_sounds.ratios(body)[:3]:
            row = int(pitch * ratio / 62.5)
            assert image[max(row - 1, 0) : row + 2, 0].max() > 0.4
        between = int(pitch * struck_sounds.ratios("bar")[1:3].mean() / 62.5)
        if body == "bar":
            assert image[between, 5] < 0.5


def test_sounds_die_away_the_high_modes_first() -> None:
    images = load("struck-sounds", images=100)["images"]
    early, late = images[:, :, 1].mean(axis=0), images[:, :, -1].mean(axis=0)
    assert early.sum() > 1.3 * late.sum()
    assert (late / early)[4] > 1.5 * (late / early)[20]

"""The exercises of chapter 01 are sound and agree with brute force."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.receptive_fields.radius import by_growing_squares, radius
from workbench.exercises.receptive_fields.step import step
from workbench.judge.profiles import sample


@pytest.mark.parametrize("name", ["receptive-fields/radius", "receptive-fields/step"])
def test_at_least_four_wrong_answers(name):
    assert len(exercise(name).wrong_answers) >= 4


def seen(output, layers):
    """Image pixels (also outside ones) that an output of a stack sees, tap by tap."""
    indices = {output}
    for kernel, stride, padding, dilation in reversed(layers):
        indices = {i * stride - padding + dilation * tap for i in indices for tap in range(kernel)}
    return indices


@pytest.mark.parametrize("layer", [case[4:] for case in sample(exercise("receptive-fields/step").inputs, 30)])
def test_steps_agree_with_the_pixels_that_outputs_see(layer):
    layers = [(3, 2, 1, 1), (2, 3, 0, 2), layer]
    state = (200, 1, 1, 0.0)
    for each in layers:
        state = step(*state, *each)
    first, second = seen(0, layers), seen(1, layers)
    assert state[1:] == (min(second) - min(first), max(first) - min(first) + 1, (max(first) + min(first)) / 2)


@pytest.mark.parametrize("case", sample(exercise("receptive-fields/step").inputs, 30))
def test_steps_count_the_windows_that_fit(case):
    n, (kernel, stride, padding, dilation) = case[0], case[4:]
    windows = [(first, first + dilation * (kernel - 1)) for first in range(-padding, n + padding, stride)]
    assert step(*case)[0] == sum(last < n + padding for _, last in windows)


@pytest.mark.parametrize(("field", "share"), sample(exercise("receptive-fields/radius").inputs, 30))
def test_radius_laws(field, share):
    r = radius(field, share)
    assert r == by_growing_squares(field, share)
    assert r == radius(-1e6 * field, share)
    assert r == radius(field[::-1, ::-1], share)
    assert r == radius(field.T, share)
    assert r <= radius(field, min(1.0, share + 0.1))


def test_radius_of_known_maps():
    assert radius(np.ones((1, 1)), 0.5) == 0
    assert radius(np.ones((2, 2)), 0.5) == 0.5
    assert radius(np.ones((5, 5)), 9 / 25) == 1
    assert radius(np.ones((5, 5)), 9.5 / 25) == 2
    assert radius(np.eye(1, 9, 8), 0.1) == 4


def test_the_exercise_agrees_with_the_probe():
    mass_radius = getattr(pytest.importorskip("workbench.probes"), "mass_radius", None)
    if mass_radius is None:
        pytest.skip("the probes have no mass_radius")
    for field, share in sample(exercise("receptive-fields/radius").inputs, 30):
        assert mass_radius(field, share) == radius(field, share)

"""The exercises on shift and entropy are sound, and agree with the probes that the lessons use."""

import numpy as np
import pytest

from workbench import probes
from workbench.exercises import exercise
from workbench.exercises.filter_distributions.entropy import entropy
from workbench.exercises.filter_distributions.shift import shift
from workbench.judge.profiles import sample

SHIFT, ENTROPY = exercise("filter-distributions/shift"), exercise("filter-distributions/entropy")
NAMED = {
    "each population has principal components of its own",
    "each population has a range of its own",
    "one divergence instead of both",
    "a population is divided by its largest weight",
}


def test_the_shift_knows_the_named_mistakes():
    assert set(SHIFT.wrong_answers) >= NAMED
    hints = [SHIFT.wrong_answers[name][1] for name in NAMED]
    assert "axes differ" in SHIFT.wrong_answers["each population has principal components of its own"][1]
    assert len(set(hints)) == 4


@pytest.mark.parametrize(("first", "second", "bins"), sample(SHIFT.inputs, 10))
def test_laws_of_the_shift(first, second, bins):
    value = shift(first, second, bins)
    assert value > 0
    assert shift(second, first, bins) == pytest.approx(value, rel=1e-9)
    assert shift(first, first, bins) == 0
    assert shift(first[::-1], 8 * second, bins) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("first", "second", "bins"), sample(SHIFT.inputs, 10))
def test_it_is_the_probe_but_for_the_range(first, second, bins):
    along = probes.components(np.concatenate([first, second]))
    top = max(-along.low, along.high)
    balanced = probes.Components(along.mean, along.eigenfilters, along.ratios, -top, top)
    assert shift(first, second, bins) == pytest.approx(probes.shift(first, second, balanced, bins), rel=1e-6)


@pytest.mark.parametrize("layer", [layer for (layer,) in sample(ENTROPY.inputs, 20)])
def test_entropy_is_that_of_the_probe(layer):
    n = layer.shape[0] * layer.shape[1]
    if n > 1:
        assert entropy(layer) == pytest.approx(probes.variance_entropy(layer.reshape(n, 3, 3)), abs=1e-9)
    assert 0 <= entropy(layer) <= np.log10(9)


def test_nine_equal_directions_have_the_largest_entropy():
    both_signs = np.concatenate([np.eye(9), -np.eye(9)]).reshape(18, 1, 3, 3)
    assert entropy(both_signs) == pytest.approx(np.log10(9))

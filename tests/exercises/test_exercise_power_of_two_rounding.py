"""The exercise of rounding to powers of two is sound, and its rule is that of the layer."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.power_of_two_rounding import power_of_two
from workbench.judge.profiles import sample
from workbench.layers import power_of_two as of_the_layer

EXERCISE = exercise("attention-shapes/power-of-two-rounding")
NAMED = {
    "nearest in value",
    "always rounded down",
    "zero becomes the smallest weight",
    "no cap at 1",
}


def test_it_knows_the_named_mistakes():
    assert set(EXERCISE.wrong_answers) > NAMED


@pytest.mark.parametrize(("weights", "bits"), sample(EXERCISE.inputs, 20))
def test_its_rule_is_that_of_the_layer(weights, bits):
    np.testing.assert_array_equal(power_of_two(weights, bits), of_the_layer(torch.tensor(weights), bits))

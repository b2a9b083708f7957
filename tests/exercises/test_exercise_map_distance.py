"""The exercise of map distances is sound, and its answer is the instrument's."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.attention_cost.map_distance import map_distance
from workbench.judge.profiles import sample
from workbench.probes import map_measures

EXERCISE = exercise("attention-cost/map-distance")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 8


@pytest.mark.parametrize(("A", "height", "width"), sample(EXERCISE.inputs, 15))
def test_the_answer_is_that_of_the_instrument(A, height, width):
    measured = map_measures(A, grid=(height, width)).distance[0]
    np.testing.assert_allclose(map_distance(A, height, width), measured, atol=1e-6)

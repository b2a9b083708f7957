"""The exercise of visible sets is sound, and its answer is that of the data set."""

import numpy as np
import pytest
from workbench_datasets import region_ideal

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.visible_ideal import visible_ideal
from workbench.judge.profiles import sample

EXERCISE = exercise("attention-shapes/visible-ideal")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 10


@pytest.mark.parametrize(("visible", "labels", "noise"), sample(EXERCISE.inputs, 10))
def test_the_answer_is_that_of_the_data_set(visible, labels, noise):
    found = region_ideal(visible, labels[None, None], noise)[0, 0]
    np.testing.assert_allclose(visible_ideal(visible, labels, noise), found)

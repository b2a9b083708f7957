"""The exercise of what is worth choosing is sound and obeys its laws."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.receptive_fields.worth_choosing import by_loops, worth_choosing
from workbench.judge.profiles import sample

EXERCISE = exercise("receptive-fields/worth-choosing")


@pytest.mark.parametrize(("cost", "error"), sample(EXERCISE.inputs, 30))
def test_laws_of_what_is_worth_choosing(cost, error):
    worth = worth_choosing(cost, error)
    assert worth.any()
    np.testing.assert_array_equal(worth, by_loops(cost, error))
    np.testing.assert_array_equal(worth, worth_choosing(error, cost))
    np.testing.assert_array_equal(worth, worth_choosing(3 * cost + 1, np.sqrt(error)))
    if len(cost) > 1:
        order = np.argsort(cost[worth], kind="stable")
        assert (np.diff(error[worth][order]) <= 0).all() or len(np.unique(cost)) < len(cost)

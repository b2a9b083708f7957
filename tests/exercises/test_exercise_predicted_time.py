"""The exercise of predicted times is sound, and its scores are those of the kernels' geometry."""

import pytest

from workbench.exercises import exercise
from workbench.exercises.attention_cost.predicted_time import predicted_time
from workbench.judge.profiles import sample
from workbench.kernels import Neighborhood

EXERCISE = exercise("attention-cost/predicted-time")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize(
    ("tokens", "window", "tile", "dim", "itemsize", "rate", "bandwidth"), sample(EXERCISE.inputs, 20)
)
def test_operations_and_bytes_are_those_of_the_tiles(tokens, window, tile, dim, itemsize, rate, bandwidth):
    parts = Neighborhood.of((tokens,), window, 1, True).tiles((tile,))
    scores = sum(part.dense for part in parts)
    rows = sum(2 * len(part.queries[0]) + 2 * len(part.keys[0]) for part in parts)
    found = predicted_time(tokens, window, tile, dim, itemsize, rate, bandwidth)
    assert found == pytest.approx(max(4 * dim * scores / rate, rows * dim * itemsize / bandwidth))

"""The exercise of the staggered lanes is sound, and its lanes together are the schedule of Edge-MoE."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.attention_cost.lane_key_order import lane_order, steps_of
from workbench.systems.attention_cost.edge_moe import staggered

EXERCISE = exercise("attention-cost/lane-key-order")
NAMED = {
    "all lanes begin at key 0",
    "the lane begins at key −j",
    "the wrapped keys are dropped",
    "lanes wait for one another between two blocks",
}


def test_it_knows_the_named_mistakes():
    assert set(EXERCISE.wrong_answers) > NAMED


@pytest.mark.parametrize(("tokens", "lanes"), [(1, 1), (7, 3), (12, 4), (129, 4), (5, 5)])
def test_all_lanes_together_are_the_schedule(tokens, lanes):
    schedule = staggered(tokens, lanes)
    assert schedule.steps == steps_of(lanes, tokens)
    for lane in range(lanes):
        order = lane_order(lane, lanes, tokens, schedule.steps)
        np.testing.assert_array_equal(order, np.stack([schedule.query[:, lane], schedule.key[:, lane]], 1))

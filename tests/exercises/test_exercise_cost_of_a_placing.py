"""The exercise of a placing's cost is sound and agrees with the system's price."""

import pytest

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.cost_of_a_placing import cost
from workbench.systems.attention_shapes.ascan import EXPANSION, SHARE, multiply_adds, stages_of

EXERCISE = exercise("attention-shapes/cost-of-a-placing")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize("placing", ["CC|TT", "T", "CTC|TT|C", "CCC|CCC|CCT|TTT"])
def test_it_agrees_with_the_system_but_for_merges_and_squeezes(placing):
    side, width = 32, 12
    rest = 0
    for number, blocks in enumerate(stages_of(placing)):
        wide = EXPANSION * width * 2**number
        rest += blocks.count("C") * 2 * wide * round(SHARE * wide)
        if number:
            rest += (side // 2**number) ** 2 * 2 * (width * 2**number) ** 2
    assert cost(placing, side, width) + rest == multiply_adds(placing, side, width, fused=0)

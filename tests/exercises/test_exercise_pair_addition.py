"""The exercise of pair addition is sound, and its pairs are those of the system."""

import math

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.attention_cost.pair_addition import add_exponential
from workbench.judge.profiles import sample
from workbench.systems.attention_cost.two_pass_softmax import add_pairs, exp_pair

EXERCISE = exercise("attention-cost/pair-addition")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize(("M", "N", "x"), sample(EXERCISE.inputs, 20))
def test_pairs_are_those_of_the_system_and_of_logarithms(M, N, x):
    total, top = add_exponential(M, N, x)
    m, n = add_pairs((np.float32(M), np.float32(N)), exp_pair(np.float32(x)))
    assert total == pytest.approx(float(m), rel=1e-4)  # x was rounded to float32
    assert top == n
    before = math.log(M) + N * math.log(2) if M else -math.inf
    assert math.log(total) + top * math.log(2) == pytest.approx(float(np.logaddexp(before, x)), abs=1e-9)

"""The exercise of curation is sound, and agrees with the parts (a) and (b) of the system."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.roofline.curation import select
from workbench.judge.profiles import sample
from workbench.systems.roofline.concur import Table, concise, fast

EXERCISE = exercise("roofline/curation")
NAMED = {
    "the shortest of all tasks",
    "wrong kernels keep their speedup",
    "ties are dropped",
    "samples of both parts are counted twice",
}


def test_it_knows_the_named_mistakes():
    assert set(EXERCISE.wrong_answers) > NAMED


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 20))
def test_it_is_what_the_system_does(case):
    task, length, speedup, right, threshold = case
    table = Table(task, length, speedup * right)
    np.testing.assert_array_equal(select(*case), np.union1d(concise(table), fast(table, threshold)))

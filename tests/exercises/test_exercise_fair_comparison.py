"""The rule that catches a cheat: sound, and each mistake accepts a cheat or rejects what is honest."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.roofline import fair_comparison as fair

ROOM = exercise("roofline/fair-comparison")
HONEST = {"itself", "another order", "works in place"}
SEVERAL = ((16,), (7,), (3, 5))


def test_it_knows_the_named_mistakes():
    assert len(ROOM.wrong_answers) >= 4


@pytest.mark.parametrize("reference", sorted(fair.references()))
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e3])
def test_honest_kernels_are_accepted_and_cheats_are_not(reference, size):
    for name in fair.kernels(reference):
        assert fair.accepts(*fair.case(name, reference, SEVERAL, size)) == (name in HONEST), name


def test_inputs_stay_as_they_are():
    kernel, reference, inputs = fair.case("puts zeros everywhere", "centred", SEVERAL)
    before = [x.copy() for x in inputs]
    fair.accepts(kernel, reference, inputs)
    assert all(np.array_equal(x, y) for x, y in zip(inputs, before, strict=True))

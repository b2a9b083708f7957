"""The five marks: the exercise is sound, and agrees with the system."""

import pytest

from workbench.exercises import exercise
from workbench.judge.profiles import sample
from workbench.systems.roofline.hpc_kernel_proficiency import Finding, mark

MARKS = exercise("roofline/five-marks")


def test_it_knows_the_named_mistakes():
    assert len(MARKS.wrong_answers) >= 8


@pytest.mark.parametrize(("asked", "models", "right"), sample(MARKS.inputs, 20))
def test_the_mark_is_that_of_the_system(asked, models, right):
    findings = [Finding(model, fine) for model, fine in zip(models, right, strict=True)]
    assert MARKS.reference(asked, models, right) == mark(asked, findings)


def test_all_five_marks_are_asked_for():
    assert {MARKS.reference(*case) for case in sample(MARKS.inputs, 150)} == {0.0, 0.25, 0.5, 0.75, 1.0}

"""What holds for every exercise of the book; the files beside this one hold what is special to each."""

import pytest

from workbench.exercises import exercise, exercises, prove


@pytest.mark.parametrize("name", exercises())
def test_it_is_sound_and_rejects_its_wrong_answers(name):
    assert prove(exercise(name)) == []

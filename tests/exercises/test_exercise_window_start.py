"""The exercise of windows is sound, and its windows are those of the kernels."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.attention_cost.window_start import window_keys
from workbench.judge.profiles import sample
from workbench.kernels import neighborhood_window

EXERCISE = exercise("attention-cost/window-start")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize(("i", "length", "window", "dilation"), sample(EXERCISE.inputs, 30))
def test_windows_are_those_of_the_kernels(i, length, window, dilation):
    keys = window_keys(i, length, window, dilation)
    assert keys.tolist() == list(neighborhood_window(i, length, window, dilation=dilation))
    assert len(set(keys.tolist())) == window
    assert i in keys
    assert np.all(keys % dilation == i % dilation)

"""Stochastic depth as an exercise: sound, true to its mean, and the same as the layer."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.receptive_fields.stochastic_depth import stochastic_depth
from workbench.layers import DropPath

EXERCISE = exercise("receptive-fields/stochastic-depth")
STEP = exercise("receptive-fields/step")


@pytest.mark.parametrize("name", list(EXERCISE.wrong_answers))
def test_every_mistake_gets_its_own_hint(name):
    ruling = EXERCISE.behaviours[name]
    assert not ruling.passed
    assert EXERCISE.looks_like(ruling) == name


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.8])
def test_the_mean_over_the_coins_is_that_of_no_dropping(rate):
    coins = (np.arange(1000) + 0.5) / 1000
    x, branch = np.full((1000, 1), 3.0), np.full((1000, 1), -7.0)
    assert stochastic_depth(x, branch, rate, coins, True).mean() == pytest.approx(-4)


def test_the_layer_does_the_same_with_its_coins():
    branch = torch.randn(64, 3, 2, 2)
    dropped = DropPath(0.4).train()(branch)
    stays = dropped.flatten(1).abs().sum(1) > 0
    coins = np.where(stays.numpy(), 0.9, 0.1)
    mine = stochastic_depth(np.zeros((64, 3, 2, 2)), branch.numpy(), 0.4, coins, True)
    np.testing.assert_allclose(mine, dropped.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    "mistake",
    [
        "the jump is never used",
        "the jump is multiplied before it is used",
        "padding enters the size, but not the start",
        "the whole kernel counts as reach",
    ],
)
def test_the_step_of_the_recurrence_rejects_the_four_mistakes(mistake):
    ruling = STEP.behaviours[mistake]
    assert not ruling.passed
    assert STEP.looks_like(ruling) == mistake

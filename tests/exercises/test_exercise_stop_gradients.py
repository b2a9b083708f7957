"""The exercise of the stop-gradients is sound and agrees with the layer."""

import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.stop_gradients import divergence, pulls
from workbench.judge.profiles import sample
from workbench.layers.intra_inter_correlation import Correlation, divergences, symmetric_divergence
from workbench.systems.attention_shapes.focus_the_discrepancy import lost_link

EXERCISE = exercise("attention-shapes/stop-gradients")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 8))
def test_the_sum_of_both_losses_has_the_gradients_of_the_layer(case):
    *rows, weight = case
    gradients, lost = pulls(*case)
    sides = [side.clone().requires_grad_() for side in rows]
    tells = divergences(Correlation(*sides[:2]), Correlation(*sides[2:]), 1, rows[0].shape[-1])
    (weight * (tells.intra.mean() + tells.inter.mean())).backward()
    for side, both in zip(sides, gradients.sum(0), strict=True):
        torch.testing.assert_close(side.grad, both)
    torch.testing.assert_close(lost_link(tells.inter.detach())[:, 0], lost)


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 8))
def test_laws(case):
    gradients, lost = pulls(*case)
    assert not gradients[0, [0, 2]].any()
    assert not gradients[1, [1, 3]].any()
    torch.testing.assert_close(divergence(*case[:2]), symmetric_divergence(*case[:2]))
    torch.testing.assert_close(divergence(*case[:2]), divergence(*case[1::-1]))
    assert (lost >= 0).all()
    assert (lost.amin(1) == 0).all()

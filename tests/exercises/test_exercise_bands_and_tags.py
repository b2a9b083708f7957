"""The inverse Haar step and the grouping loss agree with the layers and the system that use them."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.receptive_fields.grouping_loss import by_pairs, push_pull, without_loops
from workbench.exercises.receptive_fields.inverse_haar import forward, inverse
from workbench.judge.profiles import sample
from workbench.layers import haar2d
from workbench.systems.receptive_fields.lite_pose import grouping_loss

NAMES = ["receptive-fields/inverse-haar", "receptive-fields/grouping-loss"]


@pytest.mark.parametrize("case", sample(exercise(NAMES[0]).inputs, 20))
def test_the_inverse_undoes_the_layer(case):
    *bands, size = case
    x = inverse(*bands, size)
    scale = 1e-12 * max(float(np.abs(band).max()) for band in bands)
    for ours, theirs in zip(forward(x), haar2d(torch.from_numpy(x.copy())[None]), strict=True):
        np.testing.assert_allclose(ours, theirs[0].numpy(), rtol=1e-9, atol=scale)


@pytest.mark.parametrize("case", sample(exercise(NAMES[1]).inputs, 20))
def test_the_loss_is_that_of_the_system(case):
    tags, visible = case
    push, pull = grouping_loss(torch.from_numpy(tags)[None], torch.from_numpy(visible)[None])
    assert push_pull(tags, visible) == pytest.approx((push.item(), pull.item()), rel=1e-9, abs=1e-12)
    assert without_loops(tags, visible) == pytest.approx(by_pairs(tags, visible), rel=1e-9, abs=1e-12)


def test_only_differences_of_tags_count():
    tags = np.array([[0.0, 0.4], [3.0, 2.5]])
    everything = np.ones((2, 2), dtype=bool)
    assert push_pull(tags + 7, everything) == pytest.approx(push_pull(tags, everything))
    assert push_pull(np.zeros((2, 2)), everything) == (0.5, 0.0)

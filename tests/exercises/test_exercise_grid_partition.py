"""The exercise of the grid is sound and agrees with the layers."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.grid_partition import grid_partition
from workbench.layers import to_grid

EXERCISE = exercise("attention-shapes/grid-partition")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 3


@pytest.mark.parametrize(("height", "width", "grid"), [(12, 8, 4), (3, 3, 3), (5, 2, 1)])
def test_it_cuts_as_the_layer_does(height, width, grid):
    x = np.random.default_rng(0).standard_normal((height, width, 3))
    parts, back = grid_partition(x, grid)
    cut = to_grid(torch.from_numpy(x.transpose(2, 0, 1).copy())[None], grid)  # [places, channels, grid, grid]
    np.testing.assert_array_equal(parts, cut.flatten(2).mT)
    np.testing.assert_allclose(back.sum((0, 1)), x.sum((0, 1)))
    again, _ = grid_partition(back, grid)
    np.testing.assert_allclose(again, np.broadcast_to(parts.mean(1, keepdims=True), parts.shape))

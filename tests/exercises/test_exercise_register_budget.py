"""The exercise of the register budget is sound, and its filter is that of the lite space."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.roofline.register_budget import GRID, kept
from workbench.judge.profiles import sample
from workbench.wasm import Tile, lite_space

EXERCISE = exercise("roofline/register-budget")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize(("m", "n"), [(128, 384), (5, 30), (1, 8), (12, 96)])
@pytest.mark.parametrize("registers", [16, 32])
@pytest.mark.parametrize("edges", [False, True])
def test_the_filter_is_that_of_the_lite_space(m, n, registers, edges):
    space = set(lite_space(m, n, 1, registers=registers, edges=edges))
    sizes = {(tile.mr, tile.nv) for tile in lite_space(10**6 * 840, 4 * 840, 1, registers=10**6)}
    answers = kept(GRID, m, n, registers, edges)
    for (mr, nv), answer in zip(GRID.tolist(), answers, strict=True):
        if (mr, nv) in sizes:
            assert answer == (Tile(mr, nv) in space)


@pytest.mark.parametrize("inputs", sample(EXERCISE.inputs, 30))
def test_more_registers_and_edges_only_add(inputs):
    tiles, m, n, registers, edges = inputs
    answers = kept(tiles, m, n, registers, edges)
    assert answers.dtype == bool
    assert answers.shape == (len(tiles),)
    assert not np.any(answers & ~kept(tiles, m, n, registers + 1, edges))
    assert not np.any(answers & ~kept(tiles, m, n, registers, True))

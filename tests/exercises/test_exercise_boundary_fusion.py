"""The exercise of boundary-guided fusion is sound and agrees with the module."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.receptive_fields.boundary_fusion import boundary_fusion
from workbench.judge.profiles import sample
from workbench.systems.receptive_fields.bevanet import boundary_mix

EXERCISE = exercise("receptive-fields/boundary-fusion")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 20))
def test_fusion_laws(case):
    detail, semantic, boundary = case
    fused = boundary_fusion(*case)
    by_module = boundary_mix(*(torch.from_numpy(part.copy()) for part in case))
    np.testing.assert_allclose(fused, by_module, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(boundary_fusion(semantic, detail, -boundary), fused, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(boundary_fusion(detail, detail, boundary), 3 * detail, rtol=1e-9, atol=1e-9)

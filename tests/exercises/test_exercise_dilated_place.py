"""The exercise on placing a dilated kernel is sound and agrees with torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.exercises import exercise
from workbench.exercises.receptive_fields.dilated_place import place
from workbench.judge.profiles import sample

NAME = "receptive-fields/dilated-place"
NAMED = {
    "one pixel off the middle",
    "weights are repeated instead of spaced by zeros",
    "the mean is left out",
    "weights are folded before the division by std",
}


def test_it_knows_the_named_mistakes():
    assert set(exercise(NAME).wrong_answers) >= NAMED


@pytest.mark.parametrize("case", sample(exercise(NAME).inputs, 20))
def test_the_plain_kernel_does_what_the_dilated_one_and_its_norm_do(case):
    kernel, dilation, size, scale, shift, mean, std = case
    x = torch.randn(1, 1, 2 * size, 2 * size + 1, dtype=torch.float64)
    dilated = F.conv2d(x, torch.tensor(kernel.copy())[None, None], dilation=dilation, padding="same")
    wide, bias = place(*case)
    plain = F.conv2d(x, torch.from_numpy(wide)[None, None], padding="same") + bias
    torch.testing.assert_close(plain, scale * (dilated - mean) / std + shift)


def test_a_kernel_without_gaps_is_framed():
    wide, bias = place(np.ones((3, 3)), 1, 7, 1.0, 0.0, 0.0, 1.0)
    assert bias == 0
    assert wide.sum() == 9
    assert wide[2:5, 2:5].sum() == 9

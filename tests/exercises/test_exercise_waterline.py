"""The exercises of fewer operations are sound, and agree with the system."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.judge.profiles import sample
from workbench.systems.roofline.convnet_efficiency import attainable

WATERLINE, BANDS = exercise("roofline/waterline"), exercise("roofline/block-in-bands")


@pytest.mark.parametrize("room", [WATERLINE, BANDS], ids=lambda room: room.name)
def test_it_knows_the_named_mistakes(room):
    assert len(room.wrong_answers) >= 4


@pytest.mark.parametrize(("F", "B", "P", "W"), sample(WATERLINE.inputs, 20))
def test_the_waterline_is_that_of_the_system(F, B, P, W):
    assert WATERLINE.reference(F, B, P, W) == pytest.approx(attainable(F, B, P, W))


@pytest.mark.parametrize(("x", "look", "expand", "project", "band"), sample(BANDS.inputs, 20))
def test_bands_change_nothing(x, look, expand, project, band):
    whole = BANDS.reference(x, look, expand, project, len(x))
    np.testing.assert_allclose(BANDS.reference(x, look, expand, project, band), whole, rtol=1e-12, atol=1e-12)

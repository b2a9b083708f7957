"""The exercise of the two softmaxes is sound and agrees with the layer."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.two_softmaxes import slot_mix
from workbench.judge.profiles import sample
from workbench.layers import SlotMixing

EXERCISE = exercise("attention-shapes/two-softmaxes")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@torch.no_grad()
def test_it_agrees_with_the_layer():
    """Slots that do not see each other: `talk` is the identity."""
    layer = SlotMixing(6, 2, start="learned", scale=3.0, attend=False, kernel=0).double()
    x = torch.randn(1, 6, 4, 5, dtype=torch.double)
    expected = layer(x)[0].flatten(1).T
    pixels, starts = x[0].flatten(1).T.numpy(), layer.first_slots.numpy()
    found = slot_mix(pixels, starts, layer.scale.item(), np.eye(4))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 20))
def test_laws(case):
    x, starts, scale, talk = case
    out = slot_mix(*case)
    order = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_allclose(slot_mix(x[order], starts, scale, talk), out[order], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(slot_mix(x, 3 * starts, scale, talk), out, rtol=1e-9, atol=1e-9)
    even = slot_mix(x, starts, 0.0, talk)  # talk's rows sum to 1
    np.testing.assert_allclose(even, np.broadcast_to(x.mean(0), x.shape), rtol=1e-9, atol=1e-9)

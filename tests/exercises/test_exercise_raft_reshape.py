"""The exercise of the rafts is sound and agrees with the layer."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.raft_reshape import raft_mix
from workbench.layers import RaftMixing

EXERCISE = exercise("attention-shapes/raft-reshape")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize(("raft", "places", "height", "width"), [(2, 3, 4, 3), (1, 4, 2, 5), (3, 1, 1, 2)])
def test_it_agrees_with_the_layer(raft, places, height, width):
    """The layer's perceptrons replaced by one matrix each."""
    layer = RaftMixing(raft * places, (height, width), raft=raft).double()
    for part, length in ((layer.vertical, height), (layer.horizontal, width)):
        part.mix = nn.Linear(raft * length, raft * length, bias=False).double()
    matrices = [part.mix.weight.detach().numpy().T for part in (layer.vertical, layer.horizontal)]
    x = torch.randn(raft * places, height, width, dtype=torch.double)
    with torch.no_grad():
        expected = layer(x[None])[0]
    np.testing.assert_allclose(raft_mix(x.numpy(), raft, *matrices), expected, rtol=1e-9, atol=1e-9)

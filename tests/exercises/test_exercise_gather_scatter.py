"""The exercise of gathering and scattering is sound, and agrees with the layer of the book."""

import numpy as np
import torch

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.gather_scatter import gather_scatter
from workbench.judge.profiles import sample
from workbench.layers.gathering_scattering import Gathered, gather, scatter

EXERCISE = exercise("attention-shapes/gather-scatter")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 8


def test_answers_are_those_of_gather_attend_scatter():
    for x, heat, figure, ground in sample(EXERCISE.inputs, 20):
        tokens, member = torch.from_numpy(x.T)[None], torch.from_numpy(heat >= 0.5)[None]
        out = tokens
        for kind, share, rule in ((member, heat, figure), (~member, 1 - heat, ground)):
            soft = torch.from_numpy(x * share)
            keys = torch.from_numpy(rule) @ soft @ soft.T
            found = gather(tokens, kind)
            mixed = torch.nn.functional.scaled_dot_product_attention(found.tokens, keys[None], keys[None])
            out = scatter(out, Gathered(found.tokens + mixed, found.places, found.there))
        if 0 < member.sum() < member.numel():
            np.testing.assert_allclose(gather_scatter(x, heat, figure, ground), out[0].T, atol=1e-9)
        else:
            np.testing.assert_array_equal(gather_scatter(x, heat, figure, ground), x)

"""The exercises on cheap wide kernels agree with the systems that they come from."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.receptive_fields.channel_split import pixel_by_pixel, split_mix
from workbench.exercises.receptive_fields.dilated_padding import attend
from workbench.judge.profiles import sample
from workbench.systems.receptive_fields.inceptionnext import InceptionMixer
from workbench.systems.receptive_fields.visual_attention_network import LargeKernelAttention


@pytest.mark.parametrize("case", sample(exercise("receptive-fields/channel-split").inputs, 20))
def test_the_split_is_the_mixer_with_shared_kernels(case):
    x, square, across, down, ratio = case
    mixer = InceptionMixer(len(x), band=len(across), ratio=ratio).double()
    with torch.no_grad():
        for branch, kernel in zip(mixer.branches, (square, across[None, :], down[:, None]), strict=False):
            branch.weight.copy_(torch.from_numpy(np.array(kernel)).expand_as(branch.weight))
            branch.bias.zero_()
        truth = mixer(torch.from_numpy(np.array(x))[None])[0].numpy()
    np.testing.assert_allclose(split_mix(*case), truth, atol=1e-12)
    np.testing.assert_allclose(pixel_by_pixel(*case), truth, atol=1e-12)


def test_the_gate_is_that_of_the_system():
    gate = LargeKernelAttention(3, 21, 3).double()
    x = np.random.default_rng(0).standard_normal((3, 20, 26))
    with torch.no_grad():
        truth = gate(torch.from_numpy(x)[None])[0].numpy()
    local, dilated = (part.weight[:, 0].detach().numpy() for part in (gate.local, gate.wide))
    mix = gate.mix.weight[:, :, 0, 0].detach().numpy()
    np.testing.assert_allclose(attend(x, local, dilated, mix, 3), truth, atol=1e-12)

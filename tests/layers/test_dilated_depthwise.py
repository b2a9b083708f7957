"""The dilated depthwise convolution in parts equals torch's own, forward and back."""

import pytest
import torch
import torch.nn.functional as F

from workbench.layers import DilatedDepthwise
from workbench.probes import receptive_field


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 2), (7, 3), ((1, 11), 3), ((5, 1), 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("shape", [(2, 3, 24, 24), (1, 1, 1, 1), (2, 2, 10, 13), (3, 1, 2, 17)])
def test_parts_equal_the_whole(kernel, dilation, shape):
    conv = DilatedDepthwise(shape[1], kernel, dilation=dilation).double()
    x = torch.randn(shape[0], shape[1], shape[3], shape[2], dtype=torch.float64).transpose(2, 3)
    x.requires_grad_()
    half = [dilation * (side // 2) for side in conv.kernel_size]
    whole = F.conv2d(x, conv.weight, conv.bias, padding=half, dilation=dilation, groups=shape[1])
    wanted = (x, conv.weight, conv.bias)
    expected = torch.autograd.grad(whole.square().sum(), wanted)
    for mode in (True, False):
        parts = conv.train(mode)(x)
        torch.testing.assert_close(parts, whole)
        for ours, theirs in zip(torch.autograd.grad(parts.square().sum(), wanted), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_its_reach_is_that_of_a_dilated_convolution():
    assert receptive_field(DilatedDepthwise(2, (1, 7), dilation=3), (1, 2, 30, 30)).size == (1, 19)
    assert receptive_field(DilatedDepthwise(2, 13), (1, 2, 30, 30)).size == (13, 13)

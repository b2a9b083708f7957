"""A dilated depthwise convolution that trains quickly: on every d-th row and column it is a plain one.

An output of a convolution with dilation d reads only pixels that lie a multiple of d away. So the image falls
apart into d x d coarser ones that never meet; each of them is filtered by the same kernel without gaps, for
which `DepthwiseConv2d` has quick ways.
"""

import torch.nn.functional as F
from torch import Tensor, fx, nn

from workbench.layers.depthwise_conv import DepthwiseConv2d, depthwise


class DilatedDepthwise(DepthwiseConv2d):
    """`DepthwiseConv2d` with the same dilation along both axes, which keeps height and width.

    [batch, channels, height, width] -> the same. While training it works on the coarser images; in evaluation
    mode it leaves the work, which is the same to rounding, to torch.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(input, fx.Proxy):  # a tracer follows: it knows torch's own convolution
            return nn.Conv2d._conv_forward(self, input, weight, bias)
        if not self.training or self.dilation == (1, 1):
            return super()._conv_forward(input, weight, bias)
        batch, channels, height, width = input.shape
        # along an axis on which the kernel has one tap, there is nothing to take apart
        down, across = (self.dilation[0] if side > 1 else 1 for side in self.kernel_size)
        x = F.pad(input, (0, -width % across, 0, -height % down))
        rows, columns = x.shape[2] // down, x.shape[3] // across
        x = x.reshape(batch, channels, rows, down, columns, across).permute(0, 3, 5, 1, 2, 4)
        x = x.reshape(batch * down * across, channels, rows, columns)
        y = depthwise(x.contiguous(), weight, bias)
        y = y.reshape(batch, down, across, channels, rows, columns).permute(0, 3, 4, 1, 5, 2)
        return y.reshape(batch, channels, rows * down, columns * across)[..., :height, :width]

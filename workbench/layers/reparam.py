"""Structural re-parameterisation: train several kernels side by side, keep one.

A convolution is linear, and so is a batch norm once its statistics are fixed. So a sum of convolutions,
each with its norm, is one convolution. Training knows the branches, inference only their sum.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.depthwise_conv import DepthwiseConv2d
from workbench.layers.dilated_depthwise import DilatedDepthwise
from workbench.layers.folding import fold_norm

Branch = tuple[int, int]  # size and dilation of a kernel


def span(size: int, dilation: int) -> int:
    """How many pixels a dilated kernel reaches over, the gaps included.

    >>> span(3, dilation=5)
    11
    """
    return dilation * (size - 1) + 1


def place_dilated(weight: Tensor, dilation: int, size: int) -> Tensor:
    """The plain kernel [channels, 1, size, size] that does what `weight` [channels, 1, k, k] does dilated.

    Its weights stand `dilation` apart, zeros lie between them and around them, and the middles agree.
    """
    wide = span(weight.shape[-1], dilation)
    if wide > size or (size - wide) % 2:
        raise WorkbenchError(
            f"a kernel of {weight.shape[-1]} with dilation {dilation} spans {wide} pixels, "
            f"which has no place in the middle of {size}"
        )
    margin = (size - wide) // 2
    taps = slice(margin, margin + wide, dilation)
    plain = weight.new_zeros(*weight.shape[:2], size, size)
    plain[..., taps, taps] = weight
    return plain


class RepDepthwise(nn.Module):
    """A wide depthwise kernel trained beside smaller ones: the sum of norm(conv(x)) over all branches.

    [batch, channels, height, width] -> the same, also where the kernel is wider than the map.
    branches: (size, dilation) of each kernel beside the wide one; all sizes are odd, and none reaches
    further than the wide kernel. Small branches make local patterns easy to learn, dilated ones sparse
    far ones; `fold` adds all of them into one kernel once training is over.
    """

    def __init__(self, channels: int, kernel: int, branches: Sequence[Branch] = ()) -> None:
        super().__init__()
        for size, dilation in ((kernel, 1), *branches):
            if size < 1 or size % 2 == 0 or dilation < 1 or span(size, dilation) > kernel:
                raise WorkbenchError(
                    "kernels must be odd, and no branch may reach further than the wide kernel, but a "
                    f"branch of {size} with dilation {dilation} came beside a kernel of {kernel}"
                )
        self.branches = nn.ModuleList(
            nn.Sequential(
                DilatedDepthwise(channels, size, dilation=dilation, bias=False),
                nn.BatchNorm2d(channels),
            )
            for size, dilation in ((kernel, 1), *branches)
        )

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.branches
        total: Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        return total

    def fold(self) -> nn.Conv2d:
        """The one depthwise convolution that equals this module in evaluation mode.

        Raises WorkbenchError in training mode, where the norms use the statistics of each batch and no
        fixed kernel equals them.
        """
        refuse_training(self)
        pairs = [(branch[0], branch[1]) for branch in self.branches]  # type: ignore[index]
        size = pairs[0][0].kernel_size[0]
        weights, biases = [], []
        for conv, norm in pairs:
            weight, bias = fold_norm(conv, norm)
            weights.append(place_dilated(weight, conv.dilation[0], size))
            biases.append(bias)
        return with_weights(torch.stack(weights).sum(0), torch.stack(biases).sum(0), depthwise=True)


def with_weights(weight: Tensor, bias: Tensor, depthwise: bool = False) -> nn.Conv2d:
    """A convolution that keeps height and width, with this weight and bias, in evaluation mode.

    weight: [outputs, inputs, k, k] with odd k, or [channels, 1, k, k] where each channel has its own kernel.
    """
    outputs, inputs, size, _ = weight.shape
    conv = (
        DepthwiseConv2d(outputs, size) if depthwise else nn.Conv2d(inputs, outputs, size, padding=size // 2)
    )
    conv = conv.to(device=weight.device, dtype=weight.dtype).eval()
    with torch.no_grad():
        conv.weight.copy_(weight)
        assert conv.bias is not None
        conv.bias.copy_(bias)
    return conv


def refuse_training(module: nn.Module) -> None:
    """Raises WorkbenchError where a part of the module is in training mode: nothing fixed equals it."""
    if any(part.training for part in module.modules()):
        raise WorkbenchError(
            "folding needs fixed statistics: call eval() first, but the module is in training mode"
        )


def fold(module: nn.Module) -> nn.Module:
    """A copy in which every part that knows how to fold itself has done so; the module stays as it is."""
    return _folded(deepcopy(module))


def _folded(module: nn.Module) -> nn.Module:
    own = getattr(module, "fold", None)
    if callable(own):
        folded: nn.Module = own()
        return folded
    for name, child in module.named_children():
        setattr(module, name, _folded(child))
    return module

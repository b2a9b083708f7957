"""Pairs that train as two layers and run as one: convolution and norm, norm and linear layer."""

from collections import OrderedDict
from copy import deepcopy

import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers.folding import fold_norm


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch norm; the same height and width at stride 1.

    [batch, inputs, height, width] -> [batch, outputs, height / stride, width / stride], rounded up.
    gain: what the norm's weights start with. A residual branch whose last norm starts with 0 adds nothing
    at first, so that every block begins as the identity.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, gain: float = 1
    ) -> None:
        if kernel < 1 or kernel % 2 == 0:
            raise WorkbenchError(f"kernel must be an odd positive number, but {kernel} came")
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        norm = nn.BatchNorm2d(outputs)
        nn.init.constant_(norm.weight, gain)
        super().__init__(OrderedDict(conv=conv, norm=norm))
        self.conv, self.norm = conv, norm

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """One convolution that computes the same in evaluation mode."""
        weight, bias = fold_norm(self.conv, self.norm)
        conv = deepcopy(self.conv)
        conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
        return conv


class NormLinear(nn.Sequential):
    """Batch norm of a vector, then a linear layer: [batch, inputs] -> [batch, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        norm, linear = nn.BatchNorm1d(inputs), nn.Linear(inputs, outputs)
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
        super().__init__(OrderedDict(norm=norm, linear=linear))
        self.norm, self.linear = norm, linear

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """One linear layer that computes the same in evaluation mode: W (s (x - m) + b) + c."""
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        factor = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
        shift = self.norm.bias - factor * self.norm.running_mean
        linear = deepcopy(self.linear)
        linear.weight = nn.Parameter(self.linear.weight * factor)
        linear.bias = nn.Parameter(self.linear.bias + self.linear.weight @ shift)
        return linear


def folded(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode in which every `ConvNorm` and `NormLinear` has become one layer."""
    copy = deepcopy(model).eval()
    if isinstance(copy, ConvNorm | NormLinear):
        return copy.folded()
    for parent in list(copy.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, ConvNorm | NormLinear):
                setattr(parent, name, part.folded())
    return copy

"""Folding a batch normalisation into the convolution in front of it."""

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError


def fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight [out, in / groups, k, l] and bias [out] of one convolution that equals conv, then norm.

    norm(y) = scale * (y - mean) / std + shift is linear in y once mean and std are fixed, so it is a factor
    on each output channel's kernel and a constant. Equal in evaluation mode only: in training mode the
    statistics are those of each batch.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise WorkbenchError("folding needs fixed statistics, but the norm keeps none (track_running_stats)")
    factor = torch.rsqrt(norm.running_var + norm.eps)
    factor = factor if norm.weight is None else factor * norm.weight
    shift = 0 if norm.bias is None else norm.bias
    constant = 0 if conv.bias is None else conv.bias
    return conv.weight * factor[:, None, None, None], shift + (constant - norm.running_mean) * factor

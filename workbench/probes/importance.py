"""Which channels matter: how much a loss would change if one of them were switched off, to first order.

Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019,
https://arxiv.org/abs/1906.10771. Think of a gate g = 1 behind every channel of a batch norm. Closing it
changes the loss by about dL/dg, and since the channel is weight * n + bias, that is

    dL/dg = weight * dL/dweight + bias * dL/dbias,

which one pass back gives for all channels at once. Its square, averaged over batches, is the importance.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import WorkbenchError
from workbench.probes._modules import evaluated, the_module

Loss = Callable[[Tensor, Tensor], Tensor]


def importance(
    model: nn.Module, X: Tensor, Y: Tensor, loss: Loss = F.cross_entropy, batch: int = 32
) -> dict[str, NDArray[np.float64]]:
    """Name of each batch norm -> importance of its channels, [channels], in squares of the loss.

    X: [n, ...], Y: [n, ...], as `loss(model(X), Y)` takes them. The model runs in evaluation mode and is
    left as it was. Only channels of one model are compared: a loss twice as large makes them four times as
    important.

    >>> found = importance(nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Flatten()),
    ...                    torch.ones(4, 1, 1, 1), torch.tensor([0, 1, 2, 0]))
    >>> {name: values.shape for name, values in found.items()}
    {'1': (3,)}
    """
    model = the_module(model)
    norms = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and part.affine
    }
    if not norms:
        raise WorkbenchError(
            f"importance is read off batch norms with weights, but {type(model).__name__} has none"
        )
    if batch < 1 or not len(X) or len(X) != len(Y):
        raise WorkbenchError(
            f"as many answers as inputs and a batch of 1 or more are needed, but {len(X)} inputs, "
            f"{len(Y)} answers and a batch of {batch} came"
        )
    gates = [parameter for norm in norms.values() for parameter in (norm.weight, norm.bias)]
    found = {name: np.zeros(norm.num_features) for name, norm in norms.items()}
    batches = list(zip(X.split(batch), Y.split(batch), strict=True))
    with evaluated(model), torch.enable_grad():
        for gate in gates:
            gate.requires_grad_(True)
        try:
            for x, y in batches:
                slopes = torch.autograd.grad(loss(model(x), y), gates, allow_unused=True)
                for (name, norm), by_weight, by_bias in zip(
                    norms.items(), slopes[::2], slopes[1::2], strict=True
                ):
                    if by_weight is not None and by_bias is not None:
                        slope = norm.weight.detach() * by_weight + norm.bias.detach() * by_bias
                        found[name] += slope.double().square().numpy() / len(batches)
        finally:
            for gate in gates:
                gate.requires_grad_(False)
    return found

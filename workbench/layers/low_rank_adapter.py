"""LoRA: a trained layer stays as it is, and learns only a correction of low rank beside it.

Hu et al., https://arxiv.org/abs/2106.09685.
"""

from copy import deepcopy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Model = TypeVar("Model", bound=nn.Module)
Part = TypeVar("Part", bound=nn.Module)


class LowRankAdapter(nn.Module):
    """W x + b + (alpha / rank) U D x: W [outputs, inputs] and b are frozen, U and D learn.

    [..., inputs] -> [..., outputs]. down D [rank, inputs] is random and up U [outputs, rank] starts at zero,
    so that at first nothing has changed. It learns rank * (inputs + outputs) numbers in the place of inputs *
    outputs, and `merged` is one ordinary layer again.
    """

    def __init__(self, layer: nn.Linear, rank: int = 8, alpha: float = 16.0) -> None:
        super().__init__()
        if not 1 <= rank <= min(layer.weight.shape):
            raise WorkbenchError(
                f"the rank must lie between 1 and {min(layer.weight.shape)}, but {rank} came"
            )
        self.layer, self.scale = layer.requires_grad_(False), alpha / rank
        self.down = nn.Parameter(torch.empty(rank, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    @property
    def rank(self) -> int:
        return len(self.down)

    def merged(self) -> nn.Linear:
        """One linear layer that does the same: W + (alpha / rank) U D."""
        found = deepcopy(self.layer)
        with torch.no_grad():
            found.weight += self.scale * self.up @ self.down
        return found.requires_grad_(True)


def adapted(model: Model, rank: int = 8, alpha: float = 16.0) -> Model:
    """A copy of the model in which all is frozen, and every linear layer has an adapter that learns.

    Raises WorkbenchError for a model without linear layers, and for one that has adapters already.
    """
    found = deepcopy(model).requires_grad_(False)
    layers = _parts(found, nn.Linear)
    if not layers or _parts(found, LowRankAdapter):
        has = "adapters already: merge them first" if layers else "no linear layer"
        raise WorkbenchError(f"expected a model with linear layers to adapt, but it has {has}")
    for parent, name, layer in layers:
        setattr(parent, name, LowRankAdapter(layer, rank, alpha))
    return found


def merged(model: Model) -> Model:
    """A copy of the model with every adapter merged into its layer: as small and fast as before."""
    found = deepcopy(model)
    for parent, name, adapter in _parts(found, LowRankAdapter):
        setattr(parent, name, adapter.merged())
    return found.requires_grad_(True)


def _parts(model: nn.Module, kind: type[Part]) -> list[tuple[nn.Module, str, Part]]:
    """All parts of one kind, with their parents and names in them."""
    if isinstance(model, kind):
        raise WorkbenchError(f"expected a model with {kind.__name__} parts, but one such part alone came")
    return [
        (parent, name, part)
        for parent in model.modules()
        for name, part in parent.named_children()
        if isinstance(part, kind)
    ]

"""What a torch module costs at one input shape, by formula: parameters, operations, bytes.

The module runs once on shapes alone, and every operator that torch dispatches has its price looked up in
`workbench.probes.prices`. The formulas describe the module as written: attention runs its single operators,
not one fused call. `probe` runs a model on real numbers, and tells of memory kept and of time, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.errors import WorkbenchError
from workbench.probes._modules import checked_shape, evaluated, kind_of_numbers, the_module
from workbench.probes._running import Running, composite
from workbench.probes.prices import price
from workbench.quantity import Quantity


@dataclass
class LayerCost:
    """One part of the module: its own parameters, and the operations that run directly in it."""

    name: str
    kind: str
    parameters: int = 0
    macs: int = 0
    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Cost:
    """Totals as quantities by formula, and the parts that they are sums of.

    parameters: numbers that training would change, shared ones once. macs: multiply-adds.
    flops and bytes: as `workbench.probes.prices` says. unpriced: operations without a formula; their bytes
    are in the sum, their flops are not.
    """

    parameters: Quantity
    macs: Quantity
    flops: Quantity
    bytes: Quantity
    layers: tuple[LayerCost, ...]
    unpriced: tuple[str, ...]

    def __str__(self) -> str:
        missing = f"; without a formula: {', '.join(self.unpriced)}" if self.unpriced else ""
        return f"{self.parameters}, {self.macs}, {self.flops}, {self.bytes}{missing}"

    @property
    def intensity(self) -> Quantity:
        """Flops per byte moved: what decides whether arithmetic or memory is the limit."""
        moved = self.bytes.value
        return Quantity(self.flops.value / moved if moved else 0.0, "flop/B", "formula")

    def rows(self) -> list[dict[str, object]]:
        """The table of parts, one dict a row; parts that cost nothing are left out."""
        return [
            {
                "layer": layer.name,
                "kind": layer.kind,
                "parameters": layer.parameters,
                "macs": layer.macs,
                "flops": layer.flops,
                "bytes": layer.bytes,
            }
            for layer in self.layers
            if layer.parameters or layer.bytes
        ]


def cost(module: nn.Module, input_shape: Sequence[int]) -> Cost:
    """Parameters, operations and bytes of one forward pass, in evaluation mode.

    input_shape: [batch, channels, one to three sizes]; operations and bytes are for the whole batch.
    A module that looks at values to decide what to do has no cost by shape, and is refused.

    >>> cost(torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), (1, 3, 32, 32)).macs.value
    221184
    """
    module, shape = the_module(module), checked_shape(input_shape)
    dtype, _ = kind_of_numbers(module)
    layers = {part: LayerCost(name, type(part).__name__) for name, part in module.named_modules()}
    for part, parameters in own_parameters(module).items():
        layers[part].parameters = parameters
    running = Running(module)
    prices = _Prices(layers, module, running)
    shapes_only = FakeTensorMode(allow_non_fake_inputs=True)
    with evaluated(module), torch.no_grad(), _as_written(), shapes_only, running.follow(), prices:
        try:
            module(torch.empty(shape, dtype=dtype))
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise WorkbenchError(
                f"{type(module).__name__} decides by the values of its input ({error.func}), so that shapes "
                "do not tell what it costs: probe(model, x) runs it on a real input"
            ) from None
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WorkbenchError(
                f"{type(module).__name__} cannot be run on an input of shape {shape}: {reason}"
            ) from None
    parts = tuple(layers.values())
    return Cost(
        _sum(parts, "parameters", "parameters"),
        _sum(parts, "macs", "MAC"),
        _sum(parts, "flops", "flop"),
        _sum(parts, "bytes", "B"),
        parts,
        tuple(sorted(prices.unpriced)),
    )


def own_parameters(model: nn.Module) -> dict[nn.Module, int]:
    """How many parameters each part holds itself; one that several parts share counts for the first."""
    counted: set[int] = set()
    numbers = {}
    for part in model.modules():
        own = {id(p): p.numel() for p in part._parameters.values() if p is not None}
        numbers[part] = sum(size for key, size in own.items() if key not in counted)
        counted |= own.keys()
    return numbers


def _sum(layers: Sequence[LayerCost], what: str, unit: str) -> Quantity:
    return Quantity(sum(getattr(layer, what) for layer in layers), unit, "formula")


@contextmanager
def _as_written() -> Iterator[None]:
    """Attention and transformer layers run their single operations, not one fused call."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


class _Prices(TorchDispatchMode):
    """Prices every operation as torch dispatches it, and books it on the part that runs it."""

    def __init__(self, layers: Mapping[nn.Module, LayerCost], module: nn.Module, running: Running) -> None:
        super().__init__()
        self.layers, self.module, self.running = layers, module, running
        self.unpriced: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if (out := composite(func, self, args, kwargs)) is not NotImplemented:
            return out
        out = func(*args, **kwargs)
        if cost := price(func, args, kwargs, out):
            layer = self.layers[self.running.part() or self.module]
            layer.bytes += cost.bytes
            if cost.work is None:
                self.unpriced.add(func.overloadpacket.__name__)
            else:
                layer.macs += cost.work.macs
                layer.flops += cost.work.flops
        return out

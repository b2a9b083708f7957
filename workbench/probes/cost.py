"""What a torch module costs at one input shape, by formula: parameters, operations, bytes.

The module runs once on shapes alone, and every operation that torch dispatches is priced:

    multiply-adds   convolution   outputs * inputs per group * kernel positions
                    matrix product   rows * inner * columns (attention: both of its products)
    flops           2 per multiply-add; 1 per output number of every other operation that computes
                    (normalising, comparing, adding), 1 per input number of one that summarises
    bytes           every operation reads its inputs and weights once and writes its output once;
                    nothing is kept in a cache and nothing is fused

The formulas describe the module as written. How long it takes is a question for a clock.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from workbench.errors import WorkbenchError
from workbench.probes._modules import checked_shape, evaluated, kind_of_numbers, the_module
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
    flops and bytes: as the module's head says. unpriced: operations without a formula of their own; they
    were taken at one flop per output number, which may be far too little.
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

    >>> cost(torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), (1, 3, 32, 32)).macs.value
    221184
    """
    module, shape = the_module(module), checked_shape(input_shape)
    dtype, _ = kind_of_numbers(module)
    layers = {part: LayerCost(name, type(part).__name__) for name, part in module.named_modules()}
    counted: set[nn.Parameter] = set()
    for part, layer in layers.items():
        own = set(part.parameters(recurse=False)) - counted
        layer.parameters = sum(parameter.numel() for parameter in own)
        counted |= own
    prices = _Prices(layers)
    shapes_only = FakeTensorMode(allow_non_fake_inputs=True)
    with evaluated(module), torch.no_grad(), _as_written(), shapes_only, prices.follow(), prices:
        try:
            module(torch.empty(shape, dtype=dtype))
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


def _sum(layers: Sequence[LayerCost], what: str, unit: str) -> Quantity:
    return Quantity(sum(getattr(layer, what) for layer in layers), unit, "formula")


# Multiply-adds of the operations that have them -------------------------------------------------


def _convolution(args: Sequence[Any], out: Tensor) -> int:
    image, weight, transposed = args[0], args[1], args[6]
    return (image if transposed else out).numel() * prod(weight.shape[1:])


def _product(args: Sequence[Any], out: Tensor) -> int:
    return out.numel() * args[0].shape[-1]


def _product_with_bias(args: Sequence[Any], out: Tensor) -> int:
    return out.numel() * args[1].shape[-1]


def _attention(args: Sequence[Any], out: Any) -> int:
    query, key, value = args[:3]
    return prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


MACS: dict[str, Callable[[Sequence[Any], Any], int]] = {
    "convolution": _convolution,
    "mm": _product,
    "bmm": _product,
    "mv": _product,
    "dot": _product,
    "linear": _product,
    "addmm": _product_with_bias,
    "baddbmm": _product_with_bias,
    "addmv": _product_with_bias,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
}
BIASED = ("addmm", "baddbmm", "addmv")  # one more flop per output; a convolution's bias is its third argument
MOVING = ("cat", "stack", "clone", "copy_", "_to_copy", "constant_pad_nd", "index", "pixel_shuffle", "roll")
MAKING = ("empty", "new_", "zeros", "ones", "full")
SUMMARISING = ("pool", "mean", "sum", "amax", "amin", "var", "std")
NORMALISING = ("norm", "softmax", "upsample", "pad1d", "pad2d", "pad3d", "cumsum", "glu")


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

    def __init__(self, layers: Mapping[nn.Module, LayerCost]) -> None:
        super().__init__()
        self.layers = layers
        self.running: list[LayerCost] = []
        self.unpriced: set[str] = set()

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Keeps track of which part is running, the innermost last."""
        handles = [
            register_module_forward_pre_hook(lambda part, _: self.running.append(self.layers[part])),
            register_module_forward_hook(lambda part, _, __: self._leave(), always_call=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _leave(self) -> None:
        self.running.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        written = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        name = func.overloadpacket.__name__
        if func.is_view or not read or not written or name.startswith(MAKING):
            return out  # other dimensions for the same numbers, or room for new ones: no work
        layer = self.running[-1]
        layer.bytes += sum(t.numel() * t.element_size() for t in (*read, *written))
        if name in MACS:
            macs = MACS[name](args, written[0])
            biased = name in BIASED or (name == "convolution" and args[2] is not None)
            layer.macs += macs
            layer.flops += 2 * macs + (written[0].numel() if biased else 0)
        elif name not in MOVING:
            summarises = any(word in name for word in SUMMARISING)
            layer.flops += (read[0] if summarises else written[0]).numel()
            known = torch.Tag.pointwise in func.tags or any(word in name for word in NORMALISING)
            if not (known or summarises):
                self.unpriced.add(name)
        return out

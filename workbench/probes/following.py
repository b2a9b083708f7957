"""Following a tensor through a module: what is known about it on the way, and the walk itself.

The module is traced by torch.fx and run once on shapes alone. Beside every operation the walk calls
the rule that says what its output sees, given what its inputs see.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, unset_fake_temporarily
from torch.fx.node import map_arg
from torch.utils._pytree import tree_map_only

from workbench.errors import WorkbenchError
from workbench.probes.windows import Reach, Window

AXES = {1: ("position",), 2: ("height", "width"), 3: ("depth", "height", "width")}
Statistics = Literal["note", "everything"]


@dataclass(frozen=True)
class LayerStep:
    """One row of the table: a layer that changes what is seen, and what is seen after it.

    Tuples have one entry per axis of the image; None where the layer has no such setting.
    """

    name: str
    kind: str
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    dilation: tuple[int, ...] | None
    padding: tuple[int, ...] | None
    size: tuple[float, ...]
    jump: tuple[float, ...]
    start: tuple[float, ...]


Factor = tuple[int | None, int]  # the axis of the image that a dimension carries (None: none), its length


@dataclass(frozen=True)
class Seen:
    """dims: for each dimension of the tensor the factors that it is made of, slowest first (several
    after a flattening). reach: for each axis of the image what its indices see."""

    dims: tuple[tuple[Factor, ...], ...]
    reach: tuple[Reach, ...]

    def axes(self, dim: int) -> set[int]:
        """Axes of the image that this dimension carries."""
        return {axis for axis, _ in self.dims[dim] if axis is not None}

    def shaped(self, shape: Sequence[int]) -> "Seen":
        """The same with the true lengths of the dimensions that carry no axis of the image."""
        dims = tuple(
            dim if any(axis is not None for axis, _ in dim) else ((None, size),)
            for dim, size in zip(self.dims, shape, strict=True)
        )
        return Seen(dims, self.reach)

    def through(self, dim: int, axis: int, window: Window, outputs: int) -> "Seen":
        """A window slides along this dimension."""
        dims = (*self.dims[:dim], ((axis, outputs),), *self.dims[dim + 1 :])
        reach = list(self.reach)
        reach[axis] = reach[axis].through(window, outputs)
        return Seen(dims, tuple(reach))

    def mixed(self, dims: Sequence[int]) -> "Seen":
        """Every index of these dimensions depends on all of them."""
        axes = set().union(*(self.axes(dim) for dim in dims)) if dims else set()
        kept = tuple(tuple((None if axis in axes else axis, size) for axis, size in dim) for dim in self.dims)
        reach = tuple(r.collapsed() if axis in axes else r for axis, r in enumerate(self.reach))
        return Seen(kept, reach)


@dataclass
class Call:
    """One operation of the traced module, as its rule gets it."""

    walk: "Walk"
    name: str
    what: str
    target: Any
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    seen: list[Seen]
    value: Any
    first_is_followed: bool  # does the first argument depend on the image?

    @property
    def shape(self) -> tuple[int, ...]:
        if not isinstance(self.value, Tensor):
            raise self.refuse("it returns several tensors")
        return tuple(self.value.shape)

    def get(self, index: int, name: str, default: Any = None) -> Any:
        """An argument of the function by position or name."""
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)

    def setting(self, index: int, name: str, default: Any = None) -> Any:
        """A setting of the module, or an argument of the function."""
        if self.module is not None:
            return getattr(self.module, name, default)
        return self.get(index, name, default)

    def refuse(self, why: str) -> WorkbenchError:
        return WorkbenchError(
            f"the receptive field cannot be followed through {self.what} in {self.name!r}: {why}"
        )

    def warn(self, sentence: str) -> None:
        if sentence not in self.walk.warnings:
            self.walk.warnings.append(sentence)

    def axis(self, seen: Seen, dim: int) -> int | None:
        """The one axis of the image that this dimension carries, None for none."""
        axes = seen.axes(dim)
        if axes and len(seen.dims[dim]) > 1:
            raise self.refuse("it slides along a dimension that several axes were flattened into")
        return axes.pop() if axes else None

    def row(
        self,
        seen: Seen,
        kernel: tuple[int, ...] | None = None,
        stride: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] | None = None,
        padding: tuple[int, ...] | None = None,
    ) -> Seen:
        """Adds a row to the table of layers."""
        sizes, jumps, starts = zip(*map(measures, seen.reach), strict=True)
        self.walk.layers.append(
            LayerStep(self.name, self.what, kernel, stride, dilation, padding, sizes, jumps, starts)
        )
        return seen


def measures(reach: Reach) -> tuple[float, float, float]:
    """Size, jump and start; without a common rule, the widest interval inside the image."""
    if reach.rule is None:
        return float((reach.last - reach.first).max() + 1), np.nan, np.nan
    return reach.rule.size, float(reach.rule.jump), reach.rule.start


Rule = Callable[[Call], "Seen | tuple[Seen | None, ...]"]


class Tracer(fx.Tracer):
    """Remembers which part was being traced when tracing failed, and stops at parts with own rules."""

    def __init__(self, rules: Mapping[Any, Rule]) -> None:
        super().__init__()
        self.rules = rules
        self.trail: list[tuple[str, str]] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in self.rules or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        self.trail.append((self.path_of_module(m), type(m).__name__))
        result = super().call_module(m, forward, args, kwargs)
        self.trail.pop()
        return result


class Walk(fx.Interpreter):
    """Runs the traced module on shapes and applies the rule of each operation beside it."""

    def __init__(
        self,
        graph: fx.GraphModule,
        rules: Mapping[Any, Rule],
        statistics: Statistics,
        training: set[nn.Module],
    ) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.extra_traceback = False  # it would be written into our own sentences
        self.rules, self.statistics, self.training = rules, statistics, training
        self.layers: list[LayerStep] = []
        self.warnings: list[str] = []
        self.seen: dict[fx.Node, Any] = {}
        self.names: tuple[str, ...] = ()

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """On shapes; a part that needs numbers gets zeros."""
        try:
            return super().call_module(target, args, kwargs)
        except DataDependentOutputException:
            with unset_fake_temporarily():
                zeros = tree_map_only(Tensor, _zeros, (args, kwargs))
                value = super().call_module(target, *zeros)
            return tree_map_only(Tensor, _zeros, value)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.seen[n] = self._apply(n, value)
        return value

    def _apply(self, node: fx.Node, value: Any) -> Any:
        """What the value of this node sees; None for a constant."""
        if node.op == "placeholder":
            first = not self.seen
            return self._image(value) if first and isinstance(value, Tensor) else None
        if node.op == "output":
            return map_arg(node.args[0], self.seen.get)
        found = [self.seen.get(n) for n in node.all_input_nodes]
        if node.target is operator.getitem and isinstance(found[0], tuple):
            return found[0][node.args[1]]  # type: ignore[index]
        parts = [one for some in found for one in (some if isinstance(some, tuple) else [some])]
        seen: list[Seen] = [one for one in parts if one is not None]
        if not seen or not _has_tensor(value):
            return None
        call = self._call(node, seen, value)
        apply = self.rules.get(call.target)
        if apply is None:
            raise call.refuse("it has no rule; give it one, e.g. rules={...: 'pointwise'}")
        return apply(call)

    def _call(self, node: fx.Node, seen: list[Seen], value: Any) -> Call:
        target: Any = node.target
        module, name = None, node.name
        if node.op == "call_module":
            module, name = self.module.get_submodule(target), target
            target = type(module)
        what = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        if what == "fn":  # the functions that torch.nn.functional dispatches on a flag
            what = node.name.rstrip("_0123456789")
        return Call(
            walk=self,
            name=name,
            what=what,
            target=target,
            module=module,
            args=map_arg(node.args, self.env.__getitem__),
            kwargs=map_arg(node.kwargs, self.env.__getitem__),
            seen=seen,
            value=value,
            first_is_followed=bool(node.args) and isinstance(map_arg(node.args[0], self.seen.get), Seen),
        )

    def _image(self, image: Tensor) -> Seen:
        spatial = tuple(image.shape[2:])
        self.names = AXES[len(spatial)]
        dims: tuple[tuple[Factor, ...], ...] = tuple(((None, size),) for size in image.shape[:2])
        dims += tuple(((axis, size),) for axis, size in enumerate(spatial))
        return Seen(dims, tuple(Reach.pixels(size) for size in spatial))


def _zeros(like: Tensor) -> Tensor:
    return torch.zeros(like.shape, dtype=like.dtype)


def _has_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, (tuple, list)) and any(isinstance(part, Tensor) for part in value)
    )

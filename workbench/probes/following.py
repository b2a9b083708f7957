"""Following a tensor through a module: what is known about it on the way, and the walk itself.

The module is run once on shapes alone while torch.fx records its operations. The walk then calls for each of
them the rule that says what its output sees, given what its inputs see.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, unset_fake_temporarily
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map_only

from workbench.errors import WorkbenchError
from workbench.probes.windows import EVERYTHING, Reach, Window

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


class Factor(NamedTuple):
    """A part of a dimension's index: `size` numbers that stand `step` apart on an axis of the image.

    axis: None where the numbers are no places in the image (channels, repetitions).
    """

    axis: int | None
    size: int
    step: int = 1


Dim = tuple[Factor, ...]  # slowest first; several after a flattening


@dataclass(frozen=True)
class Seen:
    """dims: what each dimension of the tensor is made of. reach: for each axis of the image what the places
    on it see. An axis may be cut: each of its factors is one digit of the index into its reach."""

    dims: tuple[Dim, ...]
    reach: tuple[Reach, ...]

    def axes(self, dim: int) -> set[int]:
        """Axes of the image that this dimension carries."""
        return {factor.axis for factor in self.dims[dim] if factor.axis is not None}

    def shaped(self, shape: Sequence[int]) -> "Seen":
        """The same with the true lengths of the dimensions that carry no axis of the image."""
        dims = tuple(
            dim if any(factor.axis is not None for factor in dim) else (Factor(None, size),)
            for dim, size in zip(self.dims, shape, strict=True)
        )
        return Seen(dims, self.reach)

    def changed(self, place: tuple[int, int], size: int | None, reach: Reach) -> "Seen":
        """Another reach of an axis, on which the factor at `place` (dimension, number) has another size.

        None: it is a place in the image no more.
        """
        old = self.dims[place[0]][place[1]]

        def new(at: tuple[int, int], factor: Factor) -> Factor:
            if at == place:
                return Factor(None, factor.size) if size is None else factor._replace(size=size)
            if factor.axis != old.axis or factor.step < old.step * old.size or factor.size == 1:
                return factor
            return factor._replace(step=factor.step // old.size * (size or 1))

        dims = tuple(
            tuple(new((d, f), factor) for f, factor in enumerate(dim)) for d, dim in enumerate(self.dims)
        )
        return Seen(dims, tuple(reach if axis == old.axis else r for axis, r in enumerate(self.reach)))

    def through(self, dim: int, axis: int, window: Window, outputs: int) -> "Seen":
        """A window slides along this dimension, which one factor makes up."""
        place = next(f for f, factor in enumerate(self.dims[dim]) if factor.axis == axis)
        factor = self.dims[dim][place]
        return self.changed(
            (dim, place), outputs, self.reach[axis].along(window, outputs, factor.size, factor.step)
        )

    def mixed(self, dims: Sequence[int]) -> "Seen":
        """Every index of these dimensions depends on all of them."""
        seen = self
        for place in self.places(dims):
            seen = seen.without_place(place)
        return seen

    def without_place(self, place: tuple[int, int]) -> "Seen":
        """What is left depends on all numbers of this factor."""
        factor = self.dims[place[0]][place[1]]
        return self.changed(place, None, _axis(self, factor).mixed(factor.size, factor.step))

    def before(self, dim: int) -> "Seen":
        """Every index of this dimension depends on itself and all before it.

        Where several axes were flattened into it, one step along the slowest is a whole round of the
        others, which are thus seen whole.
        """
        places, seen = self.places([dim]), self
        if not places:
            return self
        slowest, *others = places
        for place in others:
            seen = seen.without_place(place)
        factor = seen.dims[slowest[0]][slowest[1]]
        return seen.changed(slowest, factor.size, _axis(seen, factor).before(factor.size, factor.step))

    def places(self, dims: Sequence[int]) -> list[tuple[int, int]]:
        """Where factors stand that carry an axis of the image, slowest first."""
        return [
            (dim, f) for dim in dims for f, factor in enumerate(self.dims[dim]) if factor.axis is not None
        ]

    def plain(self, dim: int) -> "Seen":
        """The same with this dimension as one factor, if it carries one axis that no other one carries."""
        factors = self.dims[dim]
        axes = self.axes(dim)
        if len(factors) == 1 or len(axes) != 1:
            return self
        (axis,) = axes
        if any(axis in self.axes(other) for other in range(len(self.dims)) if other != dim):
            return self
        read = np.zeros(1, dtype=np.int64)
        for factor in factors:
            step = 0 if factor.axis is None else factor.step
            read = (read[:, None] + np.arange(factor.size) * step).ravel()
        slowest = factors[0]
        period = len(read) // slowest.size
        window = None
        if slowest.axis is not None and slowest.size * slowest.step == len(self.reach[axis]):
            window = Window(read[:period, None].astype(float), slowest.step)
        reach = list(self.reach)
        reach[axis] = reach[axis].reordered(read, window)
        dims = (*self.dims[:dim], (Factor(axis, len(read)),), *self.dims[dim + 1 :])
        return Seen(dims, tuple(reach))

    def with_digits(self, other: "Seen") -> "Seen":
        """The same with all the digits that `other` has; those that are new here are repetitions.

        other: of as many dimensions, each with as many factors, and none of another axis. Where each of the
        two runs over a whole axis in a dimension of its own (queries and keys), a number sees two places
        that lie any distance apart: without borders, that is everything.
        """
        seen, dims = self, other.dims
        carried = set().union(*(self.axes(dim) for dim in range(len(self.dims))))
        new = sorted(
            (factor.step, (d, f))
            for d, dim in enumerate(dims)
            for f, factor in enumerate(dim)
            if factor.axis is not None and self.dims[d][f].axis is None
        )
        for step, (d, f) in new:
            wanted = dims[d][f]
            axis: int = wanted.axis  # type: ignore[assignment]
            at = min(step, len(seen.reach[axis]))
            reach = list(seen.reach)
            reach[axis] = reach[axis].repeated(wanted.size, at)
            if axis in carried and wanted.size * step == len(other.reach[axis]):
                reach[axis] = replace(reach[axis], rule=EVERYTHING)
            seen = Seen(
                tuple(
                    tuple(
                        Factor(axis, wanted.size, at)
                        if (i, j) == (d, f)
                        else own._replace(step=own.step * wanted.size)
                        if own.axis == axis and own.step >= at
                        else own
                        for j, own in enumerate(dim)
                    )
                    for i, dim in enumerate(seen.dims)
                ),
                tuple(reach),
            )
        return seen

    def tidy(self) -> "Seen":
        """Neighbouring factors that are one, as one."""
        return Seen(tuple(map(_merged, self.dims)), self.reach)


def meeting(a: Seen, b: Seen, shape: Sequence[int]) -> tuple[Seen, Seen] | None:
    """Two tensors that are broadcast to one shape, cut into the same factors; None where they cannot be."""
    cut = []
    for _, mine, theirs in zip(
        shape, *(((),) * (len(shape) - len(x.dims)) + x.dims for x in (a, b)), strict=True
    ):
        mine, theirs = (_without_ones(dim) for dim in (mine, theirs))
        mine = mine or tuple(Factor(None, factor.size) for factor in theirs)
        theirs = theirs or tuple(Factor(None, factor.size) for factor in mine)
        both = _cut_alike(mine, theirs)
        if both is None or any(
            None not in (x.axis, y.axis) and x.axis != y.axis for x, y in zip(*both, strict=True)
        ):
            return None
        cut.append(both)
    a, b = (Seen(tuple(dim[side] for dim in cut), x.reach) for side, x in enumerate((a, b)))
    a = a.with_digits(b)
    b = b.with_digits(a)
    return (a.tidy(), b.tidy()) if a.dims == b.dims else None


def _axis(seen: Seen, factor: Factor) -> Reach:
    assert factor.axis is not None
    return seen.reach[factor.axis]


def _without_ones(dim: Dim) -> Dim:
    return tuple(factor for factor in dim if factor.size > 1)


def _cut_alike(a: Dim, b: Dim) -> tuple[Dim, Dim] | None:
    """Both cut into factors of the same sizes."""
    mine, theirs = list(a[::-1]), list(b[::-1])
    cut: list[tuple[Factor, Factor]] = []
    while mine and theirs:
        x, y = mine.pop(), theirs.pop()
        size = min(x.size, y.size)
        if x.size % size or y.size % size:
            return None
        pair = []
        for factor, rest in ((x, mine), (y, theirs)):
            left = factor.size // size
            pair.append(Factor(factor.axis, size, factor.step * left if factor.axis is not None else 1))
            if left > 1:
                rest.append(factor._replace(size=left))
        cut.append((pair[0], pair[1]))
    if mine or theirs:
        return None
    return tuple(x for x, _ in cut), tuple(y for _, y in cut)


def _merged(dim: Dim) -> Dim:
    merged: list[Factor] = []
    for factor in _without_ones(dim):
        last = merged[-1] if merged else None
        if (
            last
            and last.axis == factor.axis
            and (factor.axis is None or last.step == factor.step * factor.size)
        ):
            merged[-1] = factor._replace(size=last.size * factor.size)
        else:
            merged.append(factor)
    return tuple(merged) or (Factor(None, 1),)


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
    seen_args: tuple[Any, ...]  # the arguments again: a `Seen` where one depends on the image
    seen_kwargs: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        if not isinstance(self.value, Tensor):
            raise self.refuse("it returns several tensors")
        return tuple(self.value.shape)

    def get(self, index: int, name: str, default: Any = None) -> Any:
        """An argument of the function by position or name."""
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)

    def saw(self, index: int, name: str = "") -> Seen | None:
        """What an argument sees, None for one that does not depend on the image."""
        got = self.seen_args[index] if index < len(self.seen_args) else self.seen_kwargs.get(name)
        return got if isinstance(got, Seen) else None

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
        if axes and len([factor for factor in seen.dims[dim] if factor.size > 1]) > 1:
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


Rule = Callable[[Call], Any]  # a `Seen`, a tuple of them for several tensors, None for a constant


class Followed(fx.Proxy):
    """A tensor on its way: it knows its shape, so that a module may decide by shapes and count by them."""

    tracer: "Tracer"

    def __getattr__(self, name: str) -> Any:
        value = self.tracer.values[self.node]
        if name in ("real", "imag", "T", "mT", "H", "mH"):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        if isinstance(value, Tensor) and hasattr(value, name) and not callable(getattr(value, name)):
            return getattr(value, name)
        return super().__getattr__(name)

    def __len__(self) -> int:
        return len(self.tracer.values[self.node])

    def __iter__(self) -> Iterator[Any]:
        return (self._part(i) for i in range(len(self)))

    def _part(self, key: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.getitem, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})


class NotRun(Exception):
    """The module itself raised while it ran on shapes."""


def is_own_function(target: Any) -> bool:
    """Whether it is an `autograd.Function`, one operation with a way back of its own."""
    return isinstance(target, type) and issubclass(target, torch.autograd.Function)


@contextmanager
def own_functions_recorded(tracer: "Tracer") -> Iterator[None]:
    """Functions with a rule of their own become one operation; torch.fx would run into them."""
    with ExitStack() as stack:
        for function in filter(is_own_function, tracer.rules):

            def apply(*args: Any, function: Any = function, run: Any = function.apply) -> Any:
                followed = any(isinstance(leaf, fx.Proxy) for leaf in tree_leaves(args))
                return tracer.create_proxy("call_function", function, args, {}) if followed else run(*args)

            stack.enter_context(mock.patch.object(function, "apply", apply))
        yield


class Tracer(fx.Tracer):
    """Records the operations of a module while they run on shapes alone.

    What is no tensor (a shape, a length) is handed to the module as it is. `trail` remembers which part was
    at work when something failed. Parts with a rule of their own are one operation.
    """

    def __init__(self, rules: Mapping[Any, Rule], image: Tensor) -> None:
        super().__init__()
        self.rules, self.image = rules, image
        self.values: dict[fx.Node, Any] = {}
        self.trail: list[tuple[str, str]] = []
        self._running = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in self.rules

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if self._running:
            return forward(*args, **kwargs)
        self.trail.append((self.path_of_module(m), type(m).__name__))
        result = super().call_module(m, forward, args, kwargs)
        self.trail.pop()
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val

    def create_arg(self, a: Any) -> Any:
        return a if isinstance(a, Tensor) else super().create_arg(a)  # constants stay what they are

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return Followed(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        proxy: Any = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        value = self.values[proxy.node] = self._value(proxy.node)
        if isinstance(value, (tuple, list)) and has_tensor(value):
            parts = [proxy[i] for i in range(len(value))]
            return type(value)(parts) if type(value) in (tuple, list) else _named(value, parts)
        if isinstance(value, dict) and has_tensor(value):
            return {key: proxy[key] for key in value}
        return proxy if isinstance(value, Tensor) else value

    def _value(self, node: fx.Node) -> Any:
        """What the operation returns, on shapes."""
        if node.op == "placeholder":
            return self.image if not self.values else (node.args[0] if node.args else None)
        args, kwargs = map_arg((node.args, node.kwargs), self.values.__getitem__)
        self._running = True
        try:
            if node.op == "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            target: Any = node.target
            if node.op == "call_module":
                target = self.root.get_submodule(target)
            opaque = node.op == "call_module" or is_own_function(target)
            target = target.apply if is_own_function(target) else target
            try:
                return target(*args, **kwargs)
            except Exception:
                if not opaque:
                    raise
                with unset_fake_temporarily():  # a part that needs numbers gets zeros
                    zeros = tree_map_only(Tensor, _zeros, (args, kwargs))
                    value = target(*zeros[0], **zeros[1])
                return tree_map_only(Tensor, _zeros, value)
        except DataDependentOutputException:
            raise
        except Exception as error:
            raise NotRun(str(error)) from error
        finally:
            self._running = False


def _named(value: Any, parts: list[Any]) -> Any:
    """Parts under the names that the operation returns them by."""
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


class Walk:
    """Goes through a recorded module and applies the rule of each operation."""

    def __init__(
        self,
        graph: fx.Graph,
        tracer: Tracer,
        rules: Mapping[Any, Rule],
        statistics: Statistics,
        training: set[nn.Module],
    ) -> None:
        self.graph, self.root, self.values = graph, tracer.root, tracer.values
        self.rules, self.statistics, self.training = rules, statistics, training
        self.layers: list[LayerStep] = []
        self.warnings: list[str] = []
        self.seen: dict[fx.Node, Any] = {}
        self.names: tuple[str, ...] = ()
        for node in graph.nodes:
            self.seen[node] = self._apply(node, self.values.get(node))

    def _apply(self, node: fx.Node, value: Any) -> Any:
        """What the value of this node sees; None for a constant."""
        if node.op == "placeholder":
            first = not self.seen
            return self._image(value) if first and isinstance(value, Tensor) else None
        if node.op == "output":
            return map_arg(node.args[0], self.seen.get)
        found = [self.seen.get(n) for n in node.all_input_nodes]
        if node.target is operator.getitem and isinstance(found[0], (tuple, dict)):
            return found[0][node.args[1]]  # type: ignore[index]
        parts = [one for some in found for one in (some if isinstance(some, tuple) else [some])]
        seen: list[Seen] = [one for one in parts if one is not None]
        written: Any = node.args[0] if _writes(node) else None
        if node.target is operator.setitem:
            value = self.values[written]
        if not seen or not has_tensor(value):
            return None
        call = self._call(node, seen, value)
        apply = self.rules.get(call.target) or self.rules.get(getattr(call.target, "overloadpacket", None))
        if apply is None:
            raise call.refuse("it has no rule; give it one, e.g. rules={...: 'pointwise'}")
        result = apply(call)
        if isinstance(written, fx.Node):
            self.seen[written] = result
            self._spread(written, call)
        return result

    def _spread(self, written: fx.Node, call: Call) -> None:
        """Whatever lies in the memory that was just written to sees at most all that was written."""
        memory = self.values[written].untyped_storage()._cdata
        for node in self.seen:
            value = self.values.get(node)
            shares = isinstance(value, Tensor) and value.untyped_storage()._cdata == memory
            if shares and node is not written:
                seen = [one for one in (self.seen[node], self.seen[written]) if isinstance(one, Seen)]
                self.seen[node] = self.rules[operator.setitem](replace(call, seen=seen, value=value))

    def _call(self, node: fx.Node, seen: list[Seen], value: Any) -> Call:
        target: Any = node.target
        module, name = None, node.name
        if node.op == "call_module":
            module, name = self.root.get_submodule(target), target
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
            args=map_arg(node.args, self.values.__getitem__),
            kwargs=map_arg(node.kwargs, self.values.__getitem__),
            seen=seen,
            value=value,
            seen_args=map_arg(node.args, self.seen.get),
            seen_kwargs=map_arg(node.kwargs, self.seen.get),
        )

    def _image(self, image: Tensor) -> Seen:
        spatial = tuple(image.shape[2:])
        self.names = AXES[len(spatial)]
        dims = tuple((Factor(None, size),) for size in image.shape[:2])
        dims += tuple((Factor(axis, size),) for axis, size in enumerate(spatial))
        return Seen(dims, tuple(Reach.pixels(size) for size in spatial))


def _writes(node: fx.Node) -> bool:
    """Whether the operation changes its first argument."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name in ("setitem", "iadd", "isub", "imul", "itruediv") or (
        name.endswith("_") and not name.endswith("__")
    )


def _zeros(like: Tensor) -> Tensor:
    return torch.zeros(like.shape, dtype=like.dtype)


def has_tensor(value: Any) -> bool:
    """Whether there is a tensor in it."""
    return any(isinstance(leaf, Tensor) for leaf in tree_leaves(value))

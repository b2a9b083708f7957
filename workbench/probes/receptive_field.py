"""Exact receptive field of any torch module that decides by shapes alone, by interval arithmetic.

The module is run once on shapes alone (no numbers are computed). Every tensor on the way carries,
for each axis of the input image, what each of its indices sees (`Reach`); every operation is a rule
that turns the reaches of its inputs into that of its output. On one path this is the recurrence

    size' = size + (kernel - 1) * dilation * jump        jump' = jump * stride

and where paths meet, the union of their intervals, with a warning where they are not aligned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from workbench.errors import WorkbenchError
from workbench.probes._modules import checked_shape, evaluated, kind_of_numbers, the_module
from workbench.probes.following import (
    LayerStep,
    NotRun,
    Rule,
    Seen,
    Statistics,
    Tracer,
    Walk,
    measures,
    own_functions_recorded,
)
from workbench.probes.rules import RULES, WORDS
from workbench.probes.windows import Reach


@dataclass(frozen=True)
class Axis:
    """Receptive field along one axis of the image, in input pixels.

    size: pixels under one output (the widest, where outputs differ); inf for everything.
    jump: pixels between the centres of neighbouring outputs. start: centre of output 0.
    inputs, outputs: lengths of the image and of the output along this axis.
    """

    name: str
    size: float
    jump: float
    start: float
    inputs: int
    outputs: int
    reach: Reach = field(repr=False)

    def interval(self, output: int | None = None, clipped: bool = True) -> tuple[float, float] | None:
        """First and last pixel that output number `output` sees (both included), None for none at all.

        Default: the middle output. `clipped=False` lets the interval run over the edge of the image,
        as if the image went on for ever; it is infinite where an output sees everything.
        """
        output = self.outputs // 2 if output is None else output
        if (self.size < inf or len(self.reach) > 1) and not 0 <= output < self.outputs:
            raise WorkbenchError(
                f"output must lie in 0 to {self.outputs - 1} along the {self.name}, but {output} came"
            )
        if clipped:
            at = min(output, len(self.reach) - 1)
            low, high = self.reach.first[at], self.reach.last[at]
        elif self.reach.rule is None:
            raise WorkbenchError(
                f"paths with different jumps meet along the {self.name}: only the clipped interval is defined"
            )
        else:
            lows, highs = self.reach.rule.at(np.array([output], dtype=float))
            low, high = lows[0], highs[0]
        return None if low > high else (_number(low), _number(high))

    def centre(self, output: int | None = None) -> float:
        """Input position of an output's centre (the middle of the image if everything is seen)."""
        output = self.outputs // 2 if output is None else output
        rule = self.reach.rule
        if rule is None or rule.everything or np.isnan(self.start):
            return (self.inputs - 1) / 2
        return self.start + self.jump * output


@dataclass(frozen=True)
class ReceptiveField:
    """What `receptive_field` found: one `Axis` per axis of the image, the layers, and what to mind."""

    axes: tuple[Axis, ...]
    layers: tuple[LayerStep, ...]
    warnings: tuple[str, ...]

    @property
    def size(self) -> tuple[float, ...]:
        """Pixels under one output, per axis."""
        return tuple(_number(axis.size) for axis in self.axes)

    @property
    def jump(self) -> tuple[float, ...]:
        """Pixels between neighbouring outputs, per axis."""
        return tuple(_number(axis.jump) for axis in self.axes)

    @property
    def start(self) -> tuple[float, ...]:
        """Centre of the first output, per axis."""
        return tuple(_number(axis.start) for axis in self.axes)

    def interval(
        self, position: Sequence[int] | None = None, clipped: bool = True
    ) -> tuple[tuple[float, float] | None, ...]:
        """First and last pixel seen by the output at `position`, per axis (default: the middle one)."""
        return tuple(
            axis.interval(at, clipped) for axis, at in zip(self.axes, self._each(position), strict=True)
        )

    def centre(self, position: Sequence[int] | None = None) -> tuple[float, ...]:
        """Input position of the output's centre, per axis."""
        return tuple(axis.centre(at) for axis, at in zip(self.axes, self._each(position), strict=True))

    def rows(self) -> list[dict[str, object]]:
        """The table of layers, one dict a row; an entry that all axes share stands alone."""
        columns = ("kernel", "stride", "dilation", "padding", "size", "jump", "start")
        return [
            {
                "layer": step.name,
                "kind": step.kind,
                **{column: _shared(getattr(step, column)) for column in columns},
            }
            for step in self.layers
        ]

    def __str__(self) -> str:
        lines = [
            f"{axis.name}: sees {_words(axis.size)} of {axis.inputs} pixels, "
            f"jump {_number(axis.jump):g}, first centre {_number(axis.start):g}"
            for axis in self.axes
        ]
        return "\n".join([*lines, *(f"note: {warning}" for warning in self.warnings)])

    def _each(self, position: Sequence[int] | None) -> Sequence[int | None]:
        if position is not None and len(position) != len(self.axes):
            raise WorkbenchError(
                f"position must have {len(self.axes)} numbers, one per axis, but {tuple(position)} came"
            )
        return [None] * len(self.axes) if position is None else position


def _number(value: float) -> float:
    """Whole numbers as int, so that they print without a point."""
    return int(value) if np.isfinite(value) and value == int(value) else float(value)


def _words(size: float) -> str:
    return "all" if size == inf else f"{_number(size):g}"


def _shared(values: tuple[float, ...] | None) -> object:
    if values is None:
        return None
    shown = tuple("all" if value == inf else _number(value) for value in values)
    return shown[0] if len(set(map(str, shown))) == 1 else shown


def receptive_field(
    module: nn.Module,
    input_shape: Sequence[int],
    output: str | int | None = None,
    *,
    rules: Mapping[Any, Literal["pointwise", "everything"] | Rule] | None = None,
    statistics: Statistics = "note",
) -> ReceptiveField:
    """Which input pixels each output sees, exactly and without computing anything but shapes.

    input_shape: [batch, channels, one to three sizes], as the module takes it.
    output: name of the part to look at (`"stage.2"`), or the index or key where the module returns
        several tensors; default what the module returns.
    rules: for parts without a rule of their own, by module type, function or `autograd.Function`:
        `"pointwise"`, `"everything"`, `all_before(dim)` for scans, or a function of a `Call`.
    statistics: what normalisations over the whole map count as. `"note"` leaves them out and says so;
        `"everything"` is strict.

    >>> field = receptive_field(torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), (1, 3, 32, 32))
    >>> field.size, field.jump, field.interval((0, 5))
    ((3, 3), (2, 2), ((0, 1), (9, 11)))

    Raises WorkbenchError, naming the part, where the module cannot be traced or has no rule.
    """
    module, shape = the_module(module), checked_shape(input_shape)
    known: dict[Any, Rule] = dict(RULES)
    for part, own in (rules or {}).items():
        if isinstance(own, str) and own not in WORDS:
            raise WorkbenchError(f"a rule must be 'pointwise', 'everything' or a function, but {own!r} came")
        known[part] = WORDS[own] if isinstance(own, str) else own
    training = {part for part in module.modules() if part.training}
    dtype, _ = kind_of_numbers(module)
    with evaluated(module), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        walk = _walked(module, torch.empty(shape, dtype=dtype), known, statistics, training)
    seen = _chosen(walk, output)
    for dim in range(len(seen.dims)):
        seen = seen.plain(dim)
    axes = []
    for axis, (name, reach) in enumerate(zip(walk.names, seen.reach, strict=True)):
        size, jump, start = measures(reach)
        carried = any(axis in seen.axes(dim) for dim in range(len(seen.dims)))
        outputs = len(reach) if carried else 1
        axes.append(Axis(name, size, jump, start, shape[2 + axis], outputs, reach))
    return ReceptiveField(tuple(axes), tuple(walk.layers), tuple(walk.warnings))


def _walked(
    module: nn.Module,
    image: Tensor,
    rules: Mapping[Any, Rule],
    statistics: Statistics,
    training: set[nn.Module],
) -> Walk:
    """Runs the module on shapes, then follows the image through what was recorded."""
    tracer = Tracer(rules, image)
    root = nn.Sequential(module) if tracer.is_leaf_module(module, "") else module
    try:
        with own_functions_recorded(tracer):
            graph = tracer.trace(root)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, NotRun) and not _runs(module, image):
            raise WorkbenchError(
                f"{type(module).__name__} cannot be run on an input of shape {tuple(image.shape)}: {reason}"
            ) from None
        path, kind = tracer.trail[-1] if tracer.trail else ("", type(module).__name__)
        where = f"its part {path!r} ({kind})" if path else f"{kind}.forward"
        raise WorkbenchError(
            f"{type(module).__name__} cannot be traced by torch.fx, because {where} depends on more than "
            f"shapes ({reason}); give that part a rule, e.g. rules={{{kind}: 'everything'}}"
        ) from None
    return Walk(graph, tracer, rules, statistics, training)


def _runs(module: nn.Module, image: Tensor) -> bool:
    """Whether it is the shapes alone that the module cannot be run on."""
    try:
        with unset_fake_temporarily():
            module(torch.zeros(image.shape, dtype=image.dtype))
    except Exception:
        return False
    return True


def _chosen(walk: Walk, output: str | int | None) -> Seen:
    """What the chosen output sees."""
    end = next(node for node in walk.graph.nodes if node.op == "output")
    result = walk.seen[end]
    if isinstance(output, str) and not (isinstance(result, dict) and output in result):
        inside = [
            seen
            for node, seen in walk.seen.items()
            if node.target == output
            or any(output in (key, entry[0]) for key, entry in node.meta.get("nn_module_stack", {}).items())
        ]
        if not inside:
            raise WorkbenchError(f"the module has no part called {output!r} on the way to its output")
        result = inside[-1]
    elif output is not None:
        try:
            result = result[output]
        except (TypeError, KeyError, IndexError):
            raise WorkbenchError(f"the module returns nothing under output={output!r}") from None
    if isinstance(result, tuple) and output is not None and isinstance(output, str):
        result = result[0]
    if isinstance(result, (tuple, list, dict)):
        names = list(result) if isinstance(result, dict) else list(range(len(result)))
        raise WorkbenchError(f"the module returns several tensors: choose one by output=, one of {names}")
    if not isinstance(result, Seen):
        raise WorkbenchError("the output does not depend on the input")
    return result

"""Statistics of activations and gradients while a model trains, in bounded memory.

Numbers are looked at where they pass: the output of every part, the gradient that reaches it, the gradient
of every parameter. Nothing is changed, and nothing is left behind when the watch ends.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from math import nan, sqrt
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path

from workbench.errors import WorkbenchError
from workbench.probes._modules import the_module
from workbench.probes._running import Running, in_a_sentence, untouched
from workbench.probes.probing import scalar_target

Kind = Literal["activation", "gradient", "parameter gradient"]
PER_OCTAVE, LOWEST, HIGHEST = 2, -30, 20  # bins of magnitude: half octaves from 2^-30 to 2^20


@cache
def bin_edges() -> np.ndarray:
    """Edges of the fixed bins: -inf, -2^20 ... -2^-30, 2^-30 ... 2^20, inf; the one in the middle has zero.

    Bins are the same for every part and step, so that histograms add up and can be drawn over time.
    """
    sizes = 2.0 ** (np.arange(LOWEST * PER_OCTAVE, HIGHEST * PER_OCTAVE + 1) / PER_OCTAVE)
    return np.concatenate([[-np.inf], -sizes[::-1], sizes, [np.inf]])


@dataclass(frozen=True)
class Row:
    """Numbers of one tensor at one step.

    step: number of the call of the whole model, from 0. module: name of the part, or of the parameter.
    call: number of the part's call within the step (a shared part runs several times). output: which of
    several outputs. count: how many numbers. mean, std (of all numbers, not an estimate), low, high, norm
    (root of the sum of squares): of the finite ones. zeros: share of exact zeros. dead: share of units that
    are zero in every sample, a unit being one position beside the first dimension. nonfinite: how many NaN
    and infinite numbers. histogram: how many finite numbers in each bin of `bin_edges()`.
    """

    step: int
    module: str
    kind: Kind
    call: int
    output: str
    count: int
    mean: float
    std: float
    low: float
    high: float
    norm: float
    zeros: float
    dead: float
    nonfinite: int
    histogram: np.ndarray = field(repr=False, compare=False)

    def quantile(self, q: float | np.ndarray) -> float | np.ndarray:
        """Quantiles (0 to 1) from the histogram: right to a half octave, exact at both ends; NaN if empty."""
        total = self.histogram.sum()
        if not total:
            return np.full(np.shape(q), nan)[()]
        edges = np.clip(bin_edges(), self.low, self.high)
        share = np.concatenate([[0.0], np.cumsum(self.histogram) / total])
        first, last = np.flatnonzero(self.histogram)[[0, -1]]
        return np.interp(q, share[first : last + 2], edges[first : last + 2])


@dataclass
class Watch:
    """What a watch has seen. `rows()` are dicts for a table, `records` the same as objects.

    `every` is the distance of the steps that are kept: it doubles whenever more than `keep` would be held,
    and what falls between is dropped, so memory stays bounded however long training takes.
    """

    keep: int
    every: int = 1
    step: int = -1
    by_step: dict[int, list[Row]] = field(default_factory=dict, repr=False)

    @property
    def records(self) -> list[Row]:
        """All rows in the order of the steps."""
        return [row for rows in self.by_step.values() for row in rows]

    def rows(self) -> list[dict[str, Any]]:
        """One dict per tensor and step, without the histogram."""
        rows = (asdict(row) for row in self.records)
        return [{key: value for key, value in row.items() if key != "histogram"} for row in rows]

    def series(self, module: str, what: str, kind: Kind = "activation") -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one statistic of one part (its first output at its first call)."""
        if what not in Row.__dataclass_fields__:
            raise WorkbenchError(f"a row has no {what!r}; it has {', '.join(Row.__dataclass_fields__)}")
        first: dict[int, Row] = {}
        for row in self.records:
            if row.module == module and row.kind == kind and row.call == 0:
                first.setdefault(row.step, row)
        if not first:
            seen = sorted({row.module for row in self.records if row.kind == kind})
            raise WorkbenchError(
                f"no {kind} of {module!r} was seen; there are {', '.join(map(repr, seen[:8])) or 'none'}"
            )
        return np.array(list(first)), np.array([getattr(row, what) for row in first.values()])

    def begin(self) -> None:
        """A new step; thins out what is held when there is too much of it."""
        self.step += 1
        if not self.wanted:
            return
        self.by_step[self.step] = []
        while len(self.by_step) > self.keep:
            self.every *= 2
            self.by_step = {step: rows for step, rows in self.by_step.items() if step % self.every == 0}

    @property
    def wanted(self) -> bool:
        """Whether this step is one to look at."""
        return self.step >= 0 and self.step % self.every == 0

    def add(self, module: str, kind: Kind, call: int, output: str, tensor: Tensor) -> None:
        """Books the numbers of a tensor under the present step."""
        if self.step in self.by_step:
            self.by_step[self.step].append(Row(self.step, module, kind, call, output, **summary(tensor)))


@contextmanager
def watch(model: nn.Module, every: int = 1, keep: int = 256) -> Iterator[Watch]:
    """Statistics of everything that `model` does inside the `with`, in this thread.

    every: look at each so many-th call of the model (a step). keep: hold at most so many steps (2 or more);
    when there would be more, every other one is dropped. Gradients belong to the latest step. Parts that a
    fused operator replaces do not run and have no rows.

    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    >>> with watch(net) as seen:
    ...     net(torch.ones(2, 4)).sum().backward()
    >>> sorted({(row.module, row.kind) for row in seen.records})[:3]
    [('', 'activation'), ('', 'gradient'), ('0', 'activation')]
    """
    if every < 1 or keep < 2:
        raise WorkbenchError(f"every must be at least 1 and keep at least 2, but {every} and {keep} came")
    model, seen, open_ = the_module(model), Watch(keep, every), True
    calls: dict[nn.Module, int] = {}
    depth = 0

    def entered(part: nn.Module) -> None:
        nonlocal depth
        if part is model and depth == 0:
            seen.begin()
            calls.clear()
        depth += 1

    def left(part: nn.Module, output: Any) -> None:
        nonlocal depth
        depth -= 1
        if not seen.wanted:
            return
        name, call = running.names[part], calls.get(part, 0)
        calls[part] = call + 1
        for path, tensor in _numbers(output):
            seen.add(name, "activation", call, path, tensor)
            if tensor.requires_grad:
                handle = tensor.register_hook(look(name, "gradient", call, path))
                if tensor.is_leaf:  # lives on after the step, unlike what the graph holds
                    handles.append(handle)

    def look(name: str, kind: Kind, call: int, path: str) -> Callable[[Tensor], None]:
        def at(gradient: Tensor) -> None:
            if open_:
                seen.add(name, kind, call, path, gradient)

        return at

    running = Running(model, on_enter=entered, on_leave=left)
    handles = [
        parameter.register_hook(look(name, "parameter gradient", 0, ""))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    try:
        with running.follow():
            yield seen
    finally:
        open_ = False
        for handle in handles:
            handle.remove()


def statistics(
    model: nn.Module,
    *inputs: Any,
    backward: bool = False,
    loss: Callable[[Any], Tensor] | None = None,
) -> Watch:
    """Statistics of one pass of `model(*inputs)`; with `backward` (or a `loss`) of the gradients, too.

    loss: output of the model -> one number to go back from; without one it is the sum of all outputs. The
    model runs in its own mode and is afterwards as it was.

    >>> seen = statistics(torch.nn.ReLU(), torch.tensor([[-1.0, 2.0], [-3.0, 0.5]]))
    >>> seen.records[0].zeros, seen.records[0].dead
    (0.5, 0.5)
    """
    model = the_module(model)
    with untouched(model, inputs), in_a_sentence(model, inputs), watch(model) as seen:
        output = model(*inputs)
        if backward or loss is not None:
            scalar_target(output, loss).backward()
    return seen


def _numbers(output: Any) -> Iterator[tuple[str, Tensor]]:
    """Path and tensor of each output that holds floating point numbers."""
    for path, leaf in tree_flatten_with_path(output)[0]:
        if isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
            yield "".join(map(str, path)), leaf


@torch.no_grad()
def summary(tensor: Tensor) -> Mapping[str, Any]:
    """The statistics of a `Row`; complex numbers count by their magnitude, sums are taken in float64."""
    numbers = tensor.detach()
    if numbers.is_nested:
        numbers = numbers.values()
    if numbers.layout is not torch.strided:
        numbers = numbers.to_dense()
    numbers = numbers.abs() if numbers.is_complex() else numbers
    zero = numbers == 0
    values = numbers.to(torch.float64).flatten()
    finite = values[torch.isfinite(values)]
    count, held = values.numel(), finite.numel()
    mean = float(finite.mean()) if held else nan
    low, high = map(float, torch.aminmax(finite)) if held else (nan, nan)
    return {
        "count": count,
        "mean": mean,
        "std": float((finite - mean).square().mean().sqrt()) if held else nan,
        "low": low,
        "high": high,
        "norm": sqrt(float(finite.square().sum())),
        "zeros": float(zero.double().mean()) if count else nan,
        "dead": float((zero.all(0) if zero.dim() > 1 else zero).double().mean()) if count else nan,
        "nonfinite": count - held,
        "histogram": _histogram(finite),
    }


def _histogram(finite: Tensor) -> np.ndarray:
    edges = torch.from_numpy(bin_edges()[1:-1]).to(finite.device)
    places = torch.bucketize(finite, edges, right=True)
    return torch.bincount(places, minlength=len(edges) + 1).cpu().numpy()

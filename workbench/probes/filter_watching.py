"""Filters while a model trains: sparsity, entropy, and what is left of the first weights, step by step.

A look costs about what copying the weights costs, and memory stays bounded however long training takes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes._modules import the_module
from workbench.probes.filter_measures import init_projection, sparsity, variance_entropy
from workbench.probes.filter_sets import FilterLayer, FilterSet, convolutions, filters


@dataclass(frozen=True)
class FilterRow:
    """Numbers of one layer before one step of training; None where the layer has no answer.

    sparsity: share of filters that are nearly zero. entropy: variance entropy. rms: root mean square of the
    weights. init_projection: share of the first weights that is still there. All are None where a weight is
    not finite any more.
    """

    step: int
    layer: str
    sparsity: float | None = None
    entropy: float | None = None
    rms: float | None = None
    init_projection: float | None = None


@dataclass
class FilterWatch:
    """What was seen of the filters. `rows()` are dicts for a table, `records` the same as objects.

    `every` is the distance of the steps that are kept: it doubles whenever more than `keep` would be held,
    and what falls between is dropped. snapshots: whether the filters themselves are held, too, in
    `filters`.
    """

    every: int = 1
    keep: int = 256
    snapshots: bool = False
    step: int = -1
    by_step: dict[int, list[FilterRow]] = field(default_factory=dict, repr=False)
    filters: dict[int, FilterSet] = field(default_factory=dict, repr=False)
    first: dict[str, FilterLayer] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.every < 1 or self.keep < 2:
            raise WorkbenchError(
                f"every must be at least 1 and keep at least 2, but {self.every} and {self.keep} came"
            )

    def look(self, model: nn.Module) -> None:
        """One more step: to be called before each step of a training loop."""
        self.step += 1
        if self.step % self.every == 0:
            self._note(model, self.step)

    def finish(self, model: nn.Module) -> None:
        """The last look, whatever the step: at the filters as training has left them."""
        self.step += 1
        self._note(model, self.step)

    def _note(self, model: nn.Module, step: int) -> None:
        self.by_step[step] = [self._row(step, name, part) for name, part in convolutions(model)]
        if self.snapshots and all(row.rms is not None for row in self.by_step[step]):
            self.filters[step] = filters(model)
        while len(self.by_step) > self.keep:
            self.every *= 2
            for held in (self.by_step, self.filters):
                for dropped in [old for old in held if old % self.every and old != self.step]:
                    del held[dropped]

    def _row(self, step: int, name: str, part: nn.Module) -> FilterRow:
        if not torch.isfinite(part.weight).all():  # type: ignore[arg-type]
            return FilterRow(step, name)
        layer = filters(part).layers[0]
        first = self.first.setdefault(name, layer)
        has_pattern = layer.n > 1 and layer.filters[0].size > 1
        return FilterRow(
            step,
            name,
            sparsity=sparsity(layer),
            entropy=variance_entropy(layer) if has_pattern else None,
            rms=float(np.sqrt(np.square(layer.weights, dtype=np.float64).mean())),
            init_projection=init_projection(layer.weights, first.weights) if first.weights.any() else None,
        )

    @property
    def records(self) -> list[FilterRow]:
        """All rows in the order of the steps."""
        return [row for rows in self.by_step.values() for row in rows]

    @property
    def layers(self) -> list[str]:
        """Names of the layers that were seen."""
        return list(dict.fromkeys(row.layer for row in self.records))

    def rows(self) -> list[dict[str, Any]]:
        """One dict per layer and step, for a table."""
        return [asdict(row) for row in self.records]

    def series(self, layer: str, what: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Steps and values of one number of one layer, where it has one."""
        if what not in ("sparsity", "entropy", "rms", "init_projection"):
            raise WorkbenchError(
                f"a row has no number {what!r}; it has sparsity, entropy, rms and init_projection"
            )
        if layer not in self.layers:
            some = ", ".join(map(repr, self.layers[:8])) or "none"
            raise WorkbenchError(f"no convolution {layer!r} was seen; there are {some}")
        found = [(row.step, getattr(row, what)) for row in self.records if row.layer == layer]
        kept = [(step, value) for step, value in found if value is not None]
        return np.array([step for step, _ in kept], dtype=np.int64), np.array([value for _, value in kept])


@contextmanager
def watch_filters(
    model: nn.Module, every: int = 1, keep: int = 256, snapshots: bool = False
) -> Iterator[FilterWatch]:
    """Looks at the filters before each call of `model` in training mode, inside the `with`, and at its end.

    every: look at each so many-th call. keep: hold at most so many looks; when there would be more, every
    other one is dropped. snapshots: hold the filters, too. Copies of the model that train inside the
    `with`, as `workbench.train.train` makes them, are seen as well (a result that is found again trains
    nothing, so nothing is seen); `workbench.probes.watch` may be open at the same time.

    >>> net = nn.Conv2d(1, 2, 3)
    >>> with watch_filters(net) as seen:
    ...     net(torch.ones(1, 1, 5, 5)).sum().backward()
    ...     with torch.no_grad():
    ...         _ = net.weight.mul_(0.5)
    >>> seen.series("", "init_projection")[1].tolist()
    [1.0, 0.5]
    """
    seen, latest = FilterWatch(every, keep, snapshots), [the_module(model)]
    if not len(filters(model)):  # this also refuses weights that cannot be read
        raise WorkbenchError(f"{type(model).__name__} has no convolution whose filters could be watched")

    def before(part: nn.Module, _inputs: Any) -> None:
        if part.training and latest:  # a copy keeps the hook, but nothing is open any more
            latest[0] = part
            seen.look(part)

    handle = model.register_forward_pre_hook(before)
    try:
        yield seen
    finally:
        handle.remove()
        (last,) = latest
        latest.clear()
        if seen.step >= 0:
            seen.finish(last)

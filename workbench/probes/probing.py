"""What one pass of a torch model costs, part by part: numbers that training changes, operations, bytes, time.

One ordinary pass runs, and torch shows every operator as it is dispatched; results are those of an unprobed
pass to the last bit. Each operator is priced (`workbench.probes.prices`) and booked on the innermost part
that runs it, going forward and going back. What autograd keeps for the way back is seen as it is put away.
Time comes from further passes, in which nothing is counted.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from workbench.errors import WorkbenchError
from workbench.machine import machine_name
from workbench.probes._modules import the_module
from workbench.probes._running import Running, composite, detached, in_a_sentence, untouched
from workbench.probes.cost import own_parameters
from workbench.probes.prices import price
from workbench.quantity import Provenance, Quantity

OUTSIDE = "(outside)"
UNITS: dict[str, tuple[str, Provenance]] = {
    "parameters": ("parameters", "formula"),
    "macs": ("MAC", "formula"),
    "flops": ("flop", "formula"),
    "bytes": ("B", "formula"),
    "backward_macs": ("MAC", "formula"),
    "backward_flops": ("flop", "formula"),
    "backward_bytes": ("B", "formula"),
    "saved": ("B", "counted"),
    "seconds": ("s", "measured"),
    "backward_seconds": ("s", "measured"),
}
SUMMED = ("calls", *UNITS)


@dataclass
class Part:
    """One part of the model, with what runs directly in it (or, from `inclusive`, in all below it, too).

    calls: how often it ran. parameters: own ones, shared ones at the first part that has them. macs, flops,
    bytes: of the way forward; those of the way back apart. saved: bytes kept for the way back. seconds: wall
    time, 0 unless it was asked for. uncounted: operators without a formula, with how often they ran: their
    flops are missing in the sums.
    """

    name: str
    kind: str
    calls: int = 0
    parameters: int = 0
    macs: int = 0
    flops: int = 0
    bytes: int = 0
    backward_macs: int = 0
    backward_flops: int = 0
    backward_bytes: int = 0
    saved: int = 0
    seconds: float = 0.0
    backward_seconds: float = 0.0
    uncounted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Probe:
    """What `probe` found. `parts` are in the order of the model, then what ran outside it (a loss).

    Values of a part are its own; `inclusive` adds those below, and `total` is the sum of all parts.
    output: what the model returned. gradients: name of a parameter -> its gradient (empty without a way
    back). passes: total seconds [repeats] of the timed passes. No formula sees through `uncounted`.
    """

    parts: tuple[Part, ...]
    output: Any = field(repr=False)
    gradients: Mapping[str, Tensor] = field(repr=False)
    passes: tuple[float, ...] = ()
    when: str = ""

    @property
    def total(self) -> Part:
        """The whole pass, the loss included."""
        return _summed("", self.parts[0].kind, self.parts)

    @property
    def uncounted(self) -> dict[str, int]:
        """Operators without a formula, with how often they ran."""
        return dict(self.total.uncounted)

    def part(self, name: str) -> Part:
        """The part of that name, as in `model.named_modules()`; its own values."""
        for part in self.parts:
            if part.name == name:
                return part
        some = ", ".join(part.name for part in self.parts[1:9])
        raise WorkbenchError(f"the model has no part called {name!r}; it has {some or 'none'}")

    def inclusive(self, name: str = "") -> Part:
        """The part and everything below it in one; without a name the model (but not the loss)."""
        own = self.part(name)
        below = [part for part in self.parts if _is_below(part.name, name)]
        summed = _summed(own.name, own.kind, [own, *below])
        summed.calls = own.calls
        return summed

    def quantities(self, name: str | None = None) -> dict[str, Quantity]:
        """Values with unit and provenance: of the part with all below it, or of the whole pass.

        Seconds are there only if time was asked for. For the whole pass `total_flops`, `total_bytes` and
        `total_seconds` add both ways up; time comes with the range of the timed passes.
        """
        part = self.total if name is None else self.inclusive(name)
        values = {what: self._quantity(getattr(part, what), what) for what in UNITS if self._has(what)}
        for what in ("macs", "flops", "bytes", "seconds"):
            if self._has(what):
                both = getattr(part, what) + getattr(part, f"backward_{what}")
                values[f"total_{what}"] = self._quantity(both, what, whole=name is None)
        return values

    def rows(self, inclusive: bool = False) -> list[dict[str, Any]]:
        """One dict a part; `provenance` says for each value where it comes from."""
        found = []
        for part in self.parts:
            if inclusive and part.name != OUTSIDE:
                part = self.inclusive(part.name)
            values = {what: getattr(part, what) for what in SUMMED if what == "calls" or self._has(what)}
            origin = {what: provenance for what, (_, provenance) in UNITS.items() if what in values}
            row = {"part": part.name, "kind": part.kind, **values, "uncounted": dict(part.uncounted)}
            found.append(row | {"provenance": origin})
        return found

    def __str__(self) -> str:
        """The tree of parts with all below them, and what has no formula."""
        lines = [
            f"{'part':<38}{'parameters':>12}{'Mflop':>11}{'MB':>9}{'back Mflop':>12}{'saved MB':>10}{'ms':>9}"
        ]
        for part in [*map(self.inclusive, (p.name for p in self.parts if p.name != OUTSIDE)), self.parts[-1]]:
            depth = part.name.count(".") + bool(part.name)
            label = "  " * depth + (part.name.rpartition(".")[2] or "model") + f" ({part.kind})"
            took = f"{1e3 * (part.seconds + part.backward_seconds):9.2f}" if self.passes else f"{'-':>9}"
            lines.append(
                f"{label:<38}{part.parameters:>12}{part.flops / 1e6:>11.3f}{part.bytes / 1e6:>9.3f}"
                f"{part.backward_flops / 1e6:>12.3f}{part.saved / 1e6:>10.3f}{took}"
            )
        if self.uncounted:
            lines.append("uncounted: " + ", ".join(f"{name} x{n}" for name, n in self.uncounted.items()))
        return "\n".join(lines)

    def _has(self, what: str) -> bool:
        return bool(self.passes) or UNITS[what][1] != "measured"

    def _quantity(self, value: float, what: str, whole: bool = False) -> Quantity:
        unit, provenance = UNITS[what]
        if provenance != "measured":
            return Quantity(value, unit, provenance)
        low, high = (min(self.passes), max(self.passes)) if whole else (None, None)
        return Quantity(value, unit, provenance, low, high, machine_name(), self.when)


def probe(
    model: nn.Module,
    *inputs: Any,
    backward: bool = False,
    loss: Callable[[Any], Tensor] | None = None,
    repeats: int = 0,
) -> Probe:
    """One pass of `model(*inputs)`, counted; with `backward` (or a `loss`) also the way back.

    loss: output of the model -> one number to go back from; without one it is the sum of all outputs.
    repeats: so many further passes are timed, and the one of median length tells the seconds of each part.

    The model runs in its own mode and in the caller's gradient mode (under `torch.no_grad()` nothing is kept
    and fused paths are open, as ever). Afterwards buffers, gradients and random state are what they were.
    Numbers are those of one thread: what a model does in threads of its own is not seen.

    >>> found = probe(torch.nn.Linear(3, 2), torch.ones(5, 3), backward=True)
    >>> found.total.macs, found.total.backward_macs
    (30, 30)
    """
    model, back = the_module(model), backward or loss is not None
    if repeats < 0:
        raise WorkbenchError(f"repeats must be 0 or more, but {repeats} came")
    if back and not torch.is_grad_enabled():
        raise WorkbenchError("there is no way back while gradients are off: leave torch.no_grad() for it")
    step = _Step(model, inputs, loss, back)
    output, gradients, parts = _counted(step)
    passes = sorted((_timed(step) for _ in range(repeats)), key=_length)
    if passes:
        middle = passes[(repeats - 1) // 2]
        for part, own in zip(parts, middle, strict=True):
            part.seconds, part.backward_seconds = own
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Probe(tuple(parts), output, gradients, tuple(map(_length, passes)), when)


def scalar_target(output: Any, loss: Callable[[Any], Tensor] | None) -> Tensor:
    """The one number to go back from: the loss, or the sum of all outputs that are floating point numbers."""
    if loss is None:
        floats = [t for t in tree_leaves(output) if isinstance(t, Tensor) and t.is_floating_point()]
        target = reduce(torch.add, [t.sum() for t in floats]) if floats else None
    else:
        target = loss(output)
    if not isinstance(target, Tensor) or target.numel() != 1 or not target.requires_grad:
        came = f"shape {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__
        raise WorkbenchError(
            f"the way back starts from one number that depends on a parameter, but {came} came"
        )
    return target


@dataclass(frozen=True)
class _Step:
    """A pass that can be run again."""

    model: nn.Module
    inputs: tuple[Any, ...]
    loss: Callable[[Any], Tensor] | None
    back: bool

    def parts(self) -> dict[nn.Module | None, Part]:
        """Fresh books: a page for each part, and one for what happens outside."""
        pages: dict[nn.Module | None, Part] = {
            part: Part(name, type(part).__name__) for name, part in self.model.named_modules()
        }
        for part, parameters in own_parameters(self.model).items():
            pages[part].parameters = parameters
        return {**pages, None: Part(OUTSIDE, "loss" if self.loss else "")}


# Counting -----------------------------------------------------------------------------------------


def _counted(step: _Step) -> tuple[Any, dict[str, Tensor], list[Part]]:
    pages = step.parts()

    def called(part: nn.Module) -> None:
        pages[part].calls += 1

    running = Running(step.model, on_enter=called)
    kept = _Kept(pages, running)
    counting = _Counting(pages, running)
    with untouched(step.model, step.inputs), running.follow(), in_a_sentence(step.model, step.inputs):
        with counting, torch.autograd.graph.saved_tensors_hooks(kept.put_away, _as_it_was):
            output = step.model(*step.inputs)
            target = scalar_target(output, step.loss) if step.back else None
        if target is not None:
            counting.forward = False
            with counting:
                target.backward()
        gradients = {name: p.grad.detach() for name, p in step.model.named_parameters() if p.grad is not None}
    return detached(output), gradients if step.back else {}, list(pages.values())


def _as_it_was(tensor: Tensor) -> Tensor:
    return tensor


class _Counting(TorchDispatchMode):
    """Prices every operator and books it on the part that runs it."""

    def __init__(self, pages: Mapping[nn.Module | None, Part], running: Running) -> None:
        super().__init__()
        self.pages, self.running, self.forward = pages, running, True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if (out := composite(func, self, args, kwargs)) is not NotImplemented:
            return out
        out = func(*args, **kwargs)
        cost = price(func, args, kwargs, out)
        if cost is not None:
            page, work = self.pages[self.running.part()], cost.work
            if work is None:
                page.uncounted[func.overloadpacket.__name__] += 1
            elif self.forward:
                page.macs += work.macs
                page.flops += work.flops
            else:
                page.backward_macs += work.macs
                page.backward_flops += work.flops
            if self.forward:
                page.bytes += cost.bytes
            else:
                page.backward_bytes += cost.bytes
        return out


class _Kept:
    """Books the memory that autograd keeps: whole storages, each once, none of the model's own."""

    def __init__(self, pages: Mapping[nn.Module | None, Part], running: Running) -> None:
        self.pages, self.running = pages, running
        own = [
            tensor
            for part in running.names
            for tensor in (*part._parameters.values(), *part._buffers.values())
            if tensor is not None
        ]
        # A weak reference keeps a storage's number from being given to another one.
        self.seen = {ref.cdata: ref for ref in (StorageWeakRef(t.untyped_storage()) for t in own)}

    def put_away(self, tensor: Tensor) -> Tensor:
        if tensor.layout is not torch.strided:
            self.pages[self.running.part()].saved += tensor.numel() * tensor.element_size()
            return tensor
        storage = tensor.untyped_storage()
        if storage._cdata not in self.seen:
            self.seen[storage._cdata] = StorageWeakRef(storage)
            self.pages[self.running.part()].saved += storage.nbytes()
        return tensor


# Timing -------------------------------------------------------------------------------------------


def _timed(step: _Step) -> list[tuple[float, float]]:
    """Own seconds of each part, forward and back, in a pass of its own."""
    forward: dict[nn.Module | None, float] = dict.fromkeys([*step.model.modules(), None], 0.0)
    backward = dict.fromkeys(forward, 0.0)
    clock = _clock(step.model)
    last = 0.0

    def charge() -> None:
        nonlocal last
        now = clock()
        forward[running.part()] += now - last
        last = clock()

    running = Running(step.model, on_enter=lambda part: charge(), on_leave=lambda part, output: charge())
    with untouched(step.model, step.inputs), running.follow(), in_a_sentence(step.model, step.inputs):
        last = clock()
        output = step.model(*step.inputs)
        target = scalar_target(output, step.loss) if step.back else None
        charge()
        if target is not None:
            with _nodes_timed(target, running, backward, clock):
                start = clock()
                target.backward()
                spent = clock() - start
            backward[None] += spent - sum(backward.values())  # the engine between the nodes
    return list(zip(forward.values(), backward.values(), strict=True))


@contextmanager
def _nodes_timed(
    target: Tensor, running: Running, seconds: dict[nn.Module | None, float], clock: Callable[[], float]
) -> Iterator[None]:
    """Books the time of each node of the graph on the part that made it."""
    started: list[float] = []
    handles = []

    def begin(gradients: Any) -> None:
        started.append(clock())

    def end(part: nn.Module | None) -> Callable[[Any, Any], None]:
        def add(inputs: Any, outputs: Any) -> None:
            seconds[part] += clock() - started.pop()

        return add

    for node in _nodes(target):
        handles += [node.register_prehook(begin), node.register_hook(end(running.part_of(node)))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _nodes(target: Tensor) -> Iterator[Any]:
    """Every node of the graph behind a tensor, once."""
    waiting, seen = [target.grad_fn], {target.grad_fn}
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        yield node
        for below, _ in node.next_functions:
            if below not in seen:
                seen.add(below)
                waiting.append(below)


def _clock(model: nn.Module) -> Callable[[], float]:
    """The wall clock; on a graphics card it first waits until the work handed over is done."""
    if not any(p.is_cuda for p in model.parameters()):
        return time.perf_counter

    def after_work() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return after_work


def _length(seconds: Sequence[tuple[float, float]]) -> float:
    return sum(map(sum, seconds))


# Adding up ----------------------------------------------------------------------------------------


def _is_below(name: str, root: str) -> bool:
    if name in (OUTSIDE, root):
        return False
    return not root or name.startswith(f"{root}.")


def _summed(name: str, kind: str, parts: Sequence[Part]) -> Part:
    total = Part(name, kind)
    for part in parts:
        for what in SUMMED:
            setattr(total, what, getattr(total, what) + getattr(part, what))
        total.uncounted.update(part.uncounted)
    return total

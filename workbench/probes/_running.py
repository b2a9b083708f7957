"""Which part of a model is running now, on the way forward and on the way back.

The hooks are those for all modules, not ones on the model's own: torch leaves its fused transformer path
where a module carries hooks of its own, and then computes other last digits. What runs in another thread or
belongs to another model is let pass.

Going back, torch says which node of the graph it is at. Nodes are numbered in the order in which they were
made, so the times at which parts took over from each other tell whose node it is.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_leaves, tree_map_only

from workbench.errors import WorkbenchError

LEAF = 2**63  # nodes that take a leaf's gradient have no number of their own, but the largest one


class Running:
    """Follows one model in this thread: `part()` is the innermost part that is at work, or None.

    `on_enter(part)` runs before a part takes over and `on_leave(part, output)` when it returns, both while
    `part()` is still what it was before the change.
    """

    def __init__(
        self,
        model: nn.Module,
        on_enter: Callable[[nn.Module], None] | None = None,
        on_leave: Callable[[nn.Module, Any], None] | None = None,
    ) -> None:
        self.names: Mapping[nn.Module, str] = {part: name for name, part in model.named_modules()}
        self.owners: dict[int, nn.Module] = {}
        for part in self.names:
            for parameter in part._parameters.values():
                self.owners.setdefault(id(parameter), part)
        self._on_enter, self._on_leave = on_enter, on_leave
        self._thread = threading.get_ident()
        self._stack: list[nn.Module] = []
        self._numbers: list[int] = []  # from this node on ...
        self._parts: list[nn.Module | None] = []  # ... nodes are this part's

    def part(self) -> nn.Module | None:
        """The innermost part at work; None for what happens outside the model (a loss)."""
        if self._stack:
            return self._stack[-1]
        node = torch._C._current_autograd_node()
        return None if node is None else self.part_of(node)

    def part_of(self, node: Any) -> nn.Module | None:
        """The part that made this node of the graph."""
        number = node._sequence_nr()
        if number >= LEAF:
            return self.owners.get(id(getattr(node, "variable", None)))
        at = bisect_right(self._numbers, number) - 1
        return self._parts[at] if at >= 0 else None

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Follows what happens inside the `with`; afterwards no hook is left."""
        handles = [
            register_module_forward_pre_hook(lambda part, _: self._enter(part)),
            register_module_forward_hook(lambda part, _, out: self._leave(part, out), always_call=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _mine(self, part: nn.Module) -> bool:
        return part in self.names and threading.get_ident() == self._thread

    def _enter(self, part: nn.Module) -> None:
        if self._mine(part):
            if self._on_enter:
                self._on_enter(part)
            self._stack.append(part)
            self._mark()

    def _leave(self, part: nn.Module, output: Any) -> None:
        if self._mine(part) and self._stack:
            if self._on_leave:
                self._on_leave(part, output)
            self._stack.pop()
            self._mark()

    def _mark(self) -> None:
        self._numbers.append(torch.autograd._get_sequence_nr())
        self._parts.append(self._stack[-1] if self._stack else None)


@contextmanager
def untouched(model: nn.Module, inputs: Any = ()) -> Iterator[None]:
    """Buffers, gradients and random state are afterwards what they were before.

    Inference mode becomes `no_grad` meanwhile: there observed operators are the ones that run unobserved.
    """
    parts = list(model.modules())
    buffers = [
        (part, name, buffer, buffer.clone())
        for part in parts
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    leaves = [t for t in tree_leaves(inputs) if isinstance(t, Tensor) and t.is_leaf]
    leaves += [p for part in parts for p in part._parameters.values() if p is not None]
    gradients = [(tensor, tensor.grad) for tensor in leaves]
    for tensor, _ in gradients:
        tensor.grad = None
    try:
        with ExitStack() as stack:
            cards = {t.device.index or 0 for t in leaves if t.is_cuda}
            stack.enter_context(torch.random.fork_rng(sorted(cards)))
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
                stack.enter_context(torch.no_grad())
            yield
    finally:
        with torch.no_grad():
            for part, name, buffer, before in buffers:
                part._buffers[name] = buffer
                buffer.copy_(before)
        for tensor, gradient in gradients:
            tensor.grad = gradient


@contextmanager
def in_a_sentence(model: nn.Module, inputs: Any) -> Iterator[None]:
    """What goes wrong inside the model, as one sentence that names the model and what it was given."""
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        shapes = [tuple(t.shape) for t in tree_leaves(inputs) if isinstance(t, Tensor)]
        of = f"inputs of shapes {', '.join(map(str, shapes))}" if len(shapes) > 1 else "an input"
        of += f" of shape {shapes[0]}" if len(shapes) == 1 else ""
        raise WorkbenchError(f"{type(model).__name__} cannot be run on {of}: {reason}") from error


def detached(output: Any) -> Any:
    """The same numbers without the graph that made them."""
    return tree_map_only(Tensor, Tensor.detach, output)


@cache
def _is_composite(func: Any) -> bool:
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return func.namespace != "prim" and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)


def composite(func: Any, mode: AbstractContextManager, args: Any, kwargs: Any) -> Any:
    """Runs an operator that is made of others, so that `mode` sees those; NotImplemented for a single one.

    In inference mode torch dispatches whole composites such as `linear`. Its own compiled composition is
    taken, the one that runs elsewhere, too.
    """
    if not _is_composite(func):
        return NotImplemented
    with mode:
        return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)

"""Attention probabilities of any attention call of a model, fused ones included.

The model is not touched: torch shows each operator as it is dispatched, results are those of an unobserved
run to the last bit. A fused call never shows its probabilities; they are computed anew from its arguments,
when they are asked for. Attention that is written out is recognised by its steps: a product (not the plain
one of a linear layer with its weight), element-wise operators, a softmax, and a product with that softmax.
Parts that have no softmax may say themselves what they look at: see `attention_parts`.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from workbench.errors import WorkbenchError
from workbench.probes._modules import the_module
from workbench.probes._running import Running, composite, in_a_sentence, untouched
from workbench.probes.attention_parts import rule_of, speaks
from workbench.probes.prices import ATTENTION, Call

Rows = slice | Sequence[int] | None


@dataclass(frozen=True)
class AttentionMap:
    """One attention call. shape: (batch, heads, queries, keys), with the queries that `rows` selected.

    module: name of the part that attended (empty for the model itself). call: number of the call within
    that part, from 0. operator: what torch ran. rows: indices of the queries. dropout: whether probabilities
    were multiplied by something (dropout, a mask of heads) before they met the values; these are from before.
    signed: whether numbers below zero occur, as in implicit attention. grid: rows and columns of the image
    that the keys lie on, where this is known.

    A written-out softmax of three dimensions is taken as [batch, queries, keys] with one head, of more than
    four with all leading ones but the heads in one batch. In `nn.MultiheadAttention` heads are told apart.
    """

    module: str
    call: int
    operator: str
    shape: tuple[int, int, int, int]
    rows: tuple[int, ...]
    causal: bool
    dropout: bool
    compute: Callable[[slice], Tensor] = field(repr=False)
    signed: bool = False
    grid: tuple[int, ...] | None = None

    def probabilities(self, rows: slice = slice(None)) -> Tensor:
        """[batch, heads, rows, keys] of those queries that are kept (a slice of them); rows sum to 1.

        Computed when asked for, in the model's precision, at least float32. A query that may look at nothing
        has zeros.
        """
        with torch.no_grad():
            return self.compute(rows)

    def numpy(self, rows: slice = slice(None)) -> np.ndarray:
        """The probabilities as an array."""
        return self.probabilities(rows).cpu().numpy()

    def only(self, rows: Rows) -> "AttentionMap":
        """The same map with fewer queries, by their place among those that are kept; nothing is computed."""
        at = selected(rows, len(self.rows))
        breaks = [0, *(i for i in range(1, len(at)) if at[i] != at[i - 1] + 1), len(at)]

        def compute(part: slice) -> Tensor:
            wanted = range(len(at))[part]
            runs = [range(max(a, wanted.start), min(b, wanted.stop)) for a, b in pairwise(breaks)]
            tiles = [self.compute(slice(at[run[0]], at[run[-1]] + 1)) for run in runs if run]
            return torch.cat(tiles, dim=2) if tiles else self.compute(slice(0, 0))

        shape = (*self.shape[:2], len(at), self.shape[3])
        return replace(self, shape=shape, rows=tuple(self.rows[i] for i in at), compute=compute)


def attention(model: nn.Module, *inputs: Any, rows: Rows = None) -> list[AttentionMap]:
    """The attention maps of `model(*inputs)` in the order of the calls; the model is left as it was.

    The model runs in its own mode and in the caller's gradient mode. rows: which queries to keep, indices or
    a slice; for long sequences a few rows keep memory small, as only those are ever stored or computed.

    Maps of windows, which models compute in one batch, go back to the image by `windows_to_field`. Linear
    attention has no softmax: give its part a method `attention_rows`, or its class an `attention_rule`. For
    parts that have nothing of the kind there is `implicit_attention`. What `torch.compile` has compiled as a
    whole shows no operators; probe the model before it is compiled.

    >>> layer = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    >>> x = torch.randn(3, 5, 8)
    >>> [m.shape for m in attention(layer, x, x, x)]
    [(3, 2, 5, 5)]
    """
    model = the_module(model)
    with untouched(model, inputs), in_a_sentence(model, inputs), attending(model, rows) as maps:
        model(*inputs)
    return maps


@contextmanager
def attending(model: nn.Module, rows: Rows = None) -> Iterator[list[AttentionMap]]:
    """Collects the attention maps of whatever the model does inside the `with`, in this thread.

    Turn gradients off by `torch.no_grad()`: inside `torch.inference_mode()` torch itself changes last digits
    when somebody looks on, and this is refused.

    >>> layer = torch.nn.MultiheadAttention(8, 2)
    >>> with attending(layer) as maps:
    ...     out, _ = layer(*3 * [torch.randn(5, 3, 8)])
    >>> maps[0].shape
    (3, 2, 5, 5)
    """
    if torch.is_inference_mode_enabled():
        raise WorkbenchError("attending needs torch.no_grad() in place of torch.inference_mode()")
    watching = (_WatchingCompiled if "torch._dynamo" in sys.modules else _Watching)(the_module(model), rows)
    with watching.running.follow(), watching.listening(), watching:
        yield watching.maps


# Watching -----------------------------------------------------------------------------------------

PRODUCTS = {"bmm": (0, 1), "mm": (0, 1), "baddbmm": (1, 2), "addmm": (1, 2)}
SOFTMAXES = ("_softmax", "_safe_softmax")
FLEX = "flex_attention"
FLEX_SWITCH = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"
CARRYING = ("clone", "_to_copy", "copy_", "cat", "constant_pad_nd", "native_dropout", "tril", "triu")


@dataclass
class _Softmax:
    """A softmax of scores that waits for its product with values."""

    module: nn.Module | None
    operator: str
    shape: tuple[int, int, int, int]
    rows: tuple[int, ...]
    kept: Tensor
    dropout: bool = False


class _Watching(TorchDispatchMode):
    """Follows scores and probabilities through the operators by the memory that they lie in."""

    supports_higher_order_operators = True  # flex_attention is one

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch asks. With True it loads its whole compiler, for seconds, at the first operator."""
        return False

    def __init__(self, model: nn.Module, rows: Rows) -> None:
        super().__init__()
        self.maps: list[AttentionMap] = []
        self.running = Running(model, on_leave=self._leave)
        self.rows = rows
        self._told: nn.Module | None = None  # this part has said itself what it looks at
        self._own = _Memory()
        for parameter in model.parameters():
            self._own[parameter] = True
        self._scores = _Memory()
        self._waiting = _Memory()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Asks parts that say themselves what they look at, when they begin to run."""
        speaking = [part for part in self.running.names if speaks(part)]
        handles = [part.register_forward_pre_hook(self._ask, with_kwargs=True) for part in speaking]
        try:
            with _flex_in_the_open():
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _ask(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._told is not None or self.running.part() is not part:
            return
        self._told = part
        args, kwargs = tree_map_only(Tensor, lambda given: given.detach().clone(), (args, kwargs))
        with torch.no_grad():
            rule = rule_of(part)
            found = rule(part, *args, **kwargs) if rule else _own_rows(part, args, kwargs)
        if found is None:
            self._told = None
            return
        name = self.running.names[part]
        call = sum(map.module == name for map in self.maps)
        self.maps.append(replace(found.only(self.rows), module=name, call=call))

    def _leave(self, part: nn.Module, output: Any) -> None:
        if part is self._told:
            self._told = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            if func.name() == FLEX and self._told is None:
                self._add_queries(FLEX, _flex(*args))
            return func(*args, **kwargs)
        if (out := composite(func, self, args, kwargs)) is not NotImplemented:
            return out
        name = func.overloadpacket.__name__ if func.namespace == "aten" else str(func.overloadpacket)
        if self._told is not None:
            return func(*args, **kwargs)
        if name in FUSED:
            # Before the call: what it reads may be overwritten later.
            self._add_queries(name, FUSED[name](Call(func, args, kwargs, None)))
        out = func(*args, **kwargs)
        if torch._C._current_autograd_node() is None:
            self._written_out(name, func, args, out)
        return out

    def _add_queries(self, name: str, queries: "Queries") -> None:
        rows = selected(self.rows, queries.query.shape[-2])
        batch, heads, _, keys = *queries.query.shape[:-1], queries.key.shape[-2]
        asked = queries.only(rows)
        self._add(
            self.running.part(),
            name,
            (batch, heads, len(rows), keys),
            rows,
            queries.causal,
            queries.dropout,
            asked.probabilities,
            False,
            queries.grid,
        )

    def _written_out(self, name: str, func: Any, args: Sequence[Any], out: Any) -> None:
        if name in PRODUCTS:
            left, right = (args[i] for i in PRODUCTS[name])
            for factor in (left, right):
                if softmax := self._waiting.pop(factor):
                    self._confirm(softmax)
            learned = left in self._own or right in self._own
            if not (learned and name in ("mm", "addmm")):
                self._scores[out] = True
        elif name == "_sparse_softmax":
            self._sparse(name, args[0].dim(), args[1], out)
        elif name in SOFTMAXES:
            if args[0] in self._scores and args[0].dim() >= 2:
                self._softmax(name, args[0].dim(), args[1], out)
        elif isinstance(out, Tensor) or name == "native_dropout":
            target = out if isinstance(out, Tensor) else out[0]
            if torch.Tag.pointwise in func.tags or name.endswith("_") or name in CARRYING:
                for source in args:
                    if not isinstance(source, Tensor) or source.numel() > target.numel():
                        continue
                    if source in self._own and name in ("clone", "_to_copy"):
                        self._own[target] = True
                    if source in self._scores:
                        self._scores[target] = True
                    if softmax := self._waiting.get(source):
                        softmax.dropout |= name in ("native_dropout", "mul", "mul_")
                        self._waiting[target] = softmax

    def _softmax(self, name: str, dims: int, dim: int, out: Tensor) -> None:
        if dim % dims not in (dims - 1, dims - 2):
            return
        module = self.running.part()
        found = out.detach() if dim % dims == dims - 1 else out.detach().transpose(-1, -2)
        *lead, queries, keys = found.shape
        heads = module.num_heads if isinstance(module, nn.MultiheadAttention) and len(lead) == 1 else None
        heads = heads or (lead[-1] if len(lead) > 1 else 1)
        rows = selected(self.rows, queries)
        kept = found[..., list(rows), :].reshape(prod(lead) // heads, heads, len(rows), keys)
        shape = (prod(lead) // heads, heads, len(rows), keys)
        self._waiting[out] = _Softmax(module, name, shape, rows, kept)

    def _sparse(self, name: str, dims: int, dim: int, out: Tensor) -> None:
        """A softmax over the places that a sparse matrix [..., queries, keys] has."""
        if dim % dims != dims - 1 or out.dense_dim():
            return
        *lead, queries, keys = out.shape
        rows = selected(self.rows, queries)
        heads = lead[-1] if len(lead) > 1 else 1
        batch, found = prod(lead) // heads, out.detach().coalesce().clone()

        def compute(part: slice) -> Tensor:
            at = torch.tensor(rows[part], dtype=torch.long, device=found.device)
            few = found.index_select(dims - 2, at).to_dense()
            return few.reshape(batch, heads, len(at), keys)

        shape = (batch, heads, len(rows), keys)
        self._add(self.running.part(), name, shape, rows, False, False, compute)

    def _confirm(self, softmax: _Softmax) -> None:
        self._add(
            softmax.module,
            softmax.operator,
            softmax.shape,
            softmax.rows,
            False,
            softmax.dropout,
            lambda rows: softmax.kept[:, :, rows],
        )

    def _add(self, module: nn.Module | None, *rest: Any) -> None:
        name = self.running.names[module] if module is not None else ""
        call = sum(found.module == name for found in self.maps)
        self.maps.append(AttentionMap(name, call, *rest))


class _WatchingCompiled(_Watching):
    """The same where a compiler is at work, which must not compile what watches it."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return True

    def __torch_dispatch__(self, *call: Any) -> Any:
        return super().__torch_dispatch__(*call)


@contextmanager
def _flex_in_the_open() -> Iterator[None]:
    """Without `torch.compile` around it, flex_attention hides in a compiled frame of its own; not in here."""
    flex, switch = sys.modules.get("torch.nn.attention.flex_attention"), FLEX_SWITCH
    before = getattr(flex, switch, None)
    if before is None:  # nobody has loaded it, or torch is too old to have the switch
        yield
        return
    setattr(flex, switch, True)
    try:
        yield
    finally:
        setattr(flex, switch, before)


def _own_rows(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AttentionMap:
    """The map of a part that has a method `attention_rows`, with the weights that it has when it is asked."""
    ask: Any = part.attention_rows
    batch, heads, _, keys = ask(*args, [0], **kwargs).shape
    x = next((given for given in args if isinstance(given, Tensor)), torch.empty(0))
    sides = (x.shape[2:], x.shape[1:3]) if x.dim() == 4 else ()
    return AttentionMap(
        "",
        0,
        type(part).__name__,
        (batch, heads, keys, keys),
        tuple(range(keys)),
        False,
        False,
        lambda rows: ask(*args, list(range(keys)[rows]), **kwargs),
        grid=next((tuple(side) for side in sides if prod(side) == keys), None),
    )


class _Memory:
    """A dictionary of tensors by the storage they lie in: views and in-place changes are the same entry."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[StorageWeakRef, Any]] = {}

    def __setitem__(self, tensor: Tensor, value: Any) -> None:
        if tensor.layout is torch.strided and not tensor.is_nested:
            storage = tensor.untyped_storage()
            self._entries[storage._cdata] = StorageWeakRef(storage), value

    def __contains__(self, tensor: Tensor) -> bool:
        return self.get(tensor) is not None

    def get(self, tensor: Tensor) -> Any:
        """The value for this tensor's storage, or None."""
        if tensor.layout is not torch.strided or tensor.is_nested:
            return None
        return self._entries.get(tensor.untyped_storage()._cdata, (None, None))[1]

    def pop(self, tensor: Tensor) -> Any:
        """Takes the entry away together with all others of the same value."""
        value = self.get(tensor)
        if value is not None:
            self._entries = {key: entry for key, entry in self._entries.items() if entry[1] is not value}
        return value


def selected(rows: Rows, queries: int) -> tuple[int, ...]:
    """The indices that `rows` means among so many queries."""
    if rows is None:
        return tuple(range(queries))
    if isinstance(rows, slice):
        return tuple(range(queries)[rows])
    for row in rows:
        if not -queries <= row < queries:
            raise WorkbenchError(f"there are {queries} queries, but row {row} was asked for")
    return tuple(range(queries)[row] for row in rows)


# Computing anew -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Queries:
    """What probabilities are made of: query [batch, heads, rows, dim], key [batch, key heads, keys, dim].

    mask: added to the scores (true: may look, for one of truth values), broadcast to [batch, heads, rows,
    keys]. places: where each row stands in the sequence, for a causal mask. change, allow: functions as
    `flex_attention` takes them, of the scores and of the indices of batch, head, query and key. grid: rows
    and columns that the keys lie on.
    """

    query: Tensor
    key: Tensor
    scale: float
    mask: Tensor | None = None
    causal: bool = False
    dropout: bool = False
    places: tuple[int, ...] = ()
    change: Callable[..., Tensor] | None = None
    allow: Callable[..., Tensor] | None = None
    grid: tuple[int, ...] | None = None

    def only(self, rows: tuple[int, ...]) -> "Queries":
        """Copies for these rows alone, safe from what the model overwrites later."""
        mask, at = self.mask, list(rows)
        if mask is not None:
            mask = mask.detach()
            mask = (mask[..., at, :] if mask.dim() > 1 and mask.shape[-2] > 1 else mask).clone()
        query = self.query.detach()[..., at, :].clone()
        key = self.key.detach().clone()
        return replace(self, query=query, key=key, mask=mask, places=rows)

    def probabilities(self, rows: slice) -> Tensor:
        """[batch, heads, rows, keys]."""
        precision = torch.promote_types(self.query.dtype, torch.float32)
        query, key = self.query[:, :, rows].to(precision), self.key.to(precision)
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        scores = (query * self.scale) @ key.transpose(-1, -2)
        places = torch.tensor(self.places[rows], dtype=torch.long, device=scores.device)
        if self.change or self.allow:
            sides = [torch.arange(size, device=scores.device) for size in scores.shape]
            sides[2] = places
            index = [side.reshape([-1 if d == n else 1 for d in range(4)]) for n, side in enumerate(sides)]
            if self.change:
                scores = self.change(scores, *index)
            if self.allow:
                scores = scores.masked_fill(~self.allow(*index), -torch.inf)
        if self.mask is not None:
            mask = self.mask[..., rows, :] if self.mask.dim() > 1 and self.mask.shape[-2] > 1 else self.mask
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        if self.causal:
            ahead = torch.arange(scores.shape[-1], device=scores.device) > places[:, None]
            scores = scores.masked_fill(ahead, -torch.inf)
        blind = (scores == -torch.inf).all(-1, keepdim=True)
        return scores.softmax(-1).masked_fill(blind, 0.0)


def _scaled_dot_product(call: Call) -> Queries:
    query, scale = call["query"], call["scale"]
    return Queries(
        query,
        call["key"],
        1 / sqrt(query.shape[-1]) if scale is None else scale,
        call.get("attn_mask", call.get("attn_bias")),
        call["is_causal"],
        call["dropout_p"] > 0,
    )


def _flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Tensor],
    block_mask: tuple[Any, ...],
    scale: float,
    *rest: Any,
) -> Queries:
    """The two functions of `flex_attention` with what they close over: (options, buffers of each)."""
    of_score, of_mask = (tuple(buffers) for buffers in (*rest, (), ())[1:3])
    return Queries(
        query,
        key,
        scale,
        change=lambda *given: score_mod(*given, *of_score),
        allow=lambda *given: block_mask[-1](*given, *of_mask),
    )


def _neighborhood(call: Call) -> Queries:
    """This package's own operator: tokens of a space, row by row, each with its window."""
    from workbench.kernels.neighborhood_windows import Neighborhood  # the operator has loaded it

    query, key = call["queries"], call["keys"]
    space = tuple(query.shape[2:-1])
    geometry = Neighborhood.of(space, *(tuple(call[what]) for what in ("window", "dilation", "causal")))
    bounds = [torch.tensor(geometry.bounds(axis)) for axis in range(len(space))]

    def allow(_batch: Tensor, _head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        inside = torch.tensor(True)
        for length, step, window in reversed(list(zip(space, geometry.dilation, bounds, strict=True))):
            first, stop = window[i % length].unbind(-1)  # counted inside a token's residue class
            near = j % length // step
            inside = inside & (i % length % step == j % length % step) & (first <= near) & (near < stop)
            i, j = i // length, j // length
        return inside

    grid = space if len(space) == 2 else None
    scale = 1 / sqrt(query.shape[-1])
    return Queries(query.flatten(2, -2), key.flatten(2, -2), scale, allow=allow, grid=grid)


def _multi_head(call: Call) -> Queries:
    return _projected(call, call["query"], call["key"], call["num_head"], _allowed(call))


def _encoder_layer(call: Call) -> Queries:
    source, mask = call["src"], _allowed(call)
    if source.is_nested:  # ragged sentences: padded, and nobody looks from or at the padding
        lengths = source._nested_tensor_size()[:, 0]
        source = source.to_padded_tensor(0.0)
        inside = torch.arange(source.shape[1]) < lengths[:, None]
        mask = (inside[:, None, :, None] & inside[:, None, None, :]).to(source.device)
    if call["norm_first"]:
        dim = (source.shape[-1],)
        source = F.layer_norm(source, dim, call["norm_weight_1"], call["norm_bias_1"], call["eps"])
    return _projected(call, source, source, call["num_heads"], mask)


def _projected(call: Call, query: Tensor, key: Tensor, heads: int, mask: Tensor | None) -> Queries:
    """Queries and keys as the fused layers project them: the first two thirds of one weight."""
    weight, bias, dim = call["qkv_weight"], call["qkv_bias"], query.shape[-1]

    def project(tokens: Tensor, third: int) -> Tensor:
        part = slice(third * dim, (third + 1) * dim)
        return F.linear(tokens, weight[part], bias[part]).unflatten(-1, (heads, -1)).transpose(1, 2)

    return Queries(project(query, 0), project(key, 1), 1 / sqrt(dim // heads), mask)


def _allowed(call: Call) -> Tensor | None:
    """The fused layers' mask says who may not look; kind 0 is [queries, keys], 1 is [batch, keys]."""
    mask, kind = call["mask"], call["mask_type"]
    if mask is None:
        return None
    if kind == 1:
        mask = mask[:, None, None, :]
    return ~mask.bool()


FUSED: dict[str, Callable[[Call], Queries]] = {
    **dict.fromkeys(ATTENTION, _scaled_dot_product),
    "workbench.neighborhood_attention": _neighborhood,
    "_native_multi_head_attention": _multi_head,
    "_transformer_encoder_layer_fwd": _encoder_layer,
}

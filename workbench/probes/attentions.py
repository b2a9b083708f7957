"""Attention probabilities of any attention call of a model, fused ones included.

The model is not touched: torch shows each operator as it is dispatched, results are those of an unobserved
run to the last bit. A fused call never shows its probabilities; they are computed anew from its arguments,
when they are asked for. Attention that is written out is recognised by its steps: a product (not the plain
one of a linear layer with its weight), element-wise operators, a softmax, and a product with that softmax.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.errors import WorkbenchError
from workbench.probes._modules import the_module
from workbench.probes._running import Running, composite, in_a_sentence, untouched
from workbench.probes.prices import ATTENTION, Call

Rows = slice | Sequence[int] | None


@dataclass(frozen=True)
class AttentionMap:
    """One attention call. shape: (batch, heads, queries, keys), with the queries that `rows` selected.

    module: name of the part that attended (empty for the model itself). call: number of the call within
    that part, from 0. operator: what torch ran. rows: indices of the queries. dropout: whether probabilities
    were multiplied by something (dropout, a mask of heads) before they met the values; these are from before.

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


def attention(model: nn.Module, *inputs: Any, rows: Rows = None) -> list[AttentionMap]:
    """The attention maps of `model(*inputs)` in the order of the calls; the model is left as it was.

    The model runs in its own mode and in the caller's gradient mode. rows: which queries to keep, indices or
    a slice; for long sequences a few rows keep memory small, as only those are ever stored or computed.

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
    watching = _Watching(the_module(model), rows)
    with watching.running.follow(), watching:
        yield watching.maps


# Watching -----------------------------------------------------------------------------------------

PRODUCTS = {"bmm": (0, 1), "mm": (0, 1), "baddbmm": (1, 2), "addmm": (1, 2)}
SOFTMAXES = ("_softmax", "_safe_softmax")
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

    def __init__(self, model: nn.Module, rows: Rows) -> None:
        super().__init__()
        self.maps: list[AttentionMap] = []
        self.running = Running(model)
        self.rows = rows
        self._own = _Memory()
        for parameter in model.parameters():
            self._own[parameter] = True
        self._scores = _Memory()
        self._waiting = _Memory()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if (out := composite(func, self, args, kwargs)) is not NotImplemented:
            return out
        name = func.overloadpacket.__name__
        if name in FUSED:
            # Before the call: what it reads may be overwritten later.
            self._fused(name, Call(func, args, kwargs, None))
        out = func(*args, **kwargs)
        if torch._C._current_autograd_node() is None:
            self._written_out(name, func, args, out)
        return out

    def _fused(self, name: str, call: Call) -> None:
        queries = FUSED[name](call)
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
class _Queries:
    """What probabilities are made of: query [batch, heads, rows, dim], key [batch, key heads, keys, dim].

    mask: added to the scores (true: may look, for one of truth values), broadcast to [batch, heads, rows,
    keys]. places: where each row stands in the sequence, for a causal mask.
    """

    query: Tensor
    key: Tensor
    scale: float
    mask: Tensor | None = None
    causal: bool = False
    dropout: bool = False
    places: tuple[int, ...] = ()

    def only(self, rows: tuple[int, ...]) -> "_Queries":
        """Copies for these rows alone, safe from what the model overwrites later."""
        mask, at = self.mask, list(rows)
        if mask is not None:
            mask = mask.detach()
            mask = (mask[..., at, :] if mask.dim() > 1 and mask.shape[-2] > 1 else mask).clone()
        query = self.query.detach()[..., at, :].clone()
        key = self.key.detach().clone()
        return _Queries(query, key, self.scale, mask, self.causal, self.dropout, rows)

    def probabilities(self, rows: slice) -> Tensor:
        """[batch, heads, rows, keys]."""
        precision = torch.promote_types(self.query.dtype, torch.float32)
        query, key = self.query[:, :, rows].to(precision), self.key.to(precision)
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        scores = (query * self.scale) @ key.transpose(-1, -2)
        places = torch.tensor(self.places[rows], device=scores.device)
        if self.mask is not None:
            mask = self.mask[..., rows, :] if self.mask.dim() > 1 and self.mask.shape[-2] > 1 else self.mask
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        if self.causal:
            ahead = torch.arange(scores.shape[-1], device=scores.device) > places[:, None]
            scores = scores.masked_fill(ahead, -torch.inf)
        blind = (scores == -torch.inf).all(-1, keepdim=True)
        return scores.softmax(-1).masked_fill(blind, 0.0)


def _scaled_dot_product(call: Call) -> _Queries:
    query, scale = call["query"], call["scale"]
    return _Queries(
        query,
        call["key"],
        1 / sqrt(query.shape[-1]) if scale is None else scale,
        call.get("attn_mask", call.get("attn_bias")),
        call["is_causal"],
        call["dropout_p"] > 0,
    )


def _multi_head(call: Call) -> _Queries:
    return _projected(call, call["query"], call["key"], call["num_head"], _allowed(call))


def _encoder_layer(call: Call) -> _Queries:
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


def _projected(call: Call, query: Tensor, key: Tensor, heads: int, mask: Tensor | None) -> _Queries:
    """Queries and keys as the fused layers project them: the first two thirds of one weight."""
    weight, bias, dim = call["qkv_weight"], call["qkv_bias"], query.shape[-1]

    def project(tokens: Tensor, third: int) -> Tensor:
        part = slice(third * dim, (third + 1) * dim)
        return F.linear(tokens, weight[part], bias[part]).unflatten(-1, (heads, -1)).transpose(1, 2)

    return _Queries(project(query, 0), project(key, 1), 1 / sqrt(dim // heads), mask)


def _allowed(call: Call) -> Tensor | None:
    """The fused layers' mask says who may not look; kind 0 is [queries, keys], 1 is [batch, keys]."""
    mask, kind = call["mask"], call["mask_type"]
    if mask is None:
        return None
    if kind == 1:
        mask = mask[:, None, None, :]
    return ~mask.bool()


FUSED: dict[str, Callable[[Call], _Queries]] = {
    **dict.fromkeys(ATTENTION, _scaled_dot_product),
    "_native_multi_head_attention": _multi_head,
    "_transformer_encoder_layer_fwd": _encoder_layer,
}

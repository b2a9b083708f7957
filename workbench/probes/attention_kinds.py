"""Attention maps from queries and keys themselves, for every way of turning them into weights.

softmax: exp(q·k) over its sum. kernel: phi(q)·phi(k) over its sum, which linear attention computes without
ever having a row. sparse: softmax over a short list of keys for each query. All weights are recomputed for
the rows that are asked for.
"""

from collections.abc import Callable
from math import sqrt

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from workbench.errors import WorkbenchError
from workbench.probes.attentions import AttentionMap, Queries, Rows, selected

Mask = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
FEATURES: dict[str, Callable[[Tensor], Tensor]] = {"elu": lambda x: F.elu(x) + 1, "relu": F.relu}


def softmax_attention(
    query: Tensor | ArrayLike,
    key: Tensor | ArrayLike,
    *,
    scale: float | None = None,
    mask: Tensor | Mask | None = None,
    causal: bool = False,
    rows: Rows = None,
    grid: tuple[int, ...] | None = None,
) -> AttentionMap:
    """softmax(query · keyᵀ · scale), as a map.

    query: [batch, heads, queries, dim] or [heads, queries, dim]. key: with as many heads, or fewer that each
    serve a group of them. scale: default one over the root of dim.
    mask: truth values (true: may look) or numbers to add, broadcast to [batch, heads, queries, keys]; or a
    function of (batch, head, query, key), four tensors of indices that broadcast, which gives truth values:
    the form that `flex_attention` takes, so that a mask of 65,536 tokens is never stored.

    >>> x = torch.randn(2, 65_536, 4)
    >>> near = lambda batch, head, query, key: abs(query - key) <= 1
    >>> softmax_attention(x, x, mask=near, rows=[5]).probabilities().count_nonzero().item()
    6
    """
    query, key = _checked(query, key)
    scale = 1 / sqrt(query.shape[-1]) if scale is None else scale
    at = selected(rows, query.shape[2])
    stored, allow = (mask, None) if isinstance(mask, Tensor) else (None, mask)
    asked = Queries(query, key, scale, stored, causal, allow=allow).only(at)
    shape = (*query.shape[:2], len(at), key.shape[2])
    return _map("softmax", shape, at, causal, asked.probabilities, grid=grid)


def kernel_attention(
    query: Tensor | ArrayLike,
    key: Tensor | ArrayLike,
    *,
    feature: str | Callable[[Tensor], Tensor] = "elu",
    causal: bool = False,
    rows: Rows = None,
    grid: tuple[int, ...] | None = None,
) -> AttentionMap:
    """phi(query) · phi(key) over its sum along the keys: the rows that linear attention never forms.

    query, key: as for `softmax_attention`. feature: phi, a function on the last dimension, "elu" for
    elu(x) + 1 or "relu". A phi with numbers below zero makes a signed map. A query whose sum is 0 has zeros.

    >>> q, k = torch.randn(2, 1, 3, 5, 4)
    >>> kernel_attention(q, k).probabilities().sum(-1).allclose(torch.ones(1, 3, 5))
    True
    """
    if isinstance(feature, str) and feature not in FEATURES:
        raise WorkbenchError(
            f"feature must be a function or one of {', '.join(FEATURES)}, but {feature!r} came"
        )
    phi = FEATURES[feature] if isinstance(feature, str) else feature
    query, key = _checked(query, key)
    at = selected(rows, query.shape[2])
    shape = (*query.shape[:2], len(at), key.shape[2])
    with torch.no_grad():
        asks, tells = phi(query[:, :, list(at)]).clone(), phi(key).clone()
    tells = tells.repeat_interleave(query.shape[1] // key.shape[1], dim=1)

    def compute(part: slice) -> Tensor:
        alike = asks[:, :, part] @ tells.mT
        if causal:
            places = torch.tensor(at[part], dtype=torch.long, device=alike.device)
            ahead = torch.arange(shape[3], device=alike.device) > places[:, None]
            alike = alike.masked_fill(ahead, 0.0)
        total = alike.sum(-1, keepdim=True)
        return alike / torch.where(total == 0, 1.0, total)

    signed = bool((asks < 0).any() or (tells < 0).any())
    return _map("kernel", shape, at, causal, compute, signed, grid)


def sparse_attention(
    query: Tensor | ArrayLike,
    key: Tensor | ArrayLike,
    neighbors: Tensor | ArrayLike,
    *,
    scale: float | None = None,
    rows: Rows = None,
    grid: tuple[int, ...] | None = None,
) -> AttentionMap:
    """Softmax over the few keys that each query may see, at their places among all keys.

    query, key: as for `softmax_attention`. neighbors: the indices of these keys, [queries, neighbours] or
    with heads, or batch and heads, in front; -1 for none, so that lists may be ragged. Only
    queries * neighbours products are formed.

    >>> x = torch.randn(1, 4, 8)
    >>> sparse_attention(x, x, [[0, -1], [0, 1], [1, 2], [2, 3]]).probabilities()[0, 0, 0].tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    query, key = _checked(query, key)
    scale = 1 / sqrt(query.shape[-1]) if scale is None else scale
    at = selected(rows, query.shape[2])
    shape = (*query.shape[:2], len(at), key.shape[2])
    places = checked_neighbors(neighbors, query.shape[2], key.shape[2])
    places = places.expand(*shape[:2], *places.shape[2:])[:, :, list(at)].to(query.device)
    asks = query[:, :, list(at)].clone()
    tells = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1).clone()
    batch, head = torch.arange(shape[0])[:, None, None, None], torch.arange(shape[1])[:, None, None]

    def compute(part: slice) -> Tensor:
        where = places[:, :, part]
        near = tells[batch, head, where.clamp(min=0)]  # [batch, heads, rows, neighbours, dim]
        scores = scale * torch.einsum("bhqd,bhqnd->bhqn", asks[:, :, part], near)
        scores = scores.masked_fill(where < 0, -torch.inf)
        blind = (where < 0).all(-1, keepdim=True)
        return spread(scores.softmax(-1).masked_fill(blind, 0.0), where, shape[3])

    return _map("sparse softmax", shape, at, False, compute, grid=grid)


def spread(weights: Tensor, where: Tensor, keys: int) -> Tensor:
    """Weights [..., rows, neighbours] at their places among all keys, [..., rows, keys]; -1 is dropped."""
    found = weights.new_zeros(*weights.shape[:-1], keys)
    return found.scatter_add(-1, where.clamp(min=0), weights.masked_fill(where < 0, 0.0))


def checked_neighbors(neighbors: Tensor | ArrayLike, queries: int, keys: int) -> Tensor:
    """Indices of keys as [batch or 1, heads or 1, queries, neighbours]."""
    places = torch.as_tensor(neighbors)
    if places.is_floating_point() or not 2 <= places.dim() <= 4 or places.shape[-2] != queries:
        raise WorkbenchError(
            f"neighbors must be whole numbers [..., {queries} queries, neighbours], "
            f"but {str(places.dtype).removeprefix('torch.')} {tuple(places.shape)} came"
        )
    if places.numel() and (places.max() >= keys or places.min() < -1):
        raise WorkbenchError(
            f"neighbors must be indices of {keys} keys, or -1 for none, "
            f"but {places.min()} to {places.max()} came"
        )
    return places.long().reshape(*[1] * (4 - places.dim()), *places.shape)


def _checked(query: Tensor | ArrayLike, key: Tensor | ArrayLike) -> tuple[Tensor, Tensor]:
    q, k = (torch.as_tensor(given).detach() for given in (query, key))
    q, k = (given[None] if given.dim() == 3 else given for given in (q, k))
    if q.dim() != 4 or k.dim() != 4 or q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise WorkbenchError(
            "query and key must be [batch, heads, tokens, dim] or [heads, tokens, dim] of one batch and dim, "
            f"but {tuple(q.shape)} and {tuple(k.shape)} came"
        )
    if not k.shape[1] or q.shape[1] % k.shape[1]:
        raise WorkbenchError(f"{k.shape[1]} heads of keys cannot serve {q.shape[1]} heads of queries")
    precision = torch.promote_types(torch.promote_types(q.dtype, k.dtype), torch.float32)
    return q.to(precision), k.to(precision)


def _map(
    operator: str,
    shape: tuple[int, int, int, int],
    rows: tuple[int, ...],
    causal: bool,
    compute: Callable[[slice], Tensor],
    signed: bool = False,
    grid: tuple[int, ...] | None = None,
) -> AttentionMap:
    return AttentionMap("", 0, operator, shape, rows, causal, False, compute, signed, grid)

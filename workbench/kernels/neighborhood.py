"""Neighbourhood attention, one function for its algorithms: every query attends to its nearest keys.

    O_i = sum over j in the window of i of  p_ij V_j,    p_i = softmax over the window of  Q_i . K_j / sqrt(d)

On one to three axes, each with a window, a dilation and a causality of its own (`neighborhood_windows` says
where a window lies). Three algorithms: "naive" (query by query, all weights in memory; "rows" keeps one row
of them), "gemm" (dense products of a tile with its halo, weights in memory) and "fused" (no weight leaves a
tile).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import get_num_threads

from workbench.errors import WorkbenchError
from workbench.kernels.neighborhood_backward import neighborhood_key_grad, neighborhood_query_grad
from workbench.kernels.neighborhood_fused import neighborhood_fused
from workbench.kernels.neighborhood_gemm import neighborhood_gemm
from workbench.kernels.neighborhood_naive import neighborhood_naive, neighborhood_rows
from workbench.kernels.neighborhood_tiles import Layout, three, tile_layout, tile_of
from workbench.kernels.neighborhood_windows import CausalPerAxis, Neighborhood, PerAxis

METHODS = ("fused", "gemm", "naive", "rows")


def neighborhood_attention(
    Q: np.ndarray,
    K: np.ndarray,
    V: np.ndarray,
    window: PerAxis,
    *,
    dilation: PerAxis = 1,
    causal: CausalPerAxis = False,
    method: str = "fused",
    tile: PerAxis | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Attention of `Q` [batch, heads, *space, d] to the neighbours in `K` [..., d] and `V` [..., e], on all
    threads -> [batch, heads, *space, e].

    `space` has one to three axes; `window`, `dilation` and `causal` are one value or one per axis, with
    window * dilation at most the axis. Float32 or float64, finite. `method` is "fused", "gemm", "naive" or
    "rows"; `tile` is the box of queries that "fused" and "gemm" handle together (one number or one per
    axis, 256 queries at most; `tile_of` says what is taken otherwise). Writes to `out` if given
    (C-contiguous, apart from the rest) and returns it. The readable twin is `_neighborhood_attention`.

        O = neighborhood_attention(Q, K, V, 7)                      # 7 x 7 keys for Q [2, 4, 64, 64, 32]
        O = neighborhood_attention(Q, K, V, (3, 7), dilation=(1, 2), causal=(True, False))
    """
    geometry = check_neighborhood(Q, K, V, window, dilation, causal)
    if method not in METHODS:
        raise WorkbenchError(f"method must be one of {', '.join(METHODS)}, but {method!r} came")
    q, k, v = flat(Q), flat(K), flat(V)
    shape = (*Q.shape[:-1], V.shape[-1])
    if out is None:
        out = np.empty(shape, Q.dtype)
    elif out.shape != shape or out.dtype != Q.dtype or not out.flags.c_contiguous:
        raise WorkbenchError(
            f"out must be a C-contiguous {Q.dtype} {shape}, but {out.dtype} {out.shape} came"
        )
    elif any(np.may_share_memory(out, given) for given in (Q, K, V)):
        raise WorkbenchError("out must not overlap an input: an output would be read again as an input")
    o = out.reshape(v.shape)
    weights = np.empty((*q.shape[:2], geometry.taps if method in ("gemm", "naive") else 0), Q.dtype)
    if method == "fused":
        log_sums = np.empty(q.shape[:2], Q.dtype)
        _on_all_threads(neighborhood_fused, q, k, v, o, log_sums, *_tiles(geometry, tile))
    elif method == "gemm":
        _on_all_threads(neighborhood_gemm, q, k, v, weights, o, *_tiles(geometry, tile))
    elif method == "naive":
        _on_all_threads(neighborhood_naive, q, k, v, weights, o, *axes_of(geometry))
    else:
        row = np.empty((get_num_threads(), geometry.taps), Q.dtype)
        _on_all_threads(neighborhood_rows, q, k, v, row, o, *axes_of(geometry))
    return out


def neighborhood_attention_forward(
    Q: np.ndarray,
    K: np.ndarray,
    V: np.ndarray,
    window: PerAxis,
    *,
    dilation: PerAxis = 1,
    causal: CausalPerAxis = False,
    tile: PerAxis | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The fused way with what the way back needs: (O, log_sums [batch, heads, *space]).

    A log_sum is the logarithm of the sum of e^score over a query's window.
    """
    geometry = check_neighborhood(Q, K, V, window, dilation, causal)
    q, k, v = flat(Q), flat(K), flat(V)
    O, log_sums = np.empty((*Q.shape[:-1], V.shape[-1]), Q.dtype), np.empty(Q.shape[:-1], Q.dtype)
    o, sums = O.reshape(v.shape), log_sums.reshape(q.shape[:2])
    _on_all_threads(neighborhood_fused, q, k, v, o, sums, *_tiles(geometry, tile))
    return O, log_sums


def neighborhood_attention_grad(
    grad: np.ndarray,
    Q: np.ndarray,
    K: np.ndarray,
    V: np.ndarray,
    O: np.ndarray,
    log_sums: np.ndarray,
    window: PerAxis,
    *,
    dilation: PerAxis = 1,
    causal: CausalPerAxis = False,
    tile: PerAxis | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dQ, dK, dV) from `grad`, the gradient with respect to O, and what the forward call took and gave."""
    geometry = check_neighborhood(Q, K, V, window, dilation, causal)
    for name, array, shape in (
        ("grad", grad, (*Q.shape[:-1], V.shape[-1])),
        ("O", O, (*Q.shape[:-1], V.shape[-1])),
        ("log_sums", log_sums, Q.shape[:-1]),
    ):
        if array.shape != shape or array.dtype != Q.dtype:
            raise WorkbenchError(f"{name} must be {Q.dtype} {shape}, but {array.dtype} {array.shape} came")
    q, k, v, o, g = map(flat, (Q, K, V, O, grad))
    dQ, dK, dV = np.empty_like(q), np.empty_like(k), np.empty_like(v)
    sums = np.ascontiguousarray(log_sums).reshape(q.shape[:2])
    delta, there = np.einsum("hic,hic->hi", g, o), _tiles(geometry, tile)
    _on_all_threads(neighborhood_query_grad, q, k, v, sums, g, delta, dQ, *there)
    back = _tiles(geometry, tile, inverse=True)
    _on_all_threads(neighborhood_key_grad, q, k, v, sums, g, delta, dK, dV, *back)
    return dQ.reshape(Q.shape), dK.reshape(K.shape), dV.reshape(V.shape)


def check_neighborhood(
    Q: np.ndarray,
    K: np.ndarray,
    V: np.ndarray,
    window: PerAxis,
    dilation: PerAxis,
    causal: CausalPerAxis,
) -> Neighborhood:
    """The geometry that operands and options stand for; raises where they do not fit together."""
    given = ", ".join(f"{array.dtype} {array.shape}" for array in (Q, K, V))
    if any(array.ndim not in (4, 5, 6) or 0 in array.shape for array in (Q, K, V)):
        raise WorkbenchError(
            f"Q, K, V must be [batch, heads, 1 to 3 axes of space, dim] and not empty, but {given} came"
        )
    if Q.dtype not in (np.float32, np.float64) or not Q.dtype == K.dtype == V.dtype:
        raise WorkbenchError(f"Q, K, V must all be float32 or all float64, but {given} came")
    if Q.shape != K.shape or V.shape[:-1] != K.shape[:-1]:
        raise WorkbenchError(f"Q, K, V must be [..., d], [..., d], [..., e] of one space, but {given} came")
    return Neighborhood.of(Q.shape[2:-1], window, dilation, causal)


def flat(A: np.ndarray) -> np.ndarray:
    """[batch, heads, *space, dim] as [batch * heads, tokens, dim], copied only if it must be."""
    return np.ascontiguousarray(A).reshape(A.shape[0] * A.shape[1], -1, A.shape[-1])


def axes_of(geometry: Neighborhood) -> tuple[tuple[int, int, int], ...]:
    """What the naive kernels need: space, window, dilation and causality along (z, y, x)."""
    causal = tuple(map(int, geometry.causal))
    return (
        three(geometry.space, 1),
        three(geometry.window, 1),
        three(geometry.dilation, 1),
        three(causal, 0),
    )


def _on_all_threads(kernel: Callable[..., None], *arguments: Any) -> None:
    """kernel(*arguments, worker, workers) for every worker, each on a thread of its own.

    The kernels let go of Python's lock. Under `prange` each would be compiled twice, at twice the wait.
    """
    workers = get_num_threads()
    if workers == 1:
        kernel(*arguments, 0, 1)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda worker: kernel(*arguments, worker, workers), range(workers)))


def _tiles(geometry: Neighborhood, tile: PerAxis | None, inverse: bool = False) -> Layout:
    return tile_layout(geometry, tile_of(geometry, tile), inverse)


def _neighborhood_attention(
    Q: np.ndarray,
    K: np.ndarray,
    V: np.ndarray,
    window: PerAxis,
    *,
    dilation: PerAxis = 1,
    causal: CausalPerAxis = False,
) -> np.ndarray:
    """The readable twin of `neighborhood_attention`: masked attention with the whole matrix, in float64."""
    mask = check_neighborhood(Q, K, V, window, dilation, causal).mask()
    q, k, v = flat(Q), flat(K), flat(V)
    S = np.einsum("hid,hjd->hij", q, k, dtype=np.float64) / np.sqrt(Q.shape[-1])
    S[:, ~mask] = -np.inf
    P = np.exp(S - S.max(-1, keepdims=True))
    P /= P.sum(-1, keepdims=True)
    result: np.ndarray = (P @ v).reshape(*Q.shape[:-1], V.shape[-1])
    return result

"""Scaled dot-product attention, one function for its algorithms.

O_i = sum over visible j of  p_ij V_j     with  p_i = softmax over visible j of  Q_i . K_j / sqrt(d)
"""

import numpy as np

from workbench.errors import WorkbenchError
from workbench.kernels.attention_matrix import attention_naive
from workbench.kernels.attention_tiles import attention_tiled_heads
from workbench.kernels.attention_window import attention_windowed

METHODS = ("tiled", "naive", "windowed")


def attention(
    Q: np.ndarray,
    K: np.ndarray,
    V: np.ndarray,
    *,
    causal: bool = False,
    window: int | None = None,
    method: str = "tiled",
) -> np.ndarray:
    """Attention of `Q` [heads, n, d] to `K` [heads, m, d] and `V` [heads, m, e], float32 -> [heads, n, e].

    `causal`: query i sees keys up to i. `window` w: it sees keys i - w to i + w (causal: i - w to i), fewer
    at the ends; n must be m. `method` is "tiled" (on all threads, no matrix of scores), "naive" (the whole
    matrix) or "windowed" (query by query). A row of scores with nan or inf gives nan. The readable twin is
    `_attention`.
    """
    _check(Q, K, V, window, method)
    heads, n, _ = Q.shape
    m = K.shape[1]
    before = m + n if window is None else window
    after = 0 if causal else before
    Q, K, V = map(np.ascontiguousarray, (Q, K, V))
    out = np.empty((heads, n, V.shape[2]), np.float32)
    if method == "tiled":
        attention_tiled_heads(Q, K, V, out, before, after)
        return out
    for q, k, v, o in zip(Q, K, V, out, strict=True):
        if method == "naive":
            attention_naive(q, k, v, np.empty((n, m), np.float32), o, before, after)
        else:
            attention_windowed(q, k, v, np.empty(min(m, before + after + 1), np.float32), o, before, after)
    return out


def _check(Q: np.ndarray, K: np.ndarray, V: np.ndarray, window: int | None, method: str) -> None:
    if any(a.ndim != 3 or a.dtype != np.float32 or 0 in a.shape for a in (Q, K, V)):
        shapes = ", ".join(f"{a.dtype} {a.shape}" for a in (Q, K, V))
        raise WorkbenchError(f"Q, K, V must be float32 [heads, tokens, dim] and not empty, but {shapes} came")
    if not Q.shape[0] == K.shape[0] == V.shape[0] or Q.shape[2] != K.shape[2] or K.shape[1] != V.shape[1]:
        raise WorkbenchError(
            f"Q, K, V must be [heads, n, d], [heads, m, d], [heads, m, e], "
            f"but {Q.shape}, {K.shape}, {V.shape} came"
        )
    if method not in METHODS:
        raise WorkbenchError(f"method must be one of {', '.join(METHODS)}, but {method!r} came")
    if window is not None and (window < 0 or Q.shape[1] != K.shape[1]):
        raise WorkbenchError(
            f"a window must be at least 0, with as many queries as keys, "
            f"but {window} came for {Q.shape[1]} queries and {K.shape[1]} keys"
        )


def _attention(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, *, causal: bool = False, window: int | None = None
) -> np.ndarray:
    """The readable twin of `attention`, in float64."""
    S = np.einsum("hid,hjd->hij", Q, K, dtype=np.float64) / np.sqrt(Q.shape[-1])
    distance = np.arange(K.shape[1]) - np.arange(Q.shape[1])[:, None]
    if causal:
        S[:, distance > 0] = -np.inf
    if window is not None:
        S[:, abs(distance) > window] = -np.inf
    P = np.exp(S - S.max(-1, keepdims=True))
    P /= P.sum(-1, keepdims=True)
    result: np.ndarray = P @ V
    return result

"""The ledger: what every attention kernel does at one shape, for one head, beside its answer.

Two tasks. "all": each of n tokens sees all n. "window": each sees w of them, itself in the middle where there
is room. At the ends of the row windows may shrink or move inwards; an entry knows what it sees, and its
answer is checked against that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from workbench.errors import WorkbenchError
from workbench.kernels import (
    Neighborhood,
    attention_naive,
    attention_one_pass,
    attention_staggered,
    attention_three_pass,
    attention_tiled,
    attention_two_pass,
    attention_windowed,
    neighborhood_fused,
    neighborhood_fused_flops,
    neighborhood_gemm,
    neighborhood_gemm_flops,
    neighborhood_naive,
    neighborhood_naive_flops,
    staggered_steps,
)
from workbench.kernels.attention_work import EXP, tiled_work
from workbench.kernels.neighborhood import axes_of
from workbench.kernels.neighborhood_tiles import tile_layout, tile_of

LANES = 4  # of the staggered order, as in the chip that it was made for


@dataclass(frozen=True)
class LedgerEntry:
    """One kernel at one shape. Numbers are for one head; None where the source is not ours to count.

    task: "all" or "window". cascade: its kind in `CASCADES`. scores: calculated, wanted or not. kept: bytes
    of scores that are in memory at once. flops: operations. key_loads: how often a number of K is loaded.
    run: gives O [n, d]. sees: bool [n, n].
    """

    name: str
    task: str
    cascade: str
    scores: int
    kept: int
    flops: int
    key_loads: int | None
    run: Callable[[], np.ndarray] = field(repr=False, compare=False)
    sees: np.ndarray = field(repr=False, compare=False)

    def error(self, Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> float:
        """The largest difference of its answer from attention in float64."""
        S = Q.astype(float) @ K.T.astype(float) / np.sqrt(Q.shape[1])
        P = np.exp(np.where(self.sees, S - S.max(1, keepdims=True), -np.inf))
        return float(np.abs(P / P.sum(1, keepdims=True) @ V - self.run()).max())


FIRST, LAST = "attention, maximum first", "attention, division last"
ONE, RUNNING = "attention, one pass", "attention, running statistics"


def attention_ledger(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, window: int
) -> tuple[LedgerEntry, ...]:
    """All kernels on one head: Q, K, V [n, d] float32, C-contiguous; `window` odd, at most n."""
    fits = Q.ndim == 2 and Q.shape == K.shape == V.shape and Q.dtype == np.float32
    if not fits or window % 2 == 0 or not 1 <= window <= len(Q):
        raise WorkbenchError(
            f"expected Q, K, V float32 [n, d] of one shape and an odd window up to n, "
            f"but {Q.shape}, {K.shape}, {V.shape} and {window} came"
        )
    return (*_seeing_all(Q, K, V), *_in_a_window(Q, K, V, window))


def _seeing_all(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> list[LedgerEntry]:
    n, d = Q.shape
    O, S, pairs, sees = np.empty_like(Q), np.empty((n, n), np.float32), n * n, np.ones((n, n), bool)
    once, tiles = 2 * pairs * d, tiled_work(n, n, d, n, n)
    tensors = [torch.from_numpy(part)[None, None] for part in (Q, K, V)]
    blocks = -(-n // 64)

    def entry(name, cascade, scores, kept, flops, key_loads, run):  # type: ignore[no-untyped-def]
        return LedgerEntry(name, "all", cascade, scores, kept, flops, key_loads, run, sees)

    def to(kernel: Callable[..., None], *arguments: object) -> Callable[[], np.ndarray]:
        return lambda: kernel(*arguments) or O

    steps = staggered_steps(n, LANES)
    return [
        entry("whole matrix", FIRST, pairs, 4 * pairs, pairs * (4 * d + EXP + 4) + 2, pairs * d,
              to(attention_naive, Q, K, V, S, O, n, n)),
        entry("three passes", FIRST, 3 * pairs, 4, 3 * once + once + pairs * (2 * (EXP + 1) + 5), 3 * pairs * d,
              to(attention_three_pass, Q, K, V, O)),
        entry("two passes", LAST, 2 * pairs, 4, 2 * once + once + pairs * (EXP + 4) + n * d, 2 * pairs * d,
              to(attention_two_pass, Q, K, V, O)),
        entry("one pass", ONE, pairs, 4, 2 * once + pairs * (EXP + 3) + n * d, pairs * d,
              to(attention_one_pass, Q, K, V, O)),
        entry("tiles", ONE, tiles.scores, 64 * 128 * 4, tiles.flops, blocks * n * d,
              to(attention_tiled, Q, K, V, O, n, n)),
        entry("staggered, 4 lanes", RUNNING, steps * LANES, 4 * steps * LANES, 0, steps * d,
              lambda: attention_staggered(Q, K, V, LANES)),
        entry("library", ONE, pairs, 0, 2 * once + pairs * (EXP + 2), None,
              lambda: scaled_dot_product_attention(*tensors)[0, 0].numpy()),
    ]  # fmt: skip

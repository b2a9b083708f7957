"""The ledger: what each attention kernel does at one shape, for one head, and its answer beside it.

Two tasks. "all": each of n tokens sees all n. "window": each sees w of them, itself in the middle where there
is room. At the ends of the row a window shrinks in some kernels and moves inwards in others; an entry knows
what it sees, and its answer is held against that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
    neighborhood_gemm,
    neighborhood_naive,
    staggered_steps,
)
from workbench.kernels.attention_tiles import KEYS, QUERIES
from workbench.kernels.attention_work import EXP, tiled_work
from workbench.kernels.neighborhood import axes_of
from workbench.kernels.neighborhood_fused import KEYS as PART
from workbench.kernels.neighborhood_tiles import tile_layout, tile_of
from workbench.machine import interleaved
from workbench.probes.attention_choice import giving, library_attention, one_thread
from workbench.quantity import Quantity

Work = tuple[int, int, int]  # scores made, weighed, used
Run = Callable[[], np.ndarray]
LANES = 4  # of the staggered order, as in the chip that it was made for
FIRST, LAST = "attention, maximum first", "attention, division last"
ONE, RUNNING = "attention, one pass", "attention, running statistics"


@dataclass(frozen=True)
class LedgerEntry:
    """One kernel at one shape; numbers are for one head, None where the source is a library's.

    task: "all" or "window". cascade: its kind in `CASCADES`. made, weighed, used: how many scores are
    calculated, go through an exponential, meet a value; wanted or not. kept: bytes of scores and masks that
    lie in memory at once. key_loads: how many numbers of K the source loads. run: gives O [n, d].
    """

    name: str
    task: str
    cascade: str
    made: int
    weighed: int
    used: int
    kept: int | None
    key_loads: int | None
    run: Run = field(repr=False, compare=False)
    sees: np.ndarray = field(repr=False, compare=False)
    operands: tuple[np.ndarray, np.ndarray, np.ndarray] = field(repr=False, compare=False)

    @property
    def flops(self) -> int:
        """Operations of the two products and of the exponentials; the small change is left out."""
        return 2 * self.operands[0].shape[1] * (self.made + self.used) + EXP * self.weighed

    @property
    def error(self) -> float:
        """The largest difference of its answer from attention in float64."""
        Q, K, V = (part.astype(float) for part in self.operands)
        S = np.where(self.sees, Q @ K.T / np.sqrt(Q.shape[1]), -np.inf)
        P = np.exp(S - S.max(1, keepdims=True))
        return float(np.abs(P / P.sum(1, keepdims=True) @ V - self.run()).max())

    def row(self) -> dict[str, object]:
        """A line of a table: formulas, and the error of the answer as it is now."""
        return {
            "kernel": self.name,
            "scores made": self.made,
            "exponentials": self.weighed,
            "operations": Quantity(self.flops, "", "formula"),
            "kept": None if self.kept is None else Quantity(self.kept, "B", "formula"),
            "K loads": None if self.key_loads is None else Quantity(self.key_loads, "", "formula"),
            "error, in 10⁻⁷": round(1e7 * self.error, 1),
        }


def attention_ledger(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, window: int | None = None
) -> tuple[LedgerEntry, ...]:
    """All kernels of a task on one head: Q, K, V [n, d] float32, C-contiguous; an odd window, or all keys."""
    fits = Q.ndim == 2 and Q.shape == K.shape == V.shape
    if not fits or any(part.dtype != np.float32 or not part.flags.c_contiguous for part in (Q, K, V)):
        raise WorkbenchError(
            f"expected Q, K, V [n, d] of one shape, C-contiguous float32, but {Q.dtype} {Q.shape}, "
            f"{K.dtype} {K.shape} and {V.dtype} {V.shape} came"
        )
    if window is None:
        return _seeing_all(Q, K, V)
    if window % 2 == 0 or not 1 <= window <= len(Q):
        raise WorkbenchError(f"expected an odd window of 1 to {len(Q)} tokens, but {window} came")
    return _in_a_window(Q, K, V, window)


def ledger_times(
    entries: Sequence[LedgerEntry], rounds: int = 9, min_time: float = 1e-3
) -> dict[str, Quantity]:
    """The shortest milliseconds of each entry by name, in turns on one thread."""
    with one_thread():
        clock = interleaved({entry.name: entry.run for entry in entries}, rounds=rounds, min_time=min_time)
    return {name: seconds.scaled(1e3, "ms") for name, seconds in clock.shortest.items()}


def _seeing_all(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> tuple[LedgerEntry, ...]:
    n, d = Q.shape
    O, S, all_pairs, pairs = np.empty_like(Q), np.empty((n, n), np.float32), np.ones((n, n), bool), n * n
    lanes = min(LANES, n)
    steps, blocks = staggered_steps(n, lanes), -(-n // QUERIES)
    tiles = tiled_work(n, n, d, n, n).scores

    def entry(
        name: str, cascade: str, work: Work, kept: int | None, loads: int | None, run: Run
    ) -> LedgerEntry:
        return LedgerEntry(name, "all", cascade, *work, kept, loads, run, all_pairs, (Q, K, V))

    def ours(kernel: Callable[..., None], *operands: Any) -> Run:
        return giving(O, kernel, *operands)

    return (
        entry("whole matrix", FIRST, (pairs,) * 3, 4 * pairs, pairs * d,
              ours(attention_naive, Q, K, V, S, O, n, n)),
        entry("three passes", FIRST, (3 * pairs, 2 * pairs, pairs), 4, 3 * pairs * d,
              ours(attention_three_pass, Q, K, V, O)),
        entry("two passes", LAST, (2 * pairs, pairs, pairs), 4, 2 * pairs * d,
              ours(attention_two_pass, Q, K, V, O)),
        entry("one pass", ONE, (pairs,) * 3, 4, pairs * d,
              ours(attention_one_pass, Q, K, V, O)),
        entry("tiles", ONE, (tiles,) * 3, 4 * min(QUERIES, n) * KEYS, blocks * n * d,
              ours(attention_tiled, Q, K, V, O, n, n)),
        entry("staggered", RUNNING, (steps * lanes, 2 * pairs, steps * lanes), 4 * steps * lanes, steps * d,
              lambda: attention_staggered(Q, K, V, lanes)),
        entry("library", ONE, (pairs,) * 3, None, None, library_attention(Q, K, V)),
    )  # fmt: skip


def _in_a_window(Q: np.ndarray, K: np.ndarray, V: np.ndarray, w: int) -> tuple[LedgerEntry, ...]:
    n, d = Q.shape
    O, row, half = np.empty_like(Q), np.empty(w, np.float32), w // 2
    weights, sums = np.empty((1, n, w), np.float32), np.empty((1, n), np.float32)
    geometry = Neighborhood.of((n,), w)
    layout, axes = tile_layout(geometry, tile_of(geometry)), axes_of(geometry)
    halos, wide = int(layout[0][:, 1].sum()), layout[1].shape[2]
    fused = int((layout[2][:, 5] - layout[2][:, 4]).sum())
    place = np.arange(n)
    shrinking, moving = abs(place[:, None] - place) <= half, geometry.mask()
    short, seen = int(shrinking.sum()), geometry.scores
    q, k, v, o = Q[None], K[None], V[None], O[None]

    def entry(
        name: str, cascade: str, work: Work, kept: int, loads: int | None, run: Run, sees: np.ndarray
    ) -> LedgerEntry:
        return LedgerEntry(name, "window", cascade, *work, kept, loads, run, sees, (Q, K, V))

    return (
        entry("query by query", FIRST, (short,) * 3, 4 * w, short * d,
              giving(O, attention_windowed, Q, K, V, row, O, half, half), shrinking),
        entry("neighbours, stored", FIRST, (seen,) * 3, 4 * n * w, seen * d,
              giving(O, neighborhood_naive, q, k, v, weights, o, *axes, 0, 1), moving),
        entry("neighbours, products", FIRST, (halos * wide, seen, halos * wide), 4 * n * w, halos * d,
              giving(O, neighborhood_gemm, q, k, v, weights, o, *layout, 0, 1), moving),
        entry("neighbours, fused", ONE, (fused,) * 3, 4 * PART * wide, halos * d,
              giving(O, neighborhood_fused, q, k, v, o, sums, *layout, 0, 1), moving),
        entry("library, mask", ONE, (n * n,) * 3, n * n, None, library_attention(Q, K, V, moving), moving),
    )  # fmt: skip

"""Faster Neighborhood Attention: Reducing the O(n^2) Cost of Self Attention at the Threadblock Level.

Ali Hassani, Wen-Mei Hwu, Humphrey Shi; NeurIPS 2024; https://arxiv.org/abs/2403.04690. Original code: NATTEN,
https://github.com/SHI-Labs/NATTEN, MIT licence. Nothing is copied from it.

Every query attends to exactly its `window` nearest keys along every axis. That is a small share of all
scores, but a share that no product of matrices computes: taken literally, the work falls apart into inner
products. The source's answer is to take queries that lie side by side together. What they see overlaps, and
the union, the tile's halo, is a dense block again.

    window     where it lies at a border, with dilation, causal        `workbench.kernels.Neighborhood`
    naive      query by query, in three sweeps with all weights        `neighborhood_naive`
    gemm       tile times halo, scatter, softmax, gather back          `neighborhood_gemm`
    fused      halo bit by bit, online softmax, nothing stored         `neighborhood_fused`
    way back   the same tiles with queries and then with keys          `neighborhood_query_grad`, `..key_grad`

All of them are methods of `workbench.kernels.neighborhood_attention`, and layers of torch in
`workbench.layers`. Here stand the work that they are timed on, and what is claimed about them.

Deviations: listed in `SYSTEM`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.nn.functional import scaled_dot_product_attention

from workbench.budget import by_budget
from workbench.claims import AtLeast, AtMost, Claim, Measured, System
from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import Neighborhood, neighborhood_attention
from workbench.kernels.neighborhood import axes_of
from workbench.kernels.neighborhood_fused import neighborhood_fused
from workbench.kernels.neighborhood_gemm import neighborhood_gemm
from workbench.kernels.neighborhood_naive import neighborhood_naive, neighborhood_rows
from workbench.kernels.neighborhood_tiles import tile_layout, tile_of
from workbench.kernels.neighborhood_windows import CausalPerAxis, PerAxis
from workbench.machine import paired

# The work -------------------------------------------------------------------------------------


def tokens_of(side: int, patch: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys and values [side, side, d] of an astronaut: patches, through three random projections.

    The picture's `side` x `side` patches from the top left, each `patch` x `patch` pixels of three colours,
    standardised; the projections are drawn from `seed` and keep the variance, so that scores are of the
    order of one.
    """
    from workbench_datasets import load

    picture = np.asarray(load("astronaut"), np.float32)
    if min(picture.shape[:2]) < side * patch:
        raise WorkbenchError(
            f"the picture has {picture.shape[:2]} pixels, too few for {side} x {patch} a side"
        )
    patches = sliding_window_view(picture, (patch, patch), axis=(0, 1))[::patch, ::patch][:side, :side]
    flat = patches.reshape(side, side, -1).astype(np.float32)
    flat = (flat - flat.mean((0, 1))) / flat.std((0, 1)).clip(1e-6)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((3, flat.shape[-1], d)) / np.sqrt(flat.shape[-1])
    queries, keys, values = (flat @ weight.astype(np.float32) for weight in weights)
    return queries, keys, values


@dataclass(frozen=True)
class Work:
    """One head of attention that can be run in several ways on one thread, all arrays touched before."""

    Q: np.ndarray
    K: np.ndarray
    V: np.ndarray
    geometry: Neighborhood

    @classmethod
    def plane(cls, side: int, window: int, d: int = 64, seed: int = 0) -> "Work":
        """side x side tokens, each a patch of 8 x 8 pixels."""
        return cls(*tokens_of(side, 8, d, seed), Neighborhood.of((side, side), window))

    @classmethod
    def line(cls, side: int, window: int, d: int = 64, seed: int = 0) -> "Work":
        """side * side tokens in one row, patches of 4 x 4 pixels line by line."""
        Q, K, V = (part.reshape(-1, d) for part in tokens_of(side, 4, d, seed))
        return cls(Q, K, V, Neighborhood.of((side * side,), window))

    def run(self, method: str, tile: PerAxis | None = None) -> Callable[[], np.ndarray]:
        """A call without arguments that gives O [tokens, d]. `method` is a method of
        `neighborhood_attention`, or "dense": torch's attention of every query to every key."""
        q, k, v = (np.ascontiguousarray(a).reshape(1, -1, a.shape[-1]) for a in (self.Q, self.K, self.V))
        out = np.zeros_like(v)
        if method == "dense":
            Q, K, V = (torch.from_numpy(a)[None] for a in (q, k, v))
            return lambda: scaled_dot_product_attention(Q, K, V)[0, 0].numpy()
        axes, tiles = axes_of(self.geometry), tile_layout(self.geometry, tile_of(self.geometry, tile))
        weights = np.zeros((1, q.shape[1] if method in ("naive", "gemm") else 1, self.geometry.taps), q.dtype)
        log_sums = np.zeros((1, q.shape[1]), q.dtype)
        calls: dict[str, Callable[[], object]] = {
            "naive": lambda: neighborhood_naive(q, k, v, weights, out, *axes, 0, 1),
            "rows": lambda: neighborhood_rows(q, k, v, weights[0], out, *axes, 0, 1),
            "gemm": lambda: neighborhood_gemm(q, k, v, weights, out, *tiles, 0, 1),
            "fused": lambda: neighborhood_fused(q, k, v, out, log_sums, *tiles, 0, 1),
        }
        if method not in calls:
            raise WorkbenchError(f"method must be dense, {', '.join(calls)}, but {method!r} came")
        return lambda: (calls[method](), out[0])[1]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch keeps to one thread, as the other contenders do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compared(work: Work, one: str, other: str, seed: int, budget: str) -> Measured:
    """The time of `one` over that of `other`, on one thread, in turns."""
    repeats = by_budget(budget, smoke=3, lesson=15)
    with one_thread(), torch.inference_mode():
        times = paired(work.run(other), work.run(one), repeats=repeats, seed=seed)
    return Measured(times.speedup.value, system=times.f.value, baseline=times.g.value)


# Time -----------------------------------------------------------------------------------------


def on_plane(method: str, window: int) -> Callable[[int, str], Measured]:
    """Naive over `method`: 64 x 64 tokens of 64 (smoke: 32 x 32)."""

    def measure(seed: int, budget: str) -> Measured:
        work = Work.plane(by_budget(budget, smoke=32, lesson=64), window, seed=seed)
        return compared(work, "naive", method, seed, budget)

    return measure


def on_line(method: str, window: int) -> Callable[[int, str], Measured]:
    """Naive over `method`: 16,384 tokens of 64 in a row (smoke: 1,024)."""

    def measure(seed: int, budget: str) -> Measured:
        work = Work.line(by_budget(budget, smoke=32, lesson=128), window, seed=seed)
        return compared(work, "naive", method, seed, budget)

    return measure


def naive_over_dense(window: int) -> Callable[[int, str], Measured]:
    """The naive way with a share of the scores, over torch's attention with all of them."""

    def measure(seed: int, budget: str) -> Measured:
        work = Work.plane(by_budget(budget, smoke=32, lesson=64), window, seed=seed)
        return compared(work, "naive", "dense", seed, budget)

    return measure


def storing(window: int) -> Callable[[int, str], Measured]:
    """All weights in memory, over one row of them: the same arithmetic."""

    def measure(seed: int, budget: str) -> Measured:
        work = Work.line(by_budget(budget, smoke=32, lesson=128), window, seed=seed)
        return compared(work, "naive", "rows", seed, budget)

    return measure


# Exactness and bytes ----------------------------------------------------------------------------

# Odd sizes, tiles that do not divide them, whole axes, single keys, even windows, classes of unequal length.
CASES: tuple[tuple[tuple[int, ...], PerAxis, PerAxis, CausalPerAxis], ...] = (
    ((37,), 9, 1, False),
    ((41,), 6, 3, False),
    ((50,), 7, 1, True),
    ((33,), 33, 1, False),
    ((13, 17), (5, 4), 1, False),
    ((15, 11), (3, 5), (2, 2), (True, False)),
    ((9, 10), (9, 10), 1, False),
    ((12, 7), 1, 1, False),
)


def masked(Q: np.ndarray, K: np.ndarray, V: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The oracle: torch's dense attention with a mask [tokens, tokens], in float64; Q, K, V [tokens, d]."""
    q, k, v = (torch.from_numpy(a.astype(np.float64))[None, None] for a in (Q, K, V))
    found: np.ndarray = scaled_dot_product_attention(q, k, v, torch.from_numpy(mask))[0, 0].numpy()
    return found


def shrunk(geometry: Neighborhood) -> np.ndarray:
    """The mask of a neighbour rule that cuts windows off at a border instead of moving them."""
    mask = np.ones((1, 1), bool)
    for length, window, step, causal in zip(
        geometry.space, geometry.window, geometry.dilation, geometry.causal, strict=True
    ):
        i = np.arange(length)
        places = (i - i[:, None]) // step
        last = 0 if causal else window - 1 - window // 2
        first = last - window + 1
        mask = np.kron(mask, ((i - i[:, None]) % step == 0) & (first <= places) & (places <= last))
    return mask


def largest_difference(seed: int, mask_of: Callable[[Neighborhood], np.ndarray]) -> float:
    """Between the float32 kernels and masked attention, over all methods and cases."""
    rng, worst = np.random.default_rng(seed), 0.0
    for space, window, dilation, causal in CASES:
        geometry = Neighborhood.of(space, window, dilation, causal)
        Q, K, V = (rng.standard_normal((geometry.tokens, 16)).astype(np.float32) for _ in range(3))
        exact = masked(Q, K, V, mask_of(geometry))
        q, k, v = (a.reshape(1, 1, *space, 16) for a in (Q, K, V))
        for method in ("fused", "gemm", "naive"):
            found = neighborhood_attention(q, k, v, window, dilation=dilation, causal=causal, method=method)
            worst = max(worst, float(abs(found.reshape(exact.shape) - exact).max()))
    return worst


def difference(seed: int, budget: str) -> float:
    return largest_difference(seed, Neighborhood.mask)


def difference_of_shrunk(seed: int, budget: str) -> float:
    """Control: the oracle's windows shrink at borders."""
    return largest_difference(seed, shrunk)


def weight_bytes_gap(seed: int, budget: str) -> float:
    """Counted bytes of weights that the naive way holds, against 4 for each of N * window^axes scores."""
    return max(
        abs(_held(geometry) - 4 * geometry.scores)
        for geometry in (Neighborhood.of((12, 13), 5), Neighborhood.of((40,), 9))
    )


def stored_row_gap(seed: int, budget: str) -> float:
    """Control: a way that stores its weights, held to the bytes of one row of them."""
    geometry = Neighborhood.of((12, 13), 5)
    return abs(_held(geometry) - 4 * geometry.taps)


def _held(geometry: Neighborhood) -> int:
    q = np.ones((1, geometry.tokens, 4), np.float32)
    weights = np.zeros((1, geometry.tokens, geometry.taps), np.float32)
    counts = count(neighborhood_naive, q, q, q, weights, np.zeros_like(q), *axes_of(geometry), 0, 1)
    return int(counts.bytes_unique["weights"])


SOURCE = (
    "on an A100: products +895 % (1-D) and +272 % (2-D) over naive kernels in single precision, on average"
)

SYSTEM = System(
    key="neighborhood-attention",
    claims=[
        Claim(
            "fused-plane",
            says="On 64 x 64 tokens with windows of 31 x 31, fused tiles are faster than the naive way. One "
            "thread. The control has windows of 7 x 7: too much of what a tile computes is waste.",
            paper="on a GPU, in half precision: +581 % over naive kernels in 2-D, on average",
            unit="times",
            against="s, query by query",
            bar=AtLeast(1.3, null=1.0),
            measure=on_plane("fused", 31),
            control=on_plane("fused", 7),
        ),
        Claim(
            "gemm-plane",
            says="On 64 x 64 tokens with windows of 31 x 31, products of tiles, whose weights go through "
            "memory, are faster than the naive way. One thread. The control has windows of 7 x 7.",
            paper=SOURCE,
            unit="times",
            against="s, query by query",
            bar=AtLeast(1.3, null=1.0),
            measure=on_plane("gemm", 31),
            control=on_plane("gemm", 7),
        ),
        Claim(
            "fused-line",
            says="On 16,384 tokens in a row with windows of 129, fused tiles are faster than the naive way. "
            "One thread. The control has windows of 9.",
            paper="on a GPU, in half precision: +1607 % over naive kernels in 1-D, on average",
            unit="times",
            against="s, query by query",
            bar=AtLeast(1.3, null=1.0),
            measure=on_line("fused", 129),
            control=on_line("fused", 9),
        ),
        Claim(
            "gemm-line",
            says="On 16,384 tokens in a row with windows of 129, products of tiles, whose weights go through "
            "memory, are faster than the naive way. One thread. The control has windows of 9.",
            paper=SOURCE,
            unit="times",
            against="s, query by query",
            bar=AtLeast(1.3, null=1.0),
            measure=on_line("gemm", 129),
            control=on_line("gemm", 9),
        ),
        Claim(
            "sparsity-is-not-speed",
            says="With windows of 31 x 31 the naive way needs 23 % of all scores, and still takes as long as "
            "attention to all keys. The control has windows of 7 x 7, which are 1.2 % of all scores.",
            paper="ours: the source says that naive kernels make poor use of the machine",
            unit="times",
            against="s, query by query",
            bar=AtLeast(1.0),
            measure=naive_over_dense(31),
            control=naive_over_dense(7),
        ),
        Claim(
            "storing-weights",
            says="With windows of 129, keeping all weights in memory costs time against keeping one row, "
            "with the same arithmetic. The control has windows of 1.",
            paper="ours: the source says that unfused kernels are bound by the traffic of their weights",
            unit="times",
            against="s, all weights stored",
            bar=AtLeast(1.1, null=1.0),
            measure=storing(129),
            control=storing(1),
        ),
        Claim(
            "bytes-of-weights",
            says="The naive way holds 4 bytes of weights for every score. The value is the largest "
            "difference between these bytes and the counted ones, on a plane and in a row. The control "
            "expects the bytes of one window.",
            paper="the weights of unfused kernels take memory that grows with tokens times window",
            unit="bytes",
            bar=AtMost(0.0),
            measure=weight_bytes_gap,
            control=stored_row_gap,
            provenance="counted",
            seeds=1,
        ),
        Claim(
            "same-attention",
            says="Fused, products and naive, in float32, give what masked attention gives in float64, on odd "
            "sizes, whole axes, single keys, even windows, dilation and causal axes. The inputs are random "
            "numbers of the order of one, and the value is the largest difference of an output. The "
            "control's windows shrink at borders instead of moving.",
            paper="the source's kernels compute the same attention; ours: the number",
            bar=AtMost(1e-6),
            measure=difference,
            control=difference_of_shrunk,
            provenance="counted",
        ),
        Claim(
            "half-precision",
            says="On a graphics card, in half precision (16 bits), fused kernels that use its units for "
            "products of small matrices are faster than naive kernels.",
            paper="+1607 % (1-D) and +581 % (2-D) over naive kernels, on average; the bar is the latter",
            unit="times",
            bar=AtLeast(6.81, null=1.0),
            needs="hardware",
        ),
    ],
    deviations=[
        "A CPU stands in for a GPU: a tile fills the lanes of vectors instead of a block of threads, and "
        "there are no matrix units and no half precision.",
        "The naive baseline is ours, with vectors inside each inner product; the source compares with the "
        "naive CUDA kernels of earlier NATTEN releases.",
        "For a key at the rim of a halo, the fused kernel leaves out the queries that do not see it, in "
        "whole vectors; the source multiplies whole sub-tiles and masks.",
        "The layout of tiles and halos is made once for each shape and kept; the source works it out on the "
        "way.",
        "The tile of the fused kernel for wide windows (16 x 16 queries on a plane, 256 in a row) was "
        "made larger after a first look, at the shapes that the claims time: with tiles of 64 queries the "
        "lead was about half as large. The naive kernel has no such choice to tune.",
        "Threads are Python's own, over kernels that let go of its lock: under `prange` every kernel would "
        "be compiled twice.",
        "The way back forms all weights twice, once by queries and once by keys, so that no two threads add "
        "to the same number.",
        "Windows of even size are not in this source: its authors added them later (arXiv 2504.16922).",
        "Three axes go forward and back, too; the source's GEMM kernels have one and two.",
        "Paper scale: many shapes and batches on a GPU, and whole networks in use. Here one head of 4,096 "
        "tokens on a plane, and one of 16,384 in a row.",
    ],
)

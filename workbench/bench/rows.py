"""Softmax, attention, sparse products, scans and long convolution against torch, scipy and numpy."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from workbench.bench.running import Benchmark, Task


def _softmax(quick: bool) -> Benchmark:
    """One row of 32 Mi float32 (quick: 64 Ki) on one thread; all write to arrays that were touched before.

    "read and copy" reads the row once and then copies a finished result: the traffic of two passes without
    their arithmetic, and so the limit that the copy of this machine sets.
    """
    import torch

    from workbench.kernels import softmax

    x = np.random.default_rng(0).normal(0, 5, 2**16 if quick else 2**25).astype(np.float32)
    out, other = np.zeros_like(x), np.zeros_like(x)
    tx, tout = torch.from_numpy(x), torch.from_numpy(other)
    finished = softmax(x)

    def by_torch() -> np.ndarray:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return torch.softmax(tx, 0, out=tout).numpy()
        finally:
            torch.set_num_threads(threads)

    def read_and_copy() -> np.ndarray:
        _sum(x)
        _copy(finished, other)
        return other

    methods = ("recompute", "reload", "online", "online-blocked")
    peers: dict[str, Task] = {
        f"three-pass {m}" if m in methods[:2] else m: partial(softmax, x, other, method=m) for m in methods
    }
    peers |= {"torch out=": by_torch, "read and copy (limit)": read_and_copy}
    # The sum of 32 Mi numbers keeps about 3 digits less than one number has (torch's 7e-4, ours 2e-4).
    return Benchmark(partial(softmax, x, out), peers, flops=24.0 * x.size, tolerance=2e-3)


def _softmax_rows(quick: bool) -> Benchmark:
    """4096 rows of 4096 (quick: 64 of 256) on all threads."""
    import torch
    from scipy import special

    from workbench.kernels import softmax

    shape = (64, 256) if quick else (4096, 4096)
    x = np.random.default_rng(0).normal(0, 5, shape).astype(np.float32)
    out, other = np.zeros_like(x), np.zeros_like(x)
    tx, tout = torch.from_numpy(x), torch.from_numpy(other)
    peers: dict[str, Task] = {"torch out=": lambda: torch.softmax(tx, 1, out=tout).numpy()}
    if quick:  # seconds a call otherwise
        peers["scipy"] = partial(special.softmax, x, axis=1)
    return Benchmark(partial(softmax, x, out, parallel=True), peers, flops=24.0 * x.size)


def _attention(causal: bool, window: int | None, quick: bool) -> Benchmark:
    """8 heads of 2048 tokens of 64 (quick: 2 of 128); a window goes to torch as a mask."""
    import torch

    from workbench.kernels import attention

    heads, n, d = (2, 128, 64) if quick else (8, 2048, 64)
    rng = np.random.default_rng(0)
    Q, K, V = (rng.standard_normal((heads, n, d)).astype(np.float32) for _ in range(3))
    tensors = [torch.from_numpy(a)[None] for a in (Q, K, V)]
    near = np.ones((n, n), bool) if window is None else abs(np.arange(n) - np.arange(n)[:, None]) <= window
    mask = None if window is None else torch.from_numpy(near)

    @torch.inference_mode()
    def by_torch() -> np.ndarray:
        q, k, v = tensors
        attend = torch.nn.functional.scaled_dot_product_attention
        return attend(q, k, v, attn_mask=mask, is_causal=causal)[0].numpy()

    ours = partial(attention, Q, K, V, causal=causal, window=window)
    other = "naive" if window is None else "windowed"
    peers: dict[str, Task] = {"torch": by_torch, f"{other}, 1 thread": partial(ours, method=other)}
    pairs = np.count_nonzero(np.tril(near) if causal else near)
    return Benchmark(ours, peers, flops=4.0 * heads * pairs * d)


def _sparse_product(quick: bool) -> Benchmark:
    """The square of a random matrix with 10 numbers in each of 50 000 rows (quick: 500), float32."""
    from workbench.kernels import sparse_matmul

    A = _random_matrix(500 if quick else 50_000, 10)
    meetings = int(np.diff(A.indptr)[A.indices].sum())
    return Benchmark(
        partial(sparse_matmul, A, A),
        {"scipy.sparse": lambda: A @ A, "1 thread": partial(sparse_matmul, A, A, parallel=False)},
        flops=2.0 * meetings,
    )


def _sparse_vector(quick: bool) -> Benchmark:
    """The same matrix, with 20 numbers in each of 200 000 rows (quick: 500), times a vector."""
    from workbench.kernels import sparse_matvec

    A = _random_matrix(500 if quick else 200_000, 20)
    x = np.random.default_rng(1).random(A.shape[1]).astype(np.float32)
    return Benchmark(partial(sparse_matvec, A, x), {"scipy.sparse": lambda: A @ x}, flops=2.0 * A.nnz)


def _random_matrix(n: int, each: int) -> Any:
    from scipy import sparse

    rng = np.random.default_rng(0)
    columns = rng.integers(0, n, (n, each))
    data = rng.random(n * each).astype(np.float32)
    A = sparse.csr_array((data, columns.ravel(), np.arange(n + 1) * each), shape=(n, n))
    A.sum_duplicates()
    return A


def _scan(quick: bool) -> Benchmark:
    """Prefix sums of 16 Mi float64 (quick: 16 Ki)."""
    import torch

    from workbench.kernels import prefix_sum

    x = np.random.default_rng(0).random(2**14 if quick else 2**24)
    out, other = np.zeros_like(x), np.zeros_like(x)
    tx, tout = torch.from_numpy(x), torch.from_numpy(other)
    peers: dict[str, Task] = {
        "numpy": lambda: np.cumsum(x, out=other),
        "torch out=": lambda: torch.cumsum(tx, 0, out=tout).numpy(),
        "serial": partial(prefix_sum, x, other, method="serial"),
        "blelloch": partial(prefix_sum, x, other, method="blelloch"),
    }
    return Benchmark(partial(prefix_sum, x, out), peers, flops=1.0 * x.size)


def _selective_scan(quick: bool) -> Benchmark:
    """4096 steps, 256 channels, 16 states (quick: 128, 8, 16) against torch, one step after the other."""
    import torch

    from workbench.kernels import selective_scan

    n, channels, states = (128, 8, 16) if quick else (4096, 256, 16)
    rng = np.random.default_rng(0)
    x, B, C = (rng.standard_normal(s).astype(np.float32) for s in ((n, channels), (n, states), (n, states)))
    delta = rng.uniform(0.001, 0.1, (n, channels)).astype(np.float32)
    A = -np.arange(1, states + 1, dtype=np.float32) * np.ones((channels, 1), np.float32)
    tx, td, tA, tB, tC = map(torch.from_numpy, (x, delta, A, B, C))

    @torch.inference_mode()
    def by_torch() -> np.ndarray:
        h = torch.zeros(channels, states)
        decay = torch.exp(td[:, :, None] * tA)
        given = (td * tx)[:, :, None] * tB[:, None]
        y = torch.empty(n, channels)
        for t in range(n):
            h = torch.addcmul(given[t], decay[t], h)
            y[t] = h @ tC[t]
        return y.numpy()

    one = partial(selective_scan, x, delta, A, B, C, parallel=False)
    kernel = partial(selective_scan, x, delta, A, B, C)
    return Benchmark(kernel, {"torch": by_torch, "1 thread": one}, flops=7.0 * n * channels * states)


def _long_convolution(quick: bool) -> Benchmark:
    """64 channels of 16 384 numbers, filters as long (quick: 4 of 512), float32."""
    import torch
    from scipy import signal

    from workbench.kernels import long_convolution

    channels, n = (4, 512) if quick else (64, 16_384)
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((channels, n)).astype(np.float32) for _ in range(2))
    tx, tw = torch.from_numpy(x), torch.from_numpy(w)

    @torch.inference_mode()
    def by_torch() -> np.ndarray:
        return torch.fft.irfft(torch.fft.rfft(tx, 2 * n) * torch.fft.rfft(tw, 2 * n), 2 * n)[:, :n].numpy()

    peers: dict[str, Task] = {
        "scipy.signal": lambda: signal.fftconvolve(x, w, axes=1)[:, :n],
        "torch.fft": by_torch,
    }
    if quick:  # seconds a call otherwise
        peers["direct"] = partial(long_convolution, x, w, method="direct")
    return Benchmark(partial(long_convolution, x, w), peers, flops=1.0 * channels * n * (n + 1))


@njit(cache=True, fastmath={"reassoc", "nsz"})
def _sum(x):
    total = np.float32(0)
    for i in range(x.size):
        total += x[i]
    return total


@njit(cache=True)
def _copy(x, y):
    for i in range(x.size):
        y[i] = x[i]


BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {
    "softmax-two-pass": _softmax,
    "softmax-rows": _softmax_rows,
    "attention": partial(_attention, False, None),
    "attention-causal": partial(_attention, True, None),
    "attention-window": partial(_attention, False, 64),
    "sparse-product": _sparse_product,
    "sparse-vector": _sparse_vector,
    "prefix-sum": _scan,
    "selective-scan": _selective_scan,
    "long-convolution": _long_convolution,
}

"""The kernels against the best that one can install, in turns, in one process: `workbench bench`.

A benchmark is a kernel, its peers on the same arrays, and the operations that the task needs. Every peer
must give the kernel's result before it is timed: whoever computes something else is not a peer.

Turns cancel drift, not a neighbour: two ways of threading suffer differently when cores are taken, and the
ratio then moves while its interval stays narrow. Each row says how busy the machine was before it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil

from workbench.errors import WorkbenchError
from workbench.machine import paired

Task = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Benchmark:
    """A kernel, its peers, and the floating-point operations of the task (formula)."""

    kernel: Task
    peers: dict[str, Task]
    flops: float
    tolerance: float = 1e-4


def bench(names: list[str] | None = None, quick: bool = False) -> list[dict[str, Any]]:
    """One row per kernel and peer; all benchmarks unless `names` are given, `quick` for small sizes.

    `seconds` and `peer_seconds` are medians of a call, `speedup` the median of their ratios within a
    sample (above 1: the kernel is faster) from `low` to `high` (95 %), `gflops` the task's operations over
    the kernel's time, whatever operations the kernel really did. `busy` is the share of all cores that other
    work took just before: trust a row where it is near 0.
    """
    for name in names or ():
        if name not in BENCHMARKS:
            raise WorkbenchError(f"no benchmark is called {name!r}; there are {', '.join(BENCHMARKS)}")
    rows = []
    for name in names or BENCHMARKS:
        benchmark = BENCHMARKS[name](quick)
        expected = benchmark.kernel()
        for peer, task in benchmark.peers.items():
            require_same(f"{name} and {peer}", expected, task(), benchmark.tolerance)
            rows.append(_row(name, benchmark, peer, task, quick))
    return rows


def require_same(what: str, a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    """Raises unless both arrays agree within `tolerance` of the largest value."""
    if a.shape != b.shape:
        raise WorkbenchError(f"{what} disagree on the shape: {a.shape} and {b.shape}")
    error = float(np.abs(a - b).max() / np.abs(b).max())
    if not error <= tolerance:
        raise WorkbenchError(f"{what} disagree by {error:.1e} of the largest value, {tolerance:g} is allowed")


def _row(name: str, benchmark: Benchmark, peer: str, task: Task, quick: bool) -> dict[str, Any]:
    busy = psutil.cpu_percent(interval=0.05 if quick else 0.5) / 100
    times = paired(benchmark.kernel, task, repeats=5 if quick else 11, min_time=0.002 if quick else 0.01)
    speedup = times.speedup
    return {
        "benchmark": name,
        "peer": peer,
        "seconds": times.f.value,
        "peer_seconds": times.g.value,
        "speedup": speedup.value,
        "low": speedup.low,
        "high": speedup.high,
        "gflops": benchmark.flops / times.f.value / 1e9,
        "busy": busy,
        "provenance": speedup.provenance,
        "machine": speedup.machine,
        "when": speedup.when,
    }


def _depthwise(size: int, fourier: bool, quick: bool) -> Benchmark:
    """A batch of 4 images with 96 channels of 56 x 56 (quick: one with 8 of 28 x 28), float32."""
    import torch
    from scipy import ndimage

    from workbench.kernels import depthwise_conv2d, fft_depthwise_conv2d

    rng = np.random.default_rng(0)
    shape = (1, 8, 28, 28) if quick else (4, 96, 56, 56)
    x = rng.standard_normal(shape).astype(np.float32)
    w = rng.standard_normal((shape[1], size, size)).astype(np.float32)
    out = np.empty_like(x)
    tx, tw = torch.from_numpy(x), torch.from_numpy(w)[:, None]
    last = tx.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def by_torch(image: torch.Tensor) -> np.ndarray:
        return torch.nn.functional.conv2d(image, tw, padding="same", groups=shape[1]).numpy()

    def by_ndimage() -> np.ndarray:
        for image, filtered in zip(x, out_nd, strict=True):
            for channel, kernel, result in zip(image, w, filtered, strict=True):
                ndimage.correlate(channel, kernel, result, mode="constant")
        return out_nd

    out_nd = np.empty_like(x)
    kernel: Task = partial(depthwise_conv2d, x, w, out)
    if fourier:
        kernel = partial(fft_depthwise_conv2d, x, w)
    peers: dict[str, Task] = {
        "torch": partial(by_torch, tx),
        "torch channels_last": partial(by_torch, last),
        "scipy.ndimage": by_ndimage,
    }
    if size > 13 and not quick:
        del peers["scipy.ndimage"]  # seconds a call
    return Benchmark(kernel, peers, flops=2.0 * x.size * size**2)


BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {
    "depthwise-7": partial(_depthwise, 7, False),
    "depthwise-13": partial(_depthwise, 13, False),
    "depthwise-31": partial(_depthwise, 31, False),
    "depthwise-31-fft": partial(_depthwise, 31, True),
}

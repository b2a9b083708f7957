"""Neighbourhood attention against the naive way, masked, compiled and dense attention of torch.

The first three answer the same question. Masked SDPA is given a mask of all pairs, of which most are hidden;
flex_attention is compiled for a mask of blocks and needs a C++ compiler, without which it is left out, and
said so. The fused kernel is also held against attention of everything to everything: a different answer, but
what one would run instead.
"""

import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from workbench.bench.running import Benchmark, Task

Space = tuple[int, ...]


def _draw(heads: int, space: Space, d: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((1, heads, *space, d)).astype(np.float32) for _ in range(3)]


def _attention(space: Space, window: int, method: str, quick: bool) -> Benchmark:
    """4 heads of 64 on all threads (quick: one head on a quarter of every axis)."""
    import torch

    from workbench.kernels import Neighborhood, neighborhood_attention

    if quick:
        space, window = tuple(length // 4 for length in space), min(window, min(space) // 8)
    heads, d = (1 if quick else 4), 64
    Q, K, V = _draw(heads, space, d)
    q, k, v = (torch.from_numpy(a).flatten(2, -2) for a in (Q, K, V))
    geometry, out, other = Neighborhood.of(space, window), np.zeros_like(V), np.zeros_like(V)
    run = partial(neighborhood_attention, Q, K, V, window)
    peers: dict[str, Task] = {"naive": lambda: run(method="naive", out=other)}
    if geometry.tokens <= 4096:  # the mask alone has tokens * tokens bytes
        mask = torch.from_numpy(geometry.mask())
        attend = torch.nn.functional.scaled_dot_product_attention

        @torch.inference_mode()
        def masked() -> np.ndarray:
            return attend(q, k, v, mask).reshape(V.shape).numpy()

        peers["torch, masked"] = masked
    if (flex := _flex(q, k, v, geometry)) is not None:
        peers["torch, compiled flex_attention"] = lambda: flex().reshape(V.shape).numpy()
    flops = 4.0 * heads * geometry.scores * d
    return Benchmark(lambda: run(method=method, out=out), peers, flops, tolerance=1e-3)


def _flex(q: Any, k: Any, v: Any, geometry: Any) -> Callable[[], Any] | None:
    """Compiled flex_attention with the windows as a mask of blocks; None where nothing can compile it."""
    import torch

    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        print("no C++ compiler was found: flex_attention is left out", file=sys.stderr)
        return None
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    bounds = [torch.tensor(geometry.bounds(axis)) for axis in range(len(geometry.space))]
    sizes = [int(np.prod(geometry.space[axis + 1 :])) for axis in range(len(geometry.space))]

    def sees(batch: Any, head: Any, query: Any, key: Any) -> Any:
        seen = query >= 0
        for size, length, limits in zip(sizes, geometry.space, bounds, strict=True):
            i, j = query // size % length, key // size % length
            seen = seen & (limits[i, 0] <= j) & (j < limits[i, 1])
        return seen

    n = geometry.tokens
    mask = create_block_mask(sees, None, None, n, n, device="cpu")
    compiled = torch.compile(flex_attention)
    return torch.inference_mode()(lambda: compiled(q, k, v, block_mask=mask))


def _dense(space: Space, window: int, quick: bool) -> Benchmark:
    """The fused kernel in the time of dense attention: one column of either's output, which must exist."""
    import torch

    from workbench.kernels import Neighborhood, neighborhood_attention

    if quick:
        space, window = tuple(length // 4 for length in space), min(window, min(space) // 8)
    heads, d = (1 if quick else 4), 64
    Q, K, V = _draw(heads, space, d)
    q, k, v = (torch.from_numpy(a).flatten(2, -2) for a in (Q, K, V))
    out, geometry = np.zeros_like(V), Neighborhood.of(space, window)

    @torch.inference_mode()
    def everything() -> np.ndarray:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v).numpy()

    def finite(result: np.ndarray) -> np.ndarray:
        return np.array([float(np.isfinite(result.ravel()[::1009]).all())])

    def fused() -> np.ndarray:
        return finite(neighborhood_attention(Q, K, V, window, out=out))

    peers: dict[str, Task] = {"torch, dense": lambda: finite(everything())}
    return Benchmark(fused, peers, 4.0 * heads * geometry.scores * d)


def _backward(space: Space, window: int, quick: bool) -> Benchmark:
    """Forward and backward: all gradients of 4 heads of 64 against torch's of masked attention."""
    import torch

    from workbench.kernels import (
        Neighborhood,
        neighborhood_attention_forward,
        neighborhood_attention_grad,
    )

    if quick:
        space, window = tuple(length // 4 for length in space), min(window, min(space) // 8)
    heads, d = (1 if quick else 4), 64
    Q, K, V = _draw(heads, space, d)
    grad = np.ones_like(V)
    geometry = Neighborhood.of(space, window)
    q, k, v = (torch.from_numpy(a).flatten(2, -2).requires_grad_() for a in (Q, K, V))
    mask, ones = torch.from_numpy(geometry.mask()), torch.from_numpy(grad).flatten(2, -2)

    def by_kernel() -> np.ndarray:
        O, sums = neighborhood_attention_forward(Q, K, V, window)
        found = neighborhood_attention_grad(grad, Q, K, V, O, sums, window)
        return np.concatenate([part.ravel() for part in found])

    def by_torch() -> np.ndarray:
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask)
        found = torch.autograd.grad(out, (q, k, v), ones)
        return torch.cat([part.flatten() for part in found]).numpy()

    flops = 14.0 * heads * geometry.scores * d  # 2 products there, 5 on the way back
    return Benchmark(by_kernel, {"torch, masked": by_torch}, flops, tolerance=1e-3)


PLANE, LINE = (64, 64), (16384,)

BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {
    **{f"neighborhood-2d-{w}": partial(_attention, PLANE, w, "fused") for w in (7, 13, 31)},
    **{f"neighborhood-2d-{w}-gemm": partial(_attention, PLANE, w, "gemm") for w in (7, 31)},
    **{f"neighborhood-1d-{w}": partial(_attention, LINE, w, "fused") for w in (9, 33, 129)},
    "neighborhood-2d-31-dense": partial(_dense, PLANE, 31),
    "neighborhood-2d-31-backward": partial(_backward, PLANE, 31),
}

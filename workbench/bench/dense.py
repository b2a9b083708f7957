"""Streams, products, transposition, stencil and dense convolution against numpy, torch and scipy."""

from collections.abc import Callable
from functools import partial

import numpy as np

from workbench.bench.running import Benchmark, Task


def _draw(*shapes: tuple[int, ...], dtype: type = np.float32) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def _stream(name: str, quick: bool) -> Benchmark:
    """Arrays of 16 M float64 (quick: 100 000), beyond any cache, on all threads."""
    import torch

    from workbench import kernels

    a, b, out = _draw(*[(10**5 if quick else 2**24,)] * 3, dtype=np.float64)
    ta, tb, t_out = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(out)
    ways: dict[str, tuple[Callable[[], object], dict[str, Callable[[], object]]]] = {
        "copy": (
            lambda: kernels.parallel_copy(a, out),
            {"numpy": lambda: np.copyto(out, a), "torch": lambda: t_out.copy_(ta)},
        ),
        "scale": (
            lambda: kernels.parallel_scale(a, out, 3.0),
            {"numpy": lambda: np.multiply(a, 3.0, out=out), "torch": lambda: torch.mul(ta, 3.0, out=t_out)},
        ),
        "add": (
            lambda: kernels.parallel_add(a, b, out),
            {"numpy": lambda: np.add(a, b, out=out), "torch": lambda: torch.add(ta, tb, out=t_out)},
        ),
        "triad": (
            lambda: kernels.parallel_triad(a, b, out, 3.0),
            {"torch": lambda: torch.add(ta, tb, alpha=3.0, out=t_out)},
        ),
    }

    def gives(task: Callable[[], object]) -> Task:
        """The task, and its result: a copy of one element in a thousand, which costs nothing beside it."""
        return lambda: (task(), out[::1009].copy())[1]

    kernel, peers = ways[name]
    flops = kernels.stream_cost(name, a.size, a.itemsize).flops
    return Benchmark(gives(kernel), {peer: gives(task) for peer, task in peers.items()}, flops=float(flops))


def _matmul(n: int, dtype: type, blocked: bool, quick: bool) -> Benchmark:
    """Square matrices: the packed product against a BLAS, or the blocked loops, which are to be read."""
    import torch

    from workbench.kernels import matmul_blocked, packed_matmul

    n = 64 if quick else n
    A, B, C, D = _draw(*[(n, n)] * 4, dtype=dtype)
    tA, tB, tD = torch.from_numpy(A), torch.from_numpy(B), torch.from_numpy(D)

    def by_blocks() -> np.ndarray:
        C[:] = 0
        matmul_blocked(A, B, C, 64)
        return C

    kernel: Task = by_blocks if blocked else partial(packed_matmul, A, B, C)
    peers: dict[str, Task] = {
        "numpy (BLAS)": partial(np.matmul, A, B, out=D),
        "torch": lambda: torch.mm(tA, tB, out=tD).numpy(),
    }
    return Benchmark(kernel, peers, flops=2.0 * n**3)


def _transpose(quick: bool) -> Benchmark:
    """4096 x 4096 float32 (quick: 128 x 128)."""
    import torch

    from workbench.kernels import transposed

    n = 128 if quick else 4096
    A, B, C = _draw((n, n), (n, n), (n, n))
    tA, tC = torch.from_numpy(A), torch.from_numpy(C)

    def by_numpy() -> np.ndarray:
        np.copyto(C, A.T)
        return C

    peers: dict[str, Task] = {"numpy": by_numpy, "torch": lambda: tC.copy_(tA.T).numpy()}
    return Benchmark(partial(transposed, A, B), peers, flops=0.0)


def _jacobi(quick: bool) -> Benchmark:
    """32 sweeps over 2048 x 2048 float32 (quick: 4 over 64 x 64)."""
    import torch

    from workbench.kernels import jacobi

    n, sweeps = (64, 4) if quick else (2048, 32)
    (grid,) = _draw((n, n))

    def by_numpy() -> np.ndarray:
        x, y = grid.copy(), grid.copy()
        for _ in range(sweeps):
            inner = y[1:-1, 1:-1]
            np.add(x[:-2, 1:-1], x[2:, 1:-1], out=inner)
            inner += x[1:-1, :-2]
            inner += x[1:-1, 2:]
            inner *= np.float32(0.25)
            x, y = y, x
        return x

    @torch.inference_mode()
    def by_torch() -> np.ndarray:
        x, y = torch.from_numpy(grid).clone(), torch.from_numpy(grid).clone()
        for _ in range(sweeps):
            inner = y[1:-1, 1:-1]
            torch.add(x[:-2, 1:-1], x[2:, 1:-1], out=inner)
            inner.add_(x[1:-1, :-2]).add_(x[1:-1, 2:]).mul_(0.25)
            x, y = y, x
        return x.numpy()

    flops = 4.0 * sweeps * (n - 2) ** 2
    return Benchmark(partial(jacobi, grid, sweeps), {"numpy": by_numpy, "torch": by_torch}, flops)


def _conv2d(way: str, shape: tuple[int, ...], filters: int, size: int, stride: int, quick: bool) -> Benchmark:
    """Same padding, float32; operations are those of the direct sum, whatever the way needs."""
    import torch

    from workbench import kernels

    shape = (1, min(shape[1], 8), 12, 12) if quick else shape
    x, w = _draw(shape, (filters, shape[1], size, size))
    tx, tw, padding = torch.from_numpy(x), torch.from_numpy(w), size // 2

    @torch.inference_mode()
    def by_torch(image: torch.Tensor) -> np.ndarray:
        return torch.nn.functional.conv2d(image, tw, None, stride, padding).numpy()

    out = by_torch(tx).copy()
    ways: dict[str, Task] = {
        "direct": lambda: kernels.conv2d(x, w, stride, padding, out=out),
        "im2col": lambda: kernels.im2col_conv2d(x, w, stride, padding, out=out),
        "fft": lambda: kernels.fft_conv2d(x, w, stride, padding),
        "winograd": lambda: kernels.winograd_conv2d(x, w, padding, out=out),
    }
    last = tx.contiguous(memory_format=torch.channels_last)
    peers: dict[str, Task] = {"torch": partial(by_torch, tx), "torch channels_last": partial(by_torch, last)}
    return Benchmark(ways[way], peers, flops=2.0 * out.size * shape[1] * size**2)


def _conv1d(quick: bool) -> Benchmark:
    """A batch of 8 signals of 4096 with 64 channels, 9 taps (quick: one of 100 with 8)."""
    import torch

    from workbench.kernels import conv1d

    shape, filters = ((1, 8, 100), 8) if quick else ((8, 64, 4096), 64)
    x, w = _draw(shape, (filters, shape[1], 9))
    tx, tw = torch.from_numpy(x), torch.from_numpy(w)

    @torch.inference_mode()
    def by_torch() -> np.ndarray:
        return torch.nn.functional.conv1d(tx, tw, padding=4).numpy()

    out = np.empty((shape[0], filters, shape[2]), np.float32)
    kernel = partial(conv1d, x, w, 1, 4, 1, out)
    return Benchmark(kernel, {"torch": by_torch}, flops=2.0 * out.size * shape[1] * 9)


def _separable(quick: bool) -> Benchmark:
    """One image of 2048 x 2048 (quick: 64 x 64), 13 + 13 taps."""
    import torch
    from scipy import ndimage

    from workbench.kernels import separable_conv2d

    n = 64 if quick else 2048
    x, column, row = _draw((n, n), (13,), (13,))
    tx, down, across = (torch.from_numpy(array) for array in (x[None, None], column[:, None], row[None]))
    out, between, filtered = (np.empty_like(x) for _ in range(3))

    def by_ndimage() -> np.ndarray:
        ndimage.correlate1d(x, column, 0, between, "constant")
        return ndimage.correlate1d(between, row, 1, filtered, "constant")  # which gives None

    @torch.inference_mode()
    def by_torch() -> np.ndarray:
        middle = torch.nn.functional.conv2d(tx, down[None, None], padding="same")
        return torch.nn.functional.conv2d(middle, across[None, None], padding="same").numpy()[0, 0]

    peers: dict[str, Task] = {"scipy.ndimage": lambda: (by_ndimage(), filtered)[1], "torch": by_torch}
    return Benchmark(partial(separable_conv2d, x, column, row, out), peers, flops=2.0 * x.size * 26)


def _depthwise_backward(size: int, part: str, quick: bool) -> Benchmark:
    """The sizes of the forward benchmark: gradients by input, by weights, or both."""
    import torch

    from workbench.kernels import depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad

    shape = (1, 8, 28, 28) if quick else (4, 96, 56, 56)
    x, grad, w = _draw(shape, shape, (shape[1], size, size))
    tx, tg, tw = torch.from_numpy(x), torch.from_numpy(grad), torch.from_numpy(w)[:, None]
    out = np.empty_like(x)
    wanted = [part != "weight", part != "input", False]

    def by_kernel() -> np.ndarray:
        found = []
        if wanted[0]:
            found.append(depthwise_conv2d_input_grad(grad, w, out).ravel())
        if wanted[1]:
            found.append(depthwise_conv2d_weight_grad(grad, x, (size, size)).ravel())
        return found[0] if len(found) == 1 else np.concatenate(found)

    @torch.inference_mode()
    def by_torch() -> np.ndarray:
        found = torch.ops.aten.convolution_backward(
            tg, tx, tw, None, [1, 1], [size // 2] * 2, [1, 1], False, [0, 0], shape[1], wanted
        )
        parts = [g.numpy().ravel() for g in found if g is not None]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return Benchmark(by_kernel, {"torch": by_torch}, flops=2.0 * sum(wanted) * x.size * size**2)


_NET = (4, 64, 56, 56)  # a middle layer of a residual network

BENCHMARKS: dict[str, Callable[[bool], Benchmark]] = {
    **{f"stream-{name}": partial(_stream, name) for name in ("copy", "scale", "add", "triad")},
    "matmul-1024": partial(_matmul, 1024, np.float32, False),
    "matmul-1024-float64": partial(_matmul, 1024, np.float64, False),
    "matmul-1024-blocked": partial(_matmul, 1024, np.float32, True),
    "transpose-4096": _transpose,
    "jacobi-2048": _jacobi,
    "conv1d-9": _conv1d,
    **{
        f"conv2d-3-{way}": partial(_conv2d, way, _NET, 64, 3, 1)
        for way in ("direct", "im2col", "winograd", "fft")
    },
    "conv2d-1": partial(_conv2d, "direct", (4, 256, 28, 28), 64, 1, 1),
    "conv2d-7-stride-2": partial(_conv2d, "direct", (4, 3, 224, 224), 64, 7, 2),
    "conv2d-31-fft": partial(_conv2d, "fft", (1, 16, 128, 128), 16, 31, 1),
    "separable-13": _separable,
    **{
        f"depthwise-{size}-{part}": partial(_depthwise_backward, size, part)
        for size in (7, 13, 31)
        for part in ("backward", "input", "weight")
    },
}

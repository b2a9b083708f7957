"""Which attention kernel wins here? Times the kernels of `attention_work` on one task, and finds their paces.

All contenders give the same numbers: n tokens, and each sees itself and the w - 1 before it. One thread, one
head. The shortest of several calls stands for a kernel: what others do on the machine only ever adds.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.kernels import (
    Neighborhood,
    attention_naive,
    attention_tiled,
    attention_windowed,
    neighborhood_fused,
    neighborhood_gemm,
    neighborhood_naive,
)
from workbench.kernels.attention_work import (
    SEES_ALL,
    Level,
    Pace,
    Work,
    attention_kernels,
    attention_work,
    pace_of,
    predicted_seconds,
)
from workbench.kernels.neighborhood import axes_of
from workbench.kernels.neighborhood_tiles import tile_layout, tile_of
from workbench.machine import Ceilings, Machine, interleaved
from workbench.quantity import Quantity

Shape = tuple[int, int]  # tokens, window
TRAINING: tuple[Shape, ...] = ((96, 6), (192, 192), (384, 24), (384, 384))  # all fit the second cache


@dataclass(frozen=True)
class AttentionTask:
    """One head of `tokens` tokens with `dim` numbers each; each sees itself and the window - 1 before it."""

    tokens: int
    window: int
    dim: int = 64
    seed: int = 0

    def operands(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, K, V [tokens, dim], float32."""
        shape = (self.tokens, self.dim)
        Q, K, V = np.random.default_rng(self.seed).standard_normal((3, *shape), np.float32)
        return Q, K, V

    def sees(self) -> np.ndarray:
        """Which query (row) sees which key (column): bool [tokens, tokens]."""
        place = np.arange(self.tokens)
        distance = place[:, None] - place
        return (distance >= 0) & (distance < self.window)

    def exact(self) -> np.ndarray:
        """The answer, in float64 [tokens, dim]."""
        Q, K, V = (part.astype(float) for part in self.operands())
        S = np.where(self.sees(), Q @ K.T / np.sqrt(self.dim), -np.inf)
        P = np.exp(S - S.max(1, keepdims=True))
        answer: np.ndarray = P / P.sum(1, keepdims=True) @ V
        return answer

    def contenders(self) -> dict[str, Callable[[], np.ndarray]]:
        """The kernels that solve it, ready to run on one thread: each call gives O [tokens, dim]."""
        (n, w), (Q, K, V) = (self.tokens, self.window), self.operands()
        q, k, v, o = Q[None], K[None], V[None], np.empty((1, n, self.dim), np.float32)
        S, row = np.empty((n, n), np.float32), np.empty(w, np.float32)
        weights, sums = np.empty((1, n, w), np.float32), np.empty((1, n), np.float32)
        geometry = Neighborhood.of((n,), w, 1, True)
        tiles, axes = tile_layout(geometry, tile_of(geometry)), axes_of(geometry)
        O = o[0]
        every = {
            "whole matrix": giving(O, attention_naive, Q, K, V, S, O, w - 1, 0),
            "tiles": giving(O, attention_tiled, Q, K, V, O, w - 1, 0),
            "query by query": giving(O, attention_windowed, Q, K, V, row, O, w - 1, 0),
            "neighbours, stored": giving(O, neighborhood_naive, q, k, v, weights, o, *axes, 0, 1),
            "neighbours, products": giving(O, neighborhood_gemm, q, k, v, weights, o, *tiles, 0, 1),
            "neighbours, fused": giving(O, neighborhood_fused, q, k, v, o, sums, *tiles, 0, 1),
            "library, mask": library_attention(Q, K, V, self.sees()),
            SEES_ALL: library_attention(Q, K, V, causal=True),
        }
        return {name: every[name] for name in attention_kernels(n, w)}

    def measured(self, rounds: int = 9, min_time: float = 1e-3) -> dict[str, Quantity]:
        """The shortest seconds of each kernel, in turns on one thread; every answer is checked first."""
        with one_thread():
            return interleaved(self.checked(), rounds=rounds, min_time=min_time).shortest

    def checked(self) -> dict[str, Callable[[], np.ndarray]]:
        """The contenders, after each has shown that its answer is right."""
        contenders, exact = self.contenders(), self.exact()
        for name, run in contenders.items():
            if not np.allclose(run(), exact, atol=1e-5):
                raise WorkbenchError(f"{name} is wrong for {self.tokens} tokens, window {self.window}")
        return contenders

    def trial(
        self, paces: Mapping[str, Pace], memory: Sequence[Level], rounds: int = 9, min_time: float = 1e-3
    ) -> "Trial":
        """Predicts first and measures then."""
        predicted = predicted_seconds(self.tokens, self.window, paces, memory, self.dim)
        measured = self.measured(rounds, min_time)
        return Trial(self, predicted, {name: measured[name] for name in predicted})


def giving(O: np.ndarray, kernel: Callable[..., None], *operands: Any) -> Callable[[], np.ndarray]:
    """A call of the kernel that gives what it has written to O."""

    def call() -> np.ndarray:
        kernel(*operands)
        return O

    return call


def library_attention(
    Q: np.ndarray, K: np.ndarray, V: np.ndarray, mask: np.ndarray | None = None, causal: bool = False
) -> Callable[[], np.ndarray]:
    """A call of torch's fused attention on one head, Q, K, V [n, d]; mask: who sees whom, bool [n, n]."""
    import torch

    q, k, v = (torch.from_numpy(part)[None, None] for part in (Q, K, V))
    seen = None if mask is None else torch.from_numpy(mask)
    attend = torch.nn.functional.scaled_dot_product_attention

    def call() -> np.ndarray:
        answer: np.ndarray = attend(q, k, v, attn_mask=seen, is_causal=causal)[0, 0].numpy()
        return answer

    return call


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, as long as this lasts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def attention_paces(
    shapes: Sequence[Shape] = TRAINING, *, dim: int = 64, rounds: int = 9, min_time: float = 1e-3
) -> dict[str, Pace]:
    """The pace of every kernel on this machine, from a few small shapes (tokens, window).

    A kernel that knows no window learns from those shapes alone whose window leaves nothing out: give two.
    """
    runs = {
        (name, shape): run for shape in shapes for name, run in AttentionTask(*shape, dim).checked().items()
    }
    with one_thread():  # all in turns: what slows the machine for a while slows all of them
        calls = {f"{name}, {shape}": run for (name, shape), run in runs.items()}
        clock = interleaved(calls, rounds=rounds, min_time=min_time).shortest
    paces = {}
    for name in dict.fromkeys(name for name, _ in runs):
        seen = [shape for each, shape in runs if each == name]
        works = [attention_work(name, *shape, dim) for shape in seen]
        if len(works) > 1:
            paces[name] = pace_of(works, [clock[f"{name}, {shape}"].value for shape in seen])
    return paces


def memory_of(machine: Machine, limits: Ceilings) -> tuple[Level, ...]:
    """The caches of a machine and what is behind them, as one core meets them."""
    sizes = {f"L{cache.level}": float(cache.size) for cache in machine.caches}
    return tuple(
        Level(sizes.get(name, math.inf), limits.bandwidth(name).value)
        for name in limits.levels
        if name in sizes or name == "DRAM"
    )


@dataclass(frozen=True)
class Trial:
    """One task: predicted seconds of each kernel, and the measured ones of the same kernels."""

    task: AttentionTask
    predicted: Mapping[str, float]
    measured: Mapping[str, Quantity]

    @property
    def seconds(self) -> dict[str, float]:
        """The measured ones as plain numbers."""
        return {name: seconds.value for name, seconds in self.measured.items()}

    @property
    def works(self) -> dict[str, Work]:
        """What each of them had to do."""
        tokens, window, dim = self.task.tokens, self.task.window, self.task.dim
        return {name: attention_work(name, tokens, window, dim) for name in self.predicted}

    @property
    def chosen(self) -> str:
        """What the prediction says is fastest."""
        return min(self.predicted, key=self.predicted.__getitem__)

    @property
    def errors(self) -> dict[str, float]:
        """Predicted over measured seconds, less 1, by kernel."""
        return {name: time / self.seconds[name] - 1 for name, time in self.predicted.items()}

    def price(self, choice: str) -> float:
        """Time of a choice over that of the fastest: 1 is the best one."""
        return self.seconds[choice] / min(self.seconds.values())

    def fewest(self, what: str) -> str:
        """The kernel whose work has the fewest of something: "flops" or "scores"."""
        works = self.works
        return min(works, key=lambda name: int(getattr(works[name], what)))

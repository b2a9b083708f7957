"""Random streams of the bench: each purpose has a generator of its own, so that none disturbs another."""

import hashlib

import torch
from torch import Tensor


def stream_seed(seed: int, *purpose: object) -> int:
    """A seed for one purpose: unrelated for different seeds and purposes, the same everywhere."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(seed: int, *purpose: object) -> torch.Generator:
    """A generator for one purpose; torch's own is left alone."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))


def data_order(name: str, size: int, seed: int, batch: int, steps: int) -> Tensor:
    """Which of `size` inputs each step sees: int64 [steps, batch].

    Epochs in random order, one after the other; batches run on over their borders, so that every input is
    seen equally often. It depends on the task's name and size and on the seed alone: fewer steps see a
    beginning of the same order, and batches of another size cut the same order elsewhere.
    """
    generator = stream(seed, name, size, "order")
    epochs = -(-steps * batch // size)
    order = torch.cat([torch.randperm(size, generator=generator) for _ in range(epochs)])
    return order[: steps * batch].view(steps, batch)

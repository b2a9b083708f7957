"""Pooling: a window slides over a series or an image and keeps one number of what it sees."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law


def average_pool_1d(x, size, stride, padding):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    long = (padded.shape[2] - size) // stride + 1
    out = np.zeros((x.shape[0], x.shape[1], long), x.dtype)
    for p in range(size):
        out += padded[:, :, p : p + stride * (long - 1) + 1 : stride]
    return out / size


def average_pool_2d(x, size):
    high, wide = x.shape[2] // size, x.shape[3] // size
    blocks = x[:, :, : high * size, : wide * size].reshape(x.shape[0], x.shape[1], high, size, wide, size)
    return np.mean(blocks, axis=(3, 5))


def max_pool_2d(x, size, stride):
    high, wide = (x.shape[2] - size) // stride + 1, (x.shape[3] - size) // stride + 1
    out = np.full((x.shape[0], x.shape[1], high, wide), -np.inf, x.dtype)
    for p in range(size):
        for q in range(size):
            rows = slice(p, p + stride * (high - 1) + 1, stride)
            columns = slice(q, q + stride * (wide - 1) + 1, stride)
            out = np.maximum(out, x[:, :, rows, columns])
    return out


def windows(length: int, size: int, stride: int) -> int:
    """How many windows fit."""
    return (length - size) // stride + 1


IMAGES = (
    {"n": 1, "c": 1, "h": 3, "w": 3},
    {"n": 1, "c": 3, "h": 7, "w": 5},
    {"n": 2, "c": 2, "h": 9, "w": 11},
    {"n": 2, "c": 3, "h": 12, "w": 8},
)

TASKS = (
    KernelTask(
        name="average-pool-1d",
        category="pooling",
        statement="The mean of every window of `size` numbers along x [n, c, length], one window each "
        "`stride` numbers, after `padding` zeros were put on both ends. Zeros of the padding count in the "
        "mean.",
        reference=average_pool_1d,
        arrays={"x": Array("n c length")},
        out=lambda n, c, length, size, stride, padding: [(n, c, windows(length + 2 * padding, size, stride))],
        shapes=(
            {"n": 1, "c": 1, "length": 3},
            {"n": 1, "c": 3, "length": 11},
            {"n": 3, "c": 1, "length": 17},
            {"n": 2, "c": 5, "length": 32},
        ),
        large={"n": 16, "c": 64, "length": 1024},
        settings=(
            {"size": 3, "stride": 1, "padding": 0},
            {"size": 2, "stride": 2, "padding": 1},
            {"size": 3, "stride": 2, "padding": 1},
        ),
        operations=lambda n, c, length, size, stride, padding: (
            n * c * windows(length + 2 * padding, size, stride) * size
        ),
        laws=[
            Law(
                "inside, the mean of a constant is the constant",
                lambda f, x, size, stride, padding: (
                    f(0 * x + 2.5, size, stride, 0),
                    2.5 + 0 * f(x, size, stride, 0),
                ),
            )
        ],
    ),
    KernelTask(
        name="average-pool-2d",
        category="pooling",
        statement="The mean of every block of size x size pixels of x [n, c, h, w]; rows and columns that "
        "fill no whole block are left out.",
        reference=average_pool_2d,
        arrays={"x": Array("n c h w")},
        out=lambda n, c, h, w, size: [(n, c, h // size, w // size)],
        shapes=IMAGES,
        large={"n": 4, "c": 64, "h": 64, "w": 64},
        settings=({"size": 2}, {"size": 3}),
        operations=lambda n, c, h, w, size: n * c * (h // size) * (w // size) * size * size,
        laws=[
            Law(
                "turning the images turns the results",
                lambda f, x, size: (f(x.swapaxes(2, 3).copy(), size).swapaxes(2, 3), f(x, size)),
            )
        ],
    ),
    KernelTask(
        name="max-pool-2d",
        category="pooling",
        statement="The largest number of every window of size x size pixels of x [n, c, h, w], one window "
        "each `stride` pixels in both directions; no padding.",
        reference=max_pool_2d,
        arrays={"x": Array("n c h w")},
        out=lambda n, c, h, w, size, stride: [(n, c, windows(h, size, stride), windows(w, size, stride))],
        shapes=IMAGES,
        large={"n": 4, "c": 64, "h": 64, "w": 64},
        settings=({"size": 2, "stride": 2}, {"size": 3, "stride": 2}, {"size": 3, "stride": 1}),
        profiles=EVERY,
        operations=lambda n, c, h, w, size, stride: (
            n * c * windows(h, size, stride) * windows(w, size, stride) * (size * size - 1)
        ),
        laws=[
            Law(
                "a growing function may come before or after",
                lambda f, x, size, stride: (f(np.arctan(x), size, stride), np.arctan(f(x, size, stride))),
            )
        ],
    ),
)

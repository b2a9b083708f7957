"""Reductions: one axis of three disappears."""

import numpy as np

from workbench.judge.tasks.model import COMMON, EVERY, Array, KernelTask, Law

SHAPES = (
    {"batch": 1, "n": 1, "m": 1},
    {"batch": 1, "n": 13, "m": 1},
    {"batch": 3, "n": 1, "m": 5},
    {"batch": 2, "n": 7, "m": 11},
    {"batch": 4, "n": 24, "m": 10},
)
LARGE = {"batch": 16, "n": 256, "m": 256}


def max_reduce(x):
    return np.max(x, axis=1)


def mean_reduce(x):
    return np.mean(x, axis=1)


def product_reduce(x):
    return np.prod(x, axis=1)


TASKS = (
    KernelTask(
        name="max-reduce",
        category="reduce",
        statement="The largest number along the middle axis of x [batch, n, m]: a result of [batch, m].",
        reference=max_reduce,
        arrays={"x": Array("batch n m")},
        out="batch m",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda batch, n, m: batch * m * (n - 1),
        laws=[Law("the order does not matter", lambda f, x: (f(x[:, ::-1].copy()), f(x)))],
    ),
    KernelTask(
        name="mean-reduce",
        category="reduce",
        statement="The mean along the middle axis of x [batch, n, m]: a result of [batch, m].",
        reference=mean_reduce,
        arrays={"x": Array("batch n m")},
        out="batch m",
        shapes=SHAPES,
        large=LARGE,
        operations=lambda batch, n, m: batch * m * n,
        laws=[Law("moving all numbers moves the mean", lambda f, x: (f(x + 0.5), f(x) + 0.5))],
    ),
    KernelTask(
        name="product-reduce",
        category="reduce",
        statement="The product along the middle axis of x [batch, n, m]: a result of [batch, m].",
        reference=product_reduce,
        arrays={"x": Array("batch n m")},
        out="batch m",
        shapes=SHAPES,
        large=LARGE,
        profiles=tuple(profile for profile in COMMON if profile != "tiny"),
        operations=lambda batch, n, m: batch * m * (n - 1),
        laws=[Law("the product of roots is the root", lambda f, x: (f(np.sqrt(x * x)), np.abs(f(x))))],
    ),
)

"""Normalisations: numbers are divided by the size of their group."""

import numpy as np

from workbench.judge.tasks.model import COMMON, EVERY, Array, KernelTask, Law, normal

SHAPES = ({"n": 1, "m": 1}, {"n": 1, "m": 13}, {"n": 7, "m": 1}, {"n": 5, "m": 17}, {"n": 32, "m": 24})
LARGE = {"n": 1024, "m": 1024}
# A constant less its mean leaves the rounding of the mean, which a small eps makes large.
UNEQUAL = tuple(profile for profile in COMMON if profile != "constant")


def rms_norm(x, weight, eps):
    square = np.mean(x * x, axis=1, keepdims=True)
    return x / np.sqrt(square + eps) * weight


def l1_norm(x):
    return x / (np.mean(np.abs(x), axis=1, keepdims=True) + 1e-12)


def batch_norm(x, weight, bias, eps):
    mean = np.mean(x, axis=0)
    variance = np.mean((x - mean) ** 2, axis=0)
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


TASKS = (
    KernelTask(
        name="rms-norm",
        category="normalization",
        statement="Every row of x [n, m] over the root of (the mean of its squares + eps), times weight [m].",
        reference=rms_norm,
        arrays={"x": Array("n m"), "weight": Array("m", normal)},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        settings=({"eps": 1e-5}, {"eps": 0.1}),
        profiles=EVERY,
        operations=lambda n, m, eps: n * (4 * m + 2),
        laws=[
            Law(
                "without eps the size of a row does not matter",
                lambda f, x, weight, eps: (f(3 * x, weight, 0.0 * eps), f(x, weight, 0.0 * eps)),
            )
        ],
    ),
    KernelTask(
        name="l1-norm",
        category="normalization",
        statement="Every row of x [n, m] over (the mean of its absolute values + 1e-12).",
        reference=l1_norm,
        arrays={"x": Array("n m")},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda n, m: n * (3 * m + 1),
        laws=[Law("absolute values have mean one", lambda f, x: (np.abs(f(x)).mean(1), np.ones(len(x))))],
    ),
    KernelTask(
        name="batch-norm",
        category="normalization",
        statement="Every column of x [n, m] less its mean, over the root of (its variance + eps), times "
        "weight [m], plus bias [m].",
        reference=batch_norm,
        arrays={"x": Array("n m"), "weight": Array("m", normal), "bias": Array("m", normal)},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        settings=({"eps": 1e-5}, {"eps": 0.1}),
        profiles=UNEQUAL,
        operations=lambda n, m, eps: m * (8 * n + 2),
        laws=[
            Law(
                "columns have the mean of the bias",
                lambda f, x, weight, bias, eps: (f(x, weight, bias, eps).mean(0), bias),
            ),
            Law(
                "adding a number to all changes nothing",
                lambda f, x, weight, bias, eps: (f(x + 0.5, weight, bias, eps), f(x, weight, bias, eps)),
            ),
        ],
    ),
)

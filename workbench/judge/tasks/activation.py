"""Activations: every number becomes another one, by itself or together with its row."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law

SHAPES = ({"n": 1, "m": 1}, {"n": 1, "m": 13}, {"n": 7, "m": 1}, {"n": 5, "m": 17}, {"n": 32, "m": 24})
LARGE = {"n": 1024, "m": 1024}


def gelu(x):
    inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + np.tanh(inner))


def elu(x, alpha):
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0.0)) - 1.0))


def softmax(x):
    shifted = np.exp(x - np.max(x, axis=1, keepdims=True))
    return shifted / np.sum(shifted, axis=1, keepdims=True)


TASKS = (
    KernelTask(
        name="gelu",
        category="activation",
        statement="The Gaussian error linear unit of every number of x [n, m], by its tanh formula.",
        reference=gelu,
        arrays={"x": Array("n m")},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        operations=lambda n, m: 9 * n * m,
        laws=[Law("gelu(x) - gelu(-x) = x", lambda f, x: (f(x) - f(-x), x))],
    ),
    KernelTask(
        name="elu",
        category="activation",
        statement="The exponential linear unit of x [n, m]: x where it is positive, alpha (exp(x) - 1) "
        "elsewhere.",
        reference=elu,
        arrays={"x": Array("n m")},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        settings=({"alpha": 1.0}, {"alpha": 0.25}),
        profiles=EVERY,
        operations=lambda n, m, alpha: 4 * n * m,
        laws=[Law("positive numbers stay", lambda f, x, alpha: (f(np.abs(x), alpha), np.abs(x)))],
    ),
    KernelTask(
        name="softmax",
        category="activation",
        statement="The softmax of every row of x [n, m]: positive numbers in the ratios exp(x), of sum one.",
        reference=softmax,
        arrays={"x": Array("n m")},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda n, m: n * (5 * m - 2),
        laws=[
            Law("every row has sum one", lambda f, x: (f(x).sum(1), np.ones(len(x)))),
            Law("adding a number to a row changes nothing", lambda f, x: (f(x + 0.5), f(x))),
        ],
    ),
)

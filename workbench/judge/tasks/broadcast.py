"""Broadcasts: two arrays of different shapes meet number by number."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law, coin, normal, positive

SHAPES = ({"n": 1, "m": 1}, {"n": 1, "m": 11}, {"n": 13, "m": 1}, {"n": 5, "m": 17}, {"n": 24, "m": 32})
LARGE = {"n": 1024, "m": 1024}


def add_bias(x, bias):
    return x + bias


def clamp(x, low, high):
    return np.minimum(np.maximum(x, low), high)


def where(mask, x, y):
    return np.where(mask, x, y)


TASKS = (
    KernelTask(
        name="add-bias",
        category="broadcast",
        statement="x [n, m] plus bias [m]: the same number is added to a whole column.",
        reference=add_bias,
        arrays={"x": Array("n m"), "bias": Array("m", normal)},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda n, m: n * m,
        laws=[Law("a bias and its negative cancel", lambda f, x, bias: (f(f(x, bias), -bias), x))],
    ),
    KernelTask(
        name="clamp",
        category="broadcast",
        statement="x [n, m] held between low [m] and high [m], which differ from column to column.",
        reference=clamp,
        arrays={
            "x": Array("n m"),
            "low": Array("m", lambda rng, shape, sizes: -positive(rng, shape, sizes)),
            "high": Array("m", positive),
        },
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda n, m: 2 * n * m,
        laws=[Law("twice is once", lambda f, x, low, high: (f(f(x, low, high), low, high), f(x, low, high)))],
    ),
    KernelTask(
        name="where",
        category="broadcast",
        statement="x [n, m] where mask [n, m] is true, y [m] elsewhere.",
        reference=where,
        arrays={"mask": Array("n m", coin), "x": Array("n m"), "y": Array("m", normal)},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda n, m: 0,
        laws=[
            Law("a mask that is true everywhere gives x", lambda f, mask, x, y: (f(mask | True, x, y), x)),
            Law(
                "a mask and its opposite share x out",
                lambda f, mask, x, y: (f(mask, x, 0 * y) + f(~mask, x, 0 * y), x),
            ),
        ],
    ),
)

"""Mathematics: running sums and scaled matrices."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law, coin

SHAPES = ({"n": 1, "m": 1}, {"n": 1, "m": 19}, {"n": 13, "m": 1}, {"n": 5, "m": 17}, {"n": 24, "m": 32})
LARGE = {"n": 1024, "m": 1024}


def cumsum(x):
    return np.cumsum(x, axis=1)


def masked_cumsum(x, mask):
    return np.cumsum(np.where(mask, x, 0.0), axis=1)


def scale_matrix(x, factor):
    return x * factor


TASKS = (
    KernelTask(
        name="cumsum",
        category="math",
        statement="Running sums along the rows of x [n, m]: each number plus all before it in its row.",
        reference=cumsum,
        arrays={"x": Array("n m")},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        operations=lambda n, m: n * (m - 1),
        laws=[
            Law("differences of the sums are the numbers", lambda f, x: (np.diff(f(x), axis=1), x[:, 1:])),
            Law("the last sum is the whole", lambda f, x: (f(x)[:, -1], x.sum(1))),
        ],
    ),
    KernelTask(
        name="masked-cumsum",
        category="math",
        statement="Running sums along the rows of x [n, m] over the numbers where mask [n, m] is true.",
        reference=masked_cumsum,
        arrays={"x": Array("n m"), "mask": Array("n m", coin)},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        operations=lambda n, m: n * (m - 1),
        laws=[
            Law("mask and opposite add up", lambda f, x, mask: (f(x, mask) + f(x, ~mask), np.cumsum(x, 1)))
        ],
    ),
    KernelTask(
        name="scale-matrix",
        category="math",
        statement="Every number of x [n, m] times one factor.",
        reference=scale_matrix,
        arrays={"x": Array("n m")},
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        settings=({"factor": 3.14}, {"factor": -0.5}),
        profiles=EVERY,
        operations=lambda n, m, factor: n * m,
        laws=[Law("a factor and its inverse cancel", lambda f, x, factor: (f(f(x, factor), 1 / factor), x))],
    ),
)

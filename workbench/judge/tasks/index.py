"""Indices: which number, not how large."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law, below, normal


def argmax(x):
    return np.argmax(x, axis=1)


def embedding(table, tokens):
    return table[tokens]


def scatter_add(x, rows, values):
    out = x.copy()
    np.add.at(out, rows, values)
    return out


def turned(f, x):
    """The places of the largest numbers in rows read from their end; distinct numbers, so no ties."""
    distinct = np.argsort(np.argsort(x, axis=1), axis=1).astype(x.dtype)
    return x.shape[1] - 1 - f(distinct[:, ::-1].copy()), f(distinct)


TASKS = (
    KernelTask(
        name="argmax",
        category="index",
        statement="For every row of x [n, m] the place of its largest number, the first one where several "
        "are equally large. The result holds whole numbers.",
        reference=argmax,
        arrays={"x": Array("n m")},
        out="n",
        shapes=({"n": 1, "m": 1}, {"n": 1, "m": 13}, {"n": 7, "m": 1}, {"n": 5, "m": 17}, {"n": 32, "m": 24}),
        large={"n": 1024, "m": 1024},
        profiles=EVERY,
        operations=lambda n, m: n * (m - 1),
        laws=[Law("turning the rows turns the places", turned)],
    ),
    KernelTask(
        name="embedding",
        category="index",
        statement="For every token of tokens [n] its row of table [words, m].",
        reference=embedding,
        arrays={"table": Array("words m"), "tokens": Array("n", below("words"))},
        out="n m",
        shapes=(
            {"words": 1, "m": 1, "n": 1},
            {"words": 11, "m": 3, "n": 7},
            {"words": 5, "m": 1, "n": 23},
            {"words": 32, "m": 16, "n": 24},
        ),
        large={"words": 10000, "m": 256, "n": 2048},
        profiles=EVERY,
        operations=lambda words, m, n: 0,
        laws=[
            Law(
                "all words in their order give the table",
                lambda f, table, tokens: (f(table, np.arange(len(table))), table),
            )
        ],
    ),
    KernelTask(
        name="scatter-add",
        category="index",
        statement="x [n, m], to whose row rows[i] values[i] [k, m] is added for every i. A row may be named "
        "more than once, and x itself stays as it is.",
        reference=scatter_add,
        arrays={"x": Array("n m"), "rows": Array("k", below("n")), "values": Array("k m", normal)},
        out="n m",
        shapes=(
            {"n": 1, "m": 1, "k": 1},
            {"n": 3, "m": 5, "k": 11},
            {"n": 13, "m": 1, "k": 7},
            {"n": 16, "m": 12, "k": 40},
        ),
        large={"n": 4096, "m": 64, "k": 16384},
        operations=lambda n, m, k: k * m,
        laws=[
            Law(
                "all that is added is there in the end",
                lambda f, x, rows, values: (f(x, rows, values).sum(0), x.sum(0) + values.sum(0)),
            )
        ],
    ),
)

"""Matrix products: rows meet columns."""

import numpy as np

from workbench.judge.tasks.model import Array, KernelTask, Law, normal


def matmul_transposed_b(A, B):
    return A @ B.T


def diagonal_matmul(d, B):
    return np.diag(d) @ B


def batched_matmul(A, B):
    return A @ B


TASKS = (
    KernelTask(
        name="matmul-transposed-b",
        category="matmul",
        statement="The product of A [n, k] with the transpose of B [m, k]: a result of [n, m].",
        reference=matmul_transposed_b,
        arrays={"A": Array("n k"), "B": Array("m k", normal)},
        out="n m",
        shapes=(
            {"n": 1, "m": 1, "k": 1},
            {"n": 1, "m": 5, "k": 7},
            {"n": 13, "m": 3, "k": 1},
            {"n": 11, "m": 7, "k": 17},
            {"n": 16, "m": 12, "k": 32},
        ),
        large={"n": 256, "m": 256, "k": 256},
        operations=lambda n, m, k: n * m * (2 * k - 1),
        laws=[Law("changing places transposes", lambda f, A, B: (f(A, B), f(B, A).T))],
    ),
    KernelTask(
        name="diagonal-matmul",
        category="matmul",
        statement="The product of the diagonal matrix with the numbers d [n] and of B [n, m].",
        reference=diagonal_matmul,
        arrays={"d": Array("n"), "B": Array("n m", normal)},
        out="n m",
        shapes=(
            {"n": 1, "m": 1},
            {"n": 1, "m": 13},
            {"n": 11, "m": 1},
            {"n": 17, "m": 5},
            {"n": 24, "m": 32},
        ),
        large={"n": 512, "m": 512},
        operations=lambda n, m: n * m,
        laws=[Law("a diagonal of ones changes nothing", lambda f, d, B: (f(0 * d + 1, B), B))],
    ),
    KernelTask(
        name="batched-matmul",
        category="matmul",
        statement="For every number b of a batch the product of A[b] [n, k] and B[b] [k, m].",
        reference=batched_matmul,
        arrays={"A": Array("batch n k"), "B": Array("batch k m", normal)},
        out="batch n m",
        shapes=(
            {"batch": 1, "n": 1, "m": 1, "k": 1},
            {"batch": 3, "n": 1, "m": 5, "k": 7},
            {"batch": 1, "n": 11, "m": 3, "k": 5},
            {"batch": 2, "n": 8, "m": 12, "k": 16},
        ),
        large={"batch": 8, "n": 128, "m": 128, "k": 128},
        operations=lambda batch, n, m, k: batch * n * m * (2 * k - 1),
        laws=[
            Law(
                "the transposed product has its factors in the other order",
                lambda f, A, B: (f(B.swapaxes(1, 2).copy(), A.swapaxes(1, 2).copy()).swapaxes(1, 2), f(A, B)),
            )
        ],
    ),
)

"""Tasks that are shown, solved, in a prompt. None of them is among the tasks that are asked."""

import numpy as np

from workbench.judge.tasks import activation, loss, matmul, normalization, reduce
from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law, normal


def add(a, b):
    return a + b


def leaky_relu(x, slope):
    return np.where(x > 0, x, slope * x)


def mse_loss(predictions, targets):
    return np.mean((predictions - targets) ** 2)


def matmul_add(A, B, bias):
    return A @ B + bias


def layer_norm(x, weight, bias, eps):
    mean = np.mean(x, axis=1, keepdims=True)
    variance = np.mean((x - mean) ** 2, axis=1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


def reduce_sum(x):
    return np.sum(x, axis=1)


def row_sum(x):
    return np.sum(x, axis=1)


TASKS = (
    KernelTask(
        name="add",
        category="",
        statement="The sum of a and b [n, m], number by number.",
        reference=add,
        arrays={"a": Array("n m"), "b": Array("n m", normal)},
        out="n m",
        shapes=activation.SHAPES,
        large=activation.LARGE,
        profiles=EVERY,
        operations=lambda n, m: n * m,
        laws=[Law("the two may change places", lambda f, a, b: (f(a, b), f(b, a)))],
    ),
    KernelTask(
        name="leaky-relu",
        category="activation",
        statement="x [n, m] where it is positive, slope times x elsewhere.",
        reference=leaky_relu,
        arrays={"x": Array("n m")},
        out="n m",
        shapes=activation.SHAPES,
        large=activation.LARGE,
        settings=({"slope": 0.1}, {"slope": 0.01}),
        profiles=EVERY,
        operations=lambda n, m, slope: 2 * n * m,
        laws=[
            Law("a positive factor goes through", lambda f, x, slope: (f(3.0 * x, slope), 3.0 * f(x, slope)))
        ],
    ),
    KernelTask(
        name="mse-loss",
        category="loss",
        statement="The mean of the squared differences of predictions and targets [n, m].",
        reference=mse_loss,
        arrays={"predictions": Array("n m"), "targets": Array("n m", normal)},
        out="1",
        shapes=loss.SHAPES,
        large=loss.LARGE,
        operations=lambda n, m: 3 * n * m,
        laws=[Law("no error, no loss", lambda f, p, t: (f(t, t), 0.0))],
    ),
    KernelTask(
        name="matmul-add",
        category="matmul",
        statement="The product of A [n, k] and B [k, m], plus bias [m].",
        reference=matmul_add,
        arrays={"A": Array("n k"), "B": Array("k m", normal), "bias": Array("m", normal)},
        out="n m",
        shapes=matmul.TASKS[0].shapes,
        large=matmul.TASKS[0].large,
        operations=lambda n, m, k: 2 * n * m * k,
        laws=[
            Law(
                "the bias comes last", lambda f, A, B, bias: (f(0 * A, B, bias), bias + np.zeros((len(A), 1)))
            )
        ],
    ),
    KernelTask(
        name="layer-norm",
        category="normalization",
        statement="Every row of x [n, m] less its mean, over the root of (its variance + eps), times weight "
        "[m], plus bias [m].",
        reference=layer_norm,
        arrays={"x": Array("n m"), "weight": Array("m", normal), "bias": Array("m", normal)},
        out="n m",
        shapes=normalization.SHAPES,
        large=normalization.LARGE,
        settings=({"eps": 1e-5}, {"eps": 0.1}),
        profiles=normalization.UNEQUAL,
        operations=lambda n, m, eps: n * (8 * m + 2),
        laws=[
            Law(
                "adding a number to all changes nothing",
                lambda f, x, weight, bias, eps: (f(x + 0.5, weight, bias, eps), f(x, weight, bias, eps)),
            )
        ],
    ),
    KernelTask(
        name="reduce-sum",
        category="reduce",
        statement="The sum along the middle axis of x [batch, n, m]: a result of [batch, m].",
        reference=reduce_sum,
        arrays={"x": Array("batch n m")},
        out="batch m",
        shapes=reduce.SHAPES,
        large=reduce.LARGE,
        operations=lambda batch, n, m: batch * m * (n - 1),
        laws=[Law("the order does not matter", lambda f, x: (f(x[:, ::-1].copy()), f(x)))],
    ),
    KernelTask(
        name="row-sum",
        category="reduce with two axes",
        statement="The sum of every row of x [n, m]: a result of [n].",
        reference=row_sum,
        arrays={"x": Array("n m")},
        out="n",
        shapes=activation.SHAPES,
        large=activation.LARGE,
        operations=lambda n, m: n * (m - 1),
        laws=[Law("the order does not matter", lambda f, x: (f(x[:, ::-1].copy()), f(x)))],
    ),
)

"""A dozen small kernel tasks that judges are compared on: each teaches another way to be wrong.

Sizes stay below 66, so that a candidate may be plain Python.
"""

import math

import numpy as np

from workbench.judge.task import Draw, Task, drawn

Array = np.ndarray
ROWS = (
    {"rows": 8, "columns": 32},
    {"rows": 1, "columns": 1},
    {"rows": 3, "columns": 33},
    {"rows": 13, "columns": 7},
    {"rows": 2, "columns": 65},
)
LENGTHS = ({"n": 64}, {"n": 1}, {"n": 7}, {"n": 37}, {"n": 65})


def relu(x: Array) -> Array:
    """[rows, columns]"""
    return np.maximum(x, 0)


def add_twice(x: Array, y: Array) -> Array:
    """2 x + y, both [n]"""
    return 2 * x + y


def transpose(x: Array) -> Array:
    """[rows, columns] -> [columns, rows]"""
    return np.ascontiguousarray(x.T)


def row_sum(x: Array) -> Array:
    """[rows, columns] -> [rows]"""
    return x.sum(axis=1)


def row_max(x: Array) -> Array:
    """[rows, columns] -> [rows]"""
    return x.max(axis=1)


def softmax(x: Array) -> Array:
    """Over each row of [rows, columns]."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def rms_norm(x: Array, gain: Array) -> Array:
    """Each row of [rows, columns] over its root mean square, times gain [columns]."""
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5) * gain


def layer_norm(x: Array, gain: Array, bias: Array) -> Array:
    """Each row of [rows, columns] at mean 0 and variance 1, times gain, plus bias [columns]."""
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5) * gain + bias


def layer_norm_backward(upstream: Array, x: Array, gain: Array, bias: Array) -> tuple[Array, Array, Array]:
    """Gradients for x, gain and bias."""
    centred = x - x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5)
    normal = centred * scale
    inner = upstream * gain
    along = inner - inner.mean(axis=1, keepdims=True) - normal * (inner * normal).mean(axis=1, keepdims=True)
    return along * scale, (upstream * normal).sum(axis=0), upstream.sum(axis=0)


def matmul(A: Array, B: Array) -> Array:
    """[n, k] [k, m] -> [n, m]"""
    return A @ B


def running_sum(x: Array) -> Array:
    """Sums of the first 1, 2, … numbers of [n]."""
    return np.cumsum(x)


def moving_mean(x: Array) -> Array:
    """Means of three neighbours of [n]; beyond the ends lie zeros."""
    wide = np.concatenate([np.zeros(1, x.dtype), x, np.zeros(1, x.dtype)])
    return (wide[:-2] + wide[1:-1] + wide[2:]) / 3


def first_largest(x: Array) -> Array:
    """Index of the first largest number in each row of [rows, columns]."""
    return x.argmax(axis=1)


def cross_entropy(logits: Array, labels: Array) -> Array:
    """−log softmax of logits [rows, classes] at the labels [rows], one number for each row."""
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return total - logits[np.arange(len(labels)), labels]


def rows_and_columns(draw: Draw, rows: int, columns: int) -> tuple[Array]:
    """One array of the case's profile."""
    return (draw(rows, columns),)


def _pair(draw: Draw, n: int) -> tuple[Array, Array]:
    return draw(n), draw(n)


def _line(draw: Draw, n: int) -> tuple[Array]:
    return (draw(n),)


def _factors(draw: Draw, n: int, k: int, m: int) -> tuple[Array, Array]:
    return draw(n, k), draw(k, m)


def _labelled(draw: Draw, rows: int, columns: int) -> tuple[Array, Array]:
    return draw(rows, columns), draw.integers(rows, high=columns)


def _ones(draw: Draw, rows: int, columns: int) -> tuple[Array]:
    return (draw.full(columns, value=1),)


def _gain(draw: Draw, rows: int, columns: int) -> tuple[Array]:
    return (draw.normal(columns),)


def _ones_and_zeros(draw: Draw, rows: int, columns: int) -> tuple[Array, Array]:
    return draw.full(columns, value=1), draw.full(columns)


def _gain_and_bias(draw: Draw, rows: int, columns: int) -> tuple[Array, Array]:
    return draw.normal(columns), draw.normal(columns)


RELU = drawn(
    "relu",
    relu,
    rows_and_columns,
    ROWS,
    timing={"rows": 64, "columns": 64},
    sentence="The larger one of each number and zero.",
)
RELU_BFLOAT16 = drawn(
    "relu in bfloat16",
    relu,
    rows_and_columns,
    ROWS,
    dtype="bfloat16",
    sentence="The larger one of each number and zero; numbers are bfloat16.",
)
ADD_TWICE = drawn("add twice", add_twice, _pair, LENGTHS, sentence="2 x + y.")
TRANSPOSE = drawn(
    "transpose", transpose, rows_and_columns, ROWS, sentence="Rows become columns, in new memory."
)
ROW_SUM = drawn("row sum", row_sum, rows_and_columns, ROWS, sentence="The sum of each row.")
ROW_SUM_BFLOAT16 = drawn(
    "row sum in bfloat16",
    row_sum,
    rows_and_columns,
    ROWS,
    dtype="bfloat16",
    sentence="The sum of each row; numbers are bfloat16.",
)
ROW_MAX = drawn("row max", row_max, rows_and_columns, ROWS, sentence="The largest number of each row.")
SOFTMAX = drawn("softmax", softmax, rows_and_columns, ROWS, sentence="Softmax of each row.")
RMS_NORM = drawn(
    "rms norm",
    rms_norm,
    rows_and_columns,
    ROWS,
    [_ones, _gain],
    sentence="Each row over its root mean square (plus 1e-5 under the root), times gain.",
)
LAYER_NORM = drawn(
    "layer norm",
    layer_norm,
    rows_and_columns,
    ROWS,
    [_ones_and_zeros, _gain_and_bias],
    backward=layer_norm_backward,
    overlap=(),
    sentence="Each row at mean 0 and variance 1 (plus 1e-5 under the root), times gain, plus bias.",
)
MATMUL = drawn(
    "matmul",
    matmul,
    _factors,
    (
        {"n": 8, "k": 8, "m": 8},
        {"n": 1, "k": 1, "m": 1},
        {"n": 3, "k": 11, "m": 5},
        {"n": 9, "k": 2, "m": 7},
    ),
    timing={"n": 256, "k": 256, "m": 256},
    flops=lambda sizes: 2 * math.prod(sizes.values()),
    bytes=lambda sizes: 4 * (sizes["n"] * sizes["k"] + sizes["k"] * sizes["m"] + sizes["n"] * sizes["m"]),
    sentence="The matrix product.",
)
RUNNING_SUM = drawn("running sum", running_sum, _line, LENGTHS, sentence="Sums of the first 1, 2, … numbers.")
MOVING_MEAN = drawn(
    "moving mean", moving_mean, _line, LENGTHS, sentence="Means of three neighbours, zeros beyond the ends."
)
FIRST_LARGEST = drawn(
    "first largest", first_largest, rows_and_columns, ROWS, sentence="Where each row is largest first."
)
CROSS_ENTROPY = drawn("cross entropy", cross_entropy, _labelled, ROWS, sentence="−log softmax at the labels.")
CLASSICS: tuple[Task, ...] = (
    RELU,
    RELU_BFLOAT16,
    ADD_TWICE,
    TRANSPOSE,
    ROW_SUM,
    ROW_SUM_BFLOAT16,
    ROW_MAX,
    SOFTMAX,
    RMS_NORM,
    LAYER_NORM,
    MATMUL,
    RUNNING_SUM,
    MOVING_MEAN,
    FIRST_LARGEST,
    CROSS_ENTROPY,
)

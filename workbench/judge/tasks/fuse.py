"""Fusions: several steps that one kernel can take together."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law, normal

SHAPES = (
    {"n": 1, "k": 1, "m": 1},
    {"n": 1, "k": 7, "m": 5},
    {"n": 13, "k": 1, "m": 3},
    {"n": 7, "k": 17, "m": 11},
    {"n": 12, "k": 32, "m": 16},
)
LARGE = {"n": 256, "k": 256, "m": 256}
LINEAR = {"x": Array("n k"), "weight": Array("m k", normal), "bias": Array("m", normal)}


def gemm_add_relu(x, weight, bias):
    return np.maximum(x @ weight.T + bias, 0.0)


def gemm_max_subtract_gelu(x, weight, bias):
    largest = np.max(x @ weight.T + bias, axis=1, keepdims=True)
    rest = largest - np.mean(largest, axis=1, keepdims=True)
    return 0.5 * rest * (1.0 + np.tanh(0.7978845608028654 * (rest + 0.044715 * rest * rest * rest)))


def conv_relu_bias(x, weight, bias):
    high = x.shape[2] - weight.shape[2] + 1
    wide = x.shape[3] - weight.shape[3] + 1
    out = np.zeros((x.shape[0], weight.shape[0], high, wide), x.dtype)
    for p in range(weight.shape[2]):
        for q in range(weight.shape[3]):
            seen = x[:, :, p : p + high, q : q + wide]
            out += np.einsum("nchw,kc->nkhw", seen, weight[:, :, p, q])
    return np.maximum(out, 0.0) + bias[:, None, None]


TASKS = (
    KernelTask(
        name="gemm-add-relu",
        category="fuse",
        statement="x [n, k] times the transpose of weight [m, k], plus bias [m], and zero where that is "
        "negative.",
        reference=gemm_add_relu,
        arrays=LINEAR,
        out="n m",
        shapes=SHAPES,
        large=LARGE,
        operations=lambda n, k, m: n * m * (2 * k + 1),
        laws=[
            Law(
                "what is kept and what the opposite keeps make the whole",
                lambda f, x, weight, bias: (
                    f(x, weight, bias) - f(-x, weight, -bias),
                    x @ weight.T + bias,
                ),
            )
        ],
    ),
    KernelTask(
        name="gemm-max-subtract-gelu",
        category="fuse",
        statement="x [n, k] times the transpose of weight [m, k], plus bias [m]; of every row the largest "
        "number, as [n, 1]; less its mean along that axis; and the tanh formula of the GELU of it.",
        reference=gemm_max_subtract_gelu,
        arrays=LINEAR,
        out="n 1",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda n, k, m: 0,
        laws=[
            Law(
                "one number is its own mean, so the result is zero",
                lambda f, x, weight, bias: (f(x, weight, bias), np.zeros((len(x), 1))),
            )
        ],
    ),
    KernelTask(
        name="conv-relu-bias",
        category="fuse",
        statement="The correlation of x [n, c, h, w] with weight [k, c, p, q] without padding, zero where "
        "that is negative, and after that plus bias [k].",
        reference=conv_relu_bias,
        arrays={"x": Array("n c h w"), "weight": Array("k c p q", normal), "bias": Array("k", normal)},
        out=lambda n, c, h, w, k, p, q: [(n, k, h - p + 1, w - q + 1)],
        shapes=(
            {"n": 1, "c": 1, "h": 1, "w": 1, "k": 1, "p": 1, "q": 1},
            {"n": 1, "c": 2, "h": 5, "w": 7, "k": 3, "p": 3, "q": 3},
            {"n": 2, "c": 3, "h": 7, "w": 5, "k": 2, "p": 1, "q": 3},
            {"n": 1, "c": 4, "h": 8, "w": 10, "k": 4, "p": 3, "q": 2},
        ),
        large={"n": 1, "c": 32, "h": 34, "w": 34, "k": 32, "p": 3, "q": 3},
        operations=lambda n, c, h, w, k, p, q: n * k * (h - p + 1) * (w - q + 1) * (2 * c * p * q + 1),
        laws=[
            Law(
                "the bias comes last",
                lambda f, x, weight, bias: (
                    f(x, weight, bias) - f(x, weight, 0 * bias),
                    bias[:, None, None] + 0 * f(x, weight, bias),
                ),
            )
        ],
    ),
)

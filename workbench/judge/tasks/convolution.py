"""Convolutions: a few weights slide over an image or a series."""

import numpy as np

from workbench.judge.tasks.model import Array, KernelTask, Law, normal


def pointwise_conv(x, weight, bias):
    mixed = np.einsum("nchw,kc->nkhw", x, weight)
    return mixed + bias[:, None, None]


def depthwise_conv(x, weight):
    high = x.shape[2] - weight.shape[1] + 1
    wide = x.shape[3] - weight.shape[2] + 1
    out = np.zeros((x.shape[0], x.shape[1], high, wide), x.dtype)
    for p in range(weight.shape[1]):
        for q in range(weight.shape[2]):
            out += x[:, :, p : p + high, q : q + wide] * weight[:, p, q][:, None, None]
    return out


def dilated_conv(x, weight, stride, dilation):
    long = (x.shape[2] - dilation * (weight.shape[2] - 1) - 1) // stride + 1
    out = np.zeros((x.shape[0], weight.shape[0], long), x.dtype)
    for p in range(weight.shape[2]):
        start = p * dilation
        seen = x[:, :, start : start + stride * (long - 1) + 1 : stride]
        out += np.einsum("ncl,kc->nkl", seen, weight[:, :, p])
    return out


def shrunk(length: int, taps: int, stride: int, dilation: int) -> int:
    """Length of the result of a convolution without padding."""
    return (length - dilation * (taps - 1) - 1) // stride + 1


TASKS = (
    KernelTask(
        name="pointwise-conv",
        category="convolution",
        statement="A convolution with 1 x 1 weights: every pixel of x [n, c, h, w] mixes its channels with "
        "weight [k, c], plus bias [k]. The result is [n, k, h, w].",
        reference=pointwise_conv,
        arrays={"x": Array("n c h w"), "weight": Array("k c", normal), "bias": Array("k", normal)},
        out="n k h w",
        shapes=(
            {"n": 1, "c": 1, "k": 1, "h": 1, "w": 1},
            {"n": 1, "c": 3, "k": 1, "h": 5, "w": 1},
            {"n": 2, "c": 5, "k": 3, "h": 3, "w": 7},
            {"n": 1, "c": 8, "k": 4, "h": 8, "w": 6},
        ),
        large={"n": 1, "c": 64, "k": 64, "h": 56, "w": 56},
        operations=lambda n, c, k, h, w: 2 * n * k * c * h * w,
        laws=[
            Law(
                "turning the images turns the results",
                lambda f, x, weight, bias: (
                    f(x.swapaxes(2, 3).copy(), weight, bias).swapaxes(2, 3),
                    f(x, weight, bias),
                ),
            )
        ],
    ),
    KernelTask(
        name="depthwise-conv",
        category="convolution",
        statement="Every channel of x [n, c, h, w] is correlated with its own weight [c, p, q], without "
        "padding: out[n, c, i, j] is the sum of x[n, c, i + a, j + b] weight[c, a, b].",
        reference=depthwise_conv,
        arrays={"x": Array("n c h w"), "weight": Array("c p q", normal)},
        out=lambda n, c, h, w, p, q: [(n, c, h - p + 1, w - q + 1)],
        shapes=(
            {"n": 1, "c": 1, "h": 1, "w": 1, "p": 1, "q": 1},
            {"n": 1, "c": 3, "h": 5, "w": 7, "p": 3, "q": 3},
            {"n": 2, "c": 2, "h": 7, "w": 5, "p": 1, "q": 5},
            {"n": 1, "c": 4, "h": 10, "w": 8, "p": 3, "q": 2},
        ),
        large={"n": 1, "c": 64, "h": 58, "w": 58, "p": 3, "q": 3},
        operations=lambda n, c, h, w, p, q: n * c * (h - p + 1) * (w - q + 1) * (2 * p * q - 1),
        laws=[
            Law(
                "twice the weights, twice the result",
                lambda f, x, weight: (f(x, 2 * weight), 2 * f(x, weight)),
            )
        ],
    ),
    KernelTask(
        name="dilated-conv",
        category="convolution",
        statement="A convolution in one dimension: out[n, k, l] is the sum over c and p of x[n, c, stride l "
        "+ dilation p] weight[k, c, p]. x is [n, c, length], weight [k, c, p]; no padding.",
        reference=dilated_conv,
        arrays={"x": Array("n c length"), "weight": Array("k c p", normal)},
        out=lambda n, c, length, k, p, stride, dilation: [(n, k, shrunk(length, p, stride, dilation))],
        shapes=(
            {"n": 1, "c": 1, "length": 7, "k": 1, "p": 1},
            {"n": 1, "c": 3, "length": 11, "k": 2, "p": 3},
            {"n": 2, "c": 2, "length": 23, "k": 3, "p": 5},
        ),
        large={"n": 4, "c": 32, "length": 2048, "k": 32, "p": 5},
        settings=({"stride": 1, "dilation": 1}, {"stride": 2, "dilation": 1}, {"stride": 3, "dilation": 2}),
        operations=lambda n, c, length, k, p, stride, dilation: (
            n * k * shrunk(length, p, stride, dilation) * (2 * c * p - 1)
        ),
        laws=[
            Law(
                "half the input, half the result",
                lambda f, x, weight, stride, dilation: (
                    f(0.5 * x, weight, stride, dilation),
                    0.5 * f(x, weight, stride, dilation),
                ),
            )
        ],
    ),
)

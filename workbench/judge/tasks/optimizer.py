"""Optimisers: one step of training, for every parameter by itself. The results are the new values of all."""

import numpy as np

from workbench.judge.tasks.model import Array, KernelTask, Law, positive

SHAPES = ({"n": 1, "m": 1}, {"n": 1, "m": 13}, {"n": 7, "m": 3}, {"n": 5, "m": 17}, {"n": 24, "m": 32})
LARGE = {"n": 1024, "m": 1024}


def sgd(param, grad, velocity, rate, momentum):
    moved = momentum * velocity + grad
    return param - rate * moved, moved


def adam(param, grad, mean, square, rate, step):
    mean = 0.9 * mean + 0.1 * grad
    square = 0.999 * square + 0.001 * grad * grad
    mean_hat = mean / (1.0 - 0.9**step)
    square_hat = square / (1.0 - 0.999**step)
    return param - rate * mean_hat / (np.sqrt(square_hat) + 1e-8), mean, square


def rmsprop(param, grad, square, rate, decay):
    square = decay * square + (1.0 - decay) * grad * grad
    return param - rate * grad / (np.sqrt(square) + 1e-8), square


TASKS = (
    KernelTask(
        name="sgd",
        category="optimizer",
        statement="One step of gradient descent with momentum for param, grad, velocity [n, m]: the new "
        "velocity is momentum velocity + grad, the new param is param - rate times it. Returns both, param "
        "first.",
        reference=sgd,
        arrays={"param": Array("n m"), "grad": Array("n m"), "velocity": Array("n m")},
        out=lambda n, m, rate, momentum: [(n, m)] * 2,
        shapes=SHAPES,
        large=LARGE,
        settings=({"rate": 0.01, "momentum": 0.9}, {"rate": 0.1, "momentum": 0.0}),
        operations=lambda n, m, rate, momentum: 4 * n * m,
        laws=[
            Law(
                "at rest without a gradient nothing moves",
                lambda f, p, g, v, r, k: (f(p, 0 * g, 0 * v, r, k)[0], p),
            )
        ],
    ),
    KernelTask(
        name="adam",
        category="optimizer",
        statement="One step of Adam with decays 0.9 and 0.999 for param, grad, mean, square [n, m], where "
        "`step` counts from 1 and corrects both averages. Returns the new param, mean and square.",
        reference=adam,
        arrays={
            "param": Array("n m"),
            "grad": Array("n m"),
            "mean": Array("n m"),
            "square": Array("n m", positive),
        },
        out=lambda n, m, rate, step: [(n, m)] * 3,
        shapes=SHAPES,
        large=LARGE,
        settings=({"rate": 0.001, "step": 1}, {"rate": 0.01, "step": 10}),
        operations=lambda n, m, rate, step: 14 * n * m,
        laws=[
            Law(
                "the first step from rest has the length of the rate",
                lambda f, p, g, mean, square, rate, step: (
                    np.abs(f(p, 1 + g * g, 0 * mean, 0 * square, rate, 1)[0] - p),
                    np.full(p.shape, rate),
                ),
            )
        ],
    ),
    KernelTask(
        name="rmsprop",
        category="optimizer",
        statement="One step of RMSprop for param, grad, square [n, m]: the new square is decay square + (1 "
        "- decay) grad², param moves by rate grad / (root of it + 1e-8). Returns param and square.",
        reference=rmsprop,
        arrays={"param": Array("n m"), "grad": Array("n m"), "square": Array("n m", positive)},
        out=lambda n, m, rate, decay: [(n, m)] * 2,
        shapes=SHAPES,
        large=LARGE,
        settings=({"rate": 0.01, "decay": 0.9}, {"rate": 0.1, "decay": 0.5}),
        operations=lambda n, m, rate, decay: 9 * n * m,
        laws=[
            Law("without a gradient nothing moves", lambda f, p, g, s, r, d: (f(p, 0 * g, s, r, d)[0], p)),
            Law(
                "the step turns with the gradient",
                lambda f, p, g, s, r, d: (f(p, -g, s, r, d)[0] - p, p - f(p, g, s, r, d)[0]),
            ),
        ],
    ),
)

"""Architectures: whole small networks as one kernel."""

import numpy as np

from workbench.judge.tasks.model import Array, KernelTask, Law, normal


def mlp(x, first, second):
    hidden = np.maximum(x @ first.T, 0.0)
    return hidden @ second.T


def causal_attention(Q, K, V):
    scores = Q @ K.T / np.sqrt(Q.shape[1])
    seen = np.where(np.tri(Q.shape[0]) > 0, scores, -np.inf)
    weights = np.exp(seen - np.max(seen, axis=1, keepdims=True))
    return weights @ V / np.sum(weights, axis=1, keepdims=True)


def vanilla_rnn(x, state, inward, across):
    states = np.zeros((x.shape[0], state.shape[0]), x.dtype)
    for t in range(x.shape[0]):
        state = np.tanh(inward @ x[t] + across @ state)
        states[t] = state
    return states


def small(rng, shape, sizes):
    """Weights that keep the state of a network from growing."""
    return rng.standard_normal(shape) / np.sqrt(shape[-1])


def prefix(f, Q, K, V):
    """The first rows of the result, and the result of the first rows."""
    half = (len(Q) + 1) // 2
    return f(Q, K, V)[:half], f(Q[:half].copy(), K[:half].copy(), V[:half].copy())


def halves(f, x, state, inward, across):
    """A series in one go, and in two goes of which the second starts with the state of the first."""
    middle = (len(x) + 1) // 2
    first = f(x[:middle].copy(), state, inward, across)
    if middle == len(x):
        return f(x, state, inward, across), first
    second = f(x[middle:].copy(), first[-1].copy(), inward, across)
    return f(x, state, inward, across), np.concatenate([first, second])


TASKS = (
    KernelTask(
        name="mlp",
        category="arch",
        statement="A network with one hidden layer: x [n, k] times the transpose of first [hidden, k], zero "
        "where that is negative, times the transpose of second [m, hidden].",
        reference=mlp,
        arrays={"x": Array("n k"), "first": Array("hidden k", small), "second": Array("m hidden", small)},
        out="n m",
        shapes=(
            {"n": 1, "k": 1, "hidden": 1, "m": 1},
            {"n": 1, "k": 7, "hidden": 13, "m": 3},
            {"n": 5, "k": 3, "hidden": 1, "m": 7},
            {"n": 8, "k": 16, "hidden": 24, "m": 12},
        ),
        large={"n": 128, "k": 256, "hidden": 512, "m": 128},
        operations=lambda n, k, hidden, m: 2 * n * hidden * k + n * m * (2 * hidden - 1),
        laws=[
            Law(
                "a positive factor goes through",
                lambda f, x, first, second: (f(3.0 * x, first, second), 3.0 * f(x, first, second)),
            )
        ],
    ),
    KernelTask(
        name="causal-attention",
        category="arch",
        statement="Attention that looks back only: for queries Q, keys K and values V [n, d], row i is the "
        "mean of V[0] to V[i] with weights exp(Q[i] K[j] / root of d).",
        reference=causal_attention,
        arrays={"Q": Array("n d"), "K": Array("n d", normal), "V": Array("n d", normal)},
        out="n d",
        shapes=({"n": 1, "d": 1}, {"n": 7, "d": 1}, {"n": 1, "d": 5}, {"n": 13, "d": 3}, {"n": 24, "d": 16}),
        large={"n": 256, "d": 64},
        operations=lambda n, d: (n * (n + 1) // 2) * (4 * d + 4),
        laws=[Law("what comes later changes nothing", prefix)],
    ),
    KernelTask(
        name="vanilla-rnn",
        category="arch",
        statement="A recurrent network: the state [hidden] becomes tanh(inward x[t] + across state) for "
        "every row t of x [steps, k]. Returns all states [steps, hidden]; inward is [hidden, k], across "
        "[hidden, hidden].",
        reference=vanilla_rnn,
        arrays={
            "x": Array("steps k"),
            "state": Array("hidden", normal),
            "inward": Array("hidden k", small),
            "across": Array("hidden hidden", small),
        },
        out="steps hidden",
        shapes=(
            {"steps": 1, "k": 1, "hidden": 1},
            {"steps": 5, "k": 1, "hidden": 3},
            {"steps": 1, "k": 7, "hidden": 5},
            {"steps": 11, "k": 8, "hidden": 12},
        ),
        large={"steps": 128, "k": 128, "hidden": 128},
        operations=lambda steps, k, hidden: steps * hidden * (2 * k + 2 * hidden),
        laws=[Law("a series in two goes is the series in one", halves)],
    ),
)

"""Losses: many numbers become one that says how wrong they are."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law, below, distribution, normal

SHAPES = ({"n": 1, "m": 1}, {"n": 1, "m": 11}, {"n": 13, "m": 1}, {"n": 5, "m": 17}, {"n": 31, "m": 24})
LARGE = {"n": 1024, "m": 512}


def huber_loss(predictions, targets, delta):
    error = np.abs(predictions - targets)
    return np.mean(np.where(error < delta, 0.5 * error * error, delta * (error - 0.5 * delta)))


def kl_div(predictions, targets):
    return np.sum(targets * (np.log(targets) - np.log(predictions))) / predictions.shape[0]


def cross_entropy(logits, labels):
    largest = np.max(logits, axis=1)
    log_sum = np.log(np.sum(np.exp(logits - largest[:, None]), axis=1)) + largest
    return np.mean(log_sum - logits[np.arange(logits.shape[0]), labels])


TASKS = (
    KernelTask(
        name="huber-loss",
        category="loss",
        statement="The mean over predictions and targets [n, m] of a loss of their distance: half its "
        "square below delta, delta (distance - delta / 2) from there on.",
        reference=huber_loss,
        arrays={"predictions": Array("n m"), "targets": Array("n m", normal)},
        out="1",
        shapes=SHAPES,
        large=LARGE,
        settings=({"delta": 1.0}, {"delta": 0.3}),
        operations=lambda n, m, delta: 8 * n * m,
        laws=[
            Law("no error, no loss", lambda f, p, t, delta: (f(t, t, delta), 0.0)),
            Law("the two sides may change places", lambda f, p, t, delta: (f(t, p, delta), f(p, t, delta))),
        ],
    ),
    KernelTask(
        name="kl-div",
        category="loss",
        statement="The Kullback-Leibler divergence of targets from predictions, both [n, m] with positive "
        "rows of sum one: the sum over all of targets (log targets - log predictions), over the number of "
        "rows.",
        reference=kl_div,
        arrays={"predictions": Array("n m", distribution), "targets": Array("n m", distribution)},
        out="1",
        shapes=SHAPES,
        large=LARGE,
        profiles=("mixed",),
        operations=lambda n, m: 5 * n * m,
        laws=[
            Law("a distribution does not diverge from itself", lambda f, p, t: (f(t, t), 0.0)),
            Law("it is never negative", lambda f, p, t: (np.minimum(f(p, t), 0.0), 0.0)),
        ],
    ),
    KernelTask(
        name="cross-entropy",
        category="loss",
        statement="The mean over rows of logits [n, m] of log(sum(exp(row))) - row[label], with labels [n].",
        reference=cross_entropy,
        arrays={"logits": Array("n m"), "labels": Array("n", below("m"))},
        out="1",
        shapes=SHAPES,
        large=LARGE,
        profiles=EVERY,
        operations=lambda n, m: n * (4 * m + 2),
        laws=[
            Law(
                "equal logits cost the log of the classes", lambda f, x, k: (f(0 * x, k), np.log(x.shape[1]))
            ),
            Law("adding a number to all logits changes nothing", lambda f, x, k: (f(x + 0.5, k), f(x, k))),
        ],
    ),
)

"""How good is an author of kernels? The share of tasks with a sample that is both right and fast."""

import numpy as np
from hypothesis import strategies as st

from workbench.exercises import Exercise


def speedup_at_k(correct: np.ndarray, speedup: np.ndarray, alpha: float, k: int) -> float:
    good = correct[:, :k] & (speedup[:, :k] >= alpha)
    return float(good.any(axis=1).mean())


def by_loops(correct: np.ndarray, speedup: np.ndarray, alpha: float, k: int) -> float:
    """Task by task, sample by sample."""
    solved = 0
    for task in range(correct.shape[0]):
        for sample in range(k):
            if correct[task, sample] and speedup[task, sample] >= alpha:
                solved += 1
                break
    return solved / correct.shape[0]


def by_the_fastest(correct: np.ndarray, speedup: np.ndarray, alpha: float, k: int) -> float:
    """The fastest sample of those that are right; a wrong one counts as standing still."""
    fastest = np.where(correct, speedup, -np.inf)[:, :k].max(axis=1)
    return float(np.mean(fastest >= alpha))


def wrong_ones_too(correct, speedup, alpha, k):
    return float((speedup[:, :k] >= alpha).any(axis=1).mean())


def geometric_mean(correct, speedup, alpha, k):
    counted = np.where(correct, speedup, 1.0)[:, :k].max(axis=1)
    return float(np.exp(np.log(counted).mean()))


def mean_speedup(correct, speedup, alpha, k):
    return float(np.where(correct, speedup, 0.0)[:, :k].max(axis=1).mean())


def mean_over_the_right(correct, speedup, alpha, k):
    chosen = speedup[:, :k][correct[:, :k]]
    return float(chosen.mean()) if chosen.size else 0.0


def two_samples(correct, speedup, alpha, k):
    return float((correct[:, :k].any(axis=1) & (speedup[:, :k] >= alpha).any(axis=1)).mean())


def the_fastest_first(correct, speedup, alpha, k):
    rows = np.arange(len(correct))
    fastest = speedup[:, :k].argmax(axis=1)
    return float((correct[rows, fastest] & (speedup[rows, fastest] >= alpha)).mean())


def all_samples(correct, speedup, alpha, k):
    return float((correct[:, :k] & (speedup[:, :k] >= alpha)).all(axis=1).mean())


def share_of_samples(correct, speedup, alpha, k):
    return float((correct[:, :k] & (speedup[:, :k] >= alpha)).mean())


def of_the_solved(correct, speedup, alpha, k):
    solved = correct[:, :k].any(axis=1)
    good = (correct[:, :k] & (speedup[:, :k] >= alpha)).any(axis=1)
    return float(good.sum() / max(1, solved.sum()))


def every_sample_there_is(correct, speedup, alpha, k):
    return speedup_at_k(correct, speedup, alpha, correct.shape[1])


def the_kth_alone(correct, speedup, alpha, k):
    return float((correct[:, k - 1] & (speedup[:, k - 1] >= alpha)).mean())


def faster_than(correct, speedup, alpha, k):
    return float((correct[:, :k] & (speedup[:, :k] > alpha)).any(axis=1).mean())


def passed(correct, speedup, alpha, k):
    return float(correct[:, :k].any(axis=1).mean())


@st.composite
def runs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Tasks and samples, some right, some fast, some exactly as fast as asked."""
    tasks, samples = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    correct = rng.random((tasks, samples)) < draw(st.sampled_from((0.2, 0.5, 0.9)))
    alpha = draw(st.sampled_from((0.5, 1.0, 2.0)))
    speedup = rng.choice([0.05, 0.25, 0.5, 1.0, 1.5, 2.0, 8.0], (tasks, samples))
    return correct, speedup, alpha, draw(st.integers(1, samples))


def _run(
    correct: list[str], speedup: list[list[float]], alpha: float, k: int
) -> tuple[np.ndarray, np.ndarray, float, int]:
    right = np.array([[mark == "+" for mark in row] for row in correct])
    return right, np.array(speedup), alpha, k


EXERCISE = Exercise(
    "roofline/speedup-at-k",
    speedup_at_k,
    runs(),
    signature="speedup_at_k(correct, speedup, alpha, k) -> float",
    ask="""
    An author was asked for several samples of a kernel for each task. `correct` [tasks, samples] says which
    samples gave right results, `speedup` [tasks, samples] how many times faster than the baseline each one
    ran (the clock runs for wrong samples too). Return SpeedUp_alpha@k: the share of tasks for which at least
    one of the first `k` samples is correct and at least `alpha` times as fast as the baseline. Every task
    counts, 1 <= k <= samples, and there is at least one task.
    """,
    examples=[
        _run(["+--", "-++", "--+"], [[2.0, 9.0, 9.0], [9.0, 1.0, 3.0], [0.5, 0.5, 1.0]], 1.0, 2),
        _run(["++", "+-", "--"], [[0.5, 4.0], [1.0, 9.0], [9.0, 9.0]], 1.0, 1),
        _run(["++", "+-", "--"], [[0.5, 4.0], [1.0, 9.0], [9.0, 9.0]], 2.0, 2),
        _run(["-"], [[100.0]], 1.0, 1),
        _run(["+-"], [[0.5, 8.0]], 1.0, 2),
        _run(["++"], [[0.25, 1.5]], 1.0, 2),
        _run(["+-", "--"], [[1.5, 8.0], [0.5, 0.5]], 1.0, 2),
    ],
    wrong_answers={
        "wrong but fast samples count": (
            wrong_ones_too,
            "A kernel that does nothing is the fastest of all. Does a sample have to be correct?",
        ),
        "the geometric mean of the speedups, failures as one": (
            geometric_mean,
            "Asked for is a share of tasks, between 0 and 1. A failure is no kernel of speedup one.",
        ),
        "the mean speedup": (
            mean_speedup,
            "One task with a speedup of 100 outweighs 99 failures in a mean. Count tasks instead.",
        ),
        "the mean speedup of what is correct": (
            mean_over_the_right,
            "This is a speed, and it leaves out the tasks that nobody solved. Count tasks instead.",
        ),
        "one sample is correct, another one fast": (
            two_samples,
            "The same sample has to be both.",
        ),
        "only the fastest sample is looked at": (
            the_fastest_first,
            "If the fastest sample is wrong, a slower one may still be correct and fast enough.",
        ),
        "all samples have to be good": (all_samples, "One good sample of the first k is enough."),
        "the share of samples": (
            share_of_samples,
            "A task with three good samples counts as often as a task with one. Count tasks.",
        ),
        "the share of solved tasks": (
            of_the_solved,
            "Tasks without any correct sample count too, as failures.",
        ),
        "all samples there are": (every_sample_there_is, "Only the first k samples of a task count."),
        "the k-th sample alone": (the_kth_alone, "At least one of the first k: the first one counts too."),
        "faster than alpha": (faster_than, "A sample that is exactly alpha times as fast is fast enough."),
        "correct, however slow": (passed, "This is Pass@k. How fast does the sample have to be as well?"),
    },
    also_right=[by_loops, by_the_fastest],
    hints=[
        "A sample is good if it is correct and fast: `correct & (speedup >= alpha)`, element by element.",
        "Of each row only the first `k` columns count: `[:, :k]`.",
        "A task is solved if any of these is good, `.any(axis=1)`; the answer is the share of such tasks.",
    ],
    explanation="""
    `(correct & (speedup >= alpha))[:, :k].any(axis=1).mean()`. With alpha = 0 this is Pass@k. It is a share,
    so that one lucky kernel cannot hide many failures, and a wrong kernel gains nothing from being fast.
    """,
)

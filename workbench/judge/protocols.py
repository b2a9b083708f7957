"""Two judges' protocols as they were published: what they ask, in the order in which they ask it.

KernelBench (Ouyang et al., 2025): random inputs from a few seeds at the one published shape; the reference
answers, then the candidate, on the same arrays in the same process; equal within 1e-2; then the candidate
is timed on one set of inputs, and no timed result is looked at.

robust-kbench (Lange et al., 2025): up to two input settings and two init settings, five seeds each;
candidate, reference, candidate on the same arrays; both answers equal within 1e-5; where there is a backward
pass, all gradients; then timed likewise.

Both protocols were written down here from the published code, for numpy in place of a GPU. They run inside
the candidate's process, because that is where they run in the original: a candidate can reach all of it.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.judge.task import parts

Function = Callable[..., Any]
Said = tuple[str, str, float]  # kind, sentence, seconds of a call
TIMED_CALLS = 10


def kernelbench(reference: Function, candidate: Function, backward: Function | None, draws: Any) -> Said:
    """One shape, several seeds, 1e-2."""
    for args, _, _ in draws:
        expected = reference(*args)
        came = candidate(*args)
        if np.shape(expected) != np.shape(came):
            return "shape", f"shape {np.shape(expected)} was expected, but {np.shape(came)} came", 0.0
        if not _close(expected, came, 1e-2):
            return "values", "an output differs by more than 1e-2", 0.0
    return "right", f"{len(draws)} random inputs agree", _timed(candidate, draws[0][0])


def robust(reference: Function, candidate: Function, backward: Function | None, draws: Any) -> Said:
    """Several settings and seeds, asked before and after the reference, 1e-5; gradients where there are."""
    for args, upstream, gradients in draws:
        first = candidate(*args)
        expected = reference(*args)
        second = candidate(*args)
        if not (_close(expected, first, 1e-5) and _close(expected, second, 1e-5)):
            return "values", "an output differs by more than 1e-5", 0.0
        if upstream is not None:
            if backward is None:
                return "gradients", "the task has a backward pass, but none came", 0.0
            if not _close(gradients, backward(upstream, *args), 1e-5):
                return "gradients", "a gradient differs by more than 1e-5", 0.0
    return "right", f"{len(draws)} random inputs agree", _timed(candidate, draws[0][0])


def _close(expected: Any, came: Any, tolerance: float) -> bool:
    both = list(zip(parts(expected), parts(came), strict=True))
    return all(a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in both)


def _timed(candidate: Function, args: Any) -> float:
    spent = []
    for _ in range(TIMED_CALLS):
        start = time.perf_counter()
        candidate(*args)
        spent.append(time.perf_counter() - start)
    return float(np.mean(spent))

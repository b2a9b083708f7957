"""A kernel's result against the truth: what differs, and which rules it takes to see that."""

from typing import Any

import numpy as np

from workbench.judge.compare import describe, number
from workbench.judge.task import Expected
from workbench.judge.wire import Array, TooLarge

Difference = tuple[frozenset[str], str, str]  # the rules it takes, the kind, the sentence
EVERY_JUDGE: frozenset[str] = frozenset()
KINDS = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "c": "complex"}


def differences(expected: Expected, came: Any, tolerance: float) -> list[Difference]:
    """All that differs; `came` is a plain value. `tolerance` is what counts where the twin is not asked:
    then |came − truth| ≤ tolerance · (1 + |truth|), or the task's own bound where that is wider."""
    given = (came,) if expected.single else came
    if not isinstance(given, (tuple, list)):
        return [
            (
                EVERY_JUDGE,
                "type",
                f"a tuple of {len(expected.values)} was expected, but {describe(came)} came",
            )
        ]
    if len(given) != len(expected.values):
        return [
            (EVERY_JUDGE, "shape", f"{len(expected.values)} results were expected, but {len(given)} came")
        ]
    found: list[Difference] = []
    for i, (truth, bound, value) in enumerate(zip(expected.values, expected.bounds, given, strict=True)):
        where = "the result" if len(given) == 1 else f"result {i}"
        found += _one(truth, bound, value, tolerance, where)
    return found


def _one(truth: np.ndarray, bound: np.ndarray, value: Any, tolerance: float, where: str) -> list[Difference]:
    if isinstance(value, TooLarge):
        return [(EVERY_JUDGE, "shape", _shapes(where, truth.shape, value.shape))]
    if isinstance(value, Array):
        array = value.data
    elif isinstance(value, (bool, int, float)):
        array = np.asarray(value)
    else:
        return [(EVERY_JUDGE, "type", f"{where} should be an array, but {describe(value)} came")]
    if array.shape != truth.shape:
        return [(EVERY_JUDGE, "shape", _shapes(where, truth.shape, array.shape))]
    kind, came_kind = (KINDS.get(a.dtype.kind, a.dtype.name) for a in (truth, array))
    if kind != came_kind:
        return [(EVERY_JUDGE, "dtype", f"{where} should hold {kind} numbers, but {came_kind} numbers came")]
    if kind != "float":
        return _exact(truth, array, where)
    with np.errstate(all="ignore"):
        off = np.asarray(np.abs(array.astype(np.float64) - truth))
    off[array == truth] = 0  # infinities of one sign
    missing = np.isnan(array) & ~np.isnan(truth)
    off[missing] = 0
    infinite = np.isinf(truth) & (off > 0)
    off[infinite] = np.inf
    bound = np.where(np.isfinite(bound), bound, 0)
    with np.errstate(all="ignore"):
        loose = np.maximum(tolerance * (1 + np.where(np.isfinite(truth), np.abs(truth), 0)), bound)
    found: list[Difference] = []
    if missing.any():
        found.append((frozenset({"nan"}), "nan", _sentence(where, truth, array, missing)))
    if (off > loose).any():
        found.append((EVERY_JUDGE, "values", _sentence(where, truth, array, off > loose)))
    if (off > bound).any():
        found.append((frozenset({"twin"}), "values", _sentence(where, truth, array, off > bound)))
    return found


def _exact(truth: np.ndarray, array: np.ndarray, where: str) -> list[Difference]:
    wrong = truth != array
    return [(EVERY_JUDGE, "values", _sentence(where, truth, array, wrong))] if wrong.any() else []


def _sentence(where: str, truth: np.ndarray, array: np.ndarray, wrong: np.ndarray) -> str:
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f" at index {first if len(first) > 1 else first[0]}" if first else ""
    left, right = (
        number(
            a[first].item(),
        )
        for a in (truth, array)
    )
    if left == right:
        left, right = repr(truth[first].item()), repr(array[first].item())
    share = f" ({int(wrong.sum())} of {wrong.size} values differ)" if first else ""
    return f"{where} should be {left}{place}, but {'NaN' if right == 'nan' else right} came{share}"


def _shapes(where: str, wanted: tuple[int, ...], came: tuple[int, ...]) -> str:
    return f"{where} should have shape {wanted}, but shape {came} came"

"""Does what came equal what was expected? If not: where, and in one sentence.

Both sides are plain values (`workbench.judge.wire.plain`). A NaN never equals anything, also not
another NaN: a reference that returns one is refused before it gets here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.judge.wire import Array, Other, TooLarge

SHOWN = 6  # digits of a number in a sentence


@dataclass(frozen=True)
class Difference:
    """The first difference; `kind` is type, shape, dtype, nan or values."""

    kind: str
    sentence: str


def compare(
    expected: Any,
    came: Any,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-12,
    where: str = "result",
    nan_equal: bool = False,
) -> Difference | None:
    """None where |came − expected| ≤ atol + rtol·|expected| in every number, else the difference.

    Numbers may be exact or floating as long as nothing is lost (an int for a float, not the
    reverse); a list may stand for a tuple; arrays agree in shape and in kind of dtype (bool,
    integer, float, complex), not in its width. `nan_equal` is for comparing two candidates.
    """
    place = f"`{where}`" if where != "result" else "The result"
    options = {"rtol": rtol, "atol": atol, "nan_equal": nan_equal}
    if isinstance(expected, (list, tuple)) and isinstance(came, (list, tuple)):
        if len(came) != len(expected):
            return Difference("shape", f"{place} should have {len(expected)} parts, but {len(came)} came")
        parts = [(e, c, f"{where}[{i}]") for i, (e, c) in enumerate(zip(expected, came, strict=True))]
    elif isinstance(expected, dict) and isinstance(came, dict):
        if set(came) != set(expected):
            return Difference(
                "shape", f"{place} should have the keys {_keys(expected)}, but {_keys(came)} came"
            )
        parts = [(value, came[key], f"{where}[{key!r}]") for key, value in expected.items()]
    elif isinstance(expected, Array) and isinstance(came, TooLarge):
        return Difference("shape", _shapes(place, expected.data.shape, came.shape))
    elif isinstance(expected, Array) and isinstance(came, Array):
        return _arrays(expected, came, rtol, atol, place, nan_equal)
    elif _fits(expected, came):
        return _numbers(expected, came, rtol, atol, place, nan_equal)
    else:
        return Difference("type", f"{place} should be {describe(expected)}, but {describe(came)} came")
    for wanted, got, at in parts:
        if found := compare(wanted, got, where=at, **options):  # type: ignore[arg-type]
            return found
    return None


def has_nan(value: Any) -> bool:
    """Whether a NaN is anywhere in a plain value."""
    if isinstance(value, dict):
        return any(has_nan(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(has_nan(item) for item in value)
    if isinstance(value, Array):
        return value.data.dtype.kind in "fc" and bool(np.isnan(value.data).any())
    return isinstance(value, (float, complex)) and value != value


def describe(value: Any) -> str:
    """What kind of thing a plain value is, with its article."""
    if isinstance(value, Array):
        kind = "a torch tensor" if value.library == "torch" else "an array"
        return f"{kind} of shape {value.data.shape}"
    if isinstance(value, TooLarge):
        return f"an array of shape {value.shape}"
    if isinstance(value, Other):
        return value.name
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)} parts"
    if value is None:
        return "None"
    names = {bool: "a bool", int: "an int", float: "a float", complex: "a complex number"}
    return names.get(type(value), f"a {type(value).__name__}")


def number(value: Any) -> str:
    """A number as it reads in a sentence."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"
    if isinstance(value, (bool, np.bool_, int, np.integer)) or value is None:
        return str(value)
    if isinstance(value, (complex, np.complexfloating)):
        return f"{complex(value):.{SHOWN}g}"
    text = f"{float(value):.{SHOWN}g}"
    return text if any(c in text for c in ".en") else text + ".0"


def _fits(expected: Any, came: Any) -> bool:
    """Whether `came` is of a type that can equal `expected` without loss."""
    if isinstance(expected, (str, bool)) or expected is None:
        return type(came) is type(expected)
    order = [int, float, complex]
    return type(expected) in order and type(came) in order[: order.index(type(expected)) + 1]


def _numbers(
    expected: Any, came: Any, rtol: float, atol: float, where: str, nan_equal: bool
) -> Difference | None:
    if isinstance(expected, (float, complex)):
        try:
            equal = bool(_close(np.asarray(expected), np.asarray(complex(came)), rtol, atol, nan_equal))
        except OverflowError:  # an int beyond every float
            equal = False
    else:
        equal = came == expected
    if equal:
        return None
    if came != came:
        return Difference("nan", f"{where} should be {number(expected)}, but NaN came")
    return Difference("values", "{} should be {}, but {} came".format(where, *_pair(expected, came)))


def _arrays(e: Array, c: Array, rtol: float, atol: float, where: str, nan_equal: bool) -> Difference | None:
    if e.library != c.library:
        return Difference("type", f"{where} should be {describe(e)}, but {describe(c)} came")
    expected, came = e.data, c.data
    if expected.shape != came.shape:
        return Difference("shape", _shapes(where, expected.shape, came.shape))
    kind, given = (_KINDS[a.dtype.kind] for a in (expected, came))
    if kind != given:
        return Difference(
            "dtype", f"{where} should hold {kind} numbers, but {given} numbers came ({came.dtype})"
        )
    good = _close(expected, came, rtol, atol, nan_equal)
    if good.all():
        return None
    bad = np.argwhere(~good)
    first = tuple(int(i) for i in bad[0])
    wanted, got = expected[first], came[first]
    share = f"{len(bad)} of {good.size} values differ"
    place = f"at index {first if len(first) > 1 else first[0]}"
    if got != got:
        return Difference("nan", f"{where} should be {number(wanted)} {place}, but NaN came ({share})")
    left, right = _pair(wanted.item(), got.item())
    return Difference("values", f"{where} should be {left} {place}, but {right} came ({share})")


_KINDS = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "c": "complex"}


def _close(expected: np.ndarray, came: np.ndarray, rtol: float, atol: float, nan_equal: bool) -> np.ndarray:
    if expected.dtype.kind in "biu" and came.dtype.kind in "biu":
        return np.asarray(expected == came)
    with np.errstate(all="ignore"):
        near = np.abs(came - expected) <= atol + rtol * np.abs(expected)
        same = came == expected  # infinities of the same sign
        finite = np.isfinite(expected) & np.isfinite(came)
    both_nan = (expected != expected) & (came != came) if nan_equal else False
    return np.asarray((near & finite) | same | both_nan)


def _pair(expected: Any, came: Any) -> tuple[str, str]:
    """Two different numbers (or strings) with as many digits as it takes to see that they differ."""
    if isinstance(expected, str) or number(expected) == number(came):
        return repr(expected)[:80], repr(came)[:80]
    return number(expected), number(came)


def _shapes(where: str, expected: tuple[int, ...], came: tuple[int, ...]) -> str:
    return f"{where} should have shape {expected}, but shape {came} came"


def _keys(table: dict[Any, Any]) -> str:
    return ", ".join(sorted(map(repr, table))) or "none"

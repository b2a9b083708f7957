"""Which operation is which kind, and what counts as one."""

import operator
from typing import Any

from numba import types

KINDS: dict[Any, str] = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.truediv: "div",
    operator.floordiv: "floordiv",
    operator.mod: "mod",
    operator.pow: "pow",
    operator.neg: "neg",
    operator.pos: "pos",
    operator.and_: "and",
    operator.or_: "or",
    operator.xor: "xor",
    operator.invert: "invert",
    operator.lshift: "shift",
    operator.rshift: "shift",
} | dict.fromkeys([operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne], "compare")
FREE = {operator.not_}
SAME = {
    "absolute": "abs",
    "fabs": "abs",
    "maximum": "max",
    "fmax": "max",
    "minimum": "min",
    "fmin": "min",
    "power": "pow",
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "negative": "neg",
    "arctan2": "atan2",
}
# They choose, or change a sign, but round nothing: shown, but not part of `flops`.
EXACT = {"compare", "min", "max", "abs", "neg", "pos", "floor", "ceil", "round", "trunc", "sign", "copysign"}
EXACT |= {"isnan", "isinf", "isfinite", "signbit", "frexp", "ldexp", "modf"}
EXACT |= {f"complex {kind}" for kind in ("neg", "pos", "conjugate", "conj", "isnan", "isinf", "isfinite")}
# A complex operation in real ones; what is not here is counted whole, as "complex ...".
COMPLEX = {
    "add": {"add": 2},
    "sub": {"sub": 2},
    "neg": {"neg": 2},
    "mul": {"mul": 4, "add": 1, "sub": 1},
}


def kinds(
    kind: str, operands: tuple[types.Type, ...], result: types.Type | None
) -> tuple[bool, dict[str, int]]:
    """Whether an operation is one on floats, and how many of which kinds it stands for."""
    seen = [*operands, result]
    if any(isinstance(operand, types.Complex) for operand in seen):
        return True, COMPLEX.get(kind, {kind if kind == "compare" else f"complex {kind}": 1})
    return any(isinstance(operand, types.Float) for operand in seen), {kind: 1}


def is_flop(kind: str) -> bool:
    """Whether an operation on floats of this kind rounds."""
    return kind not in EXACT

"""Functions that try to be accepted without being right; a judge has to refuse every one of them.

They are made from an exercise's own reference, so that conduct alone tells them from a right answer.
"""

import gc
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from workbench.judge import wire

Function = Callable[..., Any]


def cheats(reference: Function, case: Any, expected: Any) -> dict[str, Function]:
    """What can be tried on an exercise, by name; `case` and `expected` are plain values of one case."""
    found = {"the same answer to everything": constant(wire.alive(expected))}
    if any(isinstance(leaf, float) or _floating(leaf) for leaf in wire.leaves(expected)):
        found["NaN everywhere"] = poisoned(reference)
    arrays = [i for i, arg in enumerate(case) if isinstance(arg, wire.Array)]
    if arrays:
        found["changing the inputs"] = mutating(reference)
        found["handing an input back"] = returning(arrays[0])
    return found


def constant(answer: Any) -> Function:
    """Always the same answer."""

    def same(*args: Any) -> Any:
        return wire.alive(wire.plain(answer))

    return same


def poisoned(reference: Function) -> Function:
    """The right answer with every floating-point number replaced by NaN."""

    def nan(value: Any) -> Any:
        if isinstance(value, wire.Array):
            return wire.Array(np.full_like(value.data, np.nan), value.library) if _floating(value) else value
        if isinstance(value, (list, tuple)):
            return type(value)(map(nan, value))
        if isinstance(value, dict):
            return {key: nan(item) for key, item in value.items()}
        return float("nan") if isinstance(value, float) else value

    def candidate(*args: Any) -> Any:
        return wire.alive(nan(wire.plain(reference(*args))))

    return candidate


def mutating(reference: Function) -> Function:
    """The right answer, after which every input array is overwritten."""

    def candidate(*args: Any) -> Any:
        answer = reference(*args)
        for arg in args:
            if hasattr(arg, "ndim"):
                arg[...] = arg + 1 if arg.dtype != bool else ~arg
        return answer

    return candidate


def returning(index: int) -> Function:
    """One of the inputs, as it came."""

    def candidate(*args: Any) -> Any:
        return args[index]

    return candidate


def spying(module: str, name: str) -> Function:
    """Looks for a function in the callers' frames and among all objects, and asks it."""

    def candidate(*args: Any) -> Any:
        seen: list[Any] = list(gc.get_objects())
        frame = sys._getframe(1)
        while frame is not None:
            seen += [*frame.f_locals.values(), *frame.f_globals.values()]
            frame = frame.f_back  # type: ignore[assignment]
        for thing in seen:
            if isinstance(thing, FunctionType) and (thing.__module__, thing.__qualname__) == (module, name):
                return thing(*args)
        return None

    return candidate


def endless(*args: Any) -> Any:
    """Never comes back."""
    while True:
        pass


def _floating(value: Any) -> bool:
    return isinstance(value, wire.Array) and value.data.dtype.kind == "f"

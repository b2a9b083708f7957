"""Forms of a candidate besides a plain function: text, and forward with backward."""

import dis
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

Function = Callable[..., Any]
ALLOWED = frozenset({"cmath", "functools", "itertools", "math", "numba", "numpy", "operator"})


@dataclass(frozen=True)
class Source:
    """A candidate as text; `entry` names its function, `backward` that of the backward pass.

    The text is compiled here to see what it imports, but executed in the candidate's process only.
    """

    text: str
    entry: str = "kernel"
    backward: str = ""


@dataclass(frozen=True)
class Both:
    """A kernel and its backward pass: `backward(upstream, *args)` gives one gradient for each float array."""

    forward: Function
    backward: Function

    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)


Candidate = Function | Source


def imported(candidate: Candidate) -> set[str]:
    """Top-level modules that a candidate's code imports or holds, read from its byte code.

    Raises SyntaxError for a text that does not compile.
    """
    if isinstance(candidate, Source):
        return {name.split(".")[0] for name in _imports(compile(candidate.text, "<candidate>", "exec"))}
    found: set[str] = set()
    for function in _functions(candidate):
        held = getattr(function, "__globals__", {})
        for code in _codes(function.__code__):
            found.update(_imports(code))
            found.update(v.__name__ for n in code.co_names if isinstance(v := held.get(n), ModuleType))
        cells = (cell.cell_contents for cell in function.__closure__ or ())
        found.update(value.__name__ for value in cells if isinstance(value, ModuleType))
    return {name.split(".")[0] for name in found}


def _functions(candidate: Any) -> list[Any]:
    both = [candidate.forward, candidate.backward] if isinstance(candidate, Both) else [candidate]
    plain = [getattr(each, "py_func", each) for each in both]  # a numba dispatcher keeps its source
    return [each for each in plain if hasattr(each, "__code__")]


def _imports(code: CodeType) -> Iterator[str]:
    for each in _codes(code):
        for step in dis.get_instructions(each):
            if step.opname == "IMPORT_NAME":
                yield str(step.argval) or "."
        yield from ({"importlib"} if "__import__" in each.co_names else ())


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)

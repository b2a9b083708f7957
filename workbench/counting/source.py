"""`@kernel`: numba's own dispatcher, and the source it came from."""

import ast
import contextlib
import inspect
import textwrap
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numba
from numba.core.dispatcher import Dispatcher

from workbench.errors import WorkbenchError


class Refusal(WorkbenchError):
    """Counting cannot be exact here; the sentence names kernel, line and reason."""


@dataclass(frozen=True)
class Source:
    """The text of a kernel as it was when it was decorated; `first_line` counts in its file."""

    text: str
    file: str
    first_line: int
    function: Callable[..., Any]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def tree(self) -> ast.FunctionDef:
        """The function, numbered as its file is."""
        try:
            tree = ast.parse(self.text).body[0]
        except SyntaxError:  # a lambda's lines need not be whole statements
            tree = ast.Pass()
        if not isinstance(tree, ast.FunctionDef):
            raise WorkbenchError(f"a kernel must be a function under def, but {self.name} is not")
        return ast.increment_lineno(tree, self.first_line - 1)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def numbered(self) -> list[tuple[int, str]]:
        """All lines with their numbers in the file."""
        return list(enumerate(self.lines, self.first_line))

    def line(self, number: int) -> str:
        """The text of a line of its file."""
        return self.lines[number - self.first_line]

    @cached_property
    def names(self) -> dict[str, Any]:
        """What the function can see from outside: closure before globals."""
        free = self.function.__code__.co_freevars
        cells = zip(free, self.function.__closure__ or (), strict=True)
        return self.function.__globals__ | {name: cell.cell_contents for name, cell in cells}

    def refuse(self, line: int, reason: str) -> Refusal:
        """The error for what cannot be counted exactly."""
        return Refusal(f"{self.name}, line {line}: {reason}: {self.line(line).strip()}")


_SOURCES: weakref.WeakKeyDictionary[Dispatcher, Source] = weakref.WeakKeyDictionary()


@overload
def kernel(function: Callable[..., Any], /) -> Dispatcher: ...
@overload
def kernel(**options: Any) -> Callable[[Callable[..., Any]], Dispatcher]: ...
def kernel(function: Any = None, /, **options: Any) -> Any:
    """Compiles a function as `numba.njit(**options)` does and returns numba's dispatcher itself.

    Nothing is added to a call. The source is kept for `count` and `trace`.

        @kernel
        def scale(x, y, a):            # [n] [n]
            for i in range(x.size):
                y[i] = a * x[i]
    """
    if function is None:
        return lambda given: kernel(given, **options)
    if not inspect.isfunction(function):
        raise WorkbenchError(f"@kernel compiles a Python function, but {type(function).__name__} came")
    dispatcher = numba.njit(**options)(function)
    with contextlib.suppress(
        WorkbenchError
    ):  # without a source it runs, and `count` will say what is missing
        _SOURCES[dispatcher] = _read(dispatcher)
    return dispatcher


def source_of(kernel: Any) -> Source:
    """The source of a kernel, or of any function under numba's own `njit`."""
    if not isinstance(kernel, Dispatcher):
        name = getattr(kernel, "__name__", type(kernel).__name__)
        raise WorkbenchError(f"a kernel is a function under @kernel, but {name} is not one")
    if kernel not in _SOURCES:
        _SOURCES[kernel] = _read(kernel)
    return _SOURCES[kernel]


def _read(dispatcher: Dispatcher) -> Source:
    function = dispatcher.py_func
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise WorkbenchError(
            f"the source of {function.__name__} must stand in a file or a notebook cell to be counted"
        ) from error
    return Source(
        text=textwrap.dedent("".join(lines)),
        file=inspect.getfile(function),
        first_line=first,
        function=function,
        options=dispatcher.targetoptions | {"locals": dispatcher.locals},
    )

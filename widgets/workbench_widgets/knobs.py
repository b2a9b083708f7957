"""Knobs: what a reader may turn. Every knob has finitely many values, so every Explorer has a finite grid.

A state of the knobs travels as *indexes* into their values: exact, short, the same in Python and in script.
"""

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import WorkbenchError

Value = bool | int | float | str
Values = tuple[Value, ...]
Indexes = tuple[int, ...]
Kind = Literal["choice", "range", "toggle"]


@dataclass(frozen=True)
class Steps:
    """A real range with declared steps; made by `linear` and `logarithmic`."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class _Linked:
    parent: str
    choices: Callable[[Any], Any]


@dataclass(frozen=True)
class _Played:
    declared: Any


def linear(low: float, high: float, steps: int) -> Steps:
    """`steps` real values from `low` to `high`, evenly spaced, both ends included."""
    _check_range(low, high, steps)
    return Steps(tuple(_tidy(low + (high - low) * i / (steps - 1)) for i in range(steps)))


def logarithmic(low: float, high: float, steps: int) -> Steps:
    """`steps` real values from `low` to `high` in equal ratios, both ends included."""
    _check_range(low, high, steps)
    if low <= 0:
        raise WorkbenchError(f"logarithmic steps need a positive low end, but {low} came")
    return Steps(tuple(_tidy(low * (high / low) ** (i / (steps - 1))) for i in range(steps)))


def linked(parent: str, choices: Callable[[Any], Any]) -> Any:
    """A knob whose values depend on another knob: `heads=linked("width", lambda width: divisors(width))`.

    `choices` maps a value of `parent` (declared earlier) to a declaration such as a list or a range.
    """
    return _Linked(parent, choices)


def play(declared: Any) -> Any:
    """The same knob with a button beside it that plays through its values."""
    return _Played(declared)


@dataclass(frozen=True)
class Knob:
    """One knob. `table[i]` holds its values while the parent stands at index i; else `table[0]`."""

    name: str
    kind: Kind
    table: tuple[Values, ...]
    parent: str | None = None
    play: bool = False

    @property
    def label(self) -> str:
        """The name as prose."""
        return self.name.replace("_", " ")

    def values(self, parent_index: int = 0) -> Values:
        """The values on offer while the parent stands at `parent_index`."""
        return self.table[parent_index if self.parent else 0]

    @property
    def most(self) -> int:
        """The largest number of values that it ever offers."""
        return max(map(len, self.table))

    def row(self) -> dict[str, Any]:
        """The knob as plain JSON, for the script that draws it."""
        return {
            "name": self.name,
            "label": self.label,
            "kind": self.kind,
            "parent": self.parent,
            "play": self.play,
            "table": [list(values) for values in self.table],
            "texts": [[text(value) for value in values] for values in self.table],
        }


@dataclass(frozen=True)
class Knobs:
    """All knobs of one Explorer in order, with the indexes that they start from."""

    knobs: tuple[Knob, ...]
    start: Indexes

    @classmethod
    def of(cls, function: Callable[..., Any], declared: dict[str, Any]) -> "Knobs":
        """Holds the declared knobs to the function's parameters; a slip is one sentence."""
        name = function.__name__
        if not declared:
            raise WorkbenchError(
                f"the Explorer {name} needs at least one knob, e.g. @explore(depth=range(1, 9))"
            )
        parameters = inspect.signature(function).parameters
        for parameter in parameters.values():
            if parameter.default is parameter.empty:
                raise WorkbenchError(
                    f"every parameter of {name} needs a default, but {parameter.name} has none"
                )
        knobs: list[Knob] = []
        start: list[int] = []
        for knob_name, what in declared.items():
            if knob_name not in parameters:
                raise WorkbenchError(
                    f"{name} has no parameter {knob_name!r} for the knob; it has {', '.join(parameters)}"
                )
            knob = _knob(knob_name, what, knobs)
            values = knob.values(_parent_index(knob, knobs, start))
            default = parameters[knob_name].default
            if default not in values or isinstance(default, bool) != isinstance(values[0], bool):
                raise WorkbenchError(
                    f"the default of {knob_name} must be one of its values {_some(values)}; it is {default!r}"
                )
            knobs.append(knob)
            start.append(values.index(default))
        return cls(tuple(knobs), tuple(start))

    def values_at(self, indexes: Indexes) -> dict[str, Value]:
        """The function's arguments for a tuple of indexes, one a knob."""
        if len(indexes) != len(self.knobs):
            raise WorkbenchError(f"{len(self.knobs)} knob indexes were expected, but {len(indexes)} came")
        state: dict[str, Value] = {}
        for knob, index in zip(self.knobs, indexes, strict=True):
            values = knob.values(_parent_index(knob, self.knobs, indexes))
            if not 0 <= index < len(values):
                raise WorkbenchError(f"{knob.name} has {len(values)} values, but index {index} came")
            state[knob.name] = values[index]
        return state

    def indexes_of(self, **state: Value) -> Indexes:
        """The indexes of a state given by values; knobs that are not named stand at their start."""
        unknown = set(state) - {knob.name for knob in self.knobs}
        if unknown:
            names = ", ".join(knob.name for knob in self.knobs)
            raise WorkbenchError(f"there is no knob {sorted(unknown)[0]!r}; there are {names}")
        indexes: list[int] = []
        for knob, start in zip(self.knobs, self.start, strict=True):
            values = knob.values(_parent_index(knob, self.knobs, indexes))
            if knob.name not in state:
                indexes.append(min(start, len(values) - 1))
            elif state[knob.name] in values:
                indexes.append(values.index(state[knob.name]))
            else:
                raise WorkbenchError(
                    f"{knob.name} must be one of {_some(values)}, but {state[knob.name]!r} came"
                )
        return tuple(indexes)

    def grid(self) -> Iterator[Indexes]:
        """Every state that the knobs can stand in, the last knob turning fastest."""
        if not any(knob.parent for knob in self.knobs):
            yield from itertools.product(*(range(len(knob.table[0])) for knob in self.knobs))
            return
        states: list[Indexes] = [()]
        for knob in self.knobs:
            states = [
                (*state, index)
                for state in states
                for index in range(len(knob.values(_parent_index(knob, self.knobs, state))))
            ]
        yield from states

    def says(self, indexes: Indexes) -> str:
        """The state in words: "kernel size 7, depth 4"."""
        state = self.values_at(indexes)
        return ", ".join(f"{knob.label} {text(state[knob.name])}" for knob in self.knobs)


def text(value: Value) -> str:
    """A value as a reader sees it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _knob(name: str, what: Any, earlier: Sequence[Knob]) -> Knob:
    played = isinstance(what, _Played)
    if isinstance(what, _Played):
        what = what.declared
    if not isinstance(what, _Linked):
        kind, values = _declared(name, what)
        return Knob(name, kind, (values,), play=played)
    parent = next((knob for knob in earlier if knob.name == what.parent), None)
    if parent is None or parent.parent:
        raise WorkbenchError(
            f"{name} is linked to {what.parent!r}, which must be an unlinked knob that is declared before it"
        )
    declared = [_declared(name, what.choices(value)) for value in parent.table[0]]
    kinds = {kind for kind, _ in declared}
    kind = kinds.pop() if len(kinds) == 1 else "choice"
    return Knob(name, kind, tuple(values for _, values in declared), parent=parent.name, play=played)


def _declared(name: str, what: Any) -> tuple[Kind, Values]:
    """A range or ascending numbers become a slider, other choices a menu, booleans a switch."""
    if what is bool:
        return "toggle", (False, True)
    if isinstance(what, Steps):
        return "range", what.values
    if not isinstance(what, range | list | tuple):
        raise WorkbenchError(
            f"the knob {name} must be a list of choices, a range, bool, linear(low, high, steps) "
            f"or logarithmic(low, high, steps), but {type(what).__name__} came"
        )
    values = tuple(what)
    if not values:
        raise WorkbenchError(
            f"the knob {name} has no values: a list or a range with at least one was expected"
        )
    wrong = [value for value in values if not isinstance(value, bool | int | float | str)]
    if wrong:
        raise WorkbenchError(
            f"the values of {name} must be numbers, texts or booleans, but {type(wrong[0]).__name__} came"
        )
    if len(set(values)) < len(values):
        raise WorkbenchError(f"the values of {name} must differ from each other, but {_some(values)} came")
    if set(map(type, values)) == {bool}:
        return "toggle", (False, True)
    ascending = all(isinstance(v, int | float) and math.isfinite(v) for v in values) and all(
        a < b for a, b in itertools.pairwise(values)
    )
    return ("range" if ascending and len(values) > 1 else "choice"), values


def _parent_index(knob: Knob, knobs: Sequence[Knob], indexes: Sequence[int]) -> int:
    if knob.parent is None:
        return 0
    return indexes[[other.name for other in knobs].index(knob.parent)]


def _check_range(low: float, high: float, steps: int) -> None:
    if not (low < high and isinstance(steps, int) and steps >= 2):
        raise WorkbenchError(
            f"a real range needs low < high and at least 2 steps; {low=}, {high=}, {steps=} came"
        )


def _tidy(value: float) -> float:
    """0.30000000000000004 is nobody's declared step."""
    return float(f"{value:.12g}")


def _some(values: Sequence[Value]) -> str:
    shown = ", ".join(map(repr, values[:8]))
    return f"{shown}, …" if len(values) > 8 else shown

"""What the judge says."""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "right",
    "values",  # a wrong number
    "nan",  # a NaN where a number was expected
    "shape",
    "dtype",
    "type",
    "blank",  # None came, or NotImplementedError
    "exception",
    "mutation",  # the inputs were changed
    "alias",  # the result shares memory with an input
    "stale",  # an earlier result changed later
    "threads",  # something still ran when the function returned
    "eager",  # an array of a kind of its own, which may work when somebody looks
    "drift",  # right at first, different on the same inputs later
    "timeout",
    "memory",
    "crash",
    "garbage",  # something else than a result came through the judge's pipe
    "load",  # the function could not be brought into its own process
]


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a fault of the call itself or a value (in the judge's plain form)."""

    fault: str = ""  # "" or a Kind, for an exception followed by its type
    value: Any = None


@dataclass(frozen=True)
class Ruling:
    """Whether a candidate is right, in one sentence, with what helps to see why."""

    passed: bool
    kind: Kind
    sentence: str
    case: int | None = None  # index of the case that the sentence is about
    call: str = ""  # that case as it would be typed
    lines: tuple[str, ...] = ()  # the candidate's own lines that raised
    printed: str = ""
    outcomes: tuple[Outcome, ...] = field(default=(), repr=False)  # of the first call to each case

    def __str__(self) -> str:
        parts = [self.sentence]
        if self.call:
            parts.append(f"  the call: {self.call}")
        parts += [f"  {line}" for line in self.lines]
        return "\n".join(parts)

"""What a rule is, and the list of all rules."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Scope = Literal["form", "lesson", "proof", "demand", "run", "book"]


@dataclass(frozen=True)
class Problem:
    """A breach of the contract: in which lesson, of which rule, and one sentence for the author."""

    lesson: str
    rule: str
    sentence: str

    def row(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """`find` looks for breaches and yields a sentence for each.

    What it looks at depends on `scope`: "form" and "lesson" a `Draft` (a lesson whose form is broken is
    not read any further), "proof" a `Draft` whose code it executes, "run" an `Executed` lesson, "demand"
    one that may not have been executed at all, "book" all drafts of a book at once, with the lesson's key
    before the sentence.
    """

    name: str
    says: str
    scope: Scope
    find: Callable[[Any], Iterable[Any]]


RULES: dict[str, Rule] = {}


def rule(name: str, says: str, scope: Scope = "lesson") -> Callable[[Callable], Callable]:
    """Adds a function to the contract under a name; `says` states the rule for authors."""

    def add(find: Callable[[Any], Iterable[Any]]) -> Callable:
        RULES[name] = Rule(name, says, scope, find)
        return find

    return add

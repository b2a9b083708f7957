"""Kernels of known worth, to judge judges by: right ones, ones with a slip of the pen, and cheats.

Everything follows from a seed. A judge should accept the honest kernels and the controls (mutants that
provably mean the same) and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from workbench.judge.equivalent import EQUIVALENT
from workbench.judge.frauds import frauds
from workbench.judge.honest import honest
from workbench.judge.mutants import mutants
from workbench.judge.source import Candidate
from workbench.judge.task import Task
from workbench.judge.verdict import Verdict
from workbench.judge.whole import Judge

PER_KERNEL = 8  # mutants of each honest kernel; where it has more, a draw decides


@dataclass(frozen=True, eq=False)
class Entry:
    """One candidate. right: whether it should be accepted. operator: what made a mutant; rule: which rule a
    cheat is made for; timed: whether that takes a clock."""

    name: str
    kind: Literal["honest", "mutant", "cheat"]
    task: Task
    candidate: Candidate
    right: bool
    about: str = ""
    operator: str = ""
    rule: str = ""
    timed: bool = False


@dataclass(frozen=True)
class Corpus:
    """Honest kernels, mutants (controls among them), and cheats."""

    honest: tuple[Entry, ...]
    mutants: tuple[Entry, ...]
    cheats: tuple[Entry, ...]

    @property
    def wrong_mutants(self) -> tuple[Entry, ...]:
        """Mutants that should be rejected."""
        return tuple(entry for entry in self.mutants if not entry.right)

    @property
    def controls(self) -> tuple[Entry, ...]:
        """Mutants that provably mean the same."""
        return tuple(entry for entry in self.mutants if entry.right)


class Judging(Protocol):
    """What `Judge` and `Published` have in common."""

    def many(self, pairs: Sequence[tuple[Task, Candidate]]) -> list[Verdict]:
        """A verdict for each candidate of a task."""


def corpus(seed: int = 0, per_kernel: int = PER_KERNEL) -> Corpus:
    """The corpus of a seed, which draws the mutants."""
    rng = np.random.default_rng(seed)
    right, slips = [], []
    for name, (task, source) in honest().items():
        right.append(Entry(name, "honest", task, source, True, task.sentence))
        every = mutants(source.text)
        for number in sorted(rng.permutation(len(every))[:per_kernel]):
            slip = every[number]
            full = f"{name}: {slip.name}"
            about = EQUIVALENT.get(full, "")
            changed = type(source)(slip.text, source.entry, source.backward)
            slips.append(Entry(full, "mutant", task, changed, slip.same or bool(about), about, slip.operator))
    cheats = tuple(
        Entry(each.name, "cheat", each.task, each.source, False, each.says, rule=each.rule, timed=each.timed)
        for each in frauds()
    )
    return Corpus(tuple(right), tuple(slips), cheats)


def judge_all(judge: Judging, entries: Sequence[Entry]) -> dict[str, Verdict]:
    """What a judge says of each entry, by name: cheats in a process each, all others in one while it lasts.

    For a cheat that takes a clock to see it, a `Judge` takes the time too.
    """
    others = [entry for entry in entries if entry.kind != "cheat"]
    verdicts = judge.many([(entry.task, entry.candidate) for entry in others])
    found = {entry.name: verdict for entry, verdict in zip(others, verdicts, strict=True)}
    for entry in entries:
        if entry.kind == "cheat":
            asked = replace(judge, timed=True) if isinstance(judge, Judge) and entry.timed else judge
            found[entry.name] = asked.many([(entry.task, entry.candidate)])[0]
    return {entry.name: found[entry.name] for entry in entries}

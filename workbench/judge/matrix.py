"""Which rule sees which cheat? Every rule is switched off once, and then held alone."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from workbench.judge.frauds import Fraud, frauds
from workbench.judge.rules import NAMES
from workbench.judge.verdict import Verdict
from workbench.judge.whole import WHOLE, Judge


@dataclass(frozen=True)
class Matrix:
    """Cheats against rules.

    caught[cheat][rule]: whether that rule alone, besides the plain comparison, rejects the cheat.
    needed[cheat]: the rules without which, all others held, it is accepted. accepted: cheats that pass all.
    """

    cheats: tuple[str, ...]
    rules: tuple[str, ...]
    caught: Mapping[str, Mapping[str, bool]]
    needed: Mapping[str, tuple[str, ...]]
    verdicts: Mapping[str, Verdict]

    @property
    def only(self) -> dict[str, str]:
        """The one rule that sees a cheat, for cheats that exactly one rule sees."""
        return {cheat: rules[0] for cheat, rules in self.needed.items() if len(rules) == 1}

    @property
    def accepted(self) -> tuple[str, ...]:
        """Cheats that no rule sees."""
        return tuple(cheat for cheat, verdict in self.verdicts.items() if verdict.accepted)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each cheat and rule."""
        return [
            {
                "cheat": cheat,
                "rule": rule,
                "caught": self.caught[cheat][rule],
                "only": self.only.get(cheat) == rule,
            }
            for cheat in self.cheats
            for rule in self.rules
        ]


def matrix(cheats: Sequence[Fraud] | None = None, judge: Judge = WHOLE) -> Matrix:
    """Asks every question of every cheat once, and reads off what each set of rules would have said."""
    cheats = frauds() if cheats is None else cheats
    patient = [fraud for fraud in cheats if not fraud.timed]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # each cheat has a process of its own
        found = dict(zip(patient, pool.map(lambda fraud: _faults(fraud, judge), patient), strict=True))
    found |= {fraud: _faults(fraud, judge) for fraud in cheats if fraud.timed}  # one at a time
    verdicts = {fraud.name: found[fraud] for fraud in cheats}
    every = judge.names
    return Matrix(
        cheats=tuple(verdicts),
        rules=tuple(name for name in NAMES if name in every),
        caught={
            cheat: {rule: not verdict.under({rule}) for rule in NAMES if rule in every}
            for cheat, verdict in verdicts.items()
        },
        needed={
            cheat: tuple(rule for rule in NAMES if rule in every and verdict.under(every - {rule}))
            for cheat, verdict in verdicts.items()
            if not verdict.accepted
        },
        verdicts=verdicts,
    )


def _faults(fraud: Fraud, judge: Judge) -> Verdict:
    return replace(judge, timed=fraud.timed).faults(fraud.task, fraud.source)

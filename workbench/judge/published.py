"""Judges that run a published protocol, for comparison with the whole one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.judge.protocols import Function, Said, kernelbench, robust
from workbench.judge.rules import RULES, Rule
from workbench.judge.session import Session
from workbench.judge.source import Candidate
from workbench.judge.task import Task, parts
from workbench.judge.verdict import Fault, Verdict
from workbench.judge.worker import Gone
from workbench.quantity import Quantity


@dataclass(frozen=True)
class Published:
    """A judge that runs a published protocol; called like a `Judge`.

    settings: how many shapes, and how many init settings of the task it asks for. checks: the rules that it
    has in effect. tests: random inputs of each setting. gradients: whether it asks for a backward pass.
    """

    name: str
    protocol: Callable[[Function, Function, Function | None, Any], Said]
    checks: frozenset[str]
    settings: int
    gradients: bool = False
    tests: int = 5
    timeout: float = 10.0
    memory_mib: float = 512.0

    @property
    def unchecked(self) -> tuple[Rule, ...]:
        """The rules that it does not have."""
        return tuple(rule for rule in RULES if rule.name not in self.checks)

    def with_(self, **changes: Any) -> "Published":
        """The same judge with, say, another number of `tests`."""
        return replace(self, **changes)

    def __call__(self, task: Task, candidate: Candidate) -> Verdict:
        """Judges one candidate."""
        return self.many([(task, candidate)])[0]

    def each(self, task: Task, candidates: Mapping[str, Candidate]) -> dict[str, Verdict]:
        """Judges many candidates of one task, in one process while it lasts."""
        verdicts = self.many([(task, candidate) for candidate in candidates.values()])
        return dict(zip(candidates, verdicts, strict=True))

    def many(self, pairs: Sequence[tuple[Task, Candidate]]) -> list[Verdict]:
        """Judges candidates of many tasks, in one process while it lasts."""
        session = Session(timeout=self.timeout, memory_mib=self.memory_mib, tolerance=1.0, aboard=True)
        session.protocol = self.protocol
        with session:
            return [self._judge(session, task, candidate) for task, candidate in pairs]

    def _judge(self, session: Session, task: Task, candidate: Candidate) -> Verdict:
        draws = self._draws(task)
        fault = session.load(task, candidate)
        if fault and (not fault.needs or self.gradients):
            return self._verdict(task, fault.kind, fault.sentence, 0.0, 0)
        try:
            kind, sentence, seconds = session.protocol_says(draws)
        except Gone as gone:
            session.revive()
            kind, sentence, seconds = gone.kind, f"the process ended ({gone.kind})", 0.0
        return self._verdict(task, kind, sentence, seconds, len(draws))

    def _verdict(self, task: Task, kind: str, sentence: str, seconds: float, calls: int) -> Verdict:
        from workbench.machine import machine_name
        from workbench.machine.clocks import now

        right = kind == "right"
        spent = Quantity(seconds, "s", "measured", machine=machine_name(), when=now()) if right else None
        faults = () if right else (Fault(frozenset(), kind, sentence),)
        return Verdict(
            task.name, right, kind=kind, sentence=sentence, calls=calls, faults=faults, seconds=spent
        )

    def _draws(self, task: Task) -> list[Any]:
        """Arguments of every trial, with an upstream gradient and its gradients where they are compared."""
        draws: list[Any] = []
        for shape in task.shapes[: self.settings]:
            for setting in range(min(self.settings, task.settings)):
                for seed in range(self.tests):
                    args, up, gradients = task.args(shape, seed=seed, setting=setting), None, None
                    if self.gradients and task.backward is not None:
                        result = parts(task.reference(*args))[0]
                        up = np.random.default_rng(seed).standard_normal(result.shape).astype(result.dtype)
                        gradients = parts(task.backward(up, *args))
                    draws.append((args, up, gradients))
        return draws


KERNELBENCH = Published("KernelBench", kernelbench, frozenset({"seeds", "nan"}), settings=1)
ROBUST_KBENCH = Published(
    "robust-kbench",
    robust,
    frozenset({"seeds", "nan", "shapes", "settings", "gradients", "twin"}),
    settings=2,
    gradients=True,
)

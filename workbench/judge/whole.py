"""The judge of kernels: every rule held, each one can be switched off.

Correctness comes first, time second, and both in a process of the candidate's own. The comparison, the
outer clock and the verdict stay here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from workbench.judge.probes import Probe, probes
from workbench.judge.rules import NAMES, RULES, Rule, named
from workbench.judge.session import CONDUCT, Session, minimal
from workbench.judge.source import ALLOWED, Candidate, imported
from workbench.judge.task import Task
from workbench.judge.verdict import Fault, Verdict

if TYPE_CHECKING:
    from workbench.machine.ceiling import Ceilings

COMPARING = ("twin", "nan")  # how answers are compared; the others say what is asked or looked at
SEEN = {rule: rule for rule, _, _ in CONDUCT}  # what is seen of a call, whatever was asked
ASKING = (*(name for name in NAMES if name not in COMPARING), *COMPARING)


@dataclass(frozen=True)
class Judge:
    """Judges candidates of kernel tasks by the rules given.

    tolerance: what counts as equal without the rule `twin`, relative and absolute. tests: random inputs of
    the main case. seed: from which the unpublished seeds follow. timeout: seconds for all calls of one
    candidate; patience: seconds for one call (default: all that are left); memory_mib: how much
    its process may grow. timed: take the time of what is right, in turns with
    the task's baseline. imports: the libraries that a candidate may use. ceilings: of which machine the floor
    is (default: this one's, measured or kept).
    """

    rules: tuple[Rule, ...] = RULES
    tolerance: float = 1e-2
    tests: int = 5
    seed: int = 0
    timeout: float = 20.0
    patience: float | None = None
    memory_mib: float = 512.0
    timed: bool = False
    imports: frozenset[str] = ALLOWED
    ceilings: "Ceilings | None" = None

    @property
    def names(self) -> frozenset[str]:
        """The rules that are held, by name."""
        return frozenset(rule.name for rule in self.rules)

    @property
    def unchecked(self) -> tuple[Rule, ...]:
        """The rules that are not held."""
        return tuple(rule for rule in RULES if rule.name not in self.names)

    def only(self, *names: str) -> "Judge":
        """The same judge with these rules alone."""
        return replace(self, rules=named(names))

    def without(self, *names: str) -> "Judge":
        """The same judge with these rules switched off."""
        named(names)
        return replace(self, rules=tuple(rule for rule in self.rules if rule.name not in names))

    def __call__(self, task: Task, candidate: Candidate) -> Verdict:
        """Judges one candidate, up to its first fault."""
        return self.many([(task, candidate)])[0]

    def each(self, task: Task, candidates: Mapping[str, Candidate]) -> dict[str, Verdict]:
        """Judges many candidates of one task, in one process while it lasts."""
        verdicts = self.many([(task, candidate) for candidate in candidates.values()])
        return dict(zip(candidates, verdicts, strict=True))

    def many(self, pairs: Sequence[tuple[Task, Candidate]]) -> list[Verdict]:
        """Judges candidates of many tasks, in one process while it lasts."""
        with self.open() as judged:
            return [judged(task, candidate) for task, candidate in pairs]

    @contextmanager
    def open(self) -> Iterator[Callable[[Task, Candidate], Verdict]]:
        """A function `(task, candidate)` that judges in one process while it lasts, for a search.

        Candidates that share a process can reach what earlier ones left in it: one that replaces a clock may
        have the next one rejected. Give a candidate that you do not trust a process of its own.
        """
        with self._session("apart" not in self.names) as session:
            yield partial(self._judge, session)

    def faults(self, task: Task, candidate: Candidate) -> Verdict:
        """Judges one candidate to the end: its verdict lists every fault, with the rules that see it.

        What fails in the main case is asked again where the reference is aboard, as in a judge without the
        rule `apart`: a candidate that lives on stealing is right there.
        """
        found = self._imports(candidate)
        with self._session("apart" not in self.names) as session:
            faults = self._all(session, task, candidate)
        if "apart" in self.names and any(not fault.needs for fault in faults):
            with self._session(True) as other:
                still = self._all(other, task, candidate)
            faults = [replace(fault, needs=fault.needs | {"apart"}) for fault in faults] + still
        found += faults
        held = [fault for fault in minimal(found) if fault.needs <= self.names]
        verdict = self._verdict(task, held[0] if held else None, session.calls)
        return replace(verdict, faults=tuple(held))

    def _session(self, aboard: bool) -> Session:
        return Session(
            timeout=self.timeout,
            patience=self.patience,
            memory_mib=self.memory_mib,
            tolerance=self.tolerance,
            aboard=aboard,
        )

    def _judge(self, session: Session, task: Task, candidate: Candidate) -> Verdict:
        held = self.names
        for fault in self._imports(candidate):
            return self._verdict(task, fault, 0)
        unloaded = session.load(task, candidate)
        if unloaded and unloaded.needs <= held:
            return self._verdict(task, unloaded, 0)
        for probe in probes(task, self.seed, self.tests):
            if probe.needs <= held:
                for fault in session.ask(probe):
                    if fault.needs <= held:
                        return self._verdict(task, fault, session.calls)
        if not self.timed:
            return self._verdict(task, None, session.calls)
        return self._timed(session, task)

    def _all(self, session: Session, task: Task, candidate: Candidate) -> list[Fault]:
        fault = session.load(task, candidate)
        if fault and not fault.needs:
            return [fault]
        found = [fault] if fault else []
        for probe in probes(task, self.seed, self.tests):
            if probe.upstream is None or fault is None:
                found += session.ask(probe)
                if session.left < 0:
                    break
        if self.timed and not any(not fault.needs for fault in found):
            from workbench.judge.timekeeping import Timekeeper

            found += Timekeeper(self, session, task).all_faults()
        return found

    def _timed(self, session: Session, task: Task) -> Verdict:
        from workbench.judge.timekeeping import Timekeeper

        keeper = Timekeeper(self, session, task)
        fault, told = keeper.verdict()
        verdict = self._verdict(task, fault, session.calls)
        return replace(verdict, **told)

    def _imports(self, candidate: Candidate) -> list[Fault]:
        """What a candidate's code imports beyond the list, unless that rule is off."""
        if "imports" not in self.names:
            return []
        try:
            others = sorted(imported(candidate) - self.imports)
        except SyntaxError as error:
            return [Fault(frozenset(), "load", f"the text is no Python: {error.msg}, line {error.lineno}")]
        if not others:
            return []
        sentence = f"it imports {', '.join(others)}, which is not on the list"
        return [Fault(frozenset({"imports"}), "imports", sentence)]

    def _verdict(self, task: Task, fault: Fault | None, calls: int) -> Verdict:
        if fault is None:
            held = len(self.rules) - sum(rule.timed for rule in self.rules) * (not self.timed)
            return Verdict(task.name, True, sentence=f"right by {held} rules", calls=calls)
        rule = next((name for name in (SEEN.get(fault.kind), *ASKING) if name in fault.needs), "")
        return Verdict(task.name, False, rule, fault.kind, fault.sentence, fault.call, calls, (fault,))


WHOLE = Judge()


def first_failures(
    task: Task,
    candidates: Mapping[str, Candidate],
    tests: int = 40,
    tolerance: float = 1e-2,
    seed: int = 0,
    patience: float = 1.0,
) -> dict[str, int | None]:
    """Which of `tests` random inputs of the main case is the first to tell each candidate from the truth.

    None where none does. Test 0 is the published seed; N tests accept a candidate if None came, or N or more.
    patience: seconds for one call.
    """
    rules = named(("nan", "seeds"))
    judge = Judge(rules, tolerance=tolerance, tests=tests, seed=seed, patience=patience)
    asked = [probe for probe in probes(task, seed, tests) if probe.needs <= {"seeds"}]
    found: dict[str, int | None] = {}
    with judge._session(aboard=True) as session:
        for name, candidate in candidates.items():
            fault = session.load(task, candidate)
            failed = fault is not None and not fault.needs
            found[name] = 0 if failed else _first_failure(session, asked, judge.names)
    return found


def _first_failure(session: Session, asked: Sequence[Probe], held: frozenset[str]) -> int | None:
    for number, probe in enumerate(asked):
        if any(fault.needs <= held for fault in session.ask(probe)):
            return number
    return None

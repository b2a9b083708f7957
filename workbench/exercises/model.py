"""An exercise: what is asked, how answers are checked, and what helps."""

import inspect
import sqlite3
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.exercises.show import BAD, GOOD, NOTE, box, code, prose, show
from workbench.judge import Ruling, Trial, Worker

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Function = Callable[..., Any]


@dataclass(frozen=True)
class Finding:
    """What a check found: passed or not, why in one sentence, and which known mistake it looks like."""

    exercise: str
    passed: bool
    sentence: str
    ruling: Ruling | None = None
    looks_like: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        lines = [f"{'✓' if self.passed else '✗'} {self.exercise}: {self.sentence}"]
        if self.ruling and not self.passed:
            lines += [f"  the call: {self.ruling.call}"] * bool(self.ruling.call)
            lines += [f"  {line}" for line in self.ruling.lines]
        if self.looks_like:
            lines += [f"  This looks like: {self.looks_like}.", f"  Hint: {self.hint}"]
        if printed := self._printed():
            lines += ["  Your function printed:", textwrap.indent(printed, "    ")]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        mark = "✓" if self.passed else "✗"
        parts = [f"<strong>{mark} {prose(self.exercise)}</strong>: {prose(self.sentence)}"]
        if self.ruling and not self.passed:
            parts += [code("\n".join((self.ruling.call, *self.ruling.lines)))] * bool(self.ruling.call)
        if self.looks_like:
            hint = prose(self.hint or "")
            parts += [f"This looks like: <em>{prose(self.looks_like)}</em>.", f"Hint: {hint}"]
        if printed := self._printed():
            parts += ["Your function printed:" + code(printed)]
        return box(GOOD if self.passed else BAD, *parts)

    def _printed(self) -> str:
        text = self.ruling.printed.strip() if self.ruling else ""
        return text if len(text) <= 1500 else text[:1500] + "\n[cut here]"


class Exercise:
    """One exercise, tested by its own wrong answers.

    name: `chapter/exercise`, as its module lies below `workbench/exercises`.
    signature: how the answer is called, e.g. `radius(field, share)`. ask: what is to be written.
    reference: the truth. inputs: a hypothesis strategy for tuples of arguments, or a function of a
    numpy generator that returns one; `examples` are cases that are always asked, besides `cases` drawn.
    wrong_answers: name of a mistake → (function that makes it, hint for whoever made it).
    also_right: right answers that are written differently. hints: from gentle to nearly all.
    solution: the function whose source `solution()` shows (default: the reference), with `explanation`.
    Further options are those of `workbench.judge.Trial` (rtol, atol, timeout, memory_mib, aliases, …).
    """

    def __init__(
        self,
        name: str,
        reference: Function,
        inputs: "SearchStrategy[tuple[Any, ...]] | Callable[[np.random.Generator], tuple[Any, ...]]",
        *,
        signature: str,
        ask: str,
        wrong_answers: Mapping[str, tuple[Function, str]],
        also_right: Sequence[Function],
        hints: Sequence[str],
        explanation: str,
        solution: Function | None = None,
        examples: Sequence[tuple[Any, ...]] = (),
        cases: int = 32,
        **options: Any,
    ) -> None:
        self.name, self.signature, self.ask = name, signature, inspect.cleandoc(ask)
        self.reference, self.inputs = reference, inputs
        self.wrong_answers, self.also_right = dict(wrong_answers), tuple(also_right)
        self.hints, self.explanation = tuple(hints), inspect.cleandoc(explanation)
        self.answer = solution or reference
        self._examples, self._cases = list(examples), cases
        self._options = {"name": signature.split("(")[0], **options}
        self._hints_shown = 0

    def __repr__(self) -> str:
        return f"{self.name}: {self.signature}\n{self.ask}"

    def _repr_html_(self) -> str:
        return box(NOTE, f"<strong>{prose(self.name)}</strong>" + code(self.signature), prose(self.ask))

    def check(self, answer: Function) -> None:
        """Shows whether the answer is right, or what it looks like. Never raises; prints instead."""
        start = time.monotonic()
        try:
            finding = self.examine(answer)
        except Exception as error:
            finding = Finding(self.name, False, f"The check itself failed: {error}")
        show(str(finding), finding._repr_html_())
        spent = round(time.monotonic() - start, 3)
        self._record("attempt", passed=finding.passed, looks_like=finding.looks_like, seconds=spent)

    def assert_right(self, answer: Function) -> None:
        """Raises AssertionError with the finding unless the answer is right: a grader's cell."""
        finding = self.examine(answer)
        if not finding.passed:
            raise AssertionError(str(finding))

    def examine(self, answer: Function) -> Finding:
        """The finding alone, neither shown nor recorded."""
        if not callable(answer):
            came = "None" if answer is None else f"an object of type {type(answer).__name__}"
            return Finding(self.name, False, f"A function `{self.signature}` is expected, but {came} came.")
        with Worker() as worker:  # starts while the cases are drawn
            trial = self.trial
            if reason := self._unfit(answer):
                return Finding(
                    self.name, False, f"The function cannot be called as `{self.signature}`: {reason}."
                )
            ruling = trial.judge(answer, worker)
        looks = None if ruling.passed else self.looks_like(ruling)
        hint = self.wrong_answers[looks][1] if looks else None
        sentence = ruling.sentence
        if ruling.kind == "blank" and not looks:
            sentence += f" Write `{self.signature}`, then run the check again."
        return Finding(self.name, ruling.passed, sentence, ruling, looks, hint)

    def looks_like(self, ruling: Ruling) -> str | None:
        """The wrong answer that behaves like the candidate on every case, if there is one."""
        alike = (name for name, known in self.behaviours.items() if self.trial.agree(ruling, known))
        return next(alike, None)

    def hint(self) -> None:
        """Shows the next hint; each one says a little more."""
        shown = self._hints_shown
        if shown == len(self.hints):
            text = "Those were all the hints. `solution()` shows an answer."
        else:
            self._hints_shown = shown + 1
            text = f"Hint {shown + 1} of {len(self.hints)}: {self.hints[shown]}"
            self._record("hint", number=shown + 1, of=len(self.hints))
        show(text, box(NOTE, prose(text)))

    def solution(self, now: bool = False) -> None:
        """Shows an answer and why it is right, after the last hint or `now`."""
        left = len(self.hints) - self._hints_shown
        if left and not now:
            more = "is 1 more hint" if left == 1 else f"are {left} more hints"
            text = (
                f"There {more}: `hint()` shows the next. `solution(now=True)` shows the answer all the same."
            )
            show(text, box(NOTE, prose(text)))
            return
        source = textwrap.dedent(inspect.getsource(self.answer)).rstrip()
        self._record("hint", number=len(self.hints) + 1, of=len(self.hints), solution=True)
        show(f"{source}\n\n{self.explanation}", box(NOTE, code(source), prose(self.explanation)))

    @cached_property
    def trial(self) -> Trial:
        """The cases with their expected values, the same in every process."""
        return Trial(self.reference, [*self._examples, *self._drawn()], **self._options)

    @cached_property
    def behaviours(self) -> dict[str, Ruling]:
        """What the judge says of every wrong answer."""
        return self.rule({name: wrong for name, (wrong, _) in self.wrong_answers.items()})

    def rule(self, functions: Mapping[str, Function]) -> dict[str, Ruling]:
        """Rules over functions that belong to the exercise, in one process while it lasts."""
        rulings, worker = {}, Worker()
        try:
            for name, function in functions.items():
                worker = Worker() if worker.closed else worker
                rulings[name] = self.trial.judge(function, worker, keep=True, trusted=True)
        finally:
            worker.close()
        return rulings

    def _drawn(self) -> list[tuple[Any, ...]]:
        inputs: Any = self.inputs
        if not hasattr(inputs, "example"):  # a plain function of a generator
            return [inputs(np.random.default_rng(number)) for number in range(self._cases)]
        from workbench.judge.profiles import sample

        return sample(inputs, self._cases)

    def _unfit(self, answer: Function) -> str | None:
        """Why the answer does not take the arguments of a case, from its signature."""
        try:
            inspect.signature(answer).bind(*self.trial.cases[0])
        except TypeError as error:
            return str(error)
        except ValueError:  # a builtin without a signature
            pass
        return None

    def _record(self, kind: str, **payload: Any) -> None:
        """Writes to the reader's ledger; a ledger that cannot be written never stops a lesson."""
        from workbench.claims.ledger import Ledger

        try:
            Ledger().add(kind, exercise=self.name, **payload)
        except (WorkbenchError, OSError, sqlite3.Error) as error:
            text = f"This was not written to your ledger: {error}"
            show(text, box(NOTE, prose(text)))

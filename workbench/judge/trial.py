"""Cases with their expected values, and the trial of any number of candidates against them."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.judge import wire
from workbench.judge.compare import compare, describe, has_nan
from workbench.judge.hearing import Hearing
from workbench.judge.ruling import Ruling
from workbench.judge.worker import Worker

Function = Callable[..., Any]


class Trial:
    """Cases and their expected values; `judge` puts one candidate on trial.

    cases: tuples of arguments (numbers, strings, arrays, tensors; lists, tuples, dicts of these).
    Expected values are computed here, from copies of the inputs, with arrays narrower than float64
    widened where the reference takes them so. Raises WorkbenchError when the reference itself
    fails, or returns a NaN: such a case could accept anything.

    rtol, atol: see `compare`. timeout: seconds for all calls together. memory_mib: how much the
    process may grow during a call. rounds: how often every case is asked, in shuffled order.
    aliases: whether the result may share memory with an input. name: what sentences call the
    function.

    Every call is watched as the rules for kernels say: inputs unchanged, an array of numpy's own that shares
    no memory with an input, earlier results untouched, unset memory poisoned, inputs in arrays that have held
    other values before, nothing left running, the reference in another process.
    """

    def __init__(
        self,
        reference: Function,
        cases: Sequence[tuple[Any, ...]],
        *,
        rtol: float = 1e-6,
        atol: float = 1e-12,
        timeout: float = 10.0,
        memory_mib: float = 512.0,
        rounds: int = 3,
        aliases: bool = False,
        name: str = "",
    ) -> None:
        if not cases:
            raise WorkbenchError("a trial needs at least one case, but none came")
        self.rtol, self.atol = rtol, atol
        self.timeout, self.memory_mib, self.rounds, self.aliases = timeout, memory_mib, rounds, aliases
        self.name = name or getattr(reference, "__name__", "f")
        self._names = _names(reference)
        self.cases = [wire.plain(tuple(case), trusted=True) for case in cases]
        self.expected = [self._expect(reference, i) for i in range(len(cases))]

    def judge(
        self,
        candidate: Function,
        worker: Worker | None = None,
        *,
        keep: bool = False,
        trusted: bool = False,
    ) -> Ruling:
        """Calls the candidate in `worker`, or in a fresh process, and rules.

        keep: leave the worker open for the next candidate. trusted: the candidate may come from
        `workbench.exercises`; others are refused when they lean on it.
        """
        with Hearing(self, candidate, worker or Worker(), keep=keep) as hearing:
            ruling = hearing.ruling(trusted)
        return ruling if keep else replace(ruling, printed=hearing.worker.printed())

    def agree(self, one: Ruling, other: Ruling) -> bool:
        """Whether two candidates behaved the same on every case: equal values, equal faults."""
        return (
            one.kind == other.kind
            and len(one.outcomes) == len(other.outcomes)
            and all(
                a.fault == b.fault
                and compare(a.value, b.value, rtol=self.rtol, atol=self.atol, nan_equal=True) is None
                for a, b in zip(one.outcomes, other.outcomes, strict=True)
            )
        )

    def call(self, case: int) -> str:
        """A case as it would be typed; large arrays by shape and dtype."""
        args = self.cases[case]
        named = self._names if len(self._names) == len(args) else [""] * len(args)
        return f"{self.name}({', '.join(name + _typed(arg) for name, arg in zip(named, args, strict=True))})"

    def _expect(self, reference: Function, i: int) -> Any:
        try:
            value = wire.plain(reference(*wire.alive(_widened(self.cases[i]))))
        except Exception:
            try:
                value = wire.plain(reference(*wire.alive(self.cases[i])))
            except Exception as error:
                kind = type(error).__name__
                raise WorkbenchError(f"the reference fails on {self.call(i)} with {kind}: {error}") from error
        if has_nan(value):
            raise WorkbenchError(
                f"the reference returns a NaN on {self.call(i)}, which could accept anything"
            )
        for leaf in wire.leaves(value):
            if isinstance(leaf, wire.Other):
                raise WorkbenchError(f"the reference returns {leaf.name} on {self.call(i)}: no comparison")
        return value


def judge(
    candidate: Function, reference: Function, cases: Sequence[tuple[Any, ...]], **options: Any
) -> Ruling:
    """Is the candidate right on these cases? Options are those of `Trial`.

    >>> judge(lambda x: x + x, lambda x: 2 * x, [(1.5,), (np.ones(3),)]).passed
    True
    """
    with Worker() as worker:  # starts while the expected values are computed
        return Trial(reference, cases, **options).judge(candidate, worker)


def _names(function: Function) -> list[str]:
    try:
        return [f"{name}=" for name in inspect.signature(function).parameters]
    except (TypeError, ValueError):
        return []


def _widened(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_widened(item) for item in value)
    if isinstance(value, dict):
        return {key: _widened(item) for key, item in value.items()}
    if isinstance(value, wire.Array) and value.data.dtype.kind in "fc":
        wide = value.data.astype(np.result_type(value.data.dtype, np.float64))  # keeps the layout
        return replace(value, data=wide, dtype="")
    return value


def _typed(value: Any) -> str:
    if isinstance(value, wire.Array):
        if value.data.size > 30:
            return f"<{describe(value)}, {value.dtype or value.data.dtype}>"
        short = np.array2string(value.data, separator=", ", precision=4, max_line_width=10_000)
        return ("tensor(" if value.library == "torch" else "array(") + " ".join(short.split()) + ")"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(map(_typed, value[:8])) + (", …" if len(value) > 8 else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, wire.Pickled):
        return "…"
    return repr(value)[:80]

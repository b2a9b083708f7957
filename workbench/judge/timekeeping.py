"""How fast is a kernel that is right? Taken in turns with a baseline, each in a process of its own.

Every timed call gets values that were never seen before, is timed alone by a clock that was kept before the
candidate was loaded, and some of the timed results are compared like any other. Then the sum is held against
the clock on this side of the pipe, and the time of a call against what the machine can do at all.
"""

from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.judge.closeness import differences
from workbench.judge.probes import sizes, unpublished
from workbench.judge.session import Session
from workbench.judge.task import Task
from workbench.judge.verdict import Fault
from workbench.judge.worker import Gone
from workbench.quantity import Quantity

if TYPE_CHECKING:
    from workbench.judge.whole import Judge

ROUNDS = 9
CALLS = 3  # timed calls of a round, each on values of its own
KEPT_ANSWER = 3.0  # so many times faster on known values means that answers are kept
LEAST_SAVING = 2e-5  # seconds; below, the clock and the caches may do it
LATE = 0.05  # seconds by which the outer clock may be ahead of twice the inner one, every time
FLOOR_SLACK = 0.5  # ceilings are measured too: half of the floor is beyond doubt
CACHE_SLACK = 0.9


class Timekeeper:
    """Takes the time of the candidate that a session has loaded."""

    def __init__(self, judge: "Judge", session: Session, task: Task) -> None:
        self.judge, self.session, self.task = judge, session, task
        self.shape = task.timing or task.main
        self.rng = np.random.default_rng(judge.seed)
        self.replaced = False  # the clock of the process
        self.late: list[float] = []  # seconds by which the outer clock was ahead of twice the inner one
        self.wall = self.cpu = 0.0  # seconds of all timed calls, both sides

    def verdict(self) -> tuple[Fault | None, dict[str, Any]]:
        """The first fault in time, and what was measured."""
        held = self.judge.names
        try:
            faults, told = self._measure(kept_clock="clock" in held, fresh="fresh" in held)
        except Gone as gone:
            return Fault(frozenset(), gone.kind, "the function did not survive being timed"), {}
        seen = [fault for fault in faults if fault.needs <= held]
        return (seen[0] if seen else None), told

    def all_faults(self) -> list[Fault]:
        """Every fault in time."""
        try:
            return self._measure(kept_clock=True, fresh=True)[0]
        except Gone as gone:
            return [Fault(frozenset(), gone.kind, "the function did not survive being timed")]

    def _measure(self, kept_clock: bool, fresh: bool) -> tuple[list[Fault], dict[str, Any]]:
        task, faults = self.task, list[Fault]()
        seeds = iter(unpublished(self.judge.seed + 1, (ROUNDS + 1) * CALLS))
        nbytes = sum(value.nbytes for value in task.truth(task.args(self.shape)))
        mine: list[float] = []
        theirs: list[float] = []
        known: list[float] = []
        with Session(timeout=self.judge.timeout, memory_mib=self.judge.memory_mib, tolerance=1.0) as other:
            other.load(task, task.baseline or task.reference)
            warm = [task.args(self.shape, seed=next(seeds)) for _ in range(CALLS)]
            for session in (self.session, other):
                self._spent(session, warm, nbytes, kept_clock)
            for turn in range(ROUNDS):
                sets = [task.args(self.shape, seed=next(seeds)) for _ in range(CALLS)] if fresh else warm[:1]
                turns = [(self.session, mine), (other, theirs)]
                for session, times in turns if turn % 2 else turns[::-1]:
                    spent, wrong = self._spent(
                        session, sets, nbytes, kept_clock, check=turn in (0, ROUNDS - 1)
                    )
                    if session is self.session:
                        faults += wrong
                        if not spent:
                            return faults, {}
                    times.append(median(spent) if spent else float("nan"))
                again, _ = self._spent(self.session, sets[-1:], nbytes, kept_clock)
                known += again
        if lie := self._lie():
            faults.append(Fault(frozenset({"clock"}), "clock", lie, self._call()))
        best, best_known = min(mine), min(known)
        if best > KEPT_ANSWER * best_known and best - best_known > LEAST_SAVING:
            sentence = f"on values that it knows a call takes {best_known:.2g} s, on new ones {best:.2g} s"
            faults.append(Fault(frozenset({"fresh"}), "cache", sentence, self._call()))
        return self._told(faults, mine, theirs)

    def _told(
        self, faults: list[Fault], mine: list[float], theirs: list[float]
    ) -> tuple[list[Fault], dict[str, Any]]:
        """Adds the floor, and turns times into quantities."""
        from workbench.machine import machine_name
        from workbench.machine.clocks import CONTENDED, contention, now

        def measured(values: list[float], unit: str) -> Quantity:
            low, high = np.percentile(values, [25, 75])
            middle = float(np.median(values))
            return Quantity(middle, unit, "measured", float(low), float(high), machine_name(), now())

        told: dict[str, Any] = {"seconds": measured(mine, "s"), "baseline": measured(theirs, "s")}
        ratios = [b / max(a, 1e-9) for a, b in zip(mine, theirs, strict=True)]
        told["speedup"] = measured(ratios, "")
        told["contended"] = contention(self.wall, self.cpu) > CONTENDED
        floors = self._floors()
        if floors is not None:
            nearest, memory = floors
            seconds = told["seconds"].value
            told["floor"] = nearest
            if seconds < FLOOR_SLACK * nearest.value:
                sentence = (
                    f"a call took {seconds:.2g} s, but this machine needs at least {nearest.value:.2g} s "
                    "for the work: it was done before, later, or not at all"
                )
                faults.append(Fault(frozenset({"floor"}), "floor", sentence, self._call()))
            elif seconds < CACHE_SLACK * memory.value:
                told["label"] = "cache"
        return faults, told

    def _floors(self) -> tuple[Quantity, Quantity] | None:
        """Fewest seconds for the work from the nearest memory, and from main memory."""
        flops = self.task.flops(self.shape) if self.task.flops else 0
        moved = self.task.bytes(self.shape) if self.task.bytes else 0
        if not (flops or moved) or "floor" not in self.judge.names:
            return None
        limits = self.judge.ceilings
        if limits is None:
            from workbench.machine import ceilings

            limits = ceilings(quick=True)
        dtype = "float64" if self.task.dtype == "float64" else "float32"
        nearest, *_ = limits.levels
        return (
            limits.floor(flops=flops, bytes=moved, dtype=dtype, level=nearest),
            limits.floor(flops=flops, bytes=moved, dtype=dtype, level="DRAM"),
        )

    def _spent(
        self,
        session: Session,
        sets: list[tuple[Any, ...]],
        nbytes: int,
        kept_clock: bool,
        check: bool = False,
    ) -> tuple[list[float], list[Fault]]:
        """Seconds of one call on each set (or of several on the only one)."""
        repeats = max(CALLS, len(sets))
        chosen = int(self.rng.integers(repeats))
        told = session.time(sets, repeats, chosen, nbytes, kept_clock)
        if "error" in told:
            kind, sentence = told["error"]
            return [], [Fault(frozenset(), kind, sentence, self._call())]
        self.wall, self.cpu = self.wall + told["wall"], self.cpu + told["cpu"]
        if session is self.session:
            self.replaced |= not told["kept"]
            self.late.append(told["outside"] - 2 * told["whole"])
        wrong: list[Fault] = []
        if check:
            expected = self.task.expected(sets[chosen % len(sets)])
            wrong = [
                Fault(needs | {"drift"}, kind, f"while time was taken, {sentence}", self._call())
                for needs, kind, sentence in differences(expected, told["value"], self.judge.tolerance)
            ]
        return told["spent"], wrong

    def _lie(self) -> str:
        """Why the inner clock cannot be true. A busy machine delays some answers, a slowed clock all."""
        if self.replaced:
            return "the clock of its process was replaced"
        least = min(self.late, default=0.0)
        return f"the clock outside was always {least:.2g} s ahead or more" if least > LATE else ""

    def _call(self) -> str:
        return f"{self.task.name}: {sizes(self.shape)}, timed"

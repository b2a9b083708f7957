"""What travels between the runner, its workers and other machines: a job, its limits, its outcome."""

from dataclasses import dataclass
from typing import Any, Literal

from workbench.lessons.model import Cost, Lesson

Status = Literal["ok", "failed", "timeout", "memory", "crashed", "interrupted"]

# A lesson may be slower than declared (a laptop, a neighbour that streams memory) before it counts as hung.
LESSON_SLACK, LESSON_GRACE = 4, 30  # deadline = 4 x the declared seconds + 30 s
CELL_SLACK, CELL_GRACE = 3, 20  # no cell may take longer than 3 x the declared seconds + 20 s
MEMORY_SLACK, MEMORY_GRACE = 2, 512  # limit = twice the declared MiB, or 512 MiB more, whichever is larger
UNDECLARED = {"smoke": Cost(60, 1024), "lesson": Cost(240, 2048), "full": Cost(3600, 4096)}


@dataclass(frozen=True)
class Limits:
    """What a lesson may use before it is stopped.

    `mib` bounds each of its processes by what they allocate, so that the guilty cell gets a MemoryError;
    half as much again bounds all of them together by what they hold in memory.
    """

    cell_seconds: float
    seconds: float
    mib: float

    @classmethod
    def of(cls, cost: Cost | None, budget: str) -> "Limits":
        """From the declared cost, with slack; a lesson that declares none gets the budget's default."""
        cost = cost or UNDECLARED[budget]
        return cls(
            cell_seconds=CELL_SLACK * cost.seconds + CELL_GRACE,
            seconds=LESSON_SLACK * cost.seconds + LESSON_GRACE,
            mib=max(MEMORY_SLACK * cost.mib, cost.mib + MEMORY_GRACE),
        )

    def but(self, cell_seconds: float | None, seconds: float | None, mib: float | None) -> "Limits":
        """The same, with those replaced that are given."""
        return Limits(cell_seconds or self.cell_seconds, seconds or self.seconds, mib or self.mib)


@dataclass(frozen=True)
class Job:
    """One lesson to execute. The notebook travels as text, because a worker need not share a disk."""

    lesson: str
    budget: str
    notebook: str
    limits: Limits
    threads: int
    systems: tuple[str, ...] = ()
    exclusive: bool = False

    @classmethod
    def of(cls, lesson: Lesson, budget: str, limits: Limits, threads: int) -> "Job":
        text = lesson.path.read_text(encoding="utf-8")
        return cls(lesson.key, budget, text, limits, threads, lesson.systems, lesson.exclusive)

    @classmethod
    def of_fields(cls, fields: dict[str, Any]) -> "Job":
        """From plain JSON values, as `dataclasses.asdict` makes them."""
        limits, systems = Limits(**fields["limits"]), tuple(fields["systems"])
        return cls(**{**fields, "limits": limits, "systems": systems})


@dataclass(frozen=True)
class Outcome:
    """What came of a job. `notebook` is the executed one, as far as it got; `inputs` decides about reuse."""

    status: Status
    error: str | None = None
    seconds: float = 0.0
    peak_mib: float = 0.0
    notebook: str | None = None
    inputs: dict[str, Any] | None = None
    ledger: tuple[dict[str, Any], ...] = ()
    machine: str = ""
    when: str = ""

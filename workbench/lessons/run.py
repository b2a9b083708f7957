"""Runs lessons with papermill, each in processes of its own, and keeps what came of them.

    run(find(["01"]), budget="smoke", jobs=2)

An executed lesson lies in `runs/<budget>/<key>.ipynb` of the build folder, its record (the row, the
hashes of all that went into it, machine and date, what it wrote to the ledger) beside it in `<key>.json`.
A lesson that did not end well leaves both as `<key>.failed.*` for its author, and earlier good ones alone.
"""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workbench import _paths
from workbench.budget import BUDGETS
from workbench.errors import WorkbenchError
from workbench.lessons import executors, reuse
from workbench.lessons.job import Job, Limits, Outcome, Status
from workbench.lessons.launch import Launcher
from workbench.lessons.model import Lesson
from workbench.machine.here import usable_cores

FORMAT = 1  # of the records; raise it when old ones can no longer be read


@dataclass(frozen=True)
class RunResult:
    """What came of one lesson. `error` is one sentence that names the cell that did it.

    `seconds` is wall time from asking for the kernel to the end of the last cell. `peak_mib` is the most
    that the kernel ever held (the libraries that a warm one has loaded included) or, sampled, that the
    kernel and all that it started held together, pages that they share counted once.
    """

    lesson: str
    budget: str
    status: Status
    seconds: float
    peak_mib: float
    reused: bool = False
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """The result for programs: lesson, budget, status, seconds, peak_mib, reused, error."""
        return asdict(self)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def notebook(self) -> Path:
        """The executed notebook; of a lesson that did not end well, as far as it got."""
        return _place(self.budget, self.lesson, ".ipynb" if self.ok else ".failed.ipynb")


@dataclass(frozen=True)
class Event:
    """Something that happened: `kind` is started, cell (the `cell`th of `cells` begins) or finished."""

    lesson: str
    kind: str
    cell: int = 0
    cells: int = 0
    result: RunResult | None = None

    def __str__(self) -> str:
        if self.result is None:
            return f"{self.lesson}: " + (f"cell {self.cell} of {self.cells}" if self.cell else self.kind)
        if self.result.reused:
            return f"{self.lesson}: unchanged, reused"
        status, seconds, peak = self.result.status, self.result.seconds, self.result.peak_mib
        error = f". {self.result.error}" if self.result.error else ""
        return f"{self.lesson}: {status} after {seconds:.1f} s, {peak:.0f} MiB{error}"


def run(
    lessons: Sequence[Lesson],
    budget: str = "smoke",
    jobs: int = 1,
    executor: str | Launcher = "local",
    force: bool = False,
    progress: Callable[[Event], None] | None = None,
    *,
    cell_seconds: float | None = None,
    seconds: float | None = None,
    mib: float | None = None,
) -> list[RunResult]:
    """Executes `lessons` and returns their results in the same order.

    `jobs` lessons run at a time with an equal share of the cores each; a lesson declared exclusive runs
    alone with all of them. `executor` is "local", "dask" (a cluster of `jobs` processes on this computer)
    or the address of a Dask scheduler, whose workers then decide how many run at a time; or a `Launcher`
    that several runs share. An unchanged lesson is not run again unless `force`. `progress` hears of
    every step, from one thread at a time.
    `cell_seconds`, `seconds` and `mib` replace the limits that follow from a lesson's declared cost.

    An interrupt (Ctrl-C) ends what runs: finished lessons are kept, the rest is "interrupted", and the
    next run goes on from there. A second one raises KeyboardInterrupt.
    """
    if budget not in BUDGETS:
        raise WorkbenchError(f"budget must be one of {', '.join(BUDGETS)}, but {budget!r} came")
    if jobs < 1:
        raise WorkbenchError(f"jobs must be at least 1, but {jobs} came")
    one_at_a_time = threading.Lock()

    def tell(event: Event) -> None:
        if progress:
            with one_at_a_time:
                progress(event)

    results: dict[str, RunResult] = {}
    queued: list[Job] = []
    for lesson in lessons:
        if not force and (result := _reuse(lesson, budget)):
            results[lesson.key] = result
            tell(Event(lesson.key, "finished", result=result))
        else:
            limits = Limits.of(lesson.cost.get(budget), budget).but(cell_seconds, seconds, mib)
            share = usable_cores() if lesson.exclusive else max(1, usable_cores() // jobs)
            queued.append(Job.of(lesson, budget, limits, share))
    if queued:
        with _interruptible() as stopped:
            for job, outcome in _execute(queued, jobs, executor, tell, stopped):
                results[job.lesson] = result = _keep(job, outcome)
                tell(Event(job.lesson, "finished", result=result))
    return [results[lesson.key] for lesson in lessons]


def _execute(
    jobs: Sequence[Job],
    at_once: int,
    executor: str | Launcher,
    tell: Callable[[Event], None],
    stopped: threading.Event,
) -> executors.Finished:
    def hear(lesson: str, event: dict[str, Any]) -> None:
        tell(Event(lesson, event["event"], event.get("cell", 0), event.get("cells", 0)))

    if isinstance(executor, Launcher):
        return executors.local(jobs, at_once, hear, stopped, executor)
    if executor == "local":
        return executors.local(jobs, at_once, hear, stopped)
    return executors.on_dask(jobs, at_once, hear, stopped, None if executor == "dask" else executor)


def _reuse(lesson: Lesson, budget: str) -> RunResult | None:
    """The earlier result of a lesson, if nothing that went into it has changed since."""
    try:
        record = json.loads(_place(budget, lesson.key, ".json").read_text(encoding="utf-8"))
        executed = _place(budget, lesson.key, ".ipynb").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    source = lesson.path.read_text(encoding="utf-8")
    if (
        record.get("format") != FORMAT
        or record["executed"] != reuse.digest(executed)
        or not reuse.unchanged(record["inputs"], source)
    ):
        return None
    _forget_failure(budget, lesson.key)
    _merge(record["ledger"])
    row = {field: record[field] for field in RunResult.__dataclass_fields__}
    return replace(RunResult(**row), reused=True)


def _keep(job: Job, outcome: Outcome) -> RunResult:
    """Writes notebook and record, the record last: it vouches for the notebook."""
    result = RunResult(
        job.lesson, job.budget, outcome.status, outcome.seconds, outcome.peak_mib, error=outcome.error
    )
    if outcome.status == "interrupted":
        return result
    record = {
        "format": FORMAT,
        **result.row(),
        "machine": outcome.machine,
        "when": outcome.when,
        "threads": job.threads,
        "limits": asdict(job.limits),
        "executed": reuse.digest(outcome.notebook or ""),
        "inputs": outcome.inputs,
        "ledger": outcome.ledger,
    }
    good = "" if result.ok else ".failed"
    if outcome.notebook:  # a worker that died brings none
        _write(_place(job.budget, job.lesson, f"{good}.ipynb"), outcome.notebook)
    _write(_place(job.budget, job.lesson, f"{good}.json"), json.dumps(record, indent=1, default=str))
    if result.ok:
        _merge(outcome.ledger)
        _forget_failure(job.budget, job.lesson)
    return result


def _forget_failure(budget: str, lesson: str) -> None:
    for suffix in (".failed.ipynb", ".failed.json"):
        _place(budget, lesson, suffix).unlink(missing_ok=True)


def _merge(rows: Sequence[dict[str, Any]]) -> None:
    """What lessons measured and the reader did in them, into the reader's own ledger."""
    if rows:
        from workbench.claims.ledger import Ledger

        Ledger().merge(rows)


def _place(budget: str, lesson: str, suffix: str) -> Path:
    return _paths.build_dir() / "runs" / budget / f"{lesson}{suffix}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, once; it takes effect between results, never amid the writing of one."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(signum: int, frame: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)

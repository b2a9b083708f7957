"""Builds the zoo: many networks at once, here or on a Dask cluster, going on where it was stopped."""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from workbench.errors import WorkbenchError
from workbench.zoo import store
from workbench.zoo.arm_table import Arm, arms
from workbench.zoo.growing import Grown, grow

State = Literal["entered", "turned away", "there already", "failed"]
POLL = 0.5  # seconds between looks at what is finished


@dataclass(frozen=True)
class Outcome:
    """What came of one arm: it entered, did not beat `bar`, was there already, or failed with `error`."""

    arm: Arm
    state: State
    score: float | None = None
    bar: float | None = None
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """For a table: name, state, score, bar, error."""
        found = {"name": self.arm.name, "state": self.state}
        return found | {"score": self.score, "bar": self.bar, "error": self.error}

    def __str__(self) -> str:
        if self.state == "failed":
            return f"{self.arm.name}: failed. {self.error}"
        if self.score is None or self.bar is None:
            return f"{self.arm.name}: {self.state}"
        beside = "beats" if self.state == "entered" else "does not beat"
        return f"{self.arm.name}: {self.state}, {self.score:.3f} {beside} {self.bar:.3f}"


Progress = Callable[[int, int, Outcome], None]


def build(
    budget: str = "lesson",
    jobs: int = 1,
    executor: str = "local",
    folder: Path | str | None = None,
    progress: Progress | None = None,
    chosen: Sequence[Arm] | None = None,
) -> list[Outcome]:
    """Trains the networks of a budget that are not there yet, and puts each into the database when done.

    jobs: networks at a time, each in a process with one thread. executor: "local", "dask" (a cluster of
    `jobs` processes on this computer) or the address of a Dask scheduler, whose workers need share no disk
    with this process. folder: of the database, the reader's own by default. progress: called with (done, of
    how many, outcome). chosen: other arms than the budget's.

    An interrupt loses no network that was finished, and of one that was not at most ten seconds, where the
    same computer goes on with it. A network that does not beat what costs nothing is noted in `turned-away/`
    and not trained again.
    """
    if jobs < 1:
        raise WorkbenchError(f"jobs must be at least 1, but {jobs} came")
    place = store.home() if folder is None else Path(folder)
    wanted = list(arms(budget) if chosen is None else chosen)
    outcomes: dict[Arm, Outcome] = {}

    def tell(outcome: Outcome) -> None:
        outcomes[outcome.arm] = outcome
        if progress:
            progress(len(outcomes), len(wanted), outcome)

    waiting = []
    for arm in wanted:
        if outcome := _before(place, arm):
            tell(outcome)
        else:
            waiting.append(arm)
    if waiting:
        # A process fetches its next task early, and an interrupt could not take that back: hand out few.
        at_once = jobs if executor == "local" else len(waiting)
        with _executor(executor, min(jobs, len(waiting))) as pool:
            for arm, future in _finished(pool, waiting, at_once):
                tell(_kept(place, arm, future))
    return [outcomes[arm] for arm in wanted]


def _before(place: Path, arm: Arm) -> Outcome | None:
    """What an earlier build has made of the arm."""
    if store.has(place, arm.model_id):
        return Outcome(arm, "there already")
    with contextlib.suppress(OSError, ValueError, KeyError):
        note = json.loads(_note(place, arm).read_text(encoding="utf-8"))
        return Outcome(arm, "turned away", note["score"], note["bar"])
    return None


def _kept(place: Path, arm: Arm, future: "Future[Grown]") -> Outcome:
    """Writes what came of an arm."""
    try:
        grown = future.result()
    except WorkbenchError as error:
        return Outcome(arm, "failed", error=str(error))
    except Exception as error:  # whatever befell this one, the others go on
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return Outcome(arm, "failed", error=f"{type(error).__name__}: {reason}")
    if grown.entry is None:
        with store.beside(_note(place, arm)) as path:
            note = {"name": arm.name, "score": grown.score, "trivial": grown.trivial, "bar": grown.bar}
            path.write_text(json.dumps(note), encoding="utf-8")
        return Outcome(arm, "turned away", grown.score, grown.bar)
    store.write(place, grown.entry)
    return Outcome(arm, "entered", grown.score, grown.bar)


def _note(place: Path, arm: Arm) -> Path:
    return place / "turned-away" / f"{arm.model_id}.json"


def _finished(pool: Executor, waiting: Sequence[Arm], at_once: int) -> "Iterator[tuple[Arm, Future[Grown]]]":
    """Each arm as it is done; when this is left early, what has not begun never does."""
    queue = list(reversed(waiting))
    running: dict[Future[Grown], Arm] = {}
    try:
        while queue or running:
            while queue and len(running) < at_once:
                arm = queue.pop()
                running[pool.submit(_grow, arm)] = arm
            done, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future
    finally:
        for future in running:
            future.cancel()


def _grow(arm: Arm) -> Grown:
    """In a process of its own: one thread, as many processes share the computer."""
    import torch

    torch.set_num_threads(1)
    return grow(arm)


def _quiet() -> None:
    """Ctrl-C reaches all processes: between trainings, which note it themselves, only the parent obeys."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _executor(name: str, jobs: int) -> Iterator[Executor]:
    if name == "local":
        with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_quiet) as pool:
            yield pool
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise WorkbenchError("Dask is not installed: pip install 'kernel-workbench[dask]'") from None
    with contextlib.ExitStack() as stack:
        target: Any = name
        if name == "dask":
            cluster = LocalCluster(jobs, threads_per_worker=1, dashboard_address=None, silence_logs=50)
            target = stack.enter_context(cluster)
        try:
            client = Client(target, timeout=10, set_as_default=False)
        except (OSError, ValueError):
            raise WorkbenchError(
                f"an executor is local, dask or the address of a Dask scheduler, but {name!r} came"
            ) from None
        yield stack.enter_context(stack.enter_context(client).get_executor(pure=False))

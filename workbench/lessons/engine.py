"""Executes one lesson with papermill inside its limits, and says in one sentence what went wrong."""

import contextlib
import json
import math
import queue
import re
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from workbench.lessons import reuse
from workbench.lessons.job import Job, Limits, Outcome, Status
from workbench.lessons.kernel import INVENTORY, Settings
from workbench.lessons.tree import Tree, own_mib, peak_mib
from workbench.machine.here import machine_name

KERNEL = "python3"
TOGETHER = 1.5  # all processes of a lesson together may hold this much more than each may allocate
OUT_OF_MEMORY = re.compile("MemoryError|alloc(ate)? memory|bad_alloc|not enough memory")
Tell = Callable[[dict[str, Any]], None]


def execute(job: Job, settings: Settings, process: Any, manager: Any, tree: Tree, tell: Tell) -> Outcome:
    """Runs the cells of `job` in the kernel `process` that `manager` (jupyter_client) is connected to.

    `tell` hears of every cell that begins. Whatever happens, an Outcome comes back, with the notebook as
    far as it got.
    """
    from papermill.engines import papermill_engines

    started, clock = time.time(), time.monotonic()
    notebook, places = _prepare(job)
    cell = _Where(places, tell)
    watch = _Watch(tree, process.pid, job.limits, cell, tick=1.0 if job.exclusive else 0.2)
    watch.start()
    execution_timeout = math.ceil(job.limits.cell_seconds)
    status: Status = "ok"
    error = inventory = None
    try:
        papermill_engines.execute_notebook_with_engine(
            None,
            notebook,
            KERNEL,
            km=manager,
            progress_bar=False,
            execution_timeout=execution_timeout,
            store_widget_state=False,
            record_timing=False,
            on_cell_start=cell.begins,
        )
        if failure := _failure(notebook):
            status, error = _blame(failure, cell, job.limits)
        elif not (inventory := _take_inventory(manager, settings, process)):
            status, error = "crashed", f"{cell} {_end_of(process)}."
    except TimeoutError:  # nbclient's for a cell is one
        status, error = "timeout", f"{cell} ran longer than the {execution_timeout} s a cell may take."
    except RuntimeError:  # nbclient's for a kernel that ended is one
        status, error = "crashed", f"{cell} {_end_of(process)}."
    except Exception as unforeseen:  # e.g. an output that is no output
        status, error = "failed", f"{cell} could not be executed: {_first_line(repr(unforeseen), 200)}."
    seconds = time.monotonic() - clock
    watch.stop()
    if watch.verdict:
        status, error = watch.verdict
    return Outcome(
        status=status,
        error=error,
        seconds=round(seconds, 3),
        peak_mib=round(watch.peak, 1),
        notebook=_clean(notebook),
        inputs=reuse.inputs(job.notebook, inventory, started, job.systems) if inventory else None,
        ledger=_ledger_rows(settings) if status == "ok" else (),
        machine=machine_name(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )


class _Where:
    """The cell that runs now, named as its author finds it: its place in the notebook and its first line."""

    def __init__(self, places: dict[str, int], tell: Tell) -> None:
        self._places, self._tell = places, tell
        self._name = "The start, before any cell,"

    def begins(self, cell: Any, cell_index: int) -> None:
        if cell.cell_type != "code" or not (place := self._places.get(cell.id)):
            return  # prose, or the injected parameters
        self._name = f"Cell {place} (`{_first_line(cell.source, 60)}`)"
        self._tell({"event": "cell", "cell": place, "cells": len(self._places)})

    def __str__(self) -> str:
        return self._name


class _Watch(threading.Thread):
    """Samples the lesson's tree of processes; ends it at the deadline, or when it holds too much memory."""

    def __init__(self, tree: Tree, kernel: int, limits: Limits, cell: _Where, tick: float) -> None:
        super().__init__(daemon=True)
        self.verdict: tuple[Status, str] | None = None
        self.peak = 0.0
        self._tree, self._kernel, self._limits, self._cell, self._tick = tree, kernel, limits, cell, tick
        self._most = TOGETHER * limits.mib
        self._deadline = time.monotonic() + limits.seconds
        self._before = own_mib()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._tick):
            held = self._sample() + own_mib() - self._before  # what was printed is held on this side
            if held > self._most:
                self._end("memory", f"held more than the {self._most:.0f} MiB")
            elif time.monotonic() > self._deadline:
                self._end("timeout", f"was running at the deadline of {self._limits.seconds:g} s")

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._sample()

    def _sample(self) -> float:
        held = self._tree.mib(self._kernel)
        self.peak = max(self.peak, held, peak_mib(self._kernel))
        return held

    def _end(self, status: Status, sentence: str) -> None:
        self.verdict = status, f"{self._cell} {sentence} that this lesson may take."
        self._tree.end()
        self._over.set()


def _prepare(job: Job) -> tuple[Any, dict[str, int]]:
    """The notebook with its parameters injected, and the place (from 1) of each cell in the author's copy."""
    import nbformat
    import papermill

    source = nbformat.v4.upgrade(nbformat.reads(job.notebook, as_version=4))
    places = {cell.id: place for place, cell in enumerate(source.cells, start=1)}
    declared = any("parameters" in cell.metadata.get("tags", ()) for cell in source.cells)
    notebook = papermill.execute_notebook(
        source,
        None,
        parameters={"budget": job.budget} if declared else None,
        kernel_name=KERNEL,
        language="python",
        prepare_only=True,
        progress_bar=False,
    )
    notebook.metadata.papermill.update(input_path=f"{job.lesson}.ipynb", output_path=f"{job.lesson}.ipynb")
    return notebook, places


def _failure(notebook: Any) -> Any:
    """The error output of the cell at which papermill stopped, or None."""
    for cell in notebook.cells:
        if cell.metadata.papermill.get("exception"):
            errors = [output for output in cell.outputs if output.output_type == "error"]
            return errors[-1] if errors else {"ename": "an error", "evalue": "without output"}
    return None


def _blame(failure: Any, cell: _Where, limits: Limits) -> tuple[Status, str]:
    said = f"{failure['ename']}: {failure['evalue']}"
    if OUT_OF_MEMORY.search(said):
        return "memory", f"{cell} asked for more memory than the {limits.mib:.0f} MiB a process may take."
    return "failed", f"{cell} raised {_first_line(said, 200)}."


def _first_line(text: str, most: int) -> str:
    """The first line, without its full stop, cut to `most` characters."""
    text = next((line.strip() for line in text.splitlines() if line.strip()), "").rstrip(": .")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _end_of(process: Any) -> str:
    """What became of a kernel that no longer answers."""
    code = process.poll()
    if code is None:
        return "left a kernel that does not answer"
    if code >= 0:
        return f"ended the kernel with exit status {code}"
    hint = ", as a system out of memory does" if -code == signal.SIGKILL else ""
    return f"ended the kernel with {signal.Signals(-code).name}{hint}"


def _take_inventory(manager: Any, settings: Settings, process: Any) -> dict[str, Any] | None:
    """Asks the kernel, after the last cell, what it has used; None where it has ended."""
    client = manager.blocking_client()
    client.start_channels()
    try:
        asked = client.execute(f"%{INVENTORY}", silent=True, store_history=False)
        while process.poll() is None:
            with contextlib.suppress(queue.Empty):
                if client.get_shell_msg(timeout=0.5)["parent_header"].get("msg_id") == asked:
                    return json.loads(settings.inventory.read_text(encoding="utf-8"))
    finally:
        client.stop_channels()
    return None


def _clean(notebook: Any) -> str:
    """The executed notebook as text, without what only this machine means."""
    import nbformat

    notebook.metadata.pop("widgets", None)
    return nbformat.writes(notebook)


def _ledger_rows(settings: Settings) -> tuple[dict[str, Any], ...]:
    """What the lesson wrote to its own ledger, if anything."""
    if not settings.ledger.exists():
        return ()
    from workbench.claims.ledger import Ledger

    return tuple(Ledger(settings.ledger).rows())

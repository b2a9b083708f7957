"""Starts a worker for each lesson, hears from it, and makes sure that it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

from workbench import _paths
from workbench.lessons.job import Job, Outcome
from workbench.lessons.tree import LINUX
from workbench.lessons.warm import ENVIRONMENT, READY

GRACE = 60  # seconds beyond a lesson's deadline after which its worker itself counts as hung
PATIENCE = 20  # seconds for the warm process to see to the end of its workers
Tell = Callable[[dict[str, Any]], None]


class Launcher:
    """Runs jobs, each in a worker process of its own; several threads may call `run` at once.

    On Linux the workers are forks of a warm process, which is started for the first job. Elsewhere, or
    with WORKBENCH_COLD set, every worker starts cold. A launcher that is given to several runs as their
    executor stays warm between them:

        with Launcher() as launcher:
            run(lessons, executor=launcher)
    """

    def __init__(self) -> None:
        self._warm: dict[int, _Warm] = {}  # by the threads of the lessons it serves
        self._cold = not LINUX or bool(os.environ.get("WORKBENCH_COLD"))
        self._cold_workers: list[subprocess.Popen] = []
        self._pipes: set[TextIO] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        for warm in self._warm.values():
            _wait(warm.process)
        for process in self._cold_workers:
            _wait(process)

    def run(self, job: Job, tell: Tell) -> Outcome:
        """Executes one job; `tell` hears {"event": "started"} and {"event": "cell", "cell", "cells"}."""
        with self._lock:
            if self._stopped:
                return Outcome("interrupted", "The run was interrupted before this lesson began.")
            asked, heard = self._start(job.threads)
            self._pipes.add(asked)
        with contextlib.ExitStack() as stack:
            stack.callback(self._release, asked)
            stack.enter_context(heard)
            scratch = tempfile.TemporaryDirectory(prefix="workbench-", ignore_cleanup_errors=True)
            told = {
                "job": asdict(job),
                "scratch": stack.enter_context(scratch),
                "environment": _environment(),
            }
            with contextlib.suppress(OSError, ValueError):  # the worker died, or the run was stopped
                print(json.dumps(told), file=asked, flush=True)
            return self._follow(heard, tell, job.limits.seconds + GRACE)

    def stop(self) -> None:
        """Ends every lesson that runs, with all its processes; their `run` returns "interrupted"."""
        with self._lock:
            self._stopped = True
            pipes = list(self._pipes)
        for pipe in pipes:
            self._release(pipe)
        for warm in self._warm.values():
            warm.close()

    def _follow(self, heard: TextIO, tell: Tell, patience: float) -> Outcome:
        with contextlib.ExitStack() as stack:
            for line in heard:
                if not line.endswith("\n"):
                    break  # the worker died in the middle of a word
                event = json.loads(line)
                if event["event"] == "started":
                    alarm = threading.Timer(patience, _kill, [event["pid"]])
                    alarm.start()
                    stack.callback(alarm.cancel)
                if event["event"] == "finished":
                    del event["event"]
                    return Outcome(**{**event, "ledger": tuple(event["ledger"])})
                tell(event)
        if self._stopped:
            return Outcome("interrupted", "The run was interrupted while this lesson ran.")
        return Outcome("crashed", "The lesson's worker ended before it could report.")

    def _release(self, pipe: TextIO) -> None:
        """Closing its pipe ends a worker and its tree."""
        with contextlib.suppress(OSError):
            pipe.close()
        self._pipes.discard(pipe)

    def _start(self, threads: int) -> tuple[TextIO, TextIO]:
        """A new worker: the pipe that it is asked through, and the one it is heard through."""
        control, asked = os.pipe()
        heard, events = os.pipe()
        try:
            if not (self._cold or self._fork(threads, control, events)):
                self._cold = True  # a library started threads while it was loaded: forks are not safe
            if self._cold:
                self._start_cold(control, events)
        finally:
            os.close(control)
            os.close(events)
        return os.fdopen(asked, "w", encoding="utf-8"), os.fdopen(heard, encoding="utf-8")

    def _fork(self, threads: int, control: int, events: int) -> bool:
        for _ in range(2):  # once more with a new process, should the old one be gone
            if threads not in self._warm:
                self._warm[threads] = _Warm(threads)
            if self._warm[threads].fork(control, events):
                return True
            self._warm.pop(threads).close()
        return False

    def _start_cold(self, control: int, events: int) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.lessons.worker"],
            cwd=_paths.PACKAGE.parent,  # whatever is installed, lessons see the package that runs them
            stdin=control,
            stdout=events,
            start_new_session=True,
        )
        self._cold_workers = [worker for worker in self._cold_workers if worker.poll() is None] + [process]


class _Warm:
    """The warm process, as seen from here."""

    def __init__(self, threads: int) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workbench.lessons.warm", str(theirs.fileno())],
                cwd=_paths.PACKAGE.parent,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **ENVIRONMENT, "NUMBA_NUM_THREADS": str(threads)},
            )
        self._ready = self._channel.recv(len(READY)) == READY

    def fork(self, control: int, events: int) -> bool:
        """Whether a worker was forked that has these pipes."""
        if not self._ready:
            return False
        try:
            socket.send_fds(self._channel, [b"fork"], [control, events])
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._channel.close()


def _environment() -> dict[str, str]:
    """The project's own variables as they are now: a warm process has those of its start.

    Explorers compute all their frames in every run, so that the book can reuse it.
    """
    own = {name: value for name, value in os.environ.items() if name.startswith("WORKBENCH_")}
    return {"WORKBENCH_BAKE": "1", **own}


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _wait(process: subprocess.Popen) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

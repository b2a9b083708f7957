"""The process that executes one lesson: papermill on one side, the kernel on the other, a watch on both.

It reads a job from one pipe and writes events, the last of them the outcome, to another. When the first
pipe closes, whoever asked is gone or no longer interested: the lesson ends with everything it started.
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from workbench.lessons import kernel
from workbench.lessons.engine import execute
from workbench.lessons.job import Job, Outcome
from workbench.lessons.kernel import Settings
from workbench.lessons.tree import Tree

LONGEST_SOCKET = 90  # bytes in the path of a Unix socket; systems stop at 104 or 108


def work(control: int, events: int, warm: bool) -> None:
    """Does one job. `warm`: this process has one thread and the libraries, so the kernel is its fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner hears it and closes the pipe
    asked = os.fdopen(control, "rb")
    told = json.loads(asked.readline())
    job = Job.of_fields(told["job"])
    for name in [name for name in os.environ if name.startswith("WORKBENCH_")]:
        del os.environ[name]
    os.environ.update(told["environment"])
    scratch = told["scratch"]
    settings = Settings(job.lesson, scratch, os.getpid(), job.threads, job.limits.mib)
    tree = Tree()
    manager = _manager(settings)
    process = _fork(settings, (control, events)) if warm else _start(settings)
    manager.provisioner = _provisioner(manager, process)
    logging.disable()  # papermill and nbclient would also log what the outcome says
    threading.Thread(target=_end_when_closed, args=(asked, tree, scratch), daemon=True).start()
    with os.fdopen(events, "w", encoding="utf-8") as out:

        def tell(event: dict[str, Any]) -> None:
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps(event), file=out, flush=True)

        tell({"event": "started", "pid": os.getpid()})
        try:
            outcome = execute(job, settings, process, manager, tree, tell)
        except Exception as error:
            traceback.print_exc()
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            outcome = Outcome("crashed", f"The lesson could not be executed ({said}).")
        tree.end()
        tell({"event": "finished", **asdict(outcome)})


def _end_when_closed(asked: BinaryIO, tree: Tree, scratch: str) -> None:
    asked.read()
    tree.end()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def _manager(settings: Settings) -> Any:
    """jupyter_client's manager for a kernel that we start ourselves; its connection file is written."""
    from jupyter_client import AsyncKernelManager

    local = os.name == "posix" and len(settings.connection_file) < LONGEST_SOCKET
    manager = AsyncKernelManager(
        kernel_name="python3",
        connection_file=settings.connection_file,
        transport="ipc" if local else "tcp",  # sockets in the scratch folder cannot collide, ports can
    )
    manager.write_connection_file()
    return manager


def _provisioner(manager: Any, process: Any) -> Any:
    """Tells the manager which process its kernel is."""
    from jupyter_client.provisioning import LocalProvisioner

    provisioner = LocalProvisioner(parent=manager)
    provisioner.process, provisioner.pid = process, process.pid
    return provisioner


def _start(settings: Settings) -> subprocess.Popen:
    """A cold kernel."""
    told = Path(settings.scratch) / "settings.json"
    told.write_text(settings.dumps(), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "workbench.lessons.kernel", str(told)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **settings.environment()},
    )


def _fork(settings: Settings, ours: tuple[int, ...]) -> "Forked":
    """A warm kernel: this process once more, with its libraries and none of its pipes."""
    if pid := os.fork():
        return Forked(pid)
    try:
        for descriptor in ours:
            os.close(descriptor)
        kernel.serve(settings)
    finally:
        os._exit(0)


class Forked:
    """A forked child in the terms of `subprocess.Popen`, as far as jupyter_client asks."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status (negative: the signal), or None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
                return self.returncode
            self.returncode = -signal.SIGKILL  # reaped when its tree was ended
        return self.returncode


def _main() -> None:
    """A cold worker: events leave through what was the standard output, which nothing else may use."""
    control, events = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    work(control, events, warm=False)
    os._exit(0)  # the thread that waits for the pipe to close would be in the way of an orderly end


if __name__ == "__main__":
    _main()

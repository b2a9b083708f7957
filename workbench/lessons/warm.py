"""A process that loads the heavy libraries once and forks a worker for each lesson (Linux).

`python -m workbench.lessons.warm SOCKET`: over the socket come pairs of pipes, one pair a lesson. Forking
is safe while there is one thread, so no library may start its pool before the fork: those that would when
they are loaded are told to use a single thread, and each fork raises its caps. (Numba starts none when it is
loaded but takes its cap then: whoever starts this process sets NUMBA_NUM_THREADS to that of the lessons.)
If a library starts threads all the same, nobody is forked.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator

import psutil

from workbench.lessons.kernel import FIXED, THREAD_CAPS
from workbench.lessons.tree import adopt_orphans

LIBRARIES = (
    "IPython.core.debugger",
    "ipykernel.debugger",
    "ipykernel.kernelapp",
    "papermill",
    "sqlite3",
    "threadpoolctl",
    "numpy",
    "scipy.stats",
    "scipy.signal",
    "numba",
    "torch",
    "plotly.graph_objects",
    "plotly.io",
    "ipywidgets",
    "anywidget",
)
READY = b"ready"
ENVIRONMENT = {**FIXED, **dict.fromkeys(THREAD_CAPS, "1")}


def serve(channel: socket.socket) -> None:
    """Forks workers until the other end of the channel closes, then sees to the end of all of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    preload()
    if threads() > 1:
        return
    channel.send(READY)
    workers: set[int] = set()
    while True:
        readable, _, _ = select.select([channel], [], [], 0.5)
        _reap(workers)
        if readable:
            message, pipes, _, _ = socket.recv_fds(channel, 16, 2)
            if not message:
                break
            workers.add(_fork_worker(channel, pipes))
    patience = time.monotonic() + 15  # a worker whose pipe closed ends its own tree
    while workers and time.monotonic() < patience:
        time.sleep(0.05)
        _reap(workers)
    _end_orphans(set())


def preload() -> None:
    """Loads what nearly every lesson needs. A library that is not installed is left to the lesson."""
    with without("pyarrow"):  # papermill loads it for a file system of clusters, and it starts a thread
        for name in LIBRARIES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    import nbformat

    from workbench.lessons import reuse, worker  # noqa: F401

    nbformat.validate(nbformat.v4.new_notebook())  # compiles the schema
    reuse.versions()
    gc.collect()
    gc.freeze()  # what is shared with the forks stays untouched by the collector, and so stays shared


@contextlib.contextmanager
def without(library: str) -> Iterator[None]:
    """Whoever tries to import the library meanwhile is told that it is not installed."""
    before = sys.modules.get(library)
    sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[library]
        if before is not None:
            sys.modules[library] = before


def threads() -> int:
    """How many threads this process has, those of compiled libraries included."""
    return len(os.listdir("/proc/self/task"))


def _fork_worker(channel: socket.socket, pipes: list[int]) -> int:
    if pid := os.fork():
        for pipe in pipes:
            os.close(pipe)
        return pid
    try:
        channel.close()
        os.setsid()
        from workbench.lessons.worker import work

        control, events = pipes
        work(control, events, warm=True)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


def _reap(workers: set[int]) -> None:
    """Takes note of ended children; what a worker that was killed has left behind is ended.

    Who is no worker was adopted from a dead one. When it ends, its own children are adopted in turn, maybe
    after the last look at who is there: so that is a reason to look again.
    """
    look = False
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            look |= ended[0] not in workers or ended[1] != 0
            workers.discard(ended[0])
    if look:
        _end_orphans(workers)


def _end_orphans(workers: set[int]) -> None:
    """Kills the children that are no workers: a dead worker's, adopted."""
    for child in psutil.Process().children():
        if child.pid not in workers:
            for process in [*child.children(recursive=True), child]:
                with contextlib.suppress(psutil.Error):
                    process.kill()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

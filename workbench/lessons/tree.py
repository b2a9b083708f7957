"""The tree of processes below this one: what it holds in memory, and its certain end."""

import contextlib
import ctypes
import os
import signal
import sys
import time

import psutil

MIB = 2**20
LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> None:
    """From now on a descendant whose parent ends becomes a child of this process, wherever it went."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int) -> None:
    """The system kills this process as soon as `parent` is gone, even amid a compiled loop (Linux)."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went before we asked
            os._exit(1)


class Tree:
    """Every process below this one, also those that left their session or whose parent ended.

    Where the system cannot make this process adopt orphans, those seen once are remembered,
    so that a later look still finds them.
    """

    def __init__(self) -> None:
        adopt_orphans()
        self._seen: set[psutil.Process] = set()

    def processes(self) -> list[psutil.Process]:
        """The living descendants."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen.update(psutil.Process().children(recursive=True))
        self._seen = {process for process in self._seen if _alive(process)}
        return list(self._seen)

    def mib(self, root: int) -> float:
        """What the tree holds: all that process `root` holds, and what each of the others shares with none.

        A page that a child shares with `root` counts once, and the sum does not depend on neighbours
        that were forked from the same process (as proportional shares would).
        """
        return sum(_held(process, process.pid == root) for process in self.processes()) / MIB

    def end(self, patience: float = 10.0) -> None:
        """Kills every process below this one, again and again until none is left, and reaps them."""
        deadline = time.monotonic() + patience
        while (living := self.processes()) and time.monotonic() < deadline:
            for process in living:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(living, timeout=0.2)


def peak_mib(pid: int) -> float:
    """The most memory that a process ever held, as far as the system keeps it (else 0)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def own_mib() -> float:
    """What this process holds."""
    return psutil.Process().memory_info().rss / MIB


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _held(process: psutil.Process, shared_too: bool) -> int:
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss if shared_too else process.memory_full_info().uss
    return 0

"""The judge's end of a candidate's process: start it, ask it, watch it, end it."""

import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import psutil

from workbench.judge import wire
from workbench.judge.ruling import Kind

PRINTED_LIMIT = 10_000  # characters of the candidate's own output that are kept
LOOK_EVERY = 0.05  # seconds between looks at clock and memory
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from workbench.judge.child import main; main()"
)
# One thread each: thirty students share a machine, and results must not depend on the split of a sum.
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


class Gone(Exception):
    """The process ended, or had to be ended: `kind` is timeout, memory, crash or garbage."""

    def __init__(self, kind: Kind, status: int | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status


class Worker:
    """A fresh Python process that runs candidates, one call at a time.

    It starts at once, in a scratch directory that goes with it, and imports numpy while the caller goes on.
    Reading and writing happen in a thread, so that neither a full pipe nor a silent process can hold up the
    judge.
    """

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        paths = [os.path.abspath(path) for path in sys.path]  # the process starts in another directory
        paths += [root] * (root not in paths)
        self._scratch = tempfile.TemporaryDirectory(prefix="candidate-", ignore_cleanup_errors=True)
        here = self._scratch.name
        poison = {"MALLOC_PERTURB_": "1"}  # glibc fills fresh memory with a pattern: never lucky zeros
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", BOOT, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **THREADS, **poison, "TMPDIR": here, "TEMP": here, "TMP": here},
            cwd=here,
            start_new_session=True,
        )
        self._asked = 0
        self._printed = bytearray()
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._talk, daemon=True).start()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.closed = False

    def ask(
        self,
        header: dict[str, Any],
        blobs: Sequence[bytes] = (),
        *,
        seconds: float,
        limit: int = 1 << 20,
        memory: float | None = None,
    ) -> tuple[dict[str, Any], memoryview]:
        """One question, one answer of at most `limit` array bytes.

        `memory` is the resident size in bytes above which the process tree is ended. Raises `Gone`
        when no well-formed answer comes within `seconds`; the process is ended then.
        """
        if self.closed:
            raise Gone("crash")
        self._asked += 1
        self._inbox.put(({**header, "id": self._asked}, blobs, limit))
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self._outbox.get(timeout=max(0.0, min(LOOK_EVERY, deadline - time.monotonic())))
                break
            except queue.Empty:
                if time.monotonic() >= deadline:
                    self._give_up("timeout")
                if memory is not None and self.resident() > memory:
                    self._give_up("memory")
        if isinstance(answer, wire.Garbage) or (
            isinstance(answer, tuple) and answer[0].get("id") != self._asked
        ):
            self._give_up("garbage")
        if isinstance(answer, BaseException):
            self._give_up("crash")
        return answer

    def resident(self) -> int:
        """Bytes in memory of the process and all that it started."""
        total = 0
        with contextlib.suppress(psutil.Error):
            me = psutil.Process(self._process.pid)
            for process in (me, *me.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def printed(self) -> str:
        """What the candidate wrote to its standard streams, cut to a readable length."""
        if self.closed:
            self._listener.join(0.5)
        text = bytes(self._printed).decode("utf-8", "replace")
        return text if len(text) <= PRINTED_LIMIT else text[:PRINTED_LIMIT] + "\n[cut here]"

    def close(self) -> None:
        """Ends the process and everything that it started."""
        if self.closed:
            return
        self.closed = True
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self._process.pid).children(recursive=True)
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.kill()
        self._process.wait()
        self._inbox.put(None)
        self._scratch.cleanup()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _give_up(self, kind: Kind) -> None:
        status = None
        if kind == "crash":
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(1.0)
        self.close()
        raise Gone(kind, status)

    def _talk(self) -> None:
        sink, source = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        while (question := self._inbox.get()) is not None:
            header, blobs, limit = question
            try:
                wire.write_frame(sink, header, blobs)
                self._outbox.put(wire.read_frame(source, limit))
            except (wire.Garbage, EOFError, OSError) as error:
                self._outbox.put(error)
        for stream in (sink, source):
            with contextlib.suppress(OSError):
                stream.close()

    def _listen(self) -> None:
        stream = cast(io.BufferedReader, self._process.stderr)
        while piece := stream.read1(65536):
            if len(self._printed) < 4 * PRINTED_LIMIT:
                self._printed += piece
        stream.close()

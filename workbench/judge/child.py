"""The candidate's process: loads one function after another and answers calls over a private pipe.

Neither reference nor expected values are ever in here. What this side reports about conduct
(inputs changed, memory shared) serves an honest reader; that an answer is right is decided by its
values alone, on the other side.
"""

import contextlib
import ctypes
import json
import math
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cloudpickle  # noqa: F401  # loaded while the judge still draws its cases
import numpy as np
from numpy import may_share_memory, shares_memory  # kept, should the candidate patch numpy

from workbench.judge import wire

try:
    import resource
except ImportError:  # Windows: the judge watches the memory from outside alone
    resource = None  # type: ignore[assignment]

FRAMES = sys._current_frames  # one for each thread; kept before any candidate is loaded
CPU_SECONDS = 900  # ends a loop whose judge has died
LARGEST_FILE = 1 << 28  # bytes that a candidate may write to one file
POISON = (0xFF, 0x41)  # read as floats: NaN in the first round, a large number in later ones
Reply = tuple[dict[str, Any], list[bytes]]


class Candidate:
    """The function on trial and what its last call gave away."""

    function: Callable[..., Any]
    last: tuple[Any, Any] = (None, None)  # a result, and its value when it was returned
    used: dict[Any, np.ndarray]  # arrays of earlier calls, by shape and layout

    def load(self, header: dict[str, Any], payload: memoryview) -> Reply:
        """Unpickles the function, which imports what it needs; no clock of a call runs yet."""
        self.last, self.used = (None, None), {}
        try:
            if header["torch"]:
                import torch

                torch.set_num_threads(1)
            self.function = pickle.loads(payload)
        except BaseException as error:
            return _failure(error), []
        return {}, []

    def call(self, header: dict[str, Any], payload: memoryview) -> Reply:
        """Calls the function on fresh inputs; values go back as bytes, conduct as flags."""
        args = wire.alive(wire.decode(header["args"], payload, trusted=True))
        if header["reuse"]:
            args = self._in_used_arrays(args)
        threads = len(FRAMES())
        before = [_snapshot(arg) for arg in args]
        limit = header["limit"]
        _poison(header["poison"], POISON[min(header["round"], 1)])
        blobs: list[bytes] = []
        try:
            with _memory(header["memory_mib"]):
                result = self.function(*args)
            running, lazy = len(FRAMES()) > threads, _lazy(result)
            value = wire.encode(wire.plain(result), blobs, limit)
            if len(json.dumps(value)) > wire.HEADER_LIMIT // 2:
                value, blobs = wire.encode(wire.Other("a result of very many parts"), []), []
            old, told = self.last
            stale = old is not None and _snapshot(old, limit) != told
            self.last = (result, _snapshot(result, limit))
            mutated = [i for i, arg in enumerate(args) if _snapshot(arg) != before[i]]
            alias = _alias(result, args)
        except BaseException as error:
            return _failure(error), []
        conduct = {"mutated": mutated, "alias": alias, "stale": stale, "running": running, "lazy": lazy}
        return {"value": value, **conduct}, blobs

    def _in_used_arrays(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The same values, in arrays that the function has seen with other values where there are any."""
        found, taken = list(args), set[int]()
        for i, arg in enumerate(args):
            if isinstance(arg, np.ndarray):
                old = self.used.setdefault((arg.shape, arg.strides, arg.dtype.str), arg)
                if old is not arg and id(old) not in taken:
                    old[...] = arg
                    found[i] = old
                taken.add(id(found[i]))
        return tuple(found)


def main() -> None:
    """Serves the judge until it hangs up."""
    sys.argv = [""]
    source, sink = _private_pipes()
    sys.modules["workbench.exercises"] = None  # type: ignore[assignment]  # no importing of answers
    _limit_process()
    from workbench.judge.subject import Subject  # it builds on what is above

    candidate = Subject()
    while True:
        try:
            header, payload = wire.read_frame(source)
        except EOFError:
            os._exit(0)
        reply, blobs = getattr(candidate, header["ask"])(header, payload)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        try:
            wire.write_frame(sink, {**reply, "id": header["id"]}, blobs)
        except Exception:  # the candidate closed the pipe
            os._exit(1)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Moves the pipes off the standard streams: what the candidate prints goes to stderr's pipe."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def _limit_process() -> None:
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    if sys.platform == "linux":
        die_with_parent, kill = 1, 9  # the parent being the thread that started this process
        ctypes.CDLL(None).prctl(die_with_parent, kill)


@contextlib.contextmanager
def _memory(mib: float) -> Iterator[None]:
    """Lets the process grow by so many MiB; above it, an allocation raises MemoryError (Linux)."""
    if resource is None or sys.platform != "linux":
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + int(mib * 2**20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _poison(counts: list[int], byte: int) -> None:
    """Fills and frees blocks of the sizes that results will have, so that unset memory shows."""
    for count in counts:
        for itemsize in (1, 2, 4, 8, 16):
            blocks = [np.empty(count * itemsize, np.uint8) for _ in range(8)]
            for block in blocks:
                block.fill(byte)


def _snapshot(value: Any, limit: float = math.inf) -> tuple[str, list[bytes]]:
    """All that can be seen of a value, to compare with itself later (bitwise, so NaN equals NaN)."""
    blobs: list[bytes] = []
    return json.dumps(wire.encode(wire.plain(value), blobs, limit)), blobs


def _lazy(result: Any, depth: int = 0) -> bool:
    """Whether an array of a kind of its own came, whose work may start when somebody looks."""
    if isinstance(result, (list, tuple)):
        return depth < wire.DEEPEST and any(_lazy(item, depth + 1) for item in result)
    return isinstance(result, np.ndarray) and type(result) is not np.ndarray


def _alias(result: Any, args: tuple[Any, ...]) -> int | None:
    """Index of an argument whose memory the result shares."""
    for i, arg in enumerate(args):
        for mine in _arrays(arg):
            for theirs in _arrays(result):
                if _shared(theirs, mine):
                    return i
    return None


def _shared(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return bool(shares_memory(a, b, max_work=100_000))  # type: ignore[arg-type]
    except Exception:  # too hard to tell exactly: overlapping bounds count as shared
        return bool(may_share_memory(a, b))


def _arrays(value: Any, depth: int = 0) -> list[np.ndarray]:
    """Every array in the value as it lies in memory (`plain` copies none of them, save bfloat16)."""
    torch = sys.modules.get("torch")
    if isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor)):
        leaf = wire.plain(value if value.ndim else value.reshape(1))
        return [leaf.data] if isinstance(leaf, wire.Array) else []
    if isinstance(value, dict):
        value = list(value.values())
    if depth > wire.DEEPEST or not isinstance(value, (list, tuple)):
        return []
    return [array for item in value for array in _arrays(item, depth + 1)]


def _failure(error: BaseException) -> dict[str, Any]:
    """An exception as strings and numbers; the frames are the candidate's alone."""
    try:
        text = str(error)
    except BaseException:
        text = ""
    frames, step = [], error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename != __file__:
            frames.append([code.co_filename, step.tb_lineno, code.co_name])
        step = step.tb_next
    starved = isinstance(error, MemoryError) or "can't allocate memory" in text
    return {
        "error": type(error).__name__[:80],
        "text": text[:500],
        "memory": starved,
        "module": str(getattr(error, "name", "")),
        "frames": frames[-20:],
    }

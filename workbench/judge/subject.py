"""The candidate's side of the judge of kernels: answers one question after another about itself.

Everything here runs in the candidate's process, so a candidate that wants to can change all of it. Values
are therefore compared on the other side. What this side reports about conduct and time is believed only
where lying about it could not make a wrong kernel right, or where the other side checks it.
"""

import contextlib
import ctypes
import linecache
import os
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.judge import wire
from workbench.judge.child import (
    FRAMES,
    Candidate,
    Reply,
    _alias,
    _failure,
    _memory,
    _poison,
    _snapshot,
)
from workbench.judge.source import Both, Source

CLOCK, CPU_CLOCK = time.perf_counter_ns, time.process_time_ns  # kept before any candidate is loaded
SLEEP = time.sleep
FILL = {"": 0x00, "numbers": 0x41, "nan": 0xFF}  # bytes that floats read as 0, as 12 (or more), and as NaN
PATIENCE = 0.5  # seconds for work that is still running
SOAKING = 2_000_000_000  # nanoseconds for the many calls in between
M_PERTURB = -6  # glibc: the byte that fresh memory is filled with


class Subject(Candidate):
    """A kernel on trial: a function, a text, or forward with backward."""

    backward: Callable[..., Any] | None = None
    reference: Callable[..., Any] | None = None
    protocol: Callable[..., Any] | None = None

    def load(self, header: dict[str, Any], payload: memoryview) -> Reply:
        """As for any candidate; a text is executed. `aboard`: what a weaker judge would keep here too."""
        if "kernel" not in header:
            return super().load(header, payload)
        aboard = header["aboard"]
        if aboard:
            self.reference, self.protocol = pickle.loads(payload[-aboard:])
            payload = payload[:-aboard]
        else:
            sys.modules.update(dict.fromkeys(header["barred"]))
        reply, _ = super().load({"torch": False}, payload)
        if reply:
            return reply, []
        self.backward = None
        try:
            loaded: Any = self.function
            if isinstance(loaded, Source):
                self.function, self.backward = _run(loaded)
            elif isinstance(loaded, Both):
                self.function, self.backward = loaded.forward, loaded.backward
        except BaseException as error:
            return _failure(error), []
        return {"backward": self.backward is not None}, []

    def probe(self, header: dict[str, Any], payload: memoryview) -> Reply:
        """One call of the forward or backward pass: its value, and how it was come by."""
        reference = self.reference  # where the reference is aboard, a harness would hold it like this
        args = wire.alive(wire.decode(header["args"], payload, trusted=True))
        function = self.backward if header["backward"] else self.function
        assert function is not None
        earlier, limit, threads = None, header["limit"], len(FRAMES())
        if header["reuse"]:
            earlier, args = args[0], args[1]
        for i, j in header["same"]:
            args = (*args[:j], args[i], *args[j + 1 :])
        blobs: list[bytes] = []
        try:
            with _memory(header["memory_mib"]):
                until = CLOCK() + SOAKING
                for _ in range(header["soak"]):
                    function(*wire.alive(wire.plain(args, trusted=True)))
                    _wait_for_others(threads)
                    if CLOCK() > until:
                        break
                if earlier is not None:
                    function(*earlier)
                    _wait_for_others(threads)
                    args = _refilled(earlier, args)
                before = [_snapshot(arg) for arg in args]
                _prepare_heap(header["sizes"], header["poison"])
                result = function(*args)
                running = _wait_for_others(threads)  # at once: it may end any moment
            lazy = not _plain(result)
            value = wire.encode(wire.plain(result), blobs, limit)
            old, told = self.last
            stale = earlier is None and old is not None and _snapshot(old, limit) != told
            self.last = (result, _snapshot(result, limit)) if earlier is None else (None, None)
            mutated = [i for i, arg in enumerate(args) if _snapshot(arg) != before[i]]
            alias = _alias(result, args)
        except BaseException as error:
            return _failure(error), []
        del reference
        conduct = {"mutated": bool(mutated), "alias": alias is not None, "stale": stale}
        return {"value": value, "lazy": lazy, "running": running, **conduct}, blobs

    def time(self, header: dict[str, Any], payload: memoryview) -> Reply:
        """Times single calls, each on inputs of its own (or all on the same ones), and shows one result."""
        begun = CLOCK()
        sets = wire.alive(wire.decode(header["args"], payload, trusted=True))
        repeats, chosen = header["repeats"], header["chosen"]
        turns = [sets[i % len(sets)] for i in range(repeats)]
        kept = time.perf_counter_ns is CLOCK and time.sleep is SLEEP
        look = CLOCK if header["kept_clock"] else _clock_of_the_module
        spent, shown, blobs = [], None, []  # type: ignore[var-annotated]
        wall, cpu = CLOCK(), CPU_CLOCK()
        try:
            with _memory(header["memory_mib"]):
                for turn, args in enumerate(turns):
                    start = look()
                    result = self.function(*args)
                    end = look()
                    spent.append(end - start)
                    shown = result if turn == chosen else shown
            wall, cpu = CLOCK() - wall, CPU_CLOCK() - cpu
            value = wire.encode(wire.plain(shown), blobs, header["limit"])
        except BaseException as error:
            return _failure(error), []
        times = {"spent": spent, "whole": CLOCK() - begun, "wall": wall, "cpu": cpu}
        return {"value": value, "kept": kept, **times}, blobs

    def published(self, header: dict[str, Any], payload: memoryview) -> Reply:
        """Runs a published protocol whole, in here, with the reference beside the candidate."""
        assert self.reference is not None
        assert self.protocol is not None
        draws = wire.alive(wire.decode(header["args"], payload, trusted=True))
        try:
            with _memory(header["memory_mib"]):
                kind, sentence, spent = self.protocol(self.reference, self.function, self.backward, draws)
        except BaseException as error:
            return _failure(error), []
        return {"kind": str(kind), "sentence": str(sentence), "spent": float(spent)}, []


def _run(source: Source) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """Executes a candidate's text and takes its functions out; tracebacks show its lines."""
    name = "<candidate>"
    linecache.cache[name] = (len(source.text), None, source.text.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(source.text, name, "exec"), space)
    wanted = [source.entry] + [source.backward] * bool(source.backward)
    for each in wanted:
        if not callable(space.get(each)):
            raise NameError(f"the text defines no function {each!r}")
    return space[source.entry], space[source.backward] if source.backward else None


def _prepare_heap(sizes: list[int], poison: str) -> None:
    """What a fresh result finds in its memory: NaN, numbers, or (as in a young process) zeros."""
    byte = FILL[poison]
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(M_PERTURB, (~byte & 0xFF) if poison else 0)
    _poison(sizes, byte)


def _refilled(earlier: tuple[Any, ...], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays of an earlier call with the values of this one; what is no array is taken as it is."""
    merged = []
    for old, new in zip(earlier, args, strict=True):
        if isinstance(old, np.ndarray):
            old[...] = new
            merged.append(old)
        else:
            merged.append(new)
    return tuple(merged)


def _wait_for_others(threads: int) -> bool:
    """Whether something that the call has started still runs. It is given a moment to end, as a careless
    harness does without knowing: there, the clock has stopped already."""
    running = len(FRAMES()) > threads or _has_children()
    until = CLOCK() + int(PATIENCE * 1e9)
    while running and len(FRAMES()) > threads and CLOCK() < until:
        SLEEP(0.001)
    return running


def _has_children() -> bool:
    if not hasattr(os, "waitid"):
        return False
    try:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_ALL, 0, options) is None
    except ChildProcessError:
        return False


def _plain(value: Any, depth: int = 0) -> bool:
    """Whether a result is made of numpy's own arrays and numbers, Python's numbers, tuples and lists."""
    if type(value) in (tuple, list):
        return depth < wire.DEEPEST and all(_plain(item, depth + 1) for item in value)
    return type(value) in (np.ndarray, int, float, complex, bool) or isinstance(value, np.generic)


def _clock_of_the_module() -> int:
    """What a harness reads that takes the clock from its module at each look."""
    return int(time.perf_counter() * 1e9)

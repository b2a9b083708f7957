"""One candidate of a kernel task in its process: loading, asking, and what comes back as faults."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cloudpickle

from workbench.judge import wire
from workbench.judge.closeness import differences
from workbench.judge.hearing import LOADING
from workbench.judge.probes import Probe
from workbench.judge.source import Both, Candidate, Source
from workbench.judge.task import Task
from workbench.judge.verdict import Fault
from workbench.judge.worker import Gone, Worker

BARRED = tuple(
    "workbench." + name
    for name in ("exercises", "judge.tasks", "judge.classics", "judge.corpus", "judge.frauds", "judge.honest")
)  # where references and right answers lie
CONDUCT = (  # the rule, what the child reports, the sentence
    ("mutation", "mutated", "the result is right, but the inputs were changed on the way"),
    ("copies", "alias", "the result shares memory with an input"),
    ("stale", "stale", "an earlier result changed with this call"),
    ("eager", "lazy", "the result is no plain array: its work may start when somebody looks"),
    ("threads", "running", "something that the call has started was still running when it returned"),
)


class Session:
    """A process for candidates of kernel tasks; a new one is started where the old one is gone.

    aboard: keep the task's reference in the process too, as a judge without the rule `apart` does.
    """

    def __init__(
        self,
        *,
        timeout: float,
        memory_mib: float,
        tolerance: float,
        patience: float | None = None,
        aboard: bool = False,
    ) -> None:
        self.timeout, self.patience = timeout, timeout if patience is None else patience
        self.memory_mib, self.tolerance, self.aboard = memory_mib, tolerance, aboard
        self.worker = Worker()
        self.left, self.calls = timeout, 0
        self.most: float | None = None  # bytes that the process may have in memory
        self.task: Task | None = None
        self.candidate: Candidate | None = None
        self.protocol: Callable[..., Any] | None = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *what: object) -> None:
        self.worker.close()

    def load(self, task: Task, candidate: Candidate) -> Fault | None:
        """Sends a candidate over; its clock starts anew."""
        self.task, self.candidate, self.left, self.calls = task, candidate, self.timeout, 0
        return self._load()

    def ask(self, probe: Probe) -> list[Fault]:
        """One probe; all that is wrong with the answer. A process that is gone is replaced and loaded."""
        assert self.task is not None
        before = (probe.before, probe.args) if probe.before is not None else None
        args = (probe.upstream, *probe.args) if probe.upstream is not None else probe.args
        header = {
            "ask": "probe",
            "backward": probe.upstream is not None,
            "poison": probe.poison,
            "same": [list(pair) for pair in probe.same],
            "reuse": before is not None,
            "soak": probe.soak,
            "sizes": sorted({v.size for v in probe.expected.values if 0 < v.size <= 1 << 20})[:4],
        }
        self.calls += 1 + probe.soak + (before is not None)
        wanted = sum(value.nbytes for value in probe.expected.values)
        try:
            reply, payload = self._ask(header, before if before is not None else args, wanted)
            if "error" in reply:
                kind, sentence = _raised(reply, self.memory_mib)
                if probe.blind:
                    return []
                return [Fault(probe.needs, kind, sentence, self.call(probe.says))]
            value = self._decoded(reply, payload)
        except Gone as gone:
            fault = Fault(probe.needs, gone.kind, _GONE[gone.kind], self.call(probe.says))
            self.revive()
            return [fault]
        wrong = [] if probe.blind else differences(probe.expected, value, self.tolerance)
        wrong += [
            (frozenset({rule}), rule, sentence)
            for rule, flag, sentence in CONDUCT
            if reply.get(flag) is not False and (rule == "stale" or not probe.blind)
        ]
        return [Fault(probe.needs | needs, kind, text, self.call(probe.says)) for needs, kind, text in wrong]

    def time(
        self, sets: Sequence[tuple[Any, ...]], repeats: int, chosen: int, nbytes: int, kept_clock: bool
    ) -> dict[str, Any]:
        """Seconds of single calls on the given sets of arguments, and the result of the chosen one.

        Adds `outside`, the seconds that passed here; `wall` and `cpu` are those of all calls. Raises `Gone`;
        a failed call gives "error".
        """
        header = {"ask": "time", "repeats": repeats, "chosen": chosen, "kept_clock": kept_clock}
        self.calls += repeats
        start = time.monotonic()
        reply, payload = self._ask(header, tuple(sets), nbytes)
        outside = time.monotonic() - start
        if "error" in reply:
            return {"error": _raised(reply, self.memory_mib)}
        try:
            return {
                "value": self._decoded(reply, payload),
                "spent": [float(number) * 1e-9 for number in reply["spent"]],
                "kept": reply["kept"] is True,
                "outside": outside,
                **{name: float(reply[name]) * 1e-9 for name in ("whole", "wall", "cpu")},
            }
        except (KeyError, TypeError, ValueError):
            self.worker.close()
            raise Gone("garbage") from None

    def protocol_says(self, draws: Sequence[Any]) -> tuple[str, str, float]:
        """What a published protocol, run in there, says: kind, sentence, seconds of a call."""
        self.calls += len(draws)
        reply, _ = self._ask({"ask": "published"}, tuple(draws), 1 << 16)
        if "error" in reply:
            return (*_raised(reply, self.memory_mib), 0.0)
        return str(reply.get("kind")), str(reply.get("sentence"))[:500], float(reply.get("spent", 0.0))

    def call(self, says: str) -> str:
        """A probe in words, with the task's name."""
        return f"{self.task.name if self.task else ''}: {says}"

    def revive(self) -> None:
        """A fresh process with the same candidate, after the old one is gone."""
        self.worker.close()
        self.worker = Worker()
        self.left = self.timeout
        if self.candidate is not None:
            self._load()

    def _load(self) -> Fault | None:
        assert self.task is not None
        if self.worker.closed:
            self.worker = Worker()
        try:
            with _by_value(self.candidate):
                blob = cloudpickle.dumps(self.candidate)
            aboard = cloudpickle.dumps((self.task.reference, self.protocol)) if self.aboard else b""
        except Exception as error:
            return Fault(frozenset(), "load", f"the function cannot be sent to a process of its own: {error}")
        header = {"ask": "load", "kernel": True, "aboard": len(aboard), "barred": list(BARRED)}
        try:
            reply, _ = self.worker.ask(header, [blob, aboard], seconds=LOADING)
        except Gone as gone:
            return Fault(frozenset(), gone.kind, _GONE[gone.kind])
        if "error" in reply:
            return Fault(frozenset(), "load", f"it could not be loaded: {_raised(reply, self.memory_mib)[1]}")
        self.most = self.worker.resident() + 1.25 * self.memory_mib * 2**20
        if self.task.backward is not None and not reply.get("backward"):
            return Fault(frozenset({"gradients"}), "gradients", "the task has a backward pass, but none came")
        return None

    def _ask(self, header: dict[str, Any], args: Any, nbytes: int) -> tuple[dict[str, Any], memoryview]:
        blobs: list[bytes] = []
        limit = 4 * nbytes + (1 << 20)
        encoded = wire.encode(wire.plain(args, trusted=True), blobs)
        more = {"args": encoded, "limit": limit, "memory_mib": self.memory_mib}
        start = time.monotonic()
        one = header["ask"] == "probe" and not header["soak"]
        seconds = max(min(self.left, self.patience) if one else self.left, 0.01)
        try:
            return self.worker.ask({**header, **more}, blobs, seconds=seconds, limit=limit, memory=self.most)
        finally:
            self.left -= time.monotonic() - start

    def _decoded(self, reply: dict[str, Any], payload: memoryview) -> Any:
        try:
            return wire.decode(reply["value"], payload)
        except (wire.Garbage, KeyError):
            self.worker.close()
            raise Gone("garbage") from None


_GONE = {
    "timeout": "the function was still running when its time was over, and was stopped",
    "memory": "the function took more memory than it may use, and was stopped",
    "crash": "the function ended its own process instead of returning",
    "garbage": "something that is no result came out of the function's process",
}


def _raised(reply: dict[str, Any], memory_mib: float) -> tuple[str, str]:
    """Kind and sentence of an exception."""
    if reply.get("memory"):
        return "memory", f"the function ran out of the {memory_mib:g} MiB that it may use"
    name, text = str(reply["error"])[:80], " ".join(str(reply.get("text", ""))[:300].split())
    lines = [frame for frame in reply.get("frames", []) if isinstance(frame, list) and len(frame) == 3]
    own = [line for file, line, _ in lines if file == "<candidate>"]
    at = f", in line {own[-1]}" if own else ""
    return "exception", f"it failed with {name}{': ' * bool(text)}{text}{at}"


@contextmanager
def _by_value(candidate: Any) -> Iterator[None]:
    """Lets a function travel with the code of its own module, so that its process imports nothing of ours."""
    functions = [candidate.forward, candidate.backward] if isinstance(candidate, Both) else [candidate]
    names = {str(getattr(f, "__module__", "")) for f in functions if not isinstance(f, Source)}
    known = cloudpickle.list_registry_pickle_by_value()
    fresh = [
        sys.modules[name]
        for name in sorted(names)
        if name in sys.modules and name not in known and name != "__main__" and _ours(name)
    ]
    for module in fresh:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in fresh:
            cloudpickle.unregister_pickle_by_value(module)


def _ours(name: str) -> bool:
    """Whether a module is the workbench's or a reader's, rather than an installed library's."""
    if name.startswith("workbench."):
        return not name.startswith("workbench.kernels")
    file = getattr(sys.modules[name], "__file__", None) or ""
    return bool(file) and "site-packages" not in file and "/lib/python" not in file


def minimal(faults: Sequence[Fault]) -> list[Fault]:
    """Faults without those that need more rules than another one; the first of equals."""
    kept: list[Fault] = []
    for fault in sorted(faults, key=lambda fault: len(fault.needs)):
        if not any(other.needs <= fault.needs for other in kept):
            kept.append(fault)
    return kept

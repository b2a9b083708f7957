"""One candidate before the judge: load it, ask every case, ask again, and rule."""

import inspect
import linecache
import random
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cloudpickle

from workbench.judge import wire
from workbench.judge.compare import compare
from workbench.judge.ruling import Kind, Outcome, Ruling
from workbench.judge.worker import Gone, Worker

if TYPE_CHECKING:
    from workbench.judge.trial import Trial

LOADING = 60.0  # seconds for the process to start and for the candidate's imports
ANSWERS = "workbench.exercises"  # the package that a candidate has to do without


@dataclass(frozen=True)
class Fault:
    """What is wrong with one call."""

    kind: Kind
    sentence: str
    lines: tuple[str, ...] = ()


class Hearing:
    """A candidate, the trial that it stands in, and the process that it runs in."""

    def __init__(self, trial: "Trial", candidate: Callable[..., Any], worker: Worker, *, keep: bool) -> None:
        self.trial, self.candidate, self.worker, self.keep = trial, candidate, worker, keep
        self.outcomes: dict[int, Outcome] = {}
        self.case: int | None = None  # the one being asked
        self.left = trial.timeout
        self.memory: float | None = None
        self.order = random.Random(0)

    def __enter__(self) -> "Hearing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self.keep:
            self.worker.close()

    def ruling(self, trusted: bool) -> Ruling:
        """Loads, asks and rules."""
        trial = self.trial
        try:
            case, fault = None, self.load(trusted)
            if fault is None:
                case, fault = self.first_round()
            if fault is None:
                case, fault = self.later_rounds()
        except Gone as gone:
            case, fault = self.case, _ended(gone, trial)
        if fault is None:
            fault = Fault("right", f"Right: {len(trial.cases)} cases, each asked {trial.rounds} times.")
        return Ruling(
            passed=fault.kind == "right",
            kind=fault.kind,
            sentence=fault.sentence,
            case=case,
            call="" if case is None else trial.call(case),
            lines=fault.lines,
            outcomes=tuple(self.outcomes[i] for i in sorted(self.outcomes)),
        )

    def load(self, trusted: bool) -> Fault | None:
        """Sends the candidate over. Its imports happen there, outside the time for calls."""
        try:
            with _by_value(self.candidate, trusted):
                blob = cloudpickle.dumps(self.candidate)
        except Exception as error:
            return Fault("load", f"The function cannot be sent to a process of its own: {error}.")
        torch = any(array.library == "torch" for case in self.trial.cases for array in wire.arrays(case))
        reply, _ = self.worker.ask({"ask": "load", "torch": torch}, [blob], seconds=LOADING)
        if "error" in reply:
            return self._raised(reply, "could not be loaded in a process of its own", "load")
        self.memory = self.worker.resident() + 1.25 * self.trial.memory_mib * 2**20
        return None

    def first_round(self) -> tuple[int | None, Fault | None]:
        """Every case once; of those that fail, the one with the smallest inputs is shown."""
        failed = {i: fault for i in self._shuffled() if (fault := self._try(i, 0))}
        if failed and all(not o.fault and o.value is None for o in self.outcomes.values()):
            return None, Fault("blank", "The function is still blank: it returned None.")
        size = {i: sum(array.data.size for array in wire.arrays(self.trial.cases[i])) for i in failed}
        simplest = min(failed, key=lambda i: (size[i], i), default=None)
        return simplest, None if simplest is None else failed[simplest]

    def later_rounds(self) -> tuple[int | None, Fault | None]:
        """The same cases again: whoever was right has to stay right."""
        for turn in range(1, self.trial.rounds):
            for i in self._shuffled():
                if fault := self._try(i, turn):
                    text = f"Right at first, but not when asked again with the same inputs: {fault.sentence}"
                    return i, Fault("drift", text, fault.lines)
        return None, None

    def _shuffled(self) -> list[int]:
        return self.order.sample(range(len(self.trial.cases)), len(self.trial.cases))

    def _try(self, i: int, turn: int) -> Fault | None:
        """Asks case `i`. The first answer to a case is kept as its outcome."""
        reply, payload = self._ask(i, turn)
        if "error" in reply:
            fault = self._raised(reply, "failed", "exception")
            self.outcomes.setdefault(i, Outcome(f"{fault.kind} {reply['error']}"))
            return fault
        try:
            value = wire.decode(reply["value"], payload)
            told = {name: reply[name] for name in ("mutated", "alias", "stale", "running", "lazy")}
        except (wire.Garbage, KeyError):
            self.worker.close()
            raise Gone("garbage") from None
        trial = self.trial
        if found := compare(trial.expected[i], value, rtol=trial.rtol, atol=trial.atol):
            self.outcomes.setdefault(i, Outcome("", value))
            return Fault(found.kind, found.sentence + ".")  # type: ignore[arg-type]
        conduct = self._conduct(**told)
        self.outcomes.setdefault(i, Outcome(conduct.kind if conduct else "", value))
        return conduct

    def _conduct(self, mutated: Any, alias: Any, stale: Any, running: Any, lazy: Any) -> Fault | None:
        """What is wrong with a call whose result is right."""
        if mutated:
            return Fault("mutation", "The result is right, but the function changed its inputs on the way.")
        if alias is not None and not self.trial.aliases:
            return Fault("alias", "The result is right, but it shares memory with an input: return a copy.")
        if stale:
            return Fault("stale", "An earlier result changed with this call: return new memory each time.")
        if running:
            return Fault("threads", "The result is right, but something was still running: wait for it.")
        if lazy:
            return Fault("eager", "The result is right, but it is no plain array: return `numpy.ndarray`.")
        return None

    def _ask(self, i: int, turn: int) -> tuple[dict[str, Any], memoryview]:
        trial = self.trial
        blobs: list[bytes] = []
        wanted = [array.data for array in wire.arrays(trial.expected[i])]
        limit = 4 * sum(array.nbytes for array in wanted) + (1 << 20)
        header = {
            "ask": "call",
            "args": wire.encode(trial.cases[i], blobs),
            "round": turn,
            "reuse": not trial.aliases,
            "poison": sorted({array.size for array in wanted if array.size <= 1 << 20})[:4],
            "memory_mib": trial.memory_mib,
            "limit": limit,
        }
        self.case = i
        start = time.monotonic()
        reply = self.worker.ask(header, blobs, seconds=self.left, limit=limit, memory=self.memory)
        self.left -= time.monotonic() - start
        return reply

    def _raised(self, reply: dict[str, Any], what: str, kind: Kind) -> Fault:
        """An exception in one sentence, with the candidate's own lines below."""
        name, text = str(reply["error"])[:80], str(reply.get("text", ""))[:500]
        if str(reply.get("module")).startswith(ANSWERS):
            return Fault("load", "The function leans on the exercise's own code: it has to do without.")
        if name == "NotImplementedError":
            return Fault("blank", "The function is still blank: it raised NotImplementedError.")
        if reply.get("memory"):
            return Fault(
                "memory", f"The function ran out of the {self.trial.memory_mib:g} MiB that it may use."
            )
        lines = _own_lines(self.candidate, reply.get("frames"))
        at = f", in {lines[-1]}" if lines else ""
        text = " ".join(text.split())
        return Fault(
            kind, f"The function {what} with {name}{': ' * bool(text)}{text}{at}.", tuple(lines[:-1])
        )


def _ended(gone: Gone, trial: "Trial") -> Fault:
    status = gone.status
    if status is None:
        how = "its pipe was closed"
    elif status < 0:
        how = f"signal {signal.Signals(-status).name}"
    else:
        how = f"exit status {status}"
    sentences: dict[str, str] = {
        "timeout": f"The function was still running after {trial.timeout:g} s and was stopped",
        "memory": f"The function took more than {trial.memory_mib:g} MiB of memory and was stopped",
        "crash": f"The function ended its own process ({how}) instead of returning",
        "garbage": "Something that is no result came out of the function's process",
    }
    return Fault(gone.kind, sentences[gone.kind] + ".")


def _own_lines(candidate: Any, frames: Any) -> list[str]:
    """The frames that lie in the candidate's file or in a notebook's cells, as 'line 3: `x / y`'.

    The file names come from the candidate's process, so no other file is ever read for them.
    """
    code = getattr(inspect.unwrap(candidate), "__code__", None)
    module = sys.modules.get(str(getattr(candidate, "__module__", "")))
    own = {getattr(code, "co_filename", None), getattr(module, "__file__", None)}
    lines = []
    for frame in frames if isinstance(frames, list) else []:
        match frame:
            case [str(file), int(line), str()] if file in own or _typed_in(file):
                lines.append(f"line {line}: `{linecache.getline(file, line).strip()}`")
    return lines[-4:]


def _typed_in(file: str) -> bool:
    """Whether this 'file' is a cell of a notebook or a line of a prompt: cached, but on no disk."""
    entry = linecache.cache.get(file)
    return entry is not None and len(entry) == 4 and entry[1] is None


@contextmanager
def _by_value(candidate: Any, trusted: bool) -> Iterator[None]:
    """Lets code travel that the other process could not, or may not, import.

    That is the reader's own modules (as they are in memory now, not on disk), and for a trusted
    candidate the exercises.
    """
    names = [str(getattr(candidate, "__module__", ""))] + [ANSWERS] * trusted
    modules = [sys.modules[name] for name in names if name in sys.modules]
    modules = [m for m in modules if m.__name__ == ANSWERS or _of_reader(m)]
    known = cloudpickle.list_registry_pickle_by_value()
    fresh = [m for m in modules if m.__name__ not in known]
    for module in fresh:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in fresh:
            cloudpickle.unregister_pickle_by_value(module)


def _of_reader(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or module.__name__.split(".")[0] in ("workbench", "__main__"):
        return False
    installed = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(Path(file).is_relative_to(place) for place in installed)

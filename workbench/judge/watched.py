"""A kernel's text on arrays that watch it: every access in bounds, no two iterations in each other's way, all
work counted.

The kernel runs as plain Python, element by element, on tiny inputs and in a process of its own. An array
notes who reads and writes each place; a number notes the arithmetic that it takes part in. Nothing is
compiled, so that a candidate costs milliseconds instead of a second.
"""

import ast
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import numpy as np

from workbench.judge import wire
from workbench.judge.worker import Gone, Worker

LINE = 64  # bytes
HELD = 16  # lines that the small cache holds, least recently used goes first
MOST = 300_000  # accesses of one call
SECONDS = 5.0  # for one call of a candidate
STARTING = 60.0
MEMORY_MIB = 256.0
SCALARS = ("exp", "log", "log1p", "sqrt", "tanh", "sin", "cos", "floor", "ceil", "abs", "maximum", "minimum")
ALLOCATORS = ("empty", "zeros", "ones", "full", "empty_like", "zeros_like")
OWN = "own"  # what an array is called that no assignment names
SHOWN = {"maximum": "max", "minimum": "min", "abs": "abs", "fabs": "abs"}


class Trespass(Exception):
    """An access that no kernel may make: `kind` is bounds, unset, race, inputs or whole."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass
class Watch:
    """What happened in one call."""

    operations: Counter[str] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    stores: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    held: OrderedDict[int, None] = field(default_factory=OrderedDict)
    accesses: int = 0
    room: int = LINE  # the next free address
    loop: int = 0  # number of the parallel loop that runs, 0 outside of them
    started: int = 0  # how many parallel loops there were
    turn: int = -1  # its iteration

    def access(self, name: str, address: int, store: bool) -> None:
        """Counts one access and sends it through the cache."""
        (self.stores if store else self.loads)[name] += 1
        self.accesses += 1
        if self.accesses > MOST:
            raise TimeoutError(f"more than {MOST} accesses")
        line = address // LINE
        if line in self.held:
            self.held.move_to_end(line)
            return
        self.misses[name] += 1
        self.held[line] = None
        if len(self.held) > HELD:
            self.held.popitem(last=False)

    def parallel(self, *ends: int) -> Iterator[int]:
        """`prange`: iterations in order, each under its own number. Within another it is a plain range."""
        if self.loop:
            yield from range(*ends)
            return
        self.started += 1
        self.loop = self.started
        try:
            for turn in range(*ends):
                self.turn = turn
                yield turn
        finally:
            self.loop, self.turn = 0, -1


class Number(float):
    """A float that counts what is done with it."""

    watch: Watch

    @classmethod
    def of(cls, value: Any, watch: Watch) -> "Number":
        number = cls(value)
        number.watch = watch
        return number


def _counted(name: str, kind: str) -> Callable[..., Any]:
    plain = getattr(float, name)

    def method(self: Number, *others: Any) -> Any:
        result = plain(self, *(float(other) for other in others))
        self.watch.operations[kind] += 1
        return result if kind == "compare" or result is NotImplemented else Number.of(result, self.watch)

    return method


for _kind, _names in {
    "add": ("__add__", "__radd__"),
    "sub": ("__sub__", "__rsub__"),
    "mul": ("__mul__", "__rmul__"),
    "div": ("__truediv__", "__rtruediv__"),
    "pow": ("__pow__", "__rpow__"),
    "neg": ("__neg__",),
    "abs": ("__abs__",),
    "compare": ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"),
}.items():
    for _name in _names:
        setattr(Number, _name, _counted(_name, _kind))
Number.__hash__ = float.__hash__  # type: ignore[method-assign]


class Watched:
    """An array whose elements can be read and written one by one, and nothing else."""

    def __init__(self, data: np.ndarray, name: str, watch: Watch, *, given: bool, known: bool = True) -> None:
        self._name, self._watch, self._given = name, watch, given
        self.shape, self.ndim, self.size, self.dtype = data.shape, data.ndim, data.size, data.dtype
        self._values = data.ravel().tolist()
        self._set = bytearray([known]) * data.size
        self._users: dict[
            int, tuple[int, int, bool]
        ] = {}  # place: parallel loop, iteration, whether it wrote
        self._start = watch.room
        self._bytes = 4 if data.dtype.kind == "f" else data.dtype.itemsize  # floats stand for float32
        watch.room += -(-(data.size * self._bytes) // LINE) * LINE

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Any:
        place = self._place(index)
        if not self._set[place]:
            raise Trespass("unset", f"{self._called(index)} is read before anything was written there")
        self._watch.access(self._name, self._start + self._bytes * place, False)
        if self._watch.loop:
            self._alone(place, index, False)
        value = self._values[place]
        return Number.of(value, self._watch) if isinstance(value, float) else value

    def __setitem__(self, index: Any, value: Any) -> None:
        place = self._place(index)
        if self._given:
            raise Trespass("inputs", f"{self._called(index)} is written, but {self._name} is an input")
        self._watch.access(self._name, self._start + self._bytes * place, True)
        if self._watch.loop:
            self._alone(place, index, True)
        self._values[place] = float(value) if self.dtype.kind == "f" else int(value)
        self._set[place] = True

    def __getattr__(self, name: str) -> Any:
        raise Trespass("whole", f"{self._name}.{name} is not available: a kernel works element by element")

    def whole(self) -> np.ndarray:
        """All that is in it; every place has to be set."""
        if not all(self._set):
            raise Trespass("unset", "a part of the result was never written")
        return np.array(self._values, self.dtype).reshape(self.shape)

    def _place(self, index: Any) -> int:
        """The number of an element, row after row."""
        at = index if isinstance(index, tuple) else (index,)
        if len(at) != self.ndim:
            raise Trespass("whole", f"{self._name} has {self.ndim} axes and takes as many whole numbers")
        place = 0
        for i, n in zip(at, self.shape, strict=True):
            if not isinstance(i, (int, np.integer)):
                raise Trespass("whole", f"{self._name} has {self.ndim} axes and takes as many whole numbers")
            if not 0 <= i < n:
                sentence = f"{self._called(index)} lies outside of {self._name}, whose shape is {self.shape}"
                raise Trespass("bounds", sentence)
            place = place * n + int(i)
        return place

    def _alone(self, place: int, index: Any, store: bool) -> None:
        """Raises where another iteration of the same parallel loop was here too, and one of them wrote."""
        watch = self._watch
        loop, turn, wrote = self._users.get(place, (0, 0, False))
        if loop == watch.loop:
            if turn != watch.turn and (wrote or store):
                both = f"iterations {turn} and {watch.turn}"
                raise Trespass("race", f"{self._called(index)} is used by {both} at once")
            store = store or wrote
        self._users[place] = (watch.loop, watch.turn, store)

    def _called(self, index: Any) -> str:
        at = index if isinstance(index, tuple) else (index,)
        return f"{self._name}[{', '.join(map(str, at))}]"


class _Math:
    """`math` as a kernel sees it: its functions count, its constants are what they are."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return _scalar(getattr(math, name), name, self._watch)


class _Numpy:
    """The part of `numpy` that a kernel may use: memory of its own, types, and functions of one number."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def _allocate(self, shape: Any, dtype: Any, fill: float | None, name: str) -> Watched:
        whole = np.dtype(dtype or np.float64).kind in "iub"
        data = np.full(
            shape, (0 if whole else np.nan) if fill is None else fill, np.int64 if whole else np.float64
        )
        return Watched(data, name, self._watch, given=False, known=fill is not None)

    def empty(self, shape: Any, dtype: Any = None, *, name: str = OWN) -> Watched:
        return self._allocate(shape, dtype, None, name)

    def zeros(self, shape: Any, dtype: Any = None, *, name: str = OWN) -> Watched:
        return self._allocate(shape, dtype, 0.0, name)

    def ones(self, shape: Any, dtype: Any = None, *, name: str = OWN) -> Watched:
        return self._allocate(shape, dtype, 1.0, name)

    def full(self, shape: Any, value: Any, dtype: Any = None, *, name: str = OWN) -> Watched:
        return self._allocate(shape, dtype, value, name)

    def empty_like(self, array: Watched, dtype: Any = None, *, name: str = OWN) -> Watched:
        return self._allocate(array.shape, dtype or array.dtype, None, name)

    def zeros_like(self, array: Watched, dtype: Any = None, *, name: str = OWN) -> Watched:
        return self._allocate(array.shape, dtype or array.dtype, 0.0, name)

    def __getattr__(self, name: str) -> Any:
        if name in ("float32", "float64"):
            return _Type(getattr(np, name), self._watch)
        if name in ("int64", "int32", "inf", "pi", "e", "nan"):
            return getattr(np, name)
        if name in SCALARS:
            plain = {"maximum": max, "minimum": min, "abs": abs}.get(name) or getattr(math, name)
            return _scalar(plain, SHOWN.get(name, name), self._watch)
        raise Trespass("whole", f"np.{name} is not available: a kernel works element by element")


class _Type:
    """A float type: converts numbers, and names the type of new memory. Here every float has 64 bits."""

    def __init__(self, dtype: Any, watch: Watch) -> None:
        self.dtype, self._watch = np.dtype(dtype), watch

    def __call__(self, value: Any) -> Any:
        return Number.of(value, self._watch)


def _scalar(plain: Any, name: str, watch: Watch) -> Any:
    if not callable(plain):
        return plain

    def function(*values: Any) -> Any:
        watch.operations[name] += 1
        result = plain(*map(float, values))
        return Number.of(result, watch) if isinstance(result, float) else result

    return function


BUILTINS = (abs, bool, enumerate, float, int, len, max, min, pow, range, round, sum, tuple, zip, ValueError)


def run_watched(text: str, entry: str, args: tuple[Any, ...], names: tuple[str, ...]) -> dict[str, Any]:
    """One call, in *this* process: the result, or the fault with its kind, and the counts.

    Floats are float64 throughout: what is wrong then is the formula, not its rounding.
    """
    watch = Watch()
    space: dict[str, Any] = {
        "__builtins__": {known.__name__: known for known in BUILTINS},
        "math": _Math(watch),
        "np": _Numpy(watch),
        "prange": watch.parallel,
    }
    fault, values = ("", ""), ()
    try:
        exec(compile(_named(text), "<candidate>", "exec"), space)
        given = tuple(
            Watched(arg.astype(np.float64) if arg.dtype.kind == "f" else arg, name, watch, given=True)
            if isinstance(arg, np.ndarray)
            else arg
            for arg, name in zip(args, names, strict=True)
        )
        result = space[entry](*given)
        values = tuple(_bare(part, given) for part in (result if isinstance(result, tuple) else (result,)))
    except Trespass as error:
        fault = (error.kind, str(error))
    except Exception as error:
        fault = ("exception", f"{type(error).__name__}: {error}"[:200])
    return {
        "kind": fault[0],
        "sentence": fault[1],
        "values": values,
        "operations": dict(watch.operations),
        "loads": dict(watch.loads),
        "stores": dict(watch.stores),
        "misses": dict(watch.misses),
    }


def _named(text: str) -> ast.Module:
    """The candidate's tree, in which every new array is told the name of its variable."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(ast.Name("np"), made)) as call):
                if made in ALLOCATORS:
                    call.keywords.append(ast.keyword("name", ast.Constant(name)))
    return ast.fix_missing_locations(tree)


def _bare(part: Any, given: tuple[Any, ...]) -> Any:
    if isinstance(part, Watched):
        if any(part is one for one in given):
            raise Trespass("inputs", "the result is one of the inputs")
        return part.whole()
    return float(part) if isinstance(part, float) else part


class Apart:
    """A process in which generated text is run under watch; a new one starts where the old one is gone."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *what: object) -> None:
        if self._worker is not None:
            self._worker.close()

    def __call__(
        self, text: str, entry: str, args: tuple[Any, ...], names: tuple[str, ...]
    ) -> dict[str, Any]:
        """`run_watched` in the other process."""
        try:
            worker = self._ready()
            blobs: list[bytes] = []
            header = {
                "ask": "call",
                "args": wire.encode(wire.plain((text, entry, args, names), trusted=True), blobs),
                "round": 0,
                "poison": [],
                "reuse": False,
                "memory_mib": MEMORY_MIB,
                "limit": 1 << 24,
            }
            reply, payload = worker.ask(header, blobs, seconds=SECONDS, limit=1 << 24)
            if "error" in reply:
                return _nothing("exception", str(reply["error"]))
            return dict(_numpy(wire.decode(reply["value"], payload)))
        except (Gone, wire.Garbage, KeyError, TypeError) as error:
            self.__exit__()
            return _nothing(
                "timeout" if getattr(error, "kind", "") == "timeout" else "crash", "it never came back"
            )

    def _ready(self) -> Worker:
        if self._worker is None or self._worker.closed:
            self._worker = Worker()
            blob = cloudpickle.dumps(run_watched)
            self._worker.ask({"ask": "load", "torch": False}, [blob], seconds=STARTING)
        return self._worker


def _nothing(kind: str, sentence: str) -> dict[str, Any]:
    empty: dict[str, Any] = {name: {} for name in ("operations", "loads", "stores", "misses")}
    return {"kind": kind, "sentence": sentence, "values": (), **empty}


def _numpy(value: Any) -> Any:
    """Plain values with numpy's own arrays."""
    if isinstance(value, wire.Array):
        return value.data
    if isinstance(value, (list, tuple)):
        return type(value)(map(_numpy, value))
    return {key: _numpy(item) for key, item in value.items()} if isinstance(value, dict) else value

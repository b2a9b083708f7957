"""A kernel task: a reference, how its inputs are made, and how far a right answer may be off.

The tolerance comes from the task's own arithmetic. A right answer in float32 may be off by as much as the
true answer moves when the inputs are rounded: little where the formula is well behaved, more where large
terms cancel. That is measured, with the float64 twin on inputs jittered by one rounding unit, so that no
number is chosen by hand for a reduction of a million terms or a nearly constant row. A candidate may also be
off by a few times as much as the reference itself is when it computes in the task's type.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.judge.values import PROFILES

Function = Callable[..., Any]
Sizes = Mapping[str, int]
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
LARGEST = {"float64": 1.797e308, "float32": 3.402e38, "float16": 65504.0, "bfloat16": 3.389e38}
SMALLEST = {"float64": 2.3e-308, "float32": 1.2e-38, "float16": 6.2e-5, "bfloat16": 1.2e-38}
JITTERS = 4
ROUNDINGS = 32  # of the result itself, in units of its last place
AS_GOOD = 4.0  # so many times the largest error of the reference in the task's own type
TWO_TYPES = {"bfloat16": "float32"}  # numpy has no such type: values on its grid, in a wider array


@dataclass(frozen=True)
class Expected:
    """True results in float64 (one array for each part), and how far each number of them may be off."""

    values: tuple[np.ndarray, ...]
    bounds: tuple[np.ndarray, ...]
    single: bool = True  # one array or number rather than a tuple


@dataclass(frozen=True)
class Task:
    """A kernel that can be asked for.

    reference: plain numpy, `(*args)` to an array, a number or a tuple of them; right in float64 too.
    make: `(shape, profile, seed, setting)` to the positional arguments; float arrays come in `dtype`.
    shapes: sizes by name; the first is the main one, the others should be odd, one, prime, with tails.
    settings: how many init settings there are; 0 is the default one. profiles: names out of
    `workbench.judge.values.PROFILES`, the first is the main one. backward: `(upstream, *args)` to a tuple
    with one gradient for each float array among the arguments. twin: the truth, called in float64 (default:
    the reference). slack: how many times further than its rounded inputs a right answer may be off.
    flops, bytes: functions of a shape, for the floor of the machine. timing: the shape to take time at;
    baseline: what is timed in turns with the candidate (default: the reference). overlap: pairs of arguments
    that may be one array (None: all float arrays of equal shape).
    """

    name: str
    reference: Function
    make: Callable[[Sizes, str, int, int], tuple[Any, ...]]
    shapes: Sequence[Sizes]
    settings: int = 1
    profiles: Sequence[str] = tuple(PROFILES)
    backward: Function | None = None
    twin: Function | None = None
    slack: float = 64.0
    dtype: str = "float32"
    flops: Callable[[Sizes], float] | None = None
    bytes: Callable[[Sizes], float] | None = None
    timing: Sizes | None = None
    baseline: Function | None = None
    overlap: Sequence[tuple[int, int]] | None = None
    sentence: str = ""
    category: str = ""
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)  # what is asked repeatedly

    def __post_init__(self) -> None:
        if not self.shapes:
            raise WorkbenchError(f"the task {self.name!r} needs at least one shape, but none came")
        unknown = [name for name in self.profiles if name not in PROFILES]
        if unknown or not self.profiles:
            raise WorkbenchError(
                f"profiles of the task {self.name!r} must be among {', '.join(PROFILES)}, "
                f"but {', '.join(unknown) or 'none'} came"
            )
        if self.dtype not in EPSILON:
            raise WorkbenchError(f"dtype must be one of {', '.join(EPSILON)}, but {self.dtype!r} came")

    @property
    def main(self) -> Sizes:
        """The shape that is published with the task."""
        return self.shapes[0]

    def args(
        self, shape: Sizes | None = None, profile: str = "", seed: int = 0, setting: int = 0
    ) -> tuple[Any, ...]:
        """Arguments of one call, the same ones for the same question; each time new arrays."""
        made = self.make(shape or self.main, profile or self.profiles[0], seed, setting)
        return tuple(self._on_grid(arg) for arg in made)

    def truth(self, args: Sequence[Any], upstream: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """The float64 results; with `upstream` the gradients."""
        wide = [_widened(arg) for arg in args]
        with np.errstate(all="ignore"):
            if upstream is not None:
                assert self.backward is not None
                return parts(self.backward(upstream.astype(np.float64), *wide))
            return parts((self.twin or self.reference)(*wide))

    def expected(self, args: Sequence[Any], upstream: np.ndarray | None = None) -> Expected:
        """The truth about one call, with its bounds. Raises WorkbenchError where the truth is a NaN."""
        values = self.truth(args, upstream)
        if any(np.isnan(value).any() for value in values if value.dtype.kind == "f"):
            raise WorkbenchError(
                f"the reference of {self.name!r} returns a NaN, which could accept anything: "
                "leave out that profile"
            )
        epsilon, rng = EPSILON[self.dtype], np.random.default_rng(0)
        moved = [np.zeros(value.shape) for value in values]
        for _ in range(JITTERS):
            nearby = [_jittered(arg, epsilon, rng) for arg in args]
            up = None if upstream is None else _jittered(upstream, epsilon, rng)
            for most, value, other in zip(moved, values, self.truth(nearby, up), strict=True):
                if value.dtype.kind == "f" and value.shape == other.shape:
                    with np.errstate(all="ignore"):
                        np.fmax(most, np.abs(other - value), out=most)
        came, single = self._own(args, upstream)
        bounds = tuple(
            self.slack * most
            + ROUNDINGS * epsilon * np.abs(value)
            + AS_GOOD * _largest(own - value)
            + SMALLEST[self.dtype]
            for most, value, own in zip(moved, values, came, strict=True)
        )
        return Expected(tuple(map(self._representable, values)), bounds, single)

    def overlaps(self, args: Sequence[Any]) -> list[tuple[int, int]]:
        """Pairs of arguments that may be one array."""
        if self.overlap is not None:
            return list(self.overlap)
        floats = [i for i, arg in enumerate(args) if is_float(arg)]
        return [(i, j) for i in floats for j in floats if i < j and args[i].shape == args[j].shape]

    def _own(self, args: Sequence[Any], upstream: np.ndarray | None) -> tuple[tuple[np.ndarray, ...], bool]:
        """What the reference itself gives in the task's type, and whether that is one array or number."""
        with np.errstate(all="ignore"):
            if upstream is not None:
                assert self.backward is not None
                return parts(self.backward(upstream, *args)), False
            came = self.reference(*args)
        return parts(came), not isinstance(came, (tuple, list))

    def _on_grid(self, arg: Any) -> Any:
        """Float arrays in the task's type; for bfloat16, values that it can hold."""
        if not is_float(arg):
            return arg
        if self.dtype == "bfloat16":
            return round_to_bfloat16(arg)
        return arg.astype(self.dtype, copy=False)

    def _representable(self, value: np.ndarray) -> np.ndarray:
        if value.dtype.kind != "f":
            return value
        return np.where(np.abs(value) > LARGEST[self.dtype], np.copysign(np.inf, value), value)


class Draw:
    """Draws the arrays of one case: `draw(*shape)` has the case's profile, the others are what they say."""

    def __init__(self, profile: str, seed: int, dtype: str = "float32") -> None:
        self.profile, self.dtype = profile, np.dtype(TWO_TYPES.get(dtype, dtype))
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        return np.asarray(PROFILES[self.profile](self.rng, shape), self.dtype)

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers, whatever the profile."""
        return self.rng.standard_normal(shape).astype(self.dtype)

    def positive(self, *shape: int) -> np.ndarray:
        """Numbers between 0.1 and 1.1, whatever the profile."""
        return (self.rng.random(shape) + 0.1).astype(self.dtype)

    def full(self, *shape: int, value: float = 0.0) -> np.ndarray:
        """One value everywhere."""
        return np.full(shape, value, self.dtype)

    def integers(self, *shape: int, low: int = 0, high: int) -> np.ndarray:
        """int64 from `low` up to, but not including, `high`."""
        return self.rng.integers(low, high, shape)


def drawn(
    name: str,
    reference: Function,
    inputs: Callable[..., tuple[Any, ...]],
    shapes: Sequence[Sizes],
    settings: Sequence[Callable[..., tuple[Any, ...]]] = (),
    **options: Any,
) -> Task:
    """A task whose arguments are `inputs(draw, **sizes)`, then those of a setting of the same form."""
    dtype = options.get("dtype", "float32")

    def make(shape: Sizes, profile: str, seed: int, setting: int) -> tuple[Any, ...]:
        draw = Draw(profile, seed, dtype)
        parameters = settings[setting](draw, **shape) if settings else ()
        return (*inputs(draw, **shape), *parameters)

    return Task(name, reference, make, shapes, settings=max(1, len(settings)), **options)


def parts(value: Any) -> tuple[np.ndarray, ...]:
    """A result as a tuple of arrays."""
    return tuple(map(np.asarray, value)) if isinstance(value, (tuple, list)) else (np.asarray(value),)


def is_float(arg: Any) -> bool:
    """Whether an argument is an array of floating-point numbers."""
    return isinstance(arg, np.ndarray) and arg.dtype.kind == "f"


def round_to_bfloat16(array: np.ndarray) -> np.ndarray:
    """The nearest values with eight significant bits, as float32; halves go to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def _largest(errors: np.ndarray) -> float:
    """The largest error that is a number."""
    finite = np.abs(errors[np.isfinite(errors)]) if errors.dtype.kind == "f" else errors[:0]
    return float(finite.max(initial=0.0))


def _widened(arg: Any) -> Any:
    return arg.astype(np.float64) if is_float(arg) else arg


def _jittered(arg: Any, epsilon: float, rng: np.random.Generator) -> Any:
    """In float64, every number moved by at most one rounding; zeros stay, and so do signs."""
    return arg * (1 + epsilon * rng.uniform(-1, 1, arg.shape)) if is_float(arg) else arg

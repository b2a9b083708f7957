"""What a kernel has to compute: words, a plain reference, and inputs that find mistakes.

A task says everything that a judge, a prompt and a roofline need to know. Its inputs are drawn by shape,
seed and value profile, so that one task gives as many different tests as one wants. Its reference is plain
numpy, short enough to stand in a prompt; run on inputs widened to float64 it is its own twin.

The count of operations takes every sum, difference, product, quotient, comparison of numbers, choice of the
larger of two, and every call of a function such as exp as one. The count of bytes lets every input be read
once and the result be written once: no kernel that starts and ends in memory can move less.
"""

import inspect
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.judge.task import Task
from workbench.judge.values import PROFILES

Sizes = Mapping[str, int]
Fill = Callable[[np.random.Generator, tuple[int, ...], Sizes], np.ndarray]

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2}
# Sums of numbers as large as these lose more digits to cancellation than a tolerance of 1e-4 leaves.
COMMON = ("mixed", "positive", "negative", "zeros", "constant", "tiny", "spikes")
EVERY = (*COMMON, "huge")


@dataclass(frozen=True)
class Array:
    """One array of a task: the names of its axes, e.g. "batch n m", and what it is filled with.

    An axis may be a name out of the shape or a number. Without a `fill` the values come from the profile.
    """

    axes: str
    fill: Fill | None = None

    def shape(self, sizes: Sizes) -> tuple[int, ...]:
        return tuple(int(axis) if axis.isdigit() else sizes[axis] for axis in self.axes.split())


@dataclass(frozen=True)
class Law:
    """Something that every right kernel obeys, whatever the reference says.

    `sides(f, *args)` calls the kernel `f` and gives two arrays that have to be equal.
    """

    says: str
    sides: Callable[..., tuple[Any, Any]]

    def holds(self, f: Callable[..., Any], args: Sequence[Any], tolerance: float = 1e-9) -> bool:
        """Whether the two sides agree within the tolerance, relative to the larger side's largest number."""
        got, wanted = (np.asarray(side, np.float64) for side in self.sides(f, *args))
        if np.broadcast_shapes(got.shape, wanted.shape) != got.shape:
            return False
        scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
        return bool((np.abs(got - wanted) <= tolerance * scale).all())


@dataclass(frozen=True, kw_only=True)
class KernelTask:
    """One kernel to be written.

    reference: takes the arrays in the order of `arrays`, then the values of one of the `settings`, all by
    position. out: axes of the result (its shape for the count of bytes), or a function of sizes and settings
    that gives the shapes of all results. shapes: sizes of the axes, all small; large: the sizes to be timed.
    profiles: the value profiles for which the result is finite and means something in float32.
    operations: floating-point operations by sizes and settings, in closed form.
    """

    name: str
    category: str
    statement: str
    reference: Callable[..., Any]
    arrays: Mapping[str, Array]
    out: str | Callable[..., Sequence[tuple[int, ...]]]
    shapes: Sequence[Sizes]
    large: Sizes
    operations: Callable[..., int]
    settings: Sequence[Mapping[str, Any]] = ({},)
    profiles: Sequence[str] = COMMON
    laws: Sequence[Law] = ()
    tolerance: Mapping[str, float] = field(default_factory=lambda: dict(TOLERANCE))

    @cached_property
    def source(self) -> str:
        """The text of the reference, as a prompt shows it."""
        return textwrap.dedent(inspect.getsource(self.reference)).strip()

    @property
    def function(self) -> str:
        """The name that a kernel for this task has to have."""
        return self.reference.__name__

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arguments: arrays, then settings."""
        return (*self.arrays, *self.settings[0])

    @property
    def signature(self) -> str:
        """How a kernel is called."""
        return f"{self.function}({', '.join(self.parameters)})"

    @property
    def arguments(self) -> str:
        """The arguments and the axes of the arrays among them, in one line for a prompt."""
        shown = [f"{name} [{', '.join(array.axes.split())}]" for name, array in self.arrays.items()]
        return f"Arguments: {', '.join([*shown, *self.settings[0]])}."

    @cached_property
    def judged(self) -> Task:
        """The task as a judge takes it: the largest of the small shapes is the main one."""
        return Task(
            self.name,
            self.reference,
            lambda shape, profile, seed, setting: self.inputs(shape, seed, profile, "float32", setting),
            [self.shapes[-1], *self.shapes[:-1]],
            settings=len(self.settings),
            profiles=self.profiles,
            flops=self.flops,
            bytes=self.bytes,
            timing=self.large,
            sentence=self.statement,
            category=self.category,
        )

    def inputs(
        self,
        shape: int | Sizes = 0,
        seed: int = 0,
        profile: str = "mixed",
        dtype: str = "float32",
        setting: int | Mapping[str, Any] = 0,
    ) -> tuple[Any, ...]:
        """Fresh arguments: the same values for the same call, in memory of their own.

        shape and setting: an index into the task's own, or sizes and values by name. dtype: of the arrays
        of floating-point numbers; labels and masks keep theirs.
        """
        sizes, values = self._sizes(shape), self._values(setting)
        if profile not in self.profiles:
            raise WorkbenchError(
                f"{self.name} knows the profiles {', '.join(self.profiles)}, but {profile!r} came"
            )
        rng = np.random.default_rng([seed, *sizes.values()])
        drawn = [self._draw(array, rng, sizes, profile) for array in self.arrays.values()]
        arrays = [array.astype(dtype) if array.dtype.kind == "f" else array for array in drawn]
        return (*arrays, *values.values())

    def cases(
        self,
        seeds: int = 1,
        profiles: Sequence[str] | None = None,
        dtype: str = "float32",
        shapes: Sequence[int | Sizes] | None = None,
        settings: Sequence[int] | None = None,
    ) -> list[tuple[Any, ...]]:
        """Inputs for every shape, setting, profile and seed (without a choice: all of the task's own)."""
        return [
            self.inputs(shape, seed, profile, dtype, setting)
            for shape, setting, profile, seed in product(
                range(len(self.shapes)) if shapes is None else shapes,
                range(len(self.settings)) if settings is None else settings,
                self.profiles if profiles is None else profiles,
                range(seeds),
            )
        ]

    def twin(self, *args: Any) -> Any:
        """The reference, computed in float64."""
        wide = [
            a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args
        ]
        return self.reference(*wide)

    def flops(self, shape: int | Sizes, setting: int | Mapping[str, Any] = 0) -> int:
        """Floating-point operations of a kernel that does nothing twice."""
        return int(self.operations(**self._sizes(shape), **self._values(setting)))

    def bytes(self, shape: int | Sizes, dtype: str = "float32", setting: int | Mapping[str, Any] = 0) -> int:
        """Bytes that have to move: every input once, every result once."""
        sizes, values = self._sizes(shape), self._values(setting)
        width = np.dtype(dtype).itemsize
        rng = np.random.default_rng(0)
        narrow = {
            name: self._draw(a, rng, dict.fromkeys(sizes, 1), "mixed") for name, a in self.arrays.items()
        }
        moved = sum(
            math.prod(array.shape(sizes))
            * (width if narrow[name].dtype.kind == "f" else narrow[name].itemsize)
            for name, array in self.arrays.items()
        )
        if isinstance(self.out, str):
            results: Sequence[tuple[int, ...]] = [Array(self.out).shape(sizes)]
        else:
            results = self.out(**sizes, **values)
        return moved + sum(map(math.prod, results)) * width

    def _draw(self, array: Array, rng: np.random.Generator, sizes: Sizes, profile: str) -> np.ndarray:
        if array.fill is None:
            return PROFILES[profile](rng, array.shape(sizes))
        return array.fill(rng, array.shape(sizes), sizes)

    def _sizes(self, shape: int | Sizes) -> Sizes:
        return self.shapes[shape] if isinstance(shape, int) else shape

    def _values(self, setting: int | Mapping[str, Any]) -> Mapping[str, Any]:
        return self.settings[setting] if isinstance(setting, int) else setting


def below(axis: str) -> Fill:
    """Whole numbers from 0 up to the size of an axis, e.g. class labels."""
    return lambda rng, shape, sizes: rng.integers(0, sizes[axis], shape)


def coin(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> np.ndarray:
    """True or false."""
    return rng.random(shape) < 0.5


def normal(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> np.ndarray:
    """Standard normal numbers, whatever the profile: weights, for example."""
    return rng.standard_normal(shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> np.ndarray:
    """Numbers between a tenth and one, whatever the profile."""
    return rng.uniform(0.1, 1.0, shape)


def distribution(rng: np.random.Generator, shape: tuple[int, ...], sizes: Sizes) -> np.ndarray:
    """Positive numbers whose sum along the last axis is one."""
    weights = rng.uniform(0.05, 1.0, shape)
    return weights / weights.sum(-1, keepdims=True)

"""Neighbourhoods: which keys a query sees, when it sees exactly its `window` nearest ones along every axis.

Along one axis of `length` positions, without dilation, query i sees

    window keys from  clamp(i - window // 2, 0, length - window)  on

so at a border the window *shifts* and never shrinks; an even window holds one key more before than after.
Dilation d sorts the positions into d residue classes i % d, which never meet: inside each one, neighbours are
d apart, and the rule above holds for the class alone (classes may differ in length by one, and window * d
must not exceed `length`). Causal: query i sees keys max(i - window + 1, 0) to i of its class, fewer at the
beginning. On several axes a query sees the product of its windows, each with a rule of its own.

A *tile* is a box of queries that are handled together. The keys that at least one of them sees are its halo:
tile + window - 1 along an axis, fewer at the borders.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from workbench.counting import kernel
from workbench.errors import WorkbenchError

PerAxis = int | tuple[int, ...]
CausalPerAxis = bool | tuple[bool, ...]


@kernel
def window_bounds(p, length, window, causal):
    """First key and end of the window of position p, counted inside a class of `length` positions."""
    if causal:
        return max(p - window + 1, 0), p + 1
    first = min(max(p - window // 2, 0), length - window)
    return first, first + window


@kernel
def seen_by(p, length, window, causal):
    """The same question from the other side: first query and end of those whose windows hold key p."""
    if causal:
        return p, min(p + window, length)
    first = 0 if p < window else p - window + window // 2 + 1
    stop = length if p >= length - window else p + window // 2 + 1
    return first, stop


@kernel
def class_length(length, residue, dilation):
    """How many of the positions residue, residue + dilation, ... there are."""
    return (length - residue + dilation - 1) // dilation


def neighborhood_window(
    i: int, length: int, window: int, *, dilation: int = 1, causal: bool = False
) -> range:
    """The keys that query i sees along one axis: `range(first, stop, dilation)`."""
    axis = Neighborhood.of((length,), window, dilation, causal)
    if not 0 <= i < length:
        raise WorkbenchError(f"a query of this axis is 0 to {length - 1}, but {i} came")
    return axis.window_of((i,))[0]


def neighborhood_mask(
    space: tuple[int, ...], window: PerAxis, *, dilation: PerAxis = 1, causal: CausalPerAxis = False
) -> np.ndarray:
    """Which query (row) sees which key (column): bool [tokens, tokens], tokens in row-major order.

    For small spaces, drawings and oracles; no kernel here needs it.
    """
    return Neighborhood.of(space, window, dilation, causal).mask()


@dataclass(frozen=True)
class NeighborhoodTile:
    """A box of queries and its halo: along every axis the queries and the keys that they see, as ranges.

    With dilation, all of them are of one residue class. `needed` counts the scores that the queries want,
    `dense` those of every query of the box with every key of the halo.
    """

    queries: tuple[range, ...]
    keys: tuple[range, ...]
    needed: int

    @property
    def dense(self) -> int:
        return prod(map(len, self.queries)) * prod(map(len, self.keys))

    @property
    def waste(self) -> float:
        """Scores calculated for one that is needed, if the whole halo meets the whole tile: 1 or more."""
        return self.dense / self.needed


@dataclass(frozen=True)
class Neighborhood:
    """The geometry of one neighbourhood attention; every field has one entry per axis."""

    space: tuple[int, ...]
    window: tuple[int, ...]
    dilation: tuple[int, ...]
    causal: tuple[bool, ...]

    @classmethod
    def of(
        cls,
        space: tuple[int, ...],
        window: PerAxis,
        dilation: PerAxis = 1,
        causal: CausalPerAxis = False,
    ) -> "Neighborhood":
        """One number stands for all axes; raises where a window does not fit into its axis."""
        space = tuple(int(length) for length in space)
        axes = len(space)
        if not 1 <= axes <= 3 or min(space) < 1:
            raise WorkbenchError(f"the space must have 1 to 3 axes, none of them empty, but {space} came")
        windows, dilations = per_axis("window", window, axes), per_axis("dilation", dilation, axes)
        flags = tuple(causal) if isinstance(causal, tuple | list) else (causal,) * axes
        if len(flags) != axes or not all(isinstance(flag, bool | np.bool_) for flag in flags):
            raise WorkbenchError(f"causal must be True or False, or one of them per axis, not {causal!r}")
        for length, taps, step in zip(space, windows, dilations, strict=True):
            if taps * step > length:
                raise WorkbenchError(
                    f"window * dilation must not exceed the axis, but {taps} * {step} came for {length}"
                )
        return cls(space, windows, dilations, tuple(map(bool, flags)))

    @property
    def tokens(self) -> int:
        return prod(self.space)

    @property
    def taps(self) -> int:
        """Keys of a whole window."""
        return prod(self.window)

    @property
    def scores(self) -> int:
        """How many pairs of a query and a key that it sees there are; causal axes have fewer."""
        return prod(sum(stop - first for first, stop in self.bounds(axis)) for axis in range(len(self.space)))

    def bounds(self, axis: int) -> list[tuple[int, int]]:
        """For every position of an axis, first and end of its window, counted inside its class."""
        return list(_bounds(self.space[axis], self.window[axis], self.dilation[axis], self.causal[axis]))

    def window_of(self, position: tuple[int, ...]) -> tuple[range, ...]:
        """The keys that the query at this position sees, one range per axis."""
        self._check_position(position)
        found = []
        for axis, (i, step) in enumerate(zip(position, self.dilation, strict=True)):
            first, stop = self.bounds(axis)[i]
            found.append(_every(first, stop, i % step, step))
        return tuple(found)

    def tile_at(self, position: tuple[int, ...], tile: tuple[int, ...]) -> NeighborhoodTile:
        """The tile in which the query at this position is handled; tiles start at the first of a class."""
        self._check_position(position)
        queries, keys, needed = [], [], 1
        for axis, (i, side, step) in enumerate(zip(position, tile, self.dilation, strict=True)):
            residue, begin = i % step, i // step // side * side
            end = min(begin + side, class_length.py_func(self.space[axis], residue, step))
            bounds = [self.bounds(axis)[p * step + residue] for p in range(begin, end)]
            queries.append(_every(begin, end, residue, step))
            keys.append(_every(bounds[0][0], bounds[-1][1], residue, step))
            needed *= sum(stop - first for first, stop in bounds)
        return NeighborhoodTile(tuple(queries), tuple(keys), needed)

    def tiles(self, tile: tuple[int, ...]) -> list[NeighborhoodTile]:
        """All tiles of all classes; their queries are every position exactly once."""
        starts = [
            [
                residue + begin * step
                for residue in range(step)
                for begin in range(0, class_length.py_func(length, residue, step), side)
            ]
            for length, side, step in zip(self.space, tile, self.dilation, strict=True)
        ]
        return [self.tile_at(position, tile) for position in product(*starts)]

    def mask(self) -> np.ndarray:
        """bool [tokens, tokens]: the product of one small mask per axis."""
        mask = np.ones((1, 1), bool)
        for axis, length in enumerate(self.space):
            one = np.zeros((length, length), bool)
            for i, (first, stop) in enumerate(self.bounds(axis)):
                keys = _every(first, stop, i % self.dilation[axis], self.dilation[axis])
                one[i, keys.start : keys.stop : keys.step] = True
            mask = np.kron(mask, one)
        return mask

    def _check_position(self, position: tuple[int, ...]) -> None:
        inside = len(position) == len(self.space) and all(
            0 <= i < n for i, n in zip(position, self.space, strict=True)
        )
        if not inside:
            raise WorkbenchError(f"a position in {self.space} was expected, but {position} came")


def per_axis(name: str, value: PerAxis, axes: int) -> tuple[int, ...]:
    """One number from 1 on stands for all axes."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    whole = all(isinstance(number, int | np.integer) and number >= 1 for number in numbers)
    if len(numbers) != axes or not whole:
        raise WorkbenchError(
            f"{name} must be a whole number from 1 on, or one for each of {axes} axes, but {value!r} came"
        )
    return tuple(map(int, numbers))


@lru_cache(maxsize=64)
def _bounds(length: int, window: int, step: int, causal: bool) -> tuple[tuple[int, int], ...]:
    return tuple(
        window_bounds.py_func(i // step, class_length.py_func(length, i % step, step), window, causal)
        for i in range(length)
    )


def _every(first: int, stop: int, residue: int, step: int) -> range:
    """Positions `first` to `stop` of a class, as positions of the axis."""
    return range(residue + first * step, residue + (stop - 1) * step + 1, step)

"""Runs a cascade of Einsums in float64: the readable truth that every mapping of it must equal."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.probes.cascades import Access, Cascade, Einsum

Array = np.ndarray
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log2": np.log2,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "rint": np.rint,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "max": np.maximum,
    "min": np.minimum,
    "where": np.where,
}
REDUCERS: dict[str, tuple[Any, float]] = {
    "sum": (np.add, 0.0),
    "prod": (np.multiply, 1.0),
    "max": (np.maximum, -np.inf),
    "min": (np.minimum, np.inf),
}
BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def interpret(
    cascade: Cascade,
    inputs: Mapping[str, ArrayLike],
    sizes: Mapping[str, int] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> dict[str, Array]:
    """All tensors that the cascade makes, by name, in float64.

    inputs: by name, with one axis for each place. Where the cascade splits a rank, the tensor comes whole
    (`K` [m, e] for `K[m1, m0, e]`), is cut into blocks of `sizes["m0"]`, the last one shorter, and what is
    made is put together again. sizes: of ranks that no input tells. functions: further names for the maps.
    """
    run = _Run(cascade, dict(sizes or {}), {**FUNCTIONS, **(functions or {})})
    run.take(inputs)
    with np.errstate(all="ignore"):
        for group in components(cascade):
            run.make(group)
    return {name: run.whole(name) for name in cascade.made}


def components(cascade: Cascade) -> list[tuple[Einsum, ...]]:
    """The Einsums in an order in which they can be run; those that need each other in turn form one group."""
    needs = {one: {m for access in one.reads for m in cascade.makers(access.name)} for one in cascade.einsums}
    reach = {one: set(found) for one, found in needs.items()}
    for middle in cascade.einsums:
        for one in cascade.einsums:
            if middle in reach[one]:
                reach[one] |= reach[middle]
    groups, done = [], set[Einsum]()
    while len(done) < len(cascade.einsums):
        for one in cascade.einsums:
            group = {one} | {other for other in reach[one] if one in reach[other]}
            if one not in done and reach[one] - group <= done:
                groups.append(tuple(other for other in cascade.einsums if other in group))
                done |= group
    return groups


class _Run:
    """The tensors and sizes of one run."""

    def __init__(self, cascade: Cascade, sizes: dict[str, int], functions: dict[str, Any]) -> None:
        self.cascade, self.sizes, self.functions = cascade, sizes, functions
        self.tensors: dict[str, Array] = {}

    # Inputs and shapes

    def take(self, inputs: Mapping[str, ArrayLike]) -> None:
        """Checks the inputs, cuts split ranks into blocks, and learns the sizes."""
        missing, extra = set(self.cascade.inputs) - set(inputs), set(inputs) - set(self.cascade.inputs)
        if missing or extra:
            raise WorkbenchError(
                f"cascade {self.cascade.name!r} reads {', '.join(self.cascade.inputs)}, "
                f"but {', '.join(inputs) or 'nothing'} came"
            )
        for name, values in inputs.items():
            array = np.asarray(values, dtype=np.float64)
            uses = [a for one in self.cascade.einsums for a in one.reads if a.name == name]
            for access in uses[:1]:
                array = self._cut(array, access)
            if array.ndim != len(uses[0].at):
                raise WorkbenchError(
                    f"{name!r} must have {len(uses[0].at)} axes, but shape {array.shape} came"
                )
            self.tensors[name] = array
            for access in uses:
                for index, size in zip(access.at, array.shape, strict=True):
                    if rank := index.plain:
                        self._learn(rank, size)
        self.shapes = {name: self._shape(name) for name in self.cascade.made}

    def _learn(self, rank: str, size: int) -> None:
        if self.sizes.setdefault(rank, size) != size:
            raise WorkbenchError(f"rank {rank!r} has size {self.sizes[rank]} and also size {size}")

    def _cut(self, array: Array, access: Access) -> Array:
        """Split ranks of a whole tensor become two axes; what is missing in the last block is 0."""
        plain = [index.plain for index in access.at]
        for rank, (outer, inner) in self.cascade.split.items():
            if outer in plain and inner in plain and array.ndim < len(plain):
                axis, block = plain.index(outer), self.sizes.get(inner)
                if not block or block < 1:
                    raise WorkbenchError(f"expected a size for {inner!r}, the length of a block of {rank!r}")
                self._learn(rank, array.shape[axis])
                blocks = -(-array.shape[axis] // block)
                after = [(0, 0)] * array.ndim
                after[axis] = (0, blocks * block - array.shape[axis])
                padded = np.pad(array, after)
                array = padded.reshape(*padded.shape[:axis], blocks, block, *padded.shape[axis + 1 :])
        return array

    def size(self, rank: str) -> int:
        if rank not in self.sizes:
            raise WorkbenchError(f"no input tells the size of rank {rank!r}: give it in sizes")
        return self.sizes[rank]

    def _shape(self, name: str) -> tuple[int, ...]:
        """As far as any of its lines reaches along each axis."""
        ends = [
            [(self.size(index.ranks[0][0]) if index.ranks else 1) + index.offset for index in one.output.at]
            for one in self.cascade.makers(name)
        ]
        return tuple(max(axis) for axis in zip(*ends, strict=True))

    def whole(self, name: str) -> Array:
        """A made tensor with its blocks put together."""
        array = self.tensors[name]
        ranks = [index.plain for index in self.cascade.makers(name)[-1].output.at]
        for rank, (outer, inner) in self.cascade.split.items():
            if outer in ranks and inner in ranks:
                axis = ranks.index(outer)
                shape = (*array.shape[:axis], -1, *array.shape[axis + 2 :])
                array = array.reshape(shape)
                if rank in self.sizes:
                    array = array.take(range(self.sizes[rank]), axis)
                ranks.remove(inner)
        return array

    # Running

    def make(self, group: tuple[Einsum, ...]) -> None:
        """Runs the Einsums of one group: at once, or step by step where they need what they made."""
        for one in group:
            self.tensors.setdefault(one.name, np.full(self.shapes[one.name], np.nan))
        one = group[0]
        if len(group) == 1 and all(access.name != one.name for access in one.reads):
            self.run(one, {})
            return
        loops = {member.iterative for member in group if member.iterative}
        if len(loops) != 1:
            names = ", ".join(dict.fromkeys(member.name for member in group))
            raise WorkbenchError(f"{names} need each other, but no single rank leads from step to step")
        (loop,) = loops
        for step in range(self.size(loop)):
            for member in group:
                self.run(member, {loop: step})

    def run(self, one: Einsum, fixed: dict[str, int]) -> None:
        """One Einsum for all its loops but the fixed ones."""
        loops = [rank for rank in one.ranks if rank not in fixed]
        places: dict[str, Any] = dict(fixed)
        for axis, rank in enumerate(loops):
            shape = [1] * len(loops)
            shape[axis] = -1
            places[rank] = np.arange(self.size(rank)).reshape(shape)
        values = np.asarray(self.value(one.map, one, places), dtype=np.float64)
        values = np.broadcast_to(values, [self.size(rank) for rank in loops])
        if one.reduce:
            reducer, nothing = REDUCERS[one.reduce]
            axes = tuple(loops.index(rank) for rank in one.reduced)
            values = reducer.reduce(np.where(self._exists(one, places), values, nothing), axis=axes)
        target = tuple(
            index.offset
            if not index.ranks or index.ranks[0][0] not in fixed
            else fixed[index.ranks[0][0]] + index.offset
            for index in one.output.at
        )
        slices = tuple(
            slice(index.offset, index.offset + self.size(index.ranks[0][0]))
            if index.ranks and index.ranks[0][0] not in fixed
            else place
            for index, place in zip(one.output.at, target, strict=True)
        )
        self.tensors[one.name][slices] = values

    def _exists(self, one: Einsum, places: dict[str, Any]) -> Any:
        """False beyond the end of a split rank, in its last block."""
        inside: Any = True
        for rank, (outer, inner) in self.cascade.split.items():
            if rank in self.sizes and outer in one.ranks and inner in one.ranks:
                inside = inside & (places[outer] * self.size(inner) + places[inner] < self.sizes[rank])
        return inside

    def value(self, node: ast.AST, one: Einsum, places: dict[str, Any]) -> Any:
        """A part of the map, for all places at once."""
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name):
                return self._named(name, places)
            case ast.Subscript():
                return self._element(one._access(node), places)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand, one, places)
            case (
                ast.BinOp(left=left, op=op, right=right)
                | ast.Compare(left=left, ops=[op], comparators=[right])
            ) if type(op) in BINARY:
                return BINARY[type(op)](self.value(left, one, places), self.value(right, one, places))
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in self.functions:
                return self.functions[name](*(self.value(argument, one, places) for argument in arguments))
        raise WorkbenchError(f"the Einsum {one.text!r} uses {ast.unparse(node)!r}, which is not known")

    def _named(self, name: str, places: dict[str, Any]) -> Any:
        if name in places:
            return places[name]
        if name in self.tensors:
            return self.tensors[name]
        return {"inf": np.inf, "pi": np.pi}[name] if name in ("inf", "pi") else self.size(name.lower())

    def _element(self, access: Access, places: dict[str, Any]) -> Array:
        array = self.tensors[access.name]
        where = []
        for index, size in zip(access.at, array.shape, strict=True):
            place = index.offset + sum(times * self.size(rank) for rank, times in index.sizes)
            place = place + sum(times * places[rank] for rank, times in index.ranks)
            if np.size(place) and (np.min(place) < 0 or np.max(place) >= size):
                raise WorkbenchError(
                    f"{access.name!r} is read at {np.min(place)} to {np.max(place)} of an axis "
                    f"with {size} places"
                )
            where.append(place)
        return np.asarray(array[tuple(where)])

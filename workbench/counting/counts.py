"""`count`: what a kernel does to memory and how it calculates, operation by operation."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from inspect import signature
from math import gcd
from typing import Any

import numba
import numpy as np

from workbench.counting import cache, operations, runs
from workbench.counting.build import Build, counting_build
from workbench.counting.caches import Cache, Tally, read_levels, read_reuse
from workbench.counting.flow import flatten
from workbench.counting.geometry import Geometry
from workbench.counting.layout import place_arrays
from workbench.counting.source import source_of
from workbench.errors import WorkbenchError
from workbench.quantity import Quantity

MiB = 1024**2
OTHER = None  # the key of strides beyond those that are told apart


@dataclass(frozen=True)
class Line:
    """What one line of a kernel's source did, in all its executions; `misses` by level."""

    kernel: str
    number: int
    text: str
    loads: int = 0
    stores: int = 0
    flops: int = 0
    ops: dict[str, int] = field(default_factory=dict)
    misses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """What a call of a kernel did. Operations are those that the source executes (`counted`), whatever a
    compiler makes of them; caches are a model (`simulated`).

    `flops` counts operations on floats that round: add, mul, div, sqrt, exp ... each once. `ops` has all
    operations on floats by kind, also those that only choose (compare, max, abs); `index_ops` those on
    integers. A complex sum is two sums, a complex product four products, a sum and a difference.
    `loads`, `stores`, `bytes` (moved by both) and `bytes_unique` (touched at least once) go by array;
    `strides[array]` counts the bytes from one access of a place in the source to its next (None: further
    strides than are told apart). `cache["L1"]` is a `Cache`. `reuse[array][d]`, if asked for, counts
    accesses whose line was last accessed d other lines ago; `cold[array]` those of a line never seen.
    """

    kernel: str
    result: Any
    ops: dict[str, int]
    index_ops: dict[str, int]
    loads: Tally
    stores: Tally
    bytes: Tally
    bytes_unique: Tally
    strides: dict[str, dict[int | None, int]]
    cache: dict[str, Cache]
    reuse: dict[str, np.ndarray] | None
    cold: Tally | None
    by_line: list[Line]
    geometry: Geometry
    annotated: bool = False

    @property
    def flops(self) -> int:
        return sum(number for kind, number in self.ops.items() if operations.is_flop(kind))

    @property
    def accesses(self) -> int:
        return self.loads.total + self.stores.total

    def quantities(self) -> dict[str, Quantity]:
        """The totals with their provenance."""
        found = {
            "flops": Quantity(self.flops, "flop", "counted"),
            "loads": Quantity(self.loads.total, "", "counted"),
            "stores": Quantity(self.stores.total, "", "counted"),
            "bytes": Quantity(self.bytes.total, "B", "counted"),
            "bytes_unique": Quantity(self.bytes_unique.total, "B", "counted"),
        }
        for name, level in self.cache.items():
            found[f"{name} misses"] = Quantity(level.misses.total, "", "simulated")
            found[f"{name} write-backs"] = Quantity(level.writebacks.total, "", "simulated")
        return found

    def table(self) -> list[dict[str, Any]]:
        """A row for each array and quantity (and each kind of operation, with array ""), with provenance."""
        tallies = {
            ("loads", "", "counted"): self.loads,
            ("stores", "", "counted"): self.stores,
            ("bytes", "B", "counted"): self.bytes,
            ("bytes_unique", "B", "counted"): self.bytes_unique,
        }
        for name, level in self.cache.items():
            tallies[f"{name} misses", "", "simulated"] = level.misses
            tallies[f"{name} write-backs", "", "simulated"] = level.writebacks
        heads = "array", "quantity", "value", "unit", "provenance"
        rows: list[tuple[Any, ...]] = [
            (array, what, value, unit, provenance)
            for (what, unit, provenance), tally in tallies.items()
            for array, value in tally.items()
        ]
        rows += [("", kind, number, "", "counted") for kind, number in self.ops.items()]
        rows.append(("", "flops", self.flops, "flop", "counted"))
        return [dict(zip(heads, row, strict=True)) for row in rows]

    def __str__(self) -> str:
        heads = ["array", "loads", "stores", "bytes touched", *(f"{name} misses" for name in self.cache)]
        rows = [
            [name, self.loads[name], self.stores[name], self.bytes_unique[name]]
            + [level.misses[name] for level in self.cache.values()]
            for name in self.loads
        ]
        text = f"{self.kernel}: {self.flops:,} flops, {self.accesses:,} accesses\n\n{_table(heads, rows)}"
        return f"{text}\n\n{self.source()}" if self.annotated else text

    def source(self) -> str:
        """The annotated source: beside each line what it did."""
        heads = ["line", "loads", "stores", "flops", *(f"{name} misses" for name in self.cache), ""]
        rows = [
            [line.number]
            + [number or "" for number in (line.loads, line.stores, line.flops)]
            + [line.misses[name] or "" for name in self.cache]
            + [line.text]
            for line in self.by_line
        ]
        return _table(heads, rows, left=len(heads) - 1)


def count(
    kernel: Any,
    *args: Any,
    machine: Any = None,
    geometry: Geometry | None = None,
    by_line: bool = False,
    classes: bool = False,
    reuse: bool = False,
    arena: int = 64 * MiB,
) -> Counts:
    """Runs a kernel once, counting; its arrays are changed as by a plain call.

    Caches are simulated if `machine` (a `Machine`) or `geometry` tells them. `by_line` prints the source
    beside the counts, `classes` splits misses into compulsory, capacity and conflict, `reuse` measures exact
    reuse distances between cache lines. `arena` bytes of simulated memory hold the arrays that the kernel
    allocates. A parallel kernel runs on one thread, in the order of its loop. Strides are those within one
    call of the kernel that accesses.

    What cannot be counted exactly is refused with line and reason; so is an index outside its array.
    """
    run = Run(kernel, args, geometry_of(machine, geometry), classes, reuse, arena=arena)
    return run.counts(by_line)


def geometry_of(machine: Any, geometry: Geometry | None) -> Geometry:
    """The caches that the caller asked for; none if it did not."""
    if machine is not None and geometry is not None:
        raise WorkbenchError("give a machine or a geometry, not both")
    return Geometry.of(machine) if machine is not None else geometry or Geometry([])


class Run:
    """One execution of a counting build: its state, and how to read it."""

    def __init__(
        self,
        kernel: Any,
        args: Sequence[Any],
        geometry: Geometry,
        classes: bool = False,
        reuse: bool = False,
        log: int = 0,
        arena: int = 64 * MiB,
    ) -> None:
        self.geometry, self.classes, self.reuse = geometry, classes, reuse
        self.args = _arguments(kernel, args)
        self.build: Build = counting_build(kernel, tuple(map(_typeof, self.args.values())))
        plan = self.build.plan
        arrays = {name: value for name, value in self.args.items() if isinstance(value, np.ndarray)}
        self.names, self.sites = plan.arrays, plan.sites
        self.local = range(len(arrays), len(plan.arrays))
        if too_large := [site for site in plan.sites if site.size > geometry.line]:
            raise WorkbenchError(
                f"elements of {too_large[0].array} have {too_large[0].size} bytes, more than a line of "
                f"{geometry.line}"
            )
        self.places = place_arrays(list(arrays), list(arrays.values()), geometry.line)
        self.pairs = (len(plan.arrays), len(plan.sites))
        self._set_up(log, arena if self.local else 0)
        self.result = self._execute(arena, log)

    def _set_up(self, log: int, arena: int) -> None:
        plan, line = self.build.plan, self.geometry.line
        arrays, sites = self.pairs
        start = -(-max((place.high for place in self.places), default=0) // line) * line
        end = start + -(-arena // line) * line
        owners = np.zeros(max(end // line, 1), np.int64)
        for number, place in reversed(list(enumerate(self.places))):
            owners[place.low // line : -(-place.high // line)] = number
        self.unit = (reduce(gcd, (site.size for site in plan.sites), 16)).bit_length() - 1
        self.book, self.memory = cache.new_state(
            self.geometry,
            len(owners),
            owners,
            arrays,
            sites,
            self.classes,
            self.reuse,
            log,
            tables={
                runs.TALLY: arrays * sites,
                runs.BLOCKS: plan.blocks,
                runs.STARTS: sites,
                runs.SIZES: sites,
                runs.STRIDES: arrays * sites * runs.STRIDE_FIELDS,
                runs.BITS: arrays,
                runs.PLACES: 2 * arrays,
            },
        )
        self.memory[[runs.UNIT, runs.FREE, runs.END]] = self.unit, start, end
        self.table(runs.SIZES, sites)[:] = [site.size for site in plan.sites]
        self.table(runs.BITS, arrays)[:] = [place.bit for place in self.places] + [1] * len(self.local)
        self.marks = np.zeros((len(owners) * line) >> self.unit, np.uint8)

    def _execute(self, arena: int, log: int) -> Any:
        state: list[Any] = []
        for number, place in enumerate(self.places):
            state += [place.address, number * self.pairs[1]]
        name = self.build.source.name
        try:
            return self.build.function(*self.args.values(), *state, self.book, self.memory, self.marks)
        except IndexError as error:
            raise WorkbenchError(f"{name} accesses an array outside its shape: {error}") from error
        except OverflowError as error:
            if not log or self.memory[cache.LOGGED] < log:
                raise  # the kernel's own
            raise WorkbenchError(
                f"{name} makes more than {log:,} accesses: trace a smaller call, or give most="
            ) from error
        except MemoryError as error:
            raise WorkbenchError(
                f"{name} allocates more than arena = {arena} bytes of arrays: give a "
                f"larger arena, or allocate outside the loop"
            ) from error

    def table(self, offset: int, *shape: int) -> np.ndarray:
        """The view of a table whose offset stands in the header."""
        start = int(self.memory[offset])
        return self.memory[start : start + int(np.prod(shape))].reshape(shape)

    def counts(self, annotated: bool) -> Counts:
        """All that was counted."""
        tally = self.table(runs.TALLY, *self.pairs)
        sizes = np.array([site.size for site in self.sites], np.int64)
        stores = np.array([site.store for site in self.sites], np.bool_)
        levels, misses = read_levels(self.memory, self.geometry, self.names, tally, self.classes)
        histogram, cold = read_reuse(self.memory, tally.sum(1)) if self.reuse else (None, None)
        ops = [
            (op, int(self.table(runs.BLOCKS, self.build.plan.blocks)[op.block]) * op.times)
            for op in self.build.plan.operations
        ]
        return Counts(
            kernel=self.build.source.name,
            result=self.result,
            ops=_sum(ops, floats=True),
            index_ops=_sum(ops, floats=False),
            loads=self.tally(tally[:, ~stores].sum(1)),
            stores=self.tally(tally[:, stores].sum(1)),
            bytes=self.tally(tally @ sizes),
            bytes_unique=self.tally(self._unique()),
            strides=self._strides(),
            cache=levels,
            reuse=None if histogram is None else dict(zip(self.names, histogram, strict=True)),
            cold=None if cold is None else self.tally(cold),
            by_line=list(self._lines(tally, misses, ops)),
            geometry=self.geometry,
            annotated=annotated,
        )

    def tally(self, values: Any) -> Tally:
        return Tally(zip(self.names, map(int, values), strict=True))

    def _unique(self) -> Iterator[int]:
        per_line = self.geometry.line >> self.unit
        for place in self.places:
            marks = self.marks[place.low >> self.unit : -(-place.high // self.geometry.line) * per_line]
            yield int(np.count_nonzero(marks & place.bit)) << self.unit
        owner = self.table(cache.OWNER, len(self.book) // cache.BOOK)
        by_line = self.marks.reshape(-1, per_line)
        for number in self.local:
            yield int(np.count_nonzero(by_line[owner == number])) << self.unit

    def _strides(self) -> dict[str, dict[int | None, int]]:
        tables = self.table(runs.STRIDES, *self.pairs, runs.STRIDE_FIELDS)
        found = {}
        for name, table in zip(self.names, tables, strict=True):
            pairs = table[:, :-1].reshape(-1, 2)
            counts: Counter[int | None] = Counter()
            for stride, number in pairs[pairs[:, 1] > 0].tolist():
                counts[stride] += number
            if table[:, -1].any():
                counts[OTHER] = int(table[:, -1].sum())
            found[name] = dict(counts.most_common())
        return found

    def _lines(self, tally: np.ndarray, misses: np.ndarray, ops: list[Any]) -> Iterator[Line]:
        plan = self.build.plan
        for source in plan.sources:
            for number, text in source.numbered:
                here = [n for n, s in enumerate(self.sites) if (s.file, s.line) == (source.file, number)]
                done = [(op, n) for op, n in ops if (op.file, op.line) == (source.file, number)]
                floats = _sum(done, floats=True)
                yield Line(
                    kernel=source.name,
                    number=number,
                    text=text,
                    loads=int(tally[:, [n for n in here if not self.sites[n].store]].sum()),
                    stores=int(tally[:, [n for n in here if self.sites[n].store]].sum()),
                    flops=sum(n for kind, n in floats.items() if operations.is_flop(kind)),
                    ops=floats,
                    misses={
                        name: int(level[:, here].sum())
                        for name, level in zip(self.geometry.names, misses, strict=True)
                    },
                )


def _arguments(kernel: Any, args: Sequence[Any]) -> dict[str, Any]:
    """The arguments by name, with defaults."""
    function = source_of(kernel).function
    try:
        bound = signature(function).bind(*args)
    except TypeError as error:
        raise WorkbenchError(
            f"{function.__name__}{signature(function)} cannot be called so: {error}"
        ) from error
    bound.apply_defaults()
    return dict(bound.arguments)


def _typeof(value: Any) -> Any:
    try:
        kind = numba.typeof(value)
    except (ValueError, TypeError, numba.errors.NumbaError) as error:
        raise WorkbenchError(f"a kernel takes arrays and numbers, but {type(value).__name__} came") from error
    parts = flatten(kind)
    numbers = numba.types.Number, numba.types.Boolean, numba.types.NoneType, numba.types.StringLiteral
    if not (isinstance(kind, numba.types.Array) or all(isinstance(part, numbers) for part in parts)):
        raise WorkbenchError(
            f"a kernel that is counted takes arrays, numbers and tuples of numbers, but {kind} came"
        )
    return kind


def _sum(ops: list[Any], floats: bool) -> dict[str, int]:
    found: Counter[str] = Counter()
    for op, number in ops:
        if op.floats == floats:
            found[op.kind] += number
    return {kind: number for kind, number in found.most_common() if number}


def _table(heads: list[str], rows: list[list[Any]], left: int = 0) -> str:
    """Columns of text; numbers to the right, the column `left` to the left."""
    cells = [heads, *([f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )

"""`trace`: every access of a kernel in order, to be drawn."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.counting import cache
from workbench.counting.counts import Run, geometry_of
from workbench.counting.geometry import Geometry


@dataclass(frozen=True)
class Trace:
    """The accesses of one call, in the order in which the source makes them; columns are [accesses].

    `array` numbers into `names`; `index` is the flat index (C order) of the element in `shapes[name]`;
    `address` is the simulated address in bytes; `store` tells stores from loads; `line` is the number of the
    source line. `level` says what held the element's line (`simulated`): 0 is L1, 1 is L2 ...,
    `len(geometry.levels)` is memory. An array that the kernel allocates has one axis, as long as what was
    accessed. `source` lists the lines (number, text) of all kernels that ran.
    """

    kernel: str
    result: Any
    names: list[str]
    shapes: dict[str, tuple[int, ...]]
    array: np.ndarray = field(repr=False)
    index: np.ndarray = field(repr=False)
    address: np.ndarray = field(repr=False)
    store: np.ndarray = field(repr=False)
    line: np.ndarray = field(repr=False)
    level: np.ndarray = field(repr=False)
    source: list[tuple[int, str]] = field(repr=False)
    geometry: Geometry = field(repr=False)

    def __len__(self) -> int:
        return len(self.array)

    def position(self, number: int) -> tuple[int, ...]:
        """The index of an access with one number for each axis."""
        shape = self.shapes[self.names[self.array[number]]]
        return tuple(map(int, np.unravel_index(self.index[number], shape)))

    def __str__(self) -> str:
        arrays = ", ".join(f"{name}{list(shape)}" for name, shape in self.shapes.items())
        return f"{self.kernel}: {len(self):,} accesses of {arrays}"


def trace(
    kernel: Any,
    *args: Any,
    machine: Any = None,
    geometry: Geometry | None = None,
    most: int = 100_000,
) -> Trace:
    """Runs a kernel once and keeps every access; its arrays are changed as by a plain call.

    `machine` or `geometry` give the caches, as for `count`. More than `most` accesses are an error: what is
    to be drawn is small.
    """
    run = Run(kernel, args, geometry_of(machine, geometry), log=most)
    entries = run.table(cache.LOG, int(run.memory[cache.LOGGED]), cache.LOG_FIELDS)
    pair, address, store, level = entries.T.copy()
    array, site = np.divmod(pair, max(len(run.sites), 1))
    index = np.zeros_like(address)
    shapes: dict[str, tuple[int, ...]] = {}
    for number, name in enumerate(run.names):
        mine = array == number
        if number in run.local:
            first = address[mine].min(initial=address.max(initial=0))
            sizes = np.array([one.size for one in run.sites])[site[mine]]
            index[mine] = (address[mine] - first) // sizes
            shapes[name] = (int(index[mine].max(initial=-1)) + 1,)
        else:
            index[mine] = flat_index(run.args[name], address[mine] - run.places[number].address)
            shapes[name] = run.args[name].shape
    return Trace(
        kernel=run.build.source.name,
        result=run.result,
        names=list(run.names),
        shapes=shapes,
        array=array,
        index=index,
        address=address,
        store=store.astype(np.bool_),
        line=np.array([one.line for one in run.sites], np.int64)[site],
        level=level,
        source=[pair for source in run.build.plan.sources for pair in source.numbered],
        geometry=run.geometry,
    )


def flat_index(array: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The flat indices, in C order, of what lies `offsets` bytes from the first element of `array`.

    Where elements share a place (a stride of 0) it is the first of them.
    """
    if array.size == 0:
        return np.zeros_like(offsets)
    axes = np.ix_(*(np.arange(n) * s for n, s in zip(array.shape, array.strides, strict=True)))
    places = np.broadcast_to(np.asarray(sum(axes, np.int64(0))), array.shape).ravel()
    known, first = np.unique(places, return_index=True)
    return first[np.searchsorted(known, offsets, "right") - 1]

"""Gives the arrays of a call their addresses in the simulated memory.

Every array begins at a page, in the order of the arguments, as large arrays do that a system hands out;
arrays that share memory keep their distance. The same call thus has the same misses everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError

PAGE = 4096
MOST_SHARING = 8  # a byte of marks has so many bits


@dataclass(frozen=True)
class Place:
    """Where an array lies: its first element, the bytes [`low`, `high`) of the memory that it may share
    with others, and the bit that tells its marks from theirs."""

    address: int
    low: int
    high: int
    bit: int


def place_arrays(names: Sequence[str], arrays: Sequence[np.ndarray], line: int) -> list[Place]:
    """A place for every array."""
    extents = [byte_bounds(array) for array in arrays]
    places: dict[int, Place] = {}
    free = 0
    for first in range(len(arrays)):
        if first in places:
            continue
        group, low, high = _sharing(first, extents)
        if len(group) > MOST_SHARING:
            shared = ", ".join(names[n] for n in group)
            raise WorkbenchError(f"at most {MOST_SHARING} arguments can share memory, but {shared} do")
        for bit, number in enumerate(group):
            array = arrays[number]
            address = free + array.ctypes.data - low
            _check(names[number], array, address, line)
            places[number] = Place(address, free, free + high - low, 1 << bit)
        free += -(-max(high - low, 1) // PAGE) * PAGE
    return [places[number] for number in range(len(arrays))]


def byte_bounds(array: np.ndarray) -> tuple[int, int]:
    """The real addresses [low, high) between which all elements lie."""
    low = high = array.ctypes.data
    if array.size == 0:
        return low, low
    for length, stride in zip(array.shape, array.strides, strict=True):
        low += min(0, (length - 1) * stride)
        high += max(0, (length - 1) * stride)
    return low, high + array.itemsize


def _sharing(first: int, extents: list[tuple[int, int]]) -> tuple[list[int], int, int]:
    """All arrays whose memory overlaps that of `first`, directly or through others."""
    group, (low, high) = {first}, extents[first]
    grown = True
    while grown:
        found = {n for n, (start, end) in enumerate(extents) if start < high and low < end} | {first}
        grown = found != group
        group = found
        low, high = min(extents[n][0] for n in group), max(extents[n][1] for n in group)
    return sorted(group), low, high


def _check(name: str, array: np.ndarray, address: int, line: int) -> None:
    size = array.itemsize
    steps = [stride for stride, length in zip(array.strides, array.shape, strict=True) if length > 1]
    if size > line or size & (size - 1) or any(step % size for step in [address, *steps]):
        raise WorkbenchError(
            f"the elements of {name} do not lie whole in lines of {line} bytes (item size {size}, "
            f"strides {array.strides}): make it contiguous"
        )

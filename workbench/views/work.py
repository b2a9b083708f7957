"""What a kernel has to do, as the pictures of its efficiency take it: operations, bytes, and a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.quantity import PROVENANCES, Quantity
from workbench.views.theme import OKABE_ITO, ROLES, SIGNS, Role, line
from workbench.views.words import listed

if TYPE_CHECKING:  # drawing alone does not load numba
    from workbench.counting import Counts

MEMORY = "DRAM"


@dataclass(frozen=True)
class Work:
    """One kernel: its operations, the bytes that it moves, and how long it took.

    flops: in flop. bytes: in B, moved between the processor and memory; or by level of memory, with the names
    that the bandwidths have (`traffic` reads them off a count). seconds: in s, None where nobody has looked.
    role: colours it. peak: name of the ceiling that it can reach, default the highest.
    """

    flops: Quantity
    bytes: Quantity | Mapping[str, Quantity]
    seconds: Quantity | None = None
    role: Role | None = None
    peak: str | None = None

    def __post_init__(self) -> None:
        moved = [self.bytes] if isinstance(self.bytes, Quantity) else list(self.bytes.values())
        if self.flops.value < 0 or not moved or any(one.value < 0 for one in moved):
            raise WorkbenchError("a kernel's work needs flops and bytes that are not negative")
        if self.seconds is not None and not self.seconds.value > 0:
            raise WorkbenchError(f"a kernel's seconds must be positive, but {self.seconds} came")

    @property
    def quantities(self) -> list[Quantity]:
        moved = [self.bytes] if isinstance(self.bytes, Quantity) else list(self.bytes.values())
        return [self.flops, *moved, *([self.seconds] if self.seconds else [])]


def traffic(counts: "Counts") -> dict[str, Quantity]:
    """Bytes that a counted kernel moves at each level: what it asks of L1, what L1 asks of L2, and so on.

    The first are counted. The others are simulated: lines that miss, are fetched ahead or are written back,
    each a line long. The last goes by the name DRAM.
    """
    geometry = counts.geometry
    passing = [
        name for name, level in zip(geometry.names, geometry.levels, strict=True) if not level.write_allocate
    ]
    if passing:
        raise WorkbenchError(
            f"traffic is read off levels that allocate on a write, but {passing[0]} lets stores pass: "
            f"count with write_allocate=True"
        )
    names = [*counts.cache, MEMORY]
    moved = {names[0]: Quantity(counts.bytes.total, "B", "counted")}
    for name, level in zip(names[1:], counts.cache.values(), strict=True):
        lines = level.misses.total + level.prefetches + level.writebacks.total
        moved[name] = Quantity(lines * geometry.line, "B", "simulated")
    return moved


def colours(roles: Iterable[Role | None]) -> list[str]:
    """One each: that of its role, else of a category. Where roles occur, their colours mean nothing else."""
    given = list(roles)
    taken = {str(line(role)["color"]) for role in ROLES} if any(given) else set()  # type: ignore[arg-type]
    free = [ink for ink in OKABE_ITO[:6] if ink not in taken]  # these are seen on both grounds
    return [
        str(line(role)["color"]) if role else free[number % len(free)] for number, role in enumerate(given)
    ]


def legend(quantities: Iterable[Quantity]) -> str:
    """The signs of the provenances that occur: "● counted and ■ measured"."""
    found = {one.provenance for one in quantities}
    return listed([f"{SIGNS[one]} {one}" for one in PROVENANCES if one in found])


def where_and_when(quantities: Iterable[Quantity]) -> str:
    """The sentence that a measured number owes: "Measured on … at …." once for each machine and date."""
    found = {f"on {one.machine}, {one.when}" for one in quantities if one.provenance == "measured"}
    return f" Measured {listed(sorted(found))}." if found else ""


def told(one: Quantity) -> str:
    """A number with all that is known of it, for a pointer that rests on it."""
    return f"{one} on {one.machine}, {one.when}" if one.provenance == "measured" else str(one)

"""What a cache hierarchy is made of: sizes and rules, no state."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from workbench.errors import WorkbenchError

Policy = Literal["lru", "plru", "random"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
MOST_LEVELS = 3
KiB = 1024
USUAL_WAYS = 8


@dataclass(frozen=True)
class Level:
    """One cache of `size` bytes whose sets hold `ways` lines (None: one set of all lines).

    `policy`: which line of a full set leaves: the one not used for longest (`lru`), the one that a binary
    tree of last turns points at (`plru`, ways a power of two), or any (`random`, the same in every run).
    `write_allocate`: a store that misses brings the line in; otherwise it passes on to the next level.
    `inclusive`: what leaves this level leaves the levels before it too.
    `prefetch`: a miss, and the first use of a line fetched so, also fetches the line after it.
    A dirty line that leaves is written back: to the next level that holds it, else to memory.
    """

    size: int
    ways: int | None = 8
    policy: Policy = "lru"
    write_allocate: bool = True
    inclusive: bool = False
    prefetch: bool = False


@dataclass(frozen=True)
class Geometry:
    """One to three levels, nearest first, all with lines of `line` bytes; they are called L1, L2 and L3.

    Given no levels, accesses are counted and nothing is simulated. `notes` says what was assumed.
    """

    levels: tuple[Level, ...]
    line: int = 64
    name: str = ""
    notes: tuple[str, ...] = ()

    def __init__(
        self, levels: Iterable[Level], line: int = 64, name: str = "", notes: Iterable[str] = ()
    ) -> None:
        object.__setattr__(self, "levels", tuple(levels))
        object.__setattr__(self, "line", line)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "notes", tuple(notes))
        self._check()

    def _check(self) -> None:
        if not 8 <= self.line <= 4096 or self.line & (self.line - 1):
            raise WorkbenchError(f"line must be a power of two from 8 to 4096 bytes, but {self.line} came")
        if len(self.levels) > MOST_LEVELS:
            raise WorkbenchError(f"a geometry has at most {MOST_LEVELS} levels, but {len(self.levels)} came")
        for number, level in enumerate(self.levels, 1):
            ways = self.ways(level)
            if level.policy not in POLICIES:
                raise WorkbenchError(
                    f"L{number}: policy must be one of {', '.join(POLICIES)}, but {level.policy!r} came"
                )
            if ways < 1 or level.size < 1 or level.size % (self.line * ways):
                raise WorkbenchError(
                    f"L{number}: size must be a multiple of ways x line = {ways} x {self.line} bytes, "
                    f"but {level.size} came"
                )
            if level.inclusive and not level.write_allocate:
                raise WorkbenchError(
                    f"L{number}: an inclusive level must allocate on a write, or it could not include"
                )
            if level.policy == "plru" and (ways & (ways - 1) or ways > 64):
                raise WorkbenchError(
                    f"L{number}: plru needs 1, 2, 4 ... 64 ways, but {ways} came; lru takes any number"
                )

    def ways(self, level: Level) -> int:
        """Lines in a set of `level`."""
        return level.size // self.line if level.ways is None else level.ways

    def sets(self, level: Level) -> int:
        """Sets of `level`."""
        return level.size // (self.line * self.ways(level))

    @property
    def names(self) -> tuple[str, ...]:
        """`("L1", "L2")` for two levels."""
        return tuple(f"L{number}" for number in range(1, len(self.levels) + 1))

    @classmethod
    def of(cls, machine: Any) -> "Geometry":
        """The data caches that a `Machine` tells of, as LRU levels that allocate on a write.

        Where it does not tell the ways, 8 are assumed, and `notes` says so. A cache that cores share is
        taken whole, as one core sees it when the others rest.
        """
        caches = sorted(machine.caches, key=lambda cache: cache.level)[:MOST_LEVELS]
        if not caches:
            raise WorkbenchError(
                f"{machine.name} does not tell its caches: give count(..., geometry=Geometry([Level(...)]))"
            )
        line = next((cache.line for cache in caches if cache.line), 64)
        levels, notes = [], []
        for cache in caches:
            if cache.line and cache.line != line:
                notes.append(f"L{cache.level}: lines of {cache.line} bytes, simulated with {line}")
            if not cache.ways:
                notes.append(f"L{cache.level}: ways unknown, {USUAL_WAYS} assumed")
            levels.append(Level(cache.size, cache.ways or USUAL_WAYS))
        return cls(levels, line, machine.name, notes)

"""How much must be at hand at once, if no fibre is fetched twice? Read off the text of a cascade.

For one tile of queries (the size of `p`), walks along a rank are done one after the other, each in the order
of the lines. What is alive at a line decides:

    kept       a fibre that one walk makes and a later one reads again: all of its elements in between; it
               grows while it is made, and shrinks while it is read for the last time
    carried    what a walk gathers, or hands from one step to the next: one element, until its last reader
    held       an input without the rank, such as the queries: all of it, until its last reader
    passing    an element (or block) of a fibre that this walk makes or fetches and no later one reads: one

Inputs that have the rank are fetched again in each pass; only what is made is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.probes.cascade_passes import Walk, passes
from workbench.probes.cascades import Access, Cascade, Einsum, Index


@dataclass(frozen=True)
class Live:
    """One tensor at the fullest moment: its role, the numbers it takes, and their ranks: ("P", "M")."""

    name: str
    role: str
    numbers: int
    ranks: tuple[str, ...]


@dataclass(frozen=True)
class Footprint:
    """The most that is alive at once, at which line, and what it consists of."""

    cascade: Cascade
    along: str
    at: str
    live: tuple[Live, ...]

    @property
    def numbers(self) -> int:
        """How many numbers must be at hand."""
        return sum(one.numbers for one in self.live)

    @property
    def kept(self) -> int:
        """How many of them are fibres kept for a later walk."""
        return sum(one.numbers for one in self.live if one.role == "kept")

    @property
    def formula(self) -> str:
        """The numbers as a sum of products of sizes: "M·P + 2·P"."""
        counts: dict[tuple[str, ...], int] = {}
        for one in self.live:
            key = tuple(sorted(one.ranks))
            counts[key] = counts.get(key, 0) + 1
        order = sorted(counts, key=lambda ranks: (-len(ranks), ranks))
        terms = (
            "·".join((str(counts[ranks]),) * (counts[ranks] > 1 or not ranks) + ranks) for ranks in order
        )
        return " + ".join(terms) or "0"

    def rows(self) -> list[dict[str, object]]:
        """A table: tensor, role, size, numbers."""
        return [
            {"tensor": one.name, "role": one.role, "size": "·".join(one.ranks) or "1", "numbers": one.numbers}
            for one in self.live
        ]

    def __str__(self) -> str:
        return f"{self.cascade.name}: {self.numbers} = {self.formula} numbers at {self.at!r}"


def footprint(cascade: Cascade, sizes: Mapping[str, int], along: str = "m") -> Footprint:
    """What must be at hand for one tile, walking along one rank.

    sizes: of all ranks, `p` being the tile; for a split rank, its own size and that of a block ("m", "m0").
    """
    found = passes(cascade)
    if along not in found.counts:
        raise WorkbenchError(f"expected one of the ranks {', '.join(found.counts)}, but {along!r} came")
    loop = cascade.split[along][0] if along in cascade.split else along
    plan = _Plan(cascade, loop, _all_sizes(cascade, sizes), found.moments[along])
    moments = [
        (plan.live_at(place, over), one) for place, one in enumerate(plan.order) for over in (False, True)
    ]
    live, at = max(moments, key=lambda pair: sum(tensor.numbers for tensor in pair[0]))
    return Footprint(cascade, along, at.text, live)


def _all_sizes(cascade: Cascade, sizes: Mapping[str, int]) -> dict[str, int]:
    known = dict(sizes)
    for rank, (outer, inner) in cascade.split.items():
        if rank in known and known.get(inner):
            known.setdefault(outer, -(-known[rank] // known[inner]))
    if missing := [rank for rank in cascade.ranks if known.get(rank, 0) < 1]:
        raise WorkbenchError(f"expected a size of at least 1 for each rank, but {missing[0]!r} has none")
    return known


class _Plan:
    """The lines in the order of their walks, and who reads what when."""

    def __init__(self, cascade: Cascade, loop: str, sizes: dict[str, int], earliest: dict[str, Walk]) -> None:
        self.cascade, self.loop, self.sizes = cascade, loop, sizes
        self.when = {one: earliest[one.text] for one in cascade.einsums}
        for one in cascade.einsums:  # what needs inputs alone can wait until it is needed itself
            readers = [self.when[reader] for reader in cascade.readers(one.name) if reader != one]
            if readers and all(access.name in cascade.inputs for access in one.reads):
                self.when[one] = max(self.when[one], min(readers))
        self.order = sorted(cascade.einsums, key=lambda one: self.when[one])
        self.place = {one: place for place, one in enumerate(self.order)}

    def live_at(self, place: int, over: bool) -> tuple[Live, ...]:
        """Everything alive at this place of the order, in the first step of its walk or in the last one."""
        found = (self._tensor(name, place, over) for name in (*self.cascade.inputs, *self.cascade.made))
        return tuple(one for one in found if one)

    def _tensor(self, name: str, place: int, over: bool) -> Live | None:
        makers, readers = self.cascade.makers(name), self.cascade.readers(name)
        now = self.when[self.order[place]]
        made, read = [self.place[one] for one in makers], [self.place[one] for one in readers]
        first, last = min(made or read), max(read or made)
        shape = self._longest(name)
        if not shape.along(self.loop):  # a reduction is gathered during the whole of its walk
            begins = [self._begin(self.when[one]) for one in makers if one.reduce]
            role = "carried" if makers else "held"
            return self._live(name, role, shape) if min((first, *begins)) <= place <= last else None
        ready = max((self.when[one] for one in makers), default=Walk())
        again = [self.when[one] for one in readers if self._along(one, name) and self.when[one] > ready]
        if makers and again:
            growing, shrinking = now == ready and not over, now == max(again) and over
            whole = ready <= now <= max(again) and not growing and not shrinking
            if whole and place >= first:
                return self._live(name, "kept", shape, whole=True)
        elif steps := [one for one in makers if one.iterative == self.loop]:
            begin = min(self._begin(self.when[one]) for one in steps)
            return self._live(name, "carried", shape) if begin <= place <= last else None
        here = [self.place[one] for one in (*makers, *readers) if self.when[one] == now]
        return self._live(name, "passing", shape) if here and min(here) <= place <= max(here) else None

    def _longest(self, name: str) -> Access:
        """The line with most ranks that makes or reads the tensor."""
        accesses = [one.output for one in self.cascade.makers(name)] or [
            access for one in self.cascade.einsums for access in one.reads if access.name == name
        ]
        return max(accesses, key=lambda access: len(access.ranks))

    def _along(self, one: Einsum, name: str) -> bool:
        return any(access.name == name and access.along(self.loop) for access in one.reads)

    def _begin(self, walk: Walk) -> int:
        """The place of the first line of a walk."""
        return min(place for place, one in enumerate(self.order) if self.when[one] == walk)

    def _live(self, name: str, role: str, shape: Access, whole: bool = False) -> Live:
        ranks: list[str] = []
        numbers = 1
        for index in shape.at:
            inside = [rank for rank, _ in index.ranks if whole or rank != self.loop]
            ranks += [rank.upper() for rank in inside]
            numbers *= self._extent(index, inside)
        return Live(name, role, numbers, tuple(ranks))

    def _extent(self, index: Index, ranks: list[str]) -> int:
        """How many places of an axis are met while these ranks run."""
        return 1 + sum(abs(index.along(rank)) * (self.sizes[rank] - 1) for rank in ranks)

"""How many times must an algorithm walk over its data? Read off the text of its cascade.

A walk over rank m meets the elements of an m-fibre (a row, say) one after the other. What an Einsum makes out
of elements that stand side by side is there in the same walk, and so is what a running Einsum has gathered so
far. Only a *finished* reduction is not: it is there after the walk. So

    a new pass over m begins wherever an Einsum needs elements of an m-fibre together with a value that
    depends on a finished reduction of that fibre,

and the longest chain of such needs is the number of passes. No order of loops takes fewer, unless the whole
fibre is kept. Walks go forward; a place that counts backwards, as in `x[M-1-m]`, waits for the whole fibre.

Where a rank is split into blocks, a walk over whole fibres goes from block to block (each block is kept while
it is worked on); one over a number for each block only is a *short walk* and no pass. Where one step of an
iterative rank needs what the step before has left, passes over the other ranks are counted for one step.
"""

from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.probes.cascades import Access, Cascade, Einsum


@dataclass(frozen=True, order=True)
class Walk:
    """A moment: the passes so far, the short walks since the last one, and whether that walk is over."""

    passes: int = 0
    short: int = 0
    over: bool = True


@dataclass(frozen=True)
class Step:
    """What one Einsum does on a rank: in which walk, whether over whole fibres, and what made it wait.

    walk None: it does not walk along this rank. after: the tensors whose finishing it had to wait for.
    """

    walk: Walk | None
    whole: bool = False
    after: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Passes:
    """The answer for one cascade.

    counts: passes over each rank; a split rank by its own name, its inner level by that level's.
    of_input: for each rank, passes over each input that has it: V may be read once where K is read thrice.
    labels: for each rank, the pass in which each Einsum works, 0 if it does not walk along the rank; a short
    walk has the number of the pass before it.
    short: for each rank, the Einsums that walk over one number per block, and no more.
    why: for each rank, a sentence for each Einsum. moments: for each rank, the earliest `Walk` in which each
    Einsum can work, or after which it can. Einsums go by their text.
    """

    cascade: Cascade
    counts: dict[str, int]
    of_input: dict[str, dict[str, int]]
    labels: dict[str, dict[str, int]]
    short: dict[str, tuple[str, ...]]
    why: dict[str, dict[str, str]]
    moments: dict[str, dict[str, Walk]]

    def rows(self, rank: str) -> list[dict[str, object]]:
        """A table for one rank: Einsum, pass, why."""
        if rank not in self.counts:
            raise WorkbenchError(f"expected one of the ranks {', '.join(self.counts)}, but {rank!r} came")
        return [
            {"Einsum": text, "pass": label or "", "why": self.why[rank][text]}
            for text, label in self.labels[rank].items()
        ]

    def __str__(self) -> str:
        lines = [f"{self.cascade.name}"]
        for rank, count in self.counts.items():
            inputs = ", ".join(f"{name} {n}" for name, n in self.of_input[rank].items())
            lines.append(f"    {rank}: {count} pass{'es' * (count != 1)} ({inputs})")
        return "\n".join(lines)

    __repr__ = __str__


def passes(cascade: Cascade) -> Passes:
    """Passes over every rank, a label for each Einsum, and why. Nothing is run, and no size is needed."""
    outer = {levels[0]: rank for rank, levels in cascade.split.items()}
    found = Passes(cascade, {}, {}, {}, {}, {}, {})
    for loop in cascade.ranks:
        rank = outer.get(loop, loop)
        inner = cascade.split[rank][1] if loop in outer else None
        sources = [
            name
            for name in cascade.inputs
            if any(_whole(a, loop, inner) for one in cascade.einsums for a in one.reads if a.name == name)
        ]
        if not sources:
            continue
        seen = {name: walks_over(cascade, name, loop, inner) for name in sources}
        found.of_input[rank] = {name: most_passes(steps) for name, (steps, _) in seen.items()}
        found.counts[rank] = max(found.of_input[rank].values())
        last = {one: _latest([steps[one] for steps, _ in seen.values()]) for one in cascade.einsums}
        ready = {one: max(made[one] for _, made in seen.values()) for one in cascade.einsums}
        found.labels[rank] = {one.text: step.walk.passes if step.walk else 0 for one, step in last.items()}
        found.short[rank] = tuple(one.text for one, step in last.items() if step.walk and not step.whole)
        found.why[rank] = {one.text: _because(step, rank) for one, step in last.items()}
        found.moments[rank] = {one.text: step.walk or ready[one] for one, step in last.items()}
    return found


def walks_over(
    cascade: Cascade, source: str, loop: str, inner: str | None
) -> tuple[dict[Einsum, Step], dict[Einsum, Walk]]:
    """When each Einsum works, and when its result is there, seen from one input's fibres along `loop`.

    The two need each other where Einsums do, so they are found by repeating until nothing changes.
    """
    made: dict[Einsum, Walk] = dict.fromkeys(cascade.einsums, Walk())
    streams = dict.fromkeys(cascade.einsums, False)
    steps = {one: Step(None) for one in cascade.einsums}
    for _ in range(len(cascade.einsums) ** 2 + 2):
        before = dict(made), dict(streams)
        for one in cascade.einsums:
            steps[one] = _step(cascade, one, source, loop, inner, made, streams)
            walk = steps[one].walk
            streams[one] = walk is not None and one.output.along(loop) > 0
            made[one] = walk or _waits(cascade, one, loop, made)
            if not streams[one]:
                made[one] = Walk(made[one].passes, made[one].short, True)
        if before == (made, streams):
            return steps, made
    raise WorkbenchError(f"cascade {cascade.name!r} needs a finished reduction in order to finish it")


def most_passes(steps: dict[Einsum, Step]) -> int:
    """The passes over whole fibres."""
    return max((step.walk.passes for step in steps.values() if step.walk and step.whole), default=0)


def _step(
    cascade: Cascade,
    one: Einsum,
    source: str,
    loop: str,
    inner: str | None,
    made: dict[Einsum, Walk],
    streams: dict[Einsum, bool],
) -> Step:
    walking, whole, ready, after = False, False, Walk(), dict[str, Walk]()
    for access in one.reads:
        if access.name == source and access.along(loop) > 0:
            walking, whole, ready = True, whole or _whole(access, loop, inner), max(ready, Walk(1, 0, False))
            continue
        if access.name == source and access.along(loop) < 0:
            walking, whole, after[source] = True, whole or _whole(access, loop, inner), Walk(1)
            continue
        for maker in cascade.makers_of(access):
            if _carried(maker, access, loop):
                continue
            if streams[maker] and access.along(loop) > 0:
                walking, whole = True, whole or _whole(access, loop, inner)
                ready = max(ready, made[maker])
            elif made[maker] > Walk():
                reversed_fibre = streams[maker] and access.along(loop) < 0
                walking, whole = walking or reversed_fibre, whole or (reversed_fibre and inner is None)
                after[access.name] = max(after.get(access.name, Walk()), _over(made[maker]))
    if not walking:
        return Step(None)
    waited = [Walk(), *after.values()]
    if whole:  # the next pass begins after whatever short walks were needed
        number = max(ready.passes + (ready.short > 0), max(walk.passes + (walk > Walk()) for walk in waited))
        walk = Walk(number, 0, False)
    else:
        done = max(waited)
        walk = max(
            Walk(ready.passes, ready.short, False), Walk(done.passes, done.short + (done > Walk()), False)
        )
    latest = max(waited)
    names = tuple(name for name, when in after.items() if when == latest and latest > Walk())
    return Step(walk, whole, names if walk > ready or not ready.passes else (), source)


def _waits(cascade: Cascade, one: Einsum, loop: str, made: dict[Einsum, Walk]) -> Walk:
    """The moment when everything that an Einsum without a walk needs is there."""
    needed = [
        made[maker]
        for access in one.reads
        for maker in cascade.makers_of(access)
        if not _carried(maker, access, loop)
    ]
    return _over(max(needed, default=Walk()))


def _carried(maker: Einsum, access: Access, loop: str) -> bool:
    """Whether an element was left by an earlier step of another rank, so that it is there from the start."""
    step = maker.iterative
    if step is None or step == loop:
        return False
    return any(
        made.along(step) and read.along(step) and not read.sizes and read.offset < made.offset
        for made, read in zip(maker.output.at, access.at, strict=True)
    )


def _over(walk: Walk) -> Walk:
    return Walk(walk.passes, walk.short, True)


def _whole(access: Access, loop: str, inner: str | None) -> bool:
    """Whether the tensor has the rank with all its levels."""
    return access.along(loop) != 0 and (inner is None or access.along(inner) != 0)


def _latest(steps: list[Step]) -> Step:
    walking = [step for step in steps if step.walk]
    return max(walking, key=lambda step: (step.walk or Walk(), step.whole), default=Step(None))


def _because(step: Step, rank: str) -> str:
    if step.walk is None:
        return f"does not walk along {rank}"
    if step.after:
        names = " and ".join(step.after)
        what = "another walk" if step.whole else "a short walk, one number for each block"
        return (
            f"needs {names}, which {'is' if len(step.after) == 1 else 'are'} known only after a walk: {what}"
        )
    if not step.whole:
        return "one number for each block, as soon as the block is done"
    return "all it needs stands at the same place" if step.walk.passes > 1 else "reads the fibre as it comes"

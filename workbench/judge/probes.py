"""What a candidate is asked: one main case, and cases that differ from it in one respect, each for one rule.

A probe names the rules that it needs. Where a rule is off, its probes are not asked. Probes that differ in
two respects come on top: they need both rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.judge.task import Expected, Sizes, Task, is_float, parts
from workbench.judge.values import LAYOUTS, lay_out

SOAK = 100  # calls before the main case is asked for the last time
CROSSED = 2  # further profiles at each further shape


@dataclass(frozen=True)
class Probe:
    """One question: the arguments, what is expected, and how they are handed over.

    poison: what unset memory holds, "" (zeros), "numbers" or "nan". same: pairs of arguments that are one
    array. before: arguments of a call just before, whose arrays are then refilled. upstream: asks for the
    gradients. soak: so many calls before. blind: the answer is not compared; the call is made for what it
    does to an earlier result.
    """

    needs: frozenset[str]
    args: tuple[Any, ...]
    expected: Expected
    says: str
    poison: str = ""
    same: tuple[tuple[int, int], ...] = ()
    before: tuple[Any, ...] | None = None
    upstream: np.ndarray | None = None
    soak: int = 0
    blind: bool = False


def probes(task: Task, seed: int = 0, tests: int = 5) -> list[Probe]:
    """All probes of a task, made once: the main case first, single differences next, crossed ones last.

    seed: from which the unpublished seeds follow. tests: random inputs of the main case, the published one
    among them.
    """
    key = ("probes", seed, tests)
    if key not in task.kept:
        task.kept[key] = [*_forward(task, seed, tests), *_backward(task, seed), _late(task, seed)]
    found: list[Probe] = task.kept[key]
    return found


def unpublished(seed: int, count: int) -> list[int]:
    """Seeds that follow from the judge's own and are not in any task's text."""
    return [int(n) for n in np.random.SeedSequence([seed, 20]).generate_state(count)]


def _forward(task: Task, seed: int, tests: int) -> Iterator[Probe]:
    hidden = unpublished(seed, max(tests - 1, 1) + len(task.shapes))
    args = task.args()
    expected = task.expected(args)
    yield Probe(frozenset(), args, expected, "the main case")
    for number in hidden[: tests - 1]:
        yield _asked(task, ("seeds",), seed=number)
    for shape in task.shapes[1:]:
        yield _asked(task, ("shapes",), shape)
    for profile in task.profiles[1:]:
        yield _asked(task, ("profiles",), profile=profile)
    for setting in range(1, task.settings):
        yield _asked(task, ("settings",), setting=setting)
    for layout in LAYOUTS[1:]:
        yield _laid_out(task, ("layouts",), layout)
    yield from _overlapping(task)
    for poison in ("numbers", "nan"):
        told = f"the main case, unset memory holds {poison}"
        yield Probe(frozenset({"poison"}), args, expected, told, poison)
    other = task.args(seed=hidden[-1])
    told = "the main case with other values, after which the earlier result is looked at again"
    yield Probe(frozenset({"stale"}), other, expected, told, blind=True)
    first = task.args(seed=hidden[0], profile=_other_profile(task))
    yield Probe(frozenset({"reuse"}), args, expected, "the main case, in arrays used before", before=first)
    for at, shape in enumerate(task.shapes[1:]):
        yield _asked(task, ("shapes", "poison"), shape, poison="numbers")
        yield _laid_out(task, ("shapes", "layouts"), LAYOUTS[1 + at % (len(LAYOUTS) - 1)], shape)
        for setting in range(1, task.settings):
            yield _asked(task, ("shapes", "settings"), shape, setting=setting, seed=hidden[-1 - at])
        for step in range(min(CROSSED, len(task.profiles) - 1)):
            profile = task.profiles[1 + (at * CROSSED + step) % (len(task.profiles) - 1)]
            yield _asked(task, ("shapes", "profiles"), shape, profile, seed=hidden[-1 - at])


def _backward(task: Task, seed: int) -> Iterator[Probe]:
    if task.backward is None:
        return
    yield _gradients(task, ("gradients",))
    for number in unpublished(seed, 2):
        yield _gradients(task, ("gradients", "seeds"), seed=number)
    for shape in task.shapes[1:]:
        yield _gradients(task, ("gradients", "shapes"), shape)
    for setting in range(1, task.settings):
        yield _gradients(task, ("gradients", "settings"), setting=setting)


def _late(task: Task, seed: int) -> Probe:
    args = task.args()
    soak = SOAK + int(np.random.default_rng(seed).integers(SOAK // 5))
    told = "the main case, after many more calls"
    return Probe(frozenset({"drift"}), args, task.expected(args), told, soak=soak)


def _asked(
    task: Task,
    needs: tuple[str, ...],
    shape: Sizes | None = None,
    profile: str = "",
    seed: int = 0,
    setting: int = 0,
    poison: str = "",
) -> Probe:
    args = task.args(shape, profile, seed, setting)
    told = [sizes(shape or task.main)]
    told += [f"profile {profile}"] * bool(profile) + [f"setting {setting}"] * bool(setting)
    told += ["a seed of the judge's"] * bool(seed) + [f"unset memory holds {poison}"] * bool(poison)
    return Probe(frozenset(needs), args, task.expected(args), ", ".join(told), poison)


def _laid_out(task: Task, needs: tuple[str, ...], layout: str, shape: Sizes | None = None) -> Probe:
    args = task.args(shape)
    laid = tuple(lay_out(arg, layout) if isinstance(arg, np.ndarray) and arg.ndim else arg for arg in args)
    told = f"{sizes(shape or task.main)}, in memory: {layout}"
    return Probe(frozenset(needs), laid, task.expected(args), told)


def _overlapping(task: Task) -> Iterator[Probe]:
    for i, j in task.overlaps(task.args()):
        args = task.args()
        args = (*args[:j], args[i], *args[j + 1 :])
        if any(np.isnan(value).any() for value in task.truth(args) if value.dtype.kind == "f"):
            continue  # such as a variance that is given where values may be negative
        told = f"{sizes(task.main)}, arguments {i} and {j} are one array"
        yield Probe(frozenset({"overlap"}), args, task.expected(args), told, same=((i, j),))


def _gradients(
    task: Task, needs: tuple[str, ...], shape: Sizes | None = None, seed: int = 0, setting: int = 0
) -> Probe:
    args = task.args(shape, seed=seed, setting=setting)
    result = parts(task.reference(*args))[0]
    upstream = np.random.default_rng(seed + 1).standard_normal(result.shape).astype(result.dtype)
    told = f"gradients, {sizes(shape or task.main)}" + f", setting {setting}" * bool(setting)
    return Probe(frozenset(needs), args, task.expected(args, upstream), told, upstream=upstream)


def _other_profile(task: Task) -> str:
    """Values that are easily told from those of the main case."""
    others = [name for name in ("huge", "positive", "spikes") if name in task.profiles[1:]]
    return others[0] if others else task.profiles[0]


def sizes(shape: Sizes) -> str:
    """A shape as it would be typed."""
    return ", ".join(f"{name}={size}" for name, size in shape.items())


def floats(args: tuple[Any, ...]) -> list[int]:
    """Which arguments are arrays of floating-point numbers."""
    return [i for i, arg in enumerate(args) if is_float(arg)]

"""From an interval and a bar to a verdict.

A claim's interval may *meet* its bar (wholly inside), *miss* it (wholly outside) or *straddle* it.
It has the *direction* when it lies wholly on the bar's side of "no effect" and the control does not:
an effect that the control shows too is not the mechanism's. The control has *failed* when its whole
interval misses the bar, and *passed* when its whole interval meets it; between the two it is undecided,
and an undecided control supports no success.

| claim's interval | control   | direction | verdict                          |
|------------------|-----------|-----------|----------------------------------|
| any              | passed    | any       | none: `ControlPassed` is raised  |
| meets            | failed    | any       | reproduced                       |
| meets            | undecided | yes       | direction only                   |
| meets            | undecided | no        | inconclusive                     |
| straddles        | not passed| yes       | direction only                   |
| straddles        | not passed| no        | inconclusive                     |
| misses           | not passed| yes       | direction only                   |
| misses           | not passed| no        | not reproduced at this scale     |

A bar that does not know "no effect" (`null=None`) never gives a direction. `needs hardware` and
`needs LLM` are declared by the claim or by its measure and never computed here.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from workbench.claims.stats import Interval
from workbench.errors import WorkbenchError

Verdict = Literal[
    "reproduced",
    "direction only",
    "inconclusive",
    "not reproduced at this scale",
    "needs hardware",
    "needs LLM",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class ControlPassed(WorkbenchError):
    """The negative control met the bar: the measurement does not show what the claim says."""


@dataclass(frozen=True)
class Bar:
    """The values that meet a claim, `low` to `high` inclusive, and the value that means "no effect".

    `null` is 1 for a ratio and 0 for a difference; leave it out where "no effect" has no value.
    """

    low: float
    high: float
    null: float | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.high or (math.isinf(self.low) and math.isinf(self.high)):
            raise WorkbenchError(f"a bar needs finite ends in order, but {self.low} to {self.high} came")
        if self.null is not None and not (
            math.isfinite(self.null) and not self.low <= self.null <= self.high
        ):
            raise WorkbenchError(
                f"no effect ({self.null:g}) would already meet the bar {self.words()!r}: "
                "leave null out or set the bar beyond it"
            )

    def met_by(self, got: Interval) -> bool:
        return self.low <= got.low and got.high <= self.high

    def missed_by(self, got: Interval) -> bool:
        return got.high < self.low or self.high < got.low

    def directed(self, got: Interval) -> bool:
        """Whether the whole interval lies on the bar's side of "no effect"."""
        if self.null is None:
            return False
        return got.low > self.null if self.null < self.low else got.high < self.null

    def words(self) -> str:
        if math.isinf(self.high):
            return f"at least {self.low:g}"
        if math.isinf(self.low):
            return f"at most {self.high:g}"
        return f"between {self.low:g} and {self.high:g}"

    def __str__(self) -> str:
        return self.words() + (f" (no effect: {self.null:g})" if self.null is not None else "")


class AtLeast(Bar):
    """Met by values of `bar` and above."""

    def __init__(self, bar: float, null: float | None = None) -> None:
        super().__init__(bar, math.inf, null)


class AtMost(Bar):
    """Met by values of `bar` and below."""

    def __init__(self, bar: float, null: float | None = None) -> None:
        super().__init__(-math.inf, bar, null)


class Within(Bar):
    """Met by values from `low` to `high`, both included."""

    def __init__(self, low: float, high: float, null: float | None = None) -> None:
        super().__init__(low, high, null)


def decide(bar: Bar, claim: Interval, control: Interval) -> Verdict:
    """The verdict of the table above; raises `ControlPassed` where there can be none."""
    if bar.met_by(control):
        raise ControlPassed(
            f"the control reached {control} and so met the bar {bar.words()!r} that it must fail"
        )
    if bar.met_by(claim) and bar.missed_by(control):
        return "reproduced"
    if bar.directed(claim) and not bar.directed(control):
        return "direction only"
    return "not reproduced at this scale" if bar.missed_by(claim) else "inconclusive"

"""What a system declares: what its authors claim, as a measurement that can fail."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, get_args

from workbench.claims.find import nearest
from workbench.claims.verdicts import Bar
from workbench.errors import WorkbenchError
from workbench.quantity import PROVENANCES, Provenance

FEWEST_SEEDS = 5
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Need = Literal["hardware", "LLM"]


class Needs(WorkbenchError):
    """Raised by a measure on a machine that lacks what it needs: `raise Needs("hardware", "a GPU")`."""

    def __init__(self, what: Need, why: str = "") -> None:
        if what not in get_args(Need):
            raise ValueError(f"a claim may need {' or '.join(get_args(Need))}, but {what!r} came")
        super().__init__(f"needs {what}" + (f": {why}" if why else ""))
        self.what = what


@dataclass(frozen=True)
class Measured:
    """One measurement: the claim's number, and the two numbers that it was made from where there are two.

    For a ratio of times, `value` is the ratio, `system` and `baseline` are the times.
    """

    value: float
    system: float | None = None
    baseline: float | None = None

    def __post_init__(self) -> None:
        for name in ("value", "system", "baseline"):
            number = getattr(self, name)
            if number is None and name != "value":
                continue
            try:
                number = float(number)
            except (TypeError, ValueError):
                raise WorkbenchError(f"a measured {name} must be a number, but {number!r} came") from None
            if not math.isfinite(number):
                raise WorkbenchError(f"a measured {name} must be finite, but {number} came")
            object.__setattr__(self, name, number)


Measure = Callable[[int, str], "float | Measured"]


@dataclass(frozen=True)
class Claim:
    """One quantitative claim of a source.

    `says`: the claim in plain words. `paper`: what the authors report. `bar`: what must be met here.
    `unit`: of the value, e.g. "points". `against`: what the baseline's number is, with its unit, e.g.
    "s, the loop by hand".
    `measure(seed, budget)` returns the number, a float or a `Measured`; `control(seed, budget)` returns
    the same number with the mechanism taken away, and must fail the bar.

    `provenance`: where the number comes from. `measured` (a clock, a hardware counter, anything that is
    not the same on every machine) is never deterministic and never shares the machine with other claims.
    `seeds`: how many independent runs; 1 declares that no seed matters, otherwise at least 5.
    `needs`: declared where no machine at this scale can measure the claim; then there is nothing to
    measure and nothing to control.
    """

    id: str
    _: KW_ONLY
    says: str
    paper: str
    bar: Bar
    measure: Measure | None = None
    control: Measure | None = None
    provenance: Provenance = "measured"
    seeds: int = FEWEST_SEEDS
    needs: Need | None = None
    unit: str = ""
    against: str = ""

    def __post_init__(self) -> None:
        name = f"claim {self.id!r}"
        if not KEBAB.fullmatch(self.id):
            raise WorkbenchError(f"a claim's id is lower-case words joined by hyphens, but {self.id!r} came")
        if not isinstance(self.bar, Bar):
            raise WorkbenchError(f"{name} needs a bar such as AtLeast(1.05), but {self.bar!r} came")
        if self.provenance not in PROVENANCES:
            raise WorkbenchError(
                f"{name} needs a provenance out of {', '.join(PROVENANCES)}, but {self.provenance!r} came"
            )
        if self.needs is not None:
            if self.needs not in get_args(Need):
                raise WorkbenchError(f"{name} may need 'hardware' or 'LLM', but {self.needs!r} came")
            return
        for part in ("measure", "control"):
            if not callable(getattr(self, part)):
                raise WorkbenchError(
                    f"{name} needs a {part}(seed, budget), but {part} is {getattr(self, part)!r}"
                )
        if self.seeds != 1 and self.seeds < FEWEST_SEEDS:
            raise WorkbenchError(
                f"{name} needs at least {FEWEST_SEEDS} seeds, or 1 where no seed matters, "
                f"but {self.seeds} came"
            )
        if self.seeds == 1 and self.provenance == "measured":
            raise WorkbenchError(
                f"{name} declares seeds=1 (no seed matters), but a measured number is never deterministic: "
                f"give it {FEWEST_SEEDS} seeds, or say that it is formula, counted or simulated"
            )


@dataclass(frozen=True)
class System:
    """A published system: its key in the catalog, its claims, and what was replaced or left out."""

    key: str
    _: KW_ONLY
    claims: Sequence[Claim]
    deviations: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not KEBAB.fullmatch(self.key):
            raise WorkbenchError(
                f"a system's key is lower-case words joined by hyphens, but {self.key!r} came"
            )
        if isinstance(self.deviations, str):
            raise WorkbenchError(f"system {self.key!r} needs a list of deviations, but one string came")
        object.__setattr__(self, "claims", tuple(self.claims))
        object.__setattr__(self, "deviations", tuple(self.deviations))
        ids = [claim.id for claim in self.claims]
        if not ids or len(set(ids)) < len(ids):
            raise WorkbenchError(
                f"system {self.key!r} needs at least one claim, each with its own id, but {ids} came"
            )

    def claim(self, id: str) -> Claim:
        """The claim with this id."""
        for claim in self.claims:
            if claim.id == id:
                return claim
        known = [claim.id for claim in self.claims]
        raise WorkbenchError(f"system {self.key!r} has no claim {id!r}; {nearest(id, known)}")

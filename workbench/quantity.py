"""A number that says where it comes from."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from workbench.errors import WorkbenchError

Provenance = Literal["formula", "counted", "simulated", "measured"]
PROVENANCES: tuple[Provenance, ...] = get_args(Provenance)


@dataclass(frozen=True)
class Quantity:
    """A value with its unit and provenance; a measured one also names machine and date.

    `formula`: derived from shapes. `counted`: operations that the source executes.
    `simulated`: a model of the machine. `measured`: a clock or a hardware counter.
    """

    value: float
    unit: str
    provenance: Provenance
    low: float | None = None
    high: float | None = None
    machine: str | None = None
    when: str | None = None

    def __post_init__(self) -> None:
        if self.provenance not in PROVENANCES:
            raise WorkbenchError(
                f"provenance must be one of {', '.join(PROVENANCES)}, but {self.provenance!r} came"
            )
        if self.provenance == "measured" and not (self.machine and self.when):
            raise WorkbenchError("a measured quantity needs the machine and the date it was measured on")

    def scaled(self, factor: float, unit: str) -> "Quantity":
        """The same quantity in another unit (the interval scales along)."""
        low = None if self.low is None else self.low * factor
        high = None if self.high is None else self.high * factor
        return replace(self, value=self.value * factor, low=low, high=high, unit=unit)

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        span = "" if self.low is None or self.high is None else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.value:.4g}{unit}{span} ({self.provenance})"

"""Energy that the processor itself reports (RAPL), read from Linux's powercap files.

A zone is a whole package, its cores or its memory: what other programs use there is part of the reading.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.machine.clocks import now
from workbench.quantity import Quantity

POWERCAP = Path("/sys/class/powercap")
MICRO = 1e-6


@dataclass(frozen=True)
class Zone:
    """One energy counter: microjoules in `file` that start again from 0 beyond `span`."""

    name: str
    file: Path
    span: int

    def read(self) -> int:
        """Microjoules since some moment."""
        return int(self.file.read_text())


@dataclass
class EnergyReading:
    """Joules by zone while the block ran, the whole package included whoever used it. Filled at its end.

    `absent` is one sentence where nothing could be read, else empty.
    """

    quantities: dict[str, Quantity] = field(default_factory=dict)
    absent: str = ""

    def __getitem__(self, zone: str) -> Quantity:
        if zone in self.quantities:
            return self.quantities[zone]
        raise WorkbenchError(
            self.absent or f"no energy zone is called {zone!r}; there are {', '.join(self.quantities)}"
        )


@contextmanager
def energy(folder: Path = POWERCAP) -> Iterator[EnergyReading]:
    """Reads every zone before and after the block. Blocks below a few milliseconds read 0 or one step."""
    from workbench.machine.here import machine_name

    found, reason = zones(folder)
    reading = EnergyReading(absent=reason)
    before = [zone.read() for zone in found]
    yield reading
    for zone, start in zip(found, before, strict=True):
        reading.quantities[zone.name] = Quantity(
            joules(start, zone.read(), zone.span), "J", "measured", machine=machine_name(), when=now()
        )


def zones(folder: Path = POWERCAP) -> tuple[list[Zone], str]:
    """The readable zones, or none and the sentence that says why."""
    if platform.system() != "Linux":
        return [], f"energy is not available here because {platform.system()} does not tell programs of it"
    named = sorted(folder.glob("*rapl*:*"))
    if not named:
        return [], "energy is not available here because the system offers no RAPL counters"
    found: list[Zone] = []
    for zone in named:
        try:
            name = (zone / "name").read_text().strip()
            each = Zone(
                _own(name, zone, found), zone / "energy_uj", int((zone / "max_energy_range_uj").read_text())
            )
            each.read()
        except (OSError, ValueError):
            continue
        found.append(each)
    if found:
        return found, ""
    return [], "energy is not available here because only the administrator may read the RAPL counters"


def joules(before: int, after: int, span: int) -> float:
    """Joules between two readings of a counter that goes from 0 to `span` microjoules and starts again.

    >>> joules(900, 100, 1000)
    0.0002
    """
    return (after - before if after >= before else after - before + span) * MICRO


def _own(name: str, zone: Path, found: list[Zone]) -> str:
    """A second `core` (of another package) is told apart by its number."""
    taken = any(other.name == name for other in found)
    return f"{name} ({zone.name.partition(':')[2]})" if taken else name

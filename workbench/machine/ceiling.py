"""The best that a machine can do: operations and bytes a second, for rooflines and for disbelief.

A ceiling is the best of several probes and names the one that gave it; a probe that a neighbour disturbed
says so. What was measured once is kept in the reader's own directory, with its date, until it is measured
again. A preset fills the same shape with figures from documents (see `elsewhere.py`).
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench._paths import home
from workbench.errors import WorkbenchError
from workbench.quantity import Quantity

if TYPE_CHECKING:
    from workbench.machine.here import Machine

Cores = Literal["one", "all"]
Progress = Callable[[str], None]
VERSION = 1


@dataclass(frozen=True)
class Ceiling:
    """One limit: `what` is a kind of operation (`float32`, `float32 scalar`, ...) or a level (`L1`, `DRAM`).

    `quantity` is in flop/s or B/s; `probe` names what reached it, `probes` what each other one reached.
    Bytes are those that the source reads and writes: a line that a store first fetches is not among them.
    `contended`: others took part of the cores even from the best sample. `source`: the document of a figure
    that was not measured.
    """

    what: str
    cores: Cores
    quantity: Quantity
    probe: str = ""
    probes: tuple[tuple[str, float], ...] = ()
    contended: bool = False
    source: str = ""


@dataclass(frozen=True)
class Ceilings:
    """All ceilings of one machine.

    `busy` is the share of all cores that others used meanwhile (None: unknown). `quick` ones were measured
    in a hurry and are likely too low. `notes` say what is not known.
    """

    machine: str
    when: str | None
    flops: tuple[Ceiling, ...]
    bandwidths: tuple[Ceiling, ...]
    quick: bool = False
    busy: float | None = None
    notes: tuple[str, ...] = ()

    def peak(self, dtype: Any = "float32", *, scalar: bool = False, cores: Cores = "one") -> Quantity:
        """Most flop/s in `dtype` (name or numpy dtype), in vectors or one value at a time."""
        what = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
        return self._find(self.flops, f"{what} scalar" if scalar else what, cores).quantity

    def bandwidth(self, level: str = "DRAM", *, cores: Cores = "one") -> Quantity:
        """Most bytes a second from `level`: `L1`, `L2`, `L3` as far as there are, or `DRAM`."""
        return self._find(self.bandwidths, level, cores).quantity

    def peaks(self, cores: Cores = "one") -> dict[str, Quantity]:
        """All peaks by name, as a roofline takes them."""
        return {each.what: each.quantity for each in self.flops if each.cores == cores}

    def by_level(self, cores: Cores = "one") -> dict[str, Quantity]:
        """All bandwidths by level, nearest first, as a roofline takes them."""
        return {each.what: each.quantity for each in self.bandwidths if each.cores == cores}

    def floor(
        self,
        *,
        flops: float = 0,
        bytes: float = 0,
        dtype: Any = "float32",
        level: str = "DRAM",
        cores: Cores = "one",
    ) -> Quantity:
        """Fewest seconds in which so many operations can be done and so many bytes moved, both at once."""
        if not (flops > 0 or bytes > 0):
            raise WorkbenchError(f"a floor needs flops or bytes above 0, but {flops} and {bytes} came")
        times = []
        if flops:
            times.append(_time(flops, self.peak(dtype, cores=cores)))
        if bytes:
            times.append(_time(bytes, self.bandwidth(level, cores=cores)))
        return max(times, key=lambda time: time.value)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels whose bandwidth is known, nearest first."""
        return tuple(dict.fromkeys(ceiling.what for ceiling in self.bandwidths))

    @property
    def contended(self) -> bool:
        """Whether any ceiling was found while others took part of the cores."""
        return any(ceiling.contended for ceiling in (*self.flops, *self.bandwidths))

    def rows(self) -> list[dict[str, Any]]:
        """One row per ceiling, for tables and JSON."""
        return [
            {
                "what": ceiling.what,
                "cores": ceiling.cores,
                "value": ceiling.quantity.value,
                "unit": ceiling.quantity.unit,
                "probe": ceiling.probe,
                "contended": ceiling.contended,
                "provenance": ceiling.quantity.provenance,
                "when": ceiling.quantity.when,
                "source": ceiling.source,
            }
            for ceiling in (*self.flops, *self.bandwidths)
        ]

    def __str__(self) -> str:
        how = "from documents" if self.when is None else f"measured {self.when}"
        lines = [f"{self.machine}, {how}{' in a hurry' if self.quick else ''}"]
        for ceiling in (*self.flops, *self.bandwidths):
            value, unit = ceiling.quantity.value / 1e9, f"G{ceiling.quantity.unit}"
            why = ceiling.source or ceiling.probe
            contended = ", contended" if ceiling.contended else ""
            lines.append(f"{ceiling.what:15} {ceiling.cores:4} {value:10.1f} {unit:8} {why}{contended}")
        return "\n".join([*lines, *self.notes])

    def _find(self, among: tuple[Ceiling, ...], what: str, cores: str) -> Ceiling:
        for ceiling in among:
            if (ceiling.what, ceiling.cores) == (what, cores):
                return ceiling
        known = ", ".join(f"{ceiling.what} ({ceiling.cores})" for ceiling in among) or "none"
        raise WorkbenchError(f"{self.machine} tells no ceiling for {what} ({cores}); it tells {known}")


def ceilings(refresh: bool = False, quick: bool = False, progress: Progress | None = None) -> Ceilings:
    """The ceilings of this machine: those kept from before, else measured now (half a minute) and kept.

    `refresh` measures in any case. `quick` takes one or two seconds, accepts whatever is kept, and is
    never kept in place of a full measurement. `progress` is told each probe's name.
    """
    from workbench.machine.here import Machine

    machine = Machine.here()
    path = kept_at(machine)
    before = load(path)
    if before and not refresh and (quick or not before.quick):
        return before
    from workbench.machine._measure import measure_ceilings

    found = measure_ceilings(machine, quick=quick, progress=progress or (lambda name: None))
    if not quick or before is None or before.quick:
        save(found, path)
    return found


def kept(machine: "Machine") -> Ceilings | None:
    """What was measured before on this machine; nothing is measured now."""
    return load(kept_at(machine))


def kept_at(machine: "Machine") -> Path:
    """The file of a machine: another processor, cache or number of usable cores has another one."""
    told = json.dumps([machine.name, machine.usable_cores, [asdict(cache) for cache in machine.caches]])
    return home() / "ceilings" / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"


def save(found: Ceilings, path: Path) -> None:
    """Writes beside and replaces, so that a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump({"version": VERSION, **asdict(found)}, file, indent=1)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def load(path: Path) -> Ceilings | None:
    """What `save` wrote; None where nothing is, or nothing that this version can read."""
    try:
        told = json.loads(path.read_text())
        if told.pop("version") != VERSION:
            return None
        for kind in ("flops", "bandwidths"):
            told[kind] = tuple(_ceiling(each) for each in told[kind])
        return Ceilings(**{**told, "notes": tuple(told["notes"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, WorkbenchError):
        return None


def _ceiling(told: dict[str, Any]) -> Ceiling:
    probes = tuple((name, value) for name, value in told["probes"])
    return Ceiling(**{**told, "quantity": Quantity(**told["quantity"]), "probes": probes})


def _time(amount: float, rate: Quantity) -> Quantity:
    return replace(rate, value=amount / rate.value, unit="s", low=None, high=None)

"""Committed records: what was measured here, kept beside the code, one JSON line for each measurement."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from workbench.claims.find import load_system, present
from workbench.claims.source import claim_hash
from workbench.claims.verdicts import Verdict
from workbench.errors import WorkbenchError

ABSENT = "absent"
RECORDS = Path(__file__).parent / "records"
ROW = (
    "system",
    "claim",
    "value",
    "low",
    "high",
    "bar",
    "baseline",
    "paper",
    "control_value",
    "control_failed",
    "verdict",
    "provenance",
    "seeds",
    "budget",
    "machine",
    "when",
    "stale",
)


@dataclass(frozen=True)
class Record:
    """One measurement of one claim.

    `value` is the mean over `seeds` runs, `low` and `high` its 95 % interval, `baseline` the baseline's
    own number where there is one. A smoke run, which only proves that claim and control execute, has
    neither interval nor verdict. `source` is the hash of the code that was measured (None for a system
    that is not in the package), `data` the versions of the data sets that were loaded, `stale` whether
    code or data have changed since, `why` what is missing where the verdict is `needs …`, and `runs`
    holds each seed's numbers.
    """

    system: str
    claim: str
    bar: str
    paper: str
    provenance: str
    budget: str
    machine: str
    when: str
    seeds: int = 0
    value: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    control_value: float | None = None
    control_low: float | None = None
    control_high: float | None = None
    control_failed: bool | None = None
    verdict: Verdict | None = None
    why: str = ""
    source: str | None = None
    data: dict[str, str] = field(default_factory=dict)
    runs: list[dict[str, float | None]] = field(default_factory=list)
    stale: bool = False

    def row(self) -> dict[str, Any]:
        """The claim row of `workbench claims --json`."""
        return {name: getattr(self, name) for name in ROW}

    def stored(self) -> dict[str, Any]:
        """Everything but `stale`, which is found out anew at every reading."""
        return {name: value for name, value in asdict(self).items() if name != "stale"}

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> "Record":
        """The record again, from `stored()` or from a ledger row (whose own columns are left out)."""
        known = {name.name for name in fields(cls)} - {"stale"}
        record = cls(**{name: value for name, value in stored.items() if name in known})
        return replace(record, stale=has_changed(record))


def has_changed(record: Record) -> bool:
    """Whether the code or the data that a record was made from differ now."""
    if record.source != claim_hash(record.system, record.claim):
        return True
    return any(data_version(name) not in (version, ABSENT) for name, version in record.data.items())


@cache
def data_version(name: str) -> str:
    """A data set's present version. Data that are not on this computer cannot have changed."""
    import workbench_datasets  # on first use: it loads numpy

    if name not in workbench_datasets.names():
        return "gone"
    try:
        return workbench_datasets.version(name)
    except workbench_datasets.DataError:
        return ABSENT


def records_file(key: str) -> Path:
    return RECORDS / f"{key}.jsonl"


def records(key: str) -> list[Record]:
    """A system's committed records, the last one for each claim and budget, in order of first measuring."""
    file = records_file(key)
    if not file.is_file():
        return []
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                stored = json.loads(line)
                latest[stored["claim"], stored["budget"]] = stored
            except (ValueError, TypeError, KeyError) as error:
                raise WorkbenchError(f"line {number} of {file.name} is not a record: {error!r}") from None
    return [Record.restored(stored) for stored in latest.values()]


def standing(key: str) -> dict[str, Record]:
    """For each claim the record that counts: a fresh one before a stale one, then full before lesson."""
    best: dict[str, Record] = {}
    for record in sorted(records(key), key=lambda record: (not record.stale, record.budget == "full")):
        best[record.claim] = record
    return best


def commit(record: Record) -> Path:
    """Appends a record to its system's file: written beside, then put in place, so never half there."""
    if record.budget == "smoke" or record.verdict is None:
        raise WorkbenchError(
            f"a record is committed from the lesson or full budget, but {record.system}/{record.claim} "
            f"was measured in {record.budget}"
        )
    if record.source is None:
        raise WorkbenchError(
            f"{record.system}/{record.claim} cannot be committed: it is not declared in workbench/systems"
        )
    file = records_file(record.system)
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    line = json.dumps(record.stored(), ensure_ascii=False, allow_nan=False)
    beside = file.with_suffix(f".{os.getpid()}.tmp")
    beside.write_text(before + line + "\n", encoding="utf-8")
    os.replace(beside, file)
    return file


def rows(keys: Iterable[str] | None = None, declared: bool = False) -> list[dict[str, Any]]:
    """Claim rows of these systems (default: all) from the committed records.

    With `declared`, systems that have code are imported, and a claim that nobody has measured yet gets
    a row without numbers.
    """
    if keys is None:
        recorded = {file.stem for file in RECORDS.glob("*.jsonl")}
        keys = sorted(recorded.union(present() if declared else ()))
    found = []
    for key in keys:
        known = records(key)
        found += [record.row() for record in known]
        if declared and key in present():
            measured = {record.claim for record in known}
            for claim in load_system(key).claims:
                if claim.id not in measured:
                    nothing = Record(key, claim.id, str(claim.bar), claim.paper, claim.provenance, "", "", "")
                    found.append(nothing.row() | {"budget": None, "machine": None, "when": None})
    return found

"""The catalog: complete, and its states derived without importing anything heavy."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.claims import Record, commit, find
from workbench.claims import record as records_room
from workbench.claims.source import claim_hash
from workbench.errors import WorkbenchError
from workbench.systems import catalog

KEY = "simplenet"
MODULE = """
from workbench.claims import AtLeast, Claim, System

raise RuntimeError("the catalog must not import this")

SYSTEM = System("simplenet", claims=[
    Claim("small", says="", paper="", bar=AtLeast(2), measure=len, control=len),
    Claim("fast", says="", paper="", bar=AtLeast(2), measure=max, control=len),
])
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Systems, records and lessons of a toy checkout."""
    monkeypatch.setattr(find, "SYSTEMS", tmp_path / "systems")
    (tmp_path / "systems").mkdir()
    monkeypatch.setattr(records_room, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(catalog, "lessons_root", lambda: tmp_path / "notebooks")
    return tmp_path


def write_module(places: Path, source: str = MODULE) -> None:
    file = places / "systems" / "receptive_fields" / "simplenet.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)


def a_record(claim: str = "small", **changed: object) -> Record:
    record = Record(
        system=KEY,
        claim=claim,
        bar="at least 2",
        paper="",
        provenance="counted",
        budget="lesson",
        machine="toy",
        when="2026-01-01T00:00:00+00:00",
        verdict="reproduced",
        source=claim_hash(KEY, claim) or "gone",
    )
    return replace(record, **changed)  # type: ignore[arg-type]


def test_all_is_there() -> None:
    assert len(catalog.chapters()) == 27
    assert [chapter.number for chapter in catalog.chapters()] == list(range(1, 28))
    keys = [entry.key for entry in catalog.entries()]
    assert len(keys) == len(set(keys)) == 178
    assert len({entry.module for entry in catalog.entries()}) == 178


def test_orders_have_no_gaps() -> None:
    orders: dict[int, list[int]] = {}
    for entry in catalog.entries():
        orders.setdefault(entry.chapter, []).append(entry.order)
    assert sorted(orders) == list(range(1, 28))
    assert all(order == list(range(1, len(order) + 1)) for order in orders.values())


def test_names_can_be_modules_and_folders() -> None:
    first = catalog.chapters()[0]
    assert (first.folder, first.package) == ("01-receptive-fields", "receptive_fields")
    assert catalog.entry("resnet-rs").module == "workbench.systems.receptive_fields.resnet_rs"
    assert all(part.isidentifier() for entry in catalog.entries() for part in entry.module.split("."))


def test_a_present_system_stands_where_the_catalog_says() -> None:
    for entry in catalog.entries():
        if found := find.system_module(entry.key):
            assert found == entry.module
    assert set(find.present()) <= {entry.key for entry in catalog.entries()}


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(WorkbenchError, match="no system 'simple-net'; did you mean 'simplenet'"):
        catalog.entry("simple-net")
    with pytest.raises(WorkbenchError, match="no system"):
        catalog.state("nothing at all")


def test_states(places: Path) -> None:
    def now() -> tuple[str, dict[str, str], list[str]]:
        state = catalog.state(KEY)
        return str(state), state.verdicts, state.stale

    assert now() == ("absent", {}, [])
    write_module(places)
    assert now() == ("present", {}, [])
    commit(a_record())
    commit(a_record("fast", verdict="not reproduced at this scale"))
    verdicts = {"small": "reproduced", "fast": "not reproduced at this scale"}
    assert now() == ("verdicts", verdicts, [])
    write_module(places, MODULE.replace("measure=max", "measure=min"))
    assert now() == ("stale", verdicts, ["fast"])
    (places / "systems" / "receptive_fields" / "simplenet.py").unlink()
    assert now()[0] == "absent"


def test_rows(places: Path) -> None:
    for name, systems in (("02-b", [KEY]), ("01-a", [KEY, "resnet-rs"]), ("03-c", None)):
        notebook = places / "notebooks" / "01-receptive-fields" / f"{name}.ipynb"
        notebook.parent.mkdir(parents=True, exist_ok=True)
        metadata = {} if systems is None else {"workbench": {"systems": systems}}
        notebook.write_text(json.dumps({"metadata": metadata, "cells": []}))
    write_module(places)
    rows = json.loads(json.dumps(catalog.rows()))
    assert len(rows) == 178
    assert all(list(row) == ["key", "title", "chapter", "order", "lesson", "state"] for row in rows)
    assert rows[0] | {"title": ""} == {
        "key": KEY,
        "title": "",
        "chapter": 1,
        "order": 1,
        "lesson": "01-receptive-fields/01-a",
        "state": "present",
    }
    assert rows[1]["lesson"] == "01-receptive-fields/01-a"
    assert Counter(row["state"] for row in rows) == {"absent": 177, "present": 1}
    (notebook.parent / "04-d.ipynb").write_text("not a notebook")
    with pytest.raises(WorkbenchError, match=r"01-receptive-fields/04-d.ipynb is not a notebook"):
        catalog.rows()


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys; from workbench.systems import catalog; catalog.rows(); "
        "heavy = {'torch', 'numba', 'scipy', 'plotly'} & sys.modules.keys(); "
        "systems = [name for name in sys.modules if name.count('.') > 2 and '.systems.' in name]; "
        "assert not heavy and not systems, (heavy, systems)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Committed records: what is kept, which one counts, and when it is stale."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.claims import Record, commit, load_system, present, records, rows, run_claim, source, standing
from workbench.claims import record as record_module
from workbench.errors import WorkbenchError

Write = Callable[..., Path]


@pytest.fixture
def measured(write: Write) -> Record:
    """The toy claim, measured in the lesson budget."""
    write()
    return run_claim(load_system("toy-system"), "gain", "lesson")


def test_what_is_committed_comes_back(measured: Record) -> None:
    file = commit(measured)
    assert records("toy-system") == [measured]
    assert measured.source
    assert not measured.stale
    assert [path.name for path in file.parent.iterdir()] == ["toy-system.jsonl"]
    assert rows() == [measured.row()]
    assert rows(["other"]) == []


def test_the_last_record_of_each_budget_counts_and_none_is_lost(measured: Record) -> None:
    for value, budget in ((1.0, "lesson"), (2.0, "full"), (3.0, "lesson")):
        file = commit(replace(measured, value=value, budget=budget))
    assert [(record.budget, record.value) for record in records("toy-system")] == [
        ("lesson", 3.0),
        ("full", 2.0),
    ]
    assert len(file.read_text().splitlines()) == 3
    assert standing("toy-system")["gain"].budget == "full"


def test_a_fresh_record_counts_before_a_stale_one(measured: Record) -> None:
    commit(replace(measured, budget="full", source="older"))
    commit(measured)
    assert [record.stale for record in records("toy-system")] == [True, False]
    assert standing("toy-system")["gain"].budget == "lesson"


def test_a_file_without_its_last_newline_is_mended(measured: Record) -> None:
    file = commit(measured)
    file.write_text(file.read_text().rstrip("\n"))
    commit(replace(measured, budget="full"))
    assert len(records("toy-system")) == 2


def test_a_commit_that_fails_leaves_the_file_as_it_was(
    measured: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = commit(measured).read_text()

    def no(*paths: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", no)
    with pytest.raises(OSError, match="disk full"):
        commit(replace(measured, value=7.0))
    assert record_module.records_file("toy-system").read_text() == before


def test_only_what_has_a_verdict_is_committed(measured: Record) -> None:
    smoke = run_claim(load_system("toy-system"), "gain", "smoke")
    with pytest.raises(WorkbenchError, match="toy-system/gain was measured in smoke"):
        commit(smoke)
    with pytest.raises(WorkbenchError, match="is not declared in workbench/systems"):
        commit(replace(measured, source=None))
    assert records("toy-system") == []


def test_stale_when_the_source_changes_or_goes(measured: Record, write: Write) -> None:
    commit(measured)
    path = write()
    assert not records("toy-system")[0].stale
    write(path.read_text().replace("1.5", "1.4"))
    assert records("toy-system")[0].stale
    assert rows()[0]["stale"] is True
    write(path.read_text().replace('"gain"', '"win"'))
    assert records("toy-system")[0].stale
    write()
    assert not records("toy-system")[0].stale
    path.unlink()
    assert records("toy-system")[0].stale


def test_stale_when_the_data_change(measured: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    import workbench_datasets

    name = "coins"
    version = workbench_datasets.version(name)
    record_module.data_version.cache_clear()
    for data, stale in (
        ({name: version}, False),
        ({name: "older"}, True),
        ({name: version, "nothing-like-this": "1"}, True),
    ):
        commit(replace(measured, data=data))
        assert records("toy-system")[0].stale is stale


def test_data_that_are_not_here_cannot_have_changed(
    measured: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    import workbench_datasets

    def away(name: str) -> str:
        raise workbench_datasets.DataError("not on this computer")

    record_module.data_version.cache_clear()
    monkeypatch.setattr(workbench_datasets, "version", away)
    commit(replace(measured, data={"coins": "1"}))
    assert not records("toy-system")[0].stale
    record_module.data_version.cache_clear()


def test_a_measure_that_loads_data_leaves_their_versions(write: Write) -> None:
    import workbench_datasets

    path = write()
    loads = path.read_text().replace("1.0 +", "float(load('coins', size=8).max() <= 1) +")
    write("from workbench_datasets import load\n" + loads)
    record = run_claim(load_system("toy-system"), "gain", "lesson")
    assert record.data["coins"] == workbench_datasets.version("coins")


def test_a_damaged_line_is_named(measured: Record) -> None:
    file = commit(measured)
    for damage in ('{"claim": ', '{"claim": "gain"}', "3"):
        file.write_text(json.dumps(measured.stored()) + "\n" + damage + "\n")
        with pytest.raises(WorkbenchError, match=r"line 2 of toy-system.jsonl is not a record"):
            records("toy-system")


def test_declared_claims_show_before_they_are_measured(write: Write) -> None:
    write()
    assert rows() == []
    (row,) = rows(declared=True)
    assert (row["system"], row["claim"], row["bar"]) == ("toy-system", "gain", "at least 1.5 (no effect: 1)")
    assert (row["value"], row["verdict"], row["budget"], row["stale"]) == (None, None, None, False)
    commit(run_claim(load_system("toy-system"), "gain", "lesson"))
    assert rows(declared=True) == rows()


def test_which_systems_have_code(write: Write) -> None:
    write()
    write("HELPER = 1", "toy/shared.py")
    assert present() == ["toy-system"]
    with pytest.raises(
        WorkbenchError, match="no system 'toy-sytem' has code here; did you mean 'toy-system'"
    ):
        load_system("toy-sytem")


def test_a_module_that_defines_another_system_is_told(write: Write) -> None:
    write(name="toy/toy_other.py")
    with pytest.raises(
        WorkbenchError, match="should define SYSTEM with the key 'toy-other', but it defines System"
    ):
        load_system("toy-other")


def test_code_that_is_edited_while_it_is_measured_leaves_a_stale_record(write: Write) -> None:
    file = write()
    system = load_system("toy-system")
    file.write_text(file.read_text().replace("2.0 + 0.01 * seed", "3.0 + 0.01 * seed"))
    source.read.cache_clear()
    source.definition.cache_clear()
    measured = run_claim(system, "gain", "lesson")
    assert measured.value == pytest.approx(2.02)  # of the code that was loaded
    commit(measured)
    [kept] = records("toy-system")
    assert kept.stale

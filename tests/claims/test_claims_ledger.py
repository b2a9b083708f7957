"""The reader's ledger: many writers, killed writers, older and newer files, odd file systems."""

import json
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.claims import Ledger
from workbench.claims import ledger as room
from workbench.errors import WorkbenchError

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "ledger.sqlite"


def test_rows_come_back_flat_and_in_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path)
    assert ledger.rows("hint") == []
    assert not path.exists()  # looking makes no file
    monkeypatch.setenv("WORKBENCH_LESSON", "01-a/01-b")
    monkeypatch.setenv("WORKBENCH_RUN", "run 7")
    uid = ledger.add("hint", exercise="radius", number=2)
    ledger.add(
        "attempt", exercise="radius", passed=False, lesson="other", run="8", when="2020-01-01T00:00:00+00:00"
    )
    attempt, hint = ledger.rows()
    assert hint | {"when": ""} == {
        "uid": uid,
        "kind": "hint",
        "lesson": "01-a/01-b",
        "when": "",
        "run": "run 7",
        "exercise": "radius",
        "number": 2,
    }
    assert hint["when"].endswith("+00:00")
    assert (attempt["lesson"], attempt["run"], attempt["passed"]) == ("other", "8", False)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [0, 1, 2]),
        ({"system": "a"}, [0, 1]),
        ({"system": "a", "seeds": 5}, [0]),
        ({"value": 2}, [1]),
        ({"stale": True}, [2]),
        ({"lesson": None}, [0, 1, 2]),
        ({"verdict": None}, [0, 1, 2]),  # missing in all
        ({"o'dd name": 'x"'}, [2]),
    ],
)
def test_filters(path: Path, filters: dict[str, Any], found: list[int]) -> None:
    ledger = Ledger(path)
    payloads: list[dict[str, Any]] = [
        {"system": "a", "seeds": 5, "value": 1.5},
        {"system": "a", "seeds": 6, "value": 2.0},
        {"system": "b", "stale": True, "o'dd name": 'x"'},
    ]
    uids = [ledger.add("claim", **payload) for payload in payloads]
    ledger.add("run", system="c", lesson="x")
    assert [uids.index(row["uid"]) for row in ledger.rows("claim", **filters)] == found


def test_arrays_and_numbers_of_libraries_are_stored(path: Path) -> None:
    Ledger(path).add("prediction", guess=np.float32(0.5), curve=np.arange(3))
    (row,) = Ledger(path).rows("prediction")
    assert (row["guess"], row["curve"]) == (0.5, [0, 1, 2])


@pytest.mark.parametrize("bad", [float("nan"), object(), {1: {2}}])
def test_what_json_cannot_hold_is_refused_and_nothing_is_kept(path: Path, bad: Any) -> None:
    with pytest.raises(WorkbenchError, match="a ledger row holds what JSON can hold"):
        Ledger(path).add("run", bad=bad)
    assert Ledger(path).rows() == []


def test_slips_are_told(path: Path) -> None:
    ledger = Ledger(path)
    with pytest.raises(
        WorkbenchError, match="one of claim, prediction, hint, attempt, run, but 'guess' came"
    ):
        ledger.add("guess")
    with pytest.raises(WorkbenchError, match="but 'guess' came"):
        ledger.rows("guess")
    with pytest.raises(WorkbenchError, match="makes its own uid: rename that field"):
        ledger.add("run", uid="1")
    with pytest.raises(WorkbenchError, match=r"compares with text or a number, but curve=\[1\] came"):
        ledger.rows("run", curve=[1])


def test_where_the_ledger_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Ledger().path == tmp_path / "ledger.sqlite"
    monkeypatch.delenv("WORKBENCH_LEDGER")
    assert Ledger().path == tmp_path / "home" / "ledger.sqlite"


def test_merging_twice_changes_nothing(path: Path, tmp_path: Path) -> None:
    mine, theirs = Ledger(path), Ledger(tmp_path / "theirs.sqlite")
    mine.add("hint", number=1)
    for number in range(3):
        theirs.add("attempt", number=number)
    assert mine.merge(theirs) == 3
    assert mine.merge(theirs.path) == mine.merge(str(theirs.path)) == 0
    assert mine.merge(json.loads(json.dumps(theirs.export()))) == 0
    assert sorted(mine.export(), key=lambda row: row["uid"]) == sorted(
        mine.rows("hint") + theirs.rows(), key=lambda row: row["uid"]
    )
    assert len(theirs.rows()) == 3


def test_merging_is_all_or_none(path: Path) -> None:
    ledger = Ledger(path)

    def half() -> Iterator[dict[str, Any]]:
        yield {"uid": "1", "kind": "hint", "when": "2020"}
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError):
        ledger.merge(half())
    assert ledger.rows() == []
    with pytest.raises(WorkbenchError, match="there is no ledger"):
        ledger.merge(path.with_name("nothing.sqlite"))


def write_rows(path: Path, writer: int, rows: int) -> None:
    ledger = Ledger(path)
    for number in range(rows):
        ledger.add("attempt", writer=writer, number=number)


def test_many_writers_at_once_lose_nothing(path: Path) -> None:
    """All start on a file that does not exist yet, the worst moment."""
    processes = [
        SPAWN.Process(target=write_rows, args=(path, writer, 50), daemon=True) for writer in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    found = [(row["writer"], row["number"]) for row in Ledger(path).rows("attempt")]
    assert sorted(found) == [(writer, number) for writer in range(8) for number in range(50)]


def hang_in_the_middle(path: Path, started: Any) -> None:
    def endless() -> Iterator[dict[str, Any]]:
        for number in range(20_000):  # enough that pages have gone to the file
            yield {"uid": f"never {number}", "kind": "run", "when": "2020", "text": "x" * 200}
        started.set()
        signal.pause()

    Ledger(path).merge(endless())


def test_a_killed_writer_takes_only_its_own_transaction_with_it(path: Path) -> None:
    Ledger(path).add("hint", number=1)
    started = SPAWN.Event()
    process = SPAWN.Process(target=hang_in_the_middle, args=(path, started), daemon=True)
    process.start()
    assert started.wait(60)
    assert len(Ledger(path).rows()) == 1  # readers are not held up
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    Ledger(path).add("hint", number=2)
    assert [row["number"] for row in Ledger(path).rows()] == [1, 2]
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def at_schema(path: Path, version: int) -> None:
    """A ledger as version `version` of the schema left it, with one row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    for statement in (statement for step in room.STEPS[:version] for statement in step):
        db.execute(statement)
    db.execute(
        'INSERT INTO rows (uid, kind, "when", payload) VALUES (?, ?, ?, ?)', ("1", "hint", "2020", '{"n": 1}')
    )
    db.execute(f"PRAGMA user_version = {version}")
    db.commit()
    db.close()


ROW = {"uid": "1", "kind": "hint", "lesson": None, "when": "2020", "run": None, "n": 1}


def test_an_older_ledger_is_brought_up_to_date(path: Path) -> None:
    at_schema(path, 1)
    assert Ledger(path).rows() == [ROW]
    Ledger(path).add("hint", run="2")
    assert len(Ledger(path).rows("hint", run="2")) == 1
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (room.SCHEMA,)
    db.close()


def test_an_older_ledger_is_merged_without_touching_it(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    at_schema(old, 1)
    before = old.read_bytes()
    assert Ledger(path).merge(old) == 1
    assert Ledger(path).rows("hint") == [ROW]
    assert old.read_bytes() == before


def test_migrating_stops_halfway_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_schema(path, 1)
    monkeypatch.setattr(room, "STEPS", (room.STEPS[0], (*room.STEPS[1], "CREATE NONSENSE")))
    with pytest.raises(WorkbenchError, match="cannot be used"):
        Ledger(path).add("hint")
    monkeypatch.undo()
    assert Ledger(path).rows() == [ROW]


def newer(path: Path) -> None:
    at_schema(path, room.SCHEMA)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE holidays (day TEXT)")
    db.close()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (newer, "was written by a newer version (schema 99, here 2): update kernel-workbench"),
        (foreign, "holds a database that is not a ledger"),
        (lambda path: path.write_text("Dear diary, " * 100), "file is not a database"),
    ],
)
def test_a_file_that_is_not_for_us_stays_untouched(path: Path, make: Any, sentence: str) -> None:
    path.parent.mkdir()
    make(path)
    before = path.read_bytes()
    for use in (lambda: Ledger(path).add("hint"), lambda: Ledger(path).rows(), lambda: Ledger().merge(path)):
        with pytest.raises(WorkbenchError) as told:
            use()
        assert sentence in str(told.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    Ledger(path).add("hint")
    assert len(Ledger(path).rows()) == 1


def journal(path: Path) -> str:
    db = sqlite3.connect(path)
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    db.close()
    return mode


def test_a_write_ahead_log_is_used(path: Path) -> None:
    Ledger(path).add("hint")
    assert journal(path) == "wal"


@pytest.mark.parametrize("refusal", ["error", "silent"])
def test_without_shared_memory_the_rollback_journal_serves(
    path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    class NetworkDrive(sqlite3.Connection):
        def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
            if statement == "PRAGMA journal_mode = WAL":
                if refusal == "silent":
                    return super().execute("PRAGMA journal_mode")
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMMAP
                raise error
            return super().execute(statement, *given)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=NetworkDrive))
    write_rows(path, 1, 3)
    assert len(Ledger(path).rows()) == 3
    monkeypatch.undo()
    assert journal(path) == "delete"


def test_a_busy_ledger_is_waited_for_and_then_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(path).add("hint")
    monkeypatch.setattr(room, "PATIENCE", 0.05)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(WorkbenchError, match="cannot be used: database is locked"):
        Ledger(path).add("hint")
    db.execute("ROLLBACK")
    db.close()
    Ledger(path).add("hint")
    assert len(Ledger(path).rows()) == 2


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkbenchError, match=r"the ledger cannot be kept in .*file"):
        Ledger(tmp_path / "file" / "ledger.sqlite").add("hint")

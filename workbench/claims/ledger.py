"""The reader's own ledger: what was measured, predicted, hinted and attempted on this machine.

One SQLite file that many processes write at once. Every operation opens the file anew, so that a ledger
object may be shared between threads and survives a fork; a writer that is killed loses its own unfinished
transaction and nothing else.
"""

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench._paths import home
from workbench.errors import WorkbenchError

KINDS = ("claim", "prediction", "hint", "attempt", "run")
COLUMNS = ("uid", "kind", "lesson", "when", "run")
PATIENCE = 30.0  # seconds that a writer waits for the others

# Step n leads from schema n to n + 1; a ledger of any age is brought up to date by the steps it lacks.
STEPS = (
    (
        "CREATE TABLE rows (uid TEXT PRIMARY KEY, kind TEXT NOT NULL, lesson TEXT, "
        '"when" TEXT NOT NULL, payload TEXT NOT NULL)',
    ),
    (
        "ALTER TABLE rows ADD COLUMN run TEXT",
        'CREATE INDEX rows_by_kind ON rows (kind, lesson, "when")',
    ),
)
SCHEMA = len(STEPS)


class Ledger:
    """The ledger in `path`; by default `WORKBENCH_LEDGER`, or `ledger.sqlite` in the reader's directory."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path or os.environ.get("WORKBENCH_LEDGER") or home() / "ledger.sqlite")
        self._ready = False

    def add(
        self,
        kind: str,
        /,
        *,
        lesson: str | None = None,
        run: str | None = None,
        when: str | None = None,
        **payload: Any,
    ) -> str:
        """Adds a row and returns its uid.

        `lesson` and `run` default to `WORKBENCH_LESSON` and `WORKBENCH_RUN`, `when` to now (ISO, UTC).
        The payload is anything that JSON can hold, arrays included.
        """
        row = {
            **payload,
            "uid": uuid.uuid4().hex,
            "kind": kind,
            "lesson": lesson or os.environ.get("WORKBENCH_LESSON"),
            "when": when or datetime.now(UTC).isoformat(timespec="microseconds"),
            "run": run or os.environ.get("WORKBENCH_RUN"),
        }
        if taken := {"uid", "kind"} & payload.keys():
            raise WorkbenchError(
                f"a ledger row makes its own {' and '.join(sorted(taken))}: rename that field"
            )
        self.merge([row])
        return row["uid"]

    def rows(self, kind: str | None = None, /, **filters: Any) -> list[dict[str, Any]]:
        """Rows of a kind (default: all), oldest first, as flat dicts: columns and payload side by side.

        Filters compare columns or fields of the payload: `rows("claim", system="simplenet", seeds=5)`.
        """
        if kind is not None:
            filters["kind"] = _checked(kind)
        where, values = ["1"], []
        for name, value in filters.items():
            if not isinstance(value, str | int | float | None):
                raise WorkbenchError(
                    f"a ledger filter compares with text or a number, but {name}={value!r} came"
                )
            if name in COLUMNS:
                where.append(f'"{name}" IS ?')
                values += [value]
            else:
                where.append("json_extract(payload, ?) IS ?")
                values += [f'$."{name}"', value]
        if not self.path.exists():
            return []
        self._prepare()
        with _connected(self.path) as db:
            query = f'SELECT * FROM rows WHERE {" AND ".join(where)} ORDER BY "when", rowid'
            return [_flat(row) for row in db.execute(query, values)]

    def export(self) -> list[dict[str, Any]]:
        """Every row, ready for `json.dumps` and for another ledger's `merge`."""
        return self.rows()

    def merge(self, other: "Ledger | Path | str | Iterable[dict[str, Any]]") -> int:
        """Takes over the rows of another ledger (or its file), all or none; returns how many were new.

        A row is known by its uid: merging the same rows again changes nothing.
        """
        if isinstance(other, Ledger | Path | str):
            path = other.path if isinstance(other, Ledger) else Path(other)
            other = _read(path)
        with self._transaction() as db:
            before = db.total_changes
            for row in other:
                payload = {name: value for name, value in row.items() if name not in COLUMNS}
                db.execute(
                    'INSERT INTO rows (uid, kind, lesson, "when", run, payload) VALUES (?, ?, ?, ?, ?, ?) '
                    "ON CONFLICT (uid) DO NOTHING",
                    (
                        row["uid"],
                        _checked(row["kind"]),
                        row.get("lesson"),
                        row["when"],
                        row.get("run"),
                        _json(payload),
                    ),
                )
            return db.total_changes - before

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Writes that are kept together at the end, or undone together by an error."""
        self._prepare()
        with _connected(self.path) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _prepare(self) -> None:
        """Makes the file where there is none, and brings an older one up to this version's schema."""
        if self._ready and self.path.exists():
            return
        # Looked at without writing: a file that is not ours stays as it is, a writer keeps nobody waiting.
        if self.path.exists() and _version(self.path) == SCHEMA:
            self._ready = True
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkbenchError(
                f"the ledger cannot be kept in {self.path.parent}: {error.strerror}"
            ) from None
        with _connected(self.path) as db:
            _use_wal(db)
            db.execute("BEGIN IMMEDIATE")  # of several that come at once, one does the steps
            (version,) = db.execute("PRAGMA user_version").fetchone()
            for statement in (statement for step in STEPS[version:] for statement in step):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA}")
            db.execute("COMMIT")
        self._ready = True


@contextmanager
def _connected(path: Path, readonly: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection without hidden transactions, whose failures are told in one sentence."""
    address = f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            yield db
    except sqlite3.Error as error:
        raise WorkbenchError(
            f"the ledger {path} cannot be used: {error}; move it away or let WORKBENCH_LEDGER name another"
        ) from error


def _use_wal(db: sqlite3.Connection) -> None:
    """A write-ahead log, so that readers and a writer never wait for each other.

    Where the file system cannot share memory between processes (network drives), SQLite says so or
    stays with its rollback journal: slower, writers wait for readers, nothing is lost. Several processes
    that switch at the same moment find the file busy without being made to wait, so the wait is here.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                db.execute("PRAGMA journal_mode = DELETE").fetchone()
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _version(path: Path) -> int:
    """The schema of an existing ledger, read without changing the file; a sentence if it is not for us."""
    with _connected(path, readonly=True) as db:
        db.execute("BEGIN")  # both answers from one moment: another process may be making the ledger
        (version,) = db.execute("PRAGMA user_version").fetchone()
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version > SCHEMA:
        raise WorkbenchError(
            f"the ledger {path} was written by a newer version (schema {version}, here {SCHEMA}): update "
            "kernel-workbench, or let WORKBENCH_LEDGER name another file"
        )
    if tables and not version:
        raise WorkbenchError(
            f"{path} holds a database that is not a ledger: let WORKBENCH_LEDGER name another"
        )
    return version


def _read(path: Path) -> list[dict[str, Any]]:
    """All rows of a ledger of any known schema, which stays as it is."""
    if not path.is_file():
        raise WorkbenchError(f"there is no ledger {path} to merge")
    if not _version(path):
        return []
    with _connected(path, readonly=True) as db:
        return [_flat(row) for row in db.execute('SELECT * FROM rows ORDER BY "when", rowid')]


def _flat(row: sqlite3.Row) -> dict[str, Any]:
    columns = dict(row)
    return json.loads(columns.pop("payload")) | columns


def _checked(kind: str) -> str:
    if kind not in KINDS:
        raise WorkbenchError(f"a ledger row is one of {', '.join(KINDS)}, but {kind!r} came")
    return kind


def _json(payload: dict[str, Any]) -> str:
    """JSON with the numbers and arrays of numeric libraries as plain ones; not-a-number is refused."""
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False, default=lambda item: item.tolist())
    except (TypeError, ValueError, AttributeError) as error:
        raise WorkbenchError(
            f"a ledger row holds what JSON can hold, but {payload!r:.200} came: {error}"
        ) from None

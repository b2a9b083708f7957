"""Content digests of files, computed once: a file with the same path, size and time of change is the same.

Small files are hashed once a process. The digest of a large one is also noted in the reader's directory,
because eighty lessons in eighty processes would otherwise hash the same 90 MB eighty times.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from ._files import home
from .errors import DataError

LARGE = 8 << 20  # bytes
_known: dict[tuple[str, int, int], str] = {}


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes, as 64 hexadecimal digits."""
    path = path.resolve()
    stat = path.stat()
    key = (str(path), stat.st_mtime_ns, stat.st_size)
    if key not in _known:
        large = stat.st_size >= LARGE
        found = _noted(key) if large else None
        if found is None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if large:
                _note(key, found)
        _known[key] = found
    return _known[key]


def verified(path: Path, sha256: str) -> Path:
    """The file itself; DataError if its bytes are not those that were shipped."""
    if (found := digest(path)) != sha256:
        raise DataError(
            f"{path} is another file than the one that was shipped: SHA-256 {sha256} was expected, "
            f"but {found} came"
        )
    return path


def combined(paths: Sequence[Path]) -> str:
    """One digest for several files in order; for a single file, the file's own."""
    digests = [digest(path) for path in paths]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _note_path(key: tuple[str, int, int]) -> Path:
    return home() / "digests" / f"{hashlib.sha256(key[0].encode()).hexdigest()[:24]}.json"


def _noted(key: tuple[str, int, int]) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(_note_path(key).read_text(encoding="utf-8"))
        if tuple(note["file"]) == key:
            return str(note["sha256"])
    return None


def _note(key: tuple[str, int, int], sha256: str) -> None:
    """Notes the digest for later processes; a directory that cannot be written only costs time."""
    path = _note_path(key)
    beside = path.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({"file": key, "sha256": sha256}), encoding="utf-8")
        os.replace(beside, path)

"""Downloads one file: resumed where it broke, checked, and moved into place only when whole.

While a file is under way, `NAME.part` holds what came, and `NAME.part.json` says which version of the file
that is. Both survive a broken connection or a killed process, and the next call goes on from there.
"""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ._files import downloads
from .digests import digest
from .errors import DataError

Progress = Callable[[int, int | None], object]

CHUNK = 1 << 18  # bytes
PAUSES = (0.5, 2.0, 5.0)  # seconds before trying again after a broken connection
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that may be different in a moment
RANGE_NOT_SATISFIABLE = 416


class _Broken(Exception):
    """The connection failed in a way that trying again may mend."""


def fetch(
    url: str,
    sha256: str,
    *,
    name: str | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> Path:
    """The file at `url` as a path on this computer, downloaded only when it is not there already.

    name: file name to keep it under; by default the last part of the address.
    folder: by default `downloads` in the reader's own directory, which WORKBENCH_HOME moves.
    progress: called with (bytes done, bytes in all or None); by default a bar, on a terminal.
    timeout: seconds without a byte after which the connection counts as broken.

    A broken connection is taken up again where it broke, three times within a call and again by the next
    call, if the server still has the same file; else the file is fetched from its start. Callers in several
    processes wait for one another. Raises DataError, in one sentence, when the server cannot be reached or
    has no such file, when the SHA-256 is wrong (what came is removed), and when the disk is full (likewise).
    """
    from filelock import FileLock

    name = _checked(url, sha256, name)
    sha256 = sha256.lower()
    folder = Path(folder) if folder is not None else downloads()
    part = _Part(folder / name, url, sha256)
    try:
        if _is(part.target, sha256):
            return part.target
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"):
            if not _is(part.target, sha256):  # else another caller has fetched it meanwhile
                with _shown(progress, name) as report:
                    _complete(part, report, timeout)
                part.finish()
    except OSError as error:
        raise DataError(f"{name} cannot be kept in {folder}: {error.strerror or error}") from None
    return part.target


def _checked(url: str, sha256: str, name: str | None) -> str:
    """The file name, once the arguments make sense."""
    if not re.fullmatch(r"https?://[A-Za-z0-9][\x21-\x7e]*", url):
        raise DataError(f"an address that starts with http:// or https:// was expected, but {url!r} came")
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise DataError(f"a SHA-256 of 64 hexadecimal digits was expected, but {sha256!r} came")
    if name is None:
        name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1])
    if not re.fullmatch(r"[^\\/:\0]+", name) or name in (".", ".."):
        raise DataError(f"a plain file name was expected, but {name!r} came; pass it as name=")
    return name


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and digest(path) == sha256


@dataclass(frozen=True)
class _Part:
    """What has come of a file so far, and which version of the file it belongs to."""

    target: Path
    url: str
    sha256: str

    @property
    def path(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def note(self) -> Path:
        return self.target.with_name(self.target.name + ".part.json")

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).hostname or ""

    def content(self) -> tuple["hashlib._Hash", int]:
        """The running hash of what is there, and how many bytes that is."""
        hasher, have = hashlib.sha256(), 0
        if self.validator() is not None:
            with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    hasher.update(chunk)
                    have += len(chunk)
        return hasher, have

    def validator(self) -> str | None:
        """The server's mark of this version ("" if it gave none); None if the part is of another file."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if (note["url"], note["sha256"]) == (self.url, self.sha256):
                return str(note["validator"])
        return None

    def open(self, resumed: bool, validator: str) -> IO[bytes]:
        """The part, to be continued or begun anew. Unbuffered: an error belongs to the write that met it."""
        if resumed:
            return self.path.open("ab", buffering=0)
        self.discard()
        note = {"url": self.url, "sha256": self.sha256, "validator": validator}
        self.note.write_text(json.dumps(note), encoding="utf-8")
        return self.path.open("wb", buffering=0)

    def write(self, file: IO[bytes], chunk: bytes) -> None:
        """Writes the whole chunk; a disk that cannot take it keeps nothing of the file."""
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.close()
            self.discard()
            raise

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def finish(self) -> None:
        os.replace(self.path, self.target)
        self.note.unlink(missing_ok=True)


def _complete(part: _Part, report: Progress, timeout: float) -> None:
    """Makes the part the whole file with the right checksum, or raises DataError."""
    pauses = iter(PAUSES)
    while True:
        hasher, have = part.content()
        if have and hasher.hexdigest() == part.sha256:
            return  # everything had come, and only the move was missing
        try:
            came, resumed = _transfer(part, hasher, have, report, timeout)
        except _Broken as broken:
            pause = next(pauses, None)
            if pause is None:
                kept = part.content()[1]
                then = (
                    f"{_size(kept)} are kept and the next call goes on from there" if kept else "nothing came"
                )
                raise DataError(f"{part.target.name} is not complete: {broken}; {then}") from None
            time.sleep(pause)
            continue
        if came == part.sha256:
            return
        part.discard()
        if not resumed:  # a resumed file may have been glued together from two versions: once more, whole
            raise DataError(
                f"{part.target.name} from {part.host} is not the file that was expected and was removed: "
                f"SHA-256 {part.sha256} was expected, but {came} came"
            )


def _transfer(
    part: _Part, hasher: "hashlib._Hash", have: int, report: Progress, timeout: float
) -> tuple[str, bool]:
    """One connection: the digest of all that came by now, and whether it went on from an earlier part."""
    response = _answer(part, have, timeout)
    if response is None:
        return "", True
    with response:
        first, total = _extent(response)
        if have and first not in (0, have):
            return "", True
        resumed = bool(have) and first == have
        if not resumed:
            hasher, have = hashlib.sha256(), 0
        _ensure_room(part, None if total is None else total - have)
        with part.open(resumed, _mark(response)) as file:
            report(have, total)
            while total is None or have < total:
                chunk = _read(response, CHUNK if total is None else min(CHUNK, total - have), part.host)
                if not chunk:
                    break
                part.write(file, chunk)
                hasher.update(chunk)
                have += len(chunk)
                report(have, total)
    if total is not None and have < total:
        raise _Broken(f"{part.host} ended the connection after {_size(have)} of {_size(total)}")
    return hasher.hexdigest(), resumed


def _answer(part: _Part, have: int, timeout: float) -> http.client.HTTPResponse | None:
    """The server's answer; None when what is here cannot be the beginning of what the server has."""
    request = urllib.request.Request(part.url, headers={"User-Agent": "kernel-workbench"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if mark := part.validator():
            request.add_header("If-Range", mark)  # a changed file is then sent whole
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"{part.host} answered {error.code} {error.reason}".rstrip()
        if error.code == RANGE_NOT_SATISFIABLE and have:
            return None
        if error.code in BUSY:
            raise _Broken(answer) from None
        raise DataError(f"{part.target.name} could not be downloaded: {answer} for {part.url}") from None
    except urllib.error.URLError as error:
        if have:
            raise _Broken(f"{part.host} cannot be reached ({_reason(error.reason)})") from None
        raise DataError(
            f"{part.host} cannot be reached ({_reason(error.reason)}) and {part.target.name} is not on this "
            f"computer: connect and try again, or put a copy of {part.url} at {part.target}"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection to {part.host} broke ({_reason(error)})") from None


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the body begins in the file, and the size of the whole file if the server says it."""
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    if response.status != http.client.PARTIAL_CONTENT:
        return 0, size
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if match is None:
        return -1, size  # a part of no stated place fits nowhere
    first = int(match[1])
    return first, int(match[3]) if match[3] != "*" else first + size if size is not None else None


def _mark(response: http.client.HTTPResponse) -> str:
    """What identifies this version of the file byte for byte; weak entity tags do not."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _read(response: http.client.HTTPResponse, most: int, host: str) -> bytes:
    try:
        return response.read1(most)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection to {host} broke ({_reason(error)})") from None


def _ensure_room(part: _Part, need: int | None) -> None:
    free = shutil.disk_usage(part.target.parent).free
    if need is not None and need > free:
        part.discard()
        raise DataError(
            f"{part.target.name} needs {_size(need)} in {part.target.parent}, but {_size(free)} are free"
        )


def _reason(error: object) -> str:
    """An exception's own words, or its kind when it has none."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _size(count: int) -> str:
    return f"{count} bytes" if count < 100_000 else f"{count / 1e6:.1f} MB"


@contextlib.contextmanager
def _shown(progress: Progress | None, name: str) -> Iterator[Progress]:
    """The caller's own progress function, or a bar on a terminal, or silence."""
    if progress is not None or not sys.stderr.isatty():
        yield progress or (lambda done, total: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

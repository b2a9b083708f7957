"""The download helper against a loopback server that fails in every way a real one does."""

import contextlib
import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from workbench_datasets import DataError, download, fetch

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(BODY).hexdigest()
OTHER = BODY[::-1]


@dataclass
class Site:
    """What the server does. `cuts` holds, request by request, after how many bytes it hangs up."""

    body: bytes = BODY
    tag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    extra_length: int = 0
    lengths: bool = True
    pause: float = 0.0
    seen: list[dict[str, str]] = field(default_factory=list)
    address: str = ""

    @property
    def url(self) -> str:
        return f"{self.address}/some%20file.bin?download=true"


class Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.seen.append({name.lower(): value for name, value in self.headers.items()})
        if self.path.startswith("/moved"):
            return self.answer(302, Location=site.url)
        if self.path.startswith("/missing"):
            return self.answer(404)
        if site.statuses and (status := site.statuses.pop(0)) != 200:
            return self.answer(status)
        first, status = 0, 200
        extent = {}
        asked = self.headers.get("Range")
        if asked and site.ranges and self.headers.get("If-Range") in (None, site.tag, site.modified):
            first, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if first >= len(site.body):
                return self.answer(416)
            extent["Content-Range"] = f"bytes {first}-{len(site.body) - 1}/{len(site.body)}"
        body = site.body[first:]
        if site.lengths:
            extent["Content-Length"] = str(len(body) + site.extra_length)
        if site.tag:
            extent["ETag"] = site.tag
        if site.modified:
            extent["Last-Modified"] = site.modified
        self.answer(status, **extent)
        cut = site.cuts.pop(0) if site.cuts else len(body)
        with contextlib.suppress(OSError):
            for at in range(0, min(cut, len(body)), 1 << 16):
                self.wfile.write(body[at : min(at + (1 << 16), cut)])
                time.sleep(site.pause)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0, 0.0))
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def left_in(folder: Path) -> list[str]:
    """What the reader sees in the folder (lock files are hidden)."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_whole_file_arrives_and_is_not_fetched_twice(site: Site, tmp_path: Path) -> None:
    path = fetch(site.url, SHA256)
    assert path == tmp_path / "home" / "downloads" / "some file.bin"
    assert path.read_bytes() == BODY
    assert left_in(path.parent) == ["some file.bin"]
    assert fetch(site.url, SHA256.upper()) == path
    assert len(site.seen) == 1


def test_progress_rises_to_the_whole(site: Site, folder: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    fetch(site.url, SHA256, folder=folder, progress=lambda done, total: calls.append((done, total)))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert calls[0] == (0, len(BODY))
    assert calls[-1] == (len(BODY), len(BODY))


def test_a_truncated_transfer_is_resumed_within_the_call(site: Site, folder: Path) -> None:
    site.cuts = [300_000, 200_000]
    path = fetch(site.url, SHA256, folder=folder)
    assert path.read_bytes() == BODY
    assert [seen.get("range") for seen in site.seen] == [None, "bytes=300000-", "bytes=500000-"]
    assert [seen.get("if-range") for seen in site.seen] == [None, '"one"', '"one"']


def test_what_came_is_kept_for_the_next_call(site: Site, folder: Path) -> None:
    site.cuts = [100_000, 0, 0, 0]
    with pytest.raises(DataError, match=r"is not complete: .* 0\.1 MB are kept and the next call goes on"):
        fetch(site.url, SHA256, folder=folder)
    assert left_in(folder) == ["some file.bin.part", "some file.bin.part.json"]
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert site.seen[-1]["range"] == "bytes=100000-"
    assert left_in(folder) == ["some file.bin"]


def test_a_killed_process_is_resumed(site: Site, folder: Path) -> None:
    site.pause = 0.02
    code = f"from workbench_datasets import fetch; fetch({site.url!r}, {SHA256!r}, folder={str(folder)!r})"
    child = subprocess.Popen([sys.executable, "-c", code])
    part = folder / "some file.bin.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.005)
    child.kill()
    child.wait()
    assert 0 < part.stat().st_size < len(BODY)
    site.pause = 0.0
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert int(site.seen[-1]["range"].removeprefix("bytes=").removesuffix("-")) > 0


@pytest.mark.parametrize(
    "marks", [{"tag": '"one"'}, {"tag": None, "modified": "Mon, 01 Jan 2024 00:00:00 GMT"}]
)
def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(
    site: Site, folder: Path, marks: dict[str, str | None]
) -> None:
    vars(site).update(marks)
    site.body, site.cuts = OTHER, [100_000, 0, 0, 0]
    with pytest.raises(DataError):
        fetch(site.url, SHA256, folder=folder)
    site.body, site.tag, site.modified = BODY, '"two"', None
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert site.seen[-1]["if-range"] == next(mark for mark in marks.values() if mark)
    assert len(site.seen) == 5


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_two_versions_glued_together_are_noticed_and_mended(
    site: Site, folder: Path, tag: str | None
) -> None:
    site.tag = tag  # nothing tells the versions apart
    site.body, site.cuts = OTHER, [100_000, 0, 0, 0]
    with pytest.raises(DataError):
        fetch(site.url, SHA256, folder=folder)
    site.body = BODY
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert [seen.get("range") for seen in site.seen[-2:]] == ["bytes=100000-", None]
    assert not any("if-range" in seen for seen in site.seen)  # a weak tag does not promise equal bytes


def test_a_part_longer_than_the_file_starts_over(site: Site, folder: Path) -> None:
    site.tag = None
    site.body, site.cuts = OTHER + OTHER, [len(BODY) + 5, 0, 0, 0]
    with pytest.raises(DataError):
        fetch(site.url, SHA256, folder=folder)
    site.body = BODY
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY


def test_a_part_of_another_version_in_the_call_is_not_used(site: Site, folder: Path) -> None:
    site.body, site.cuts = OTHER, [100_000, 0, 0, 0]
    with pytest.raises(DataError):
        fetch(site.url, hashlib.sha256(OTHER).hexdigest(), folder=folder)
    site.body = BODY
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert [seen.get("range") for seen in site.seen[4:]] == [None]


def test_a_whole_part_that_was_not_moved_needs_no_network(site: Site, folder: Path) -> None:
    site.cuts = [len(BODY) - 1, 0, 0, 0]
    with pytest.raises(DataError):
        fetch(site.url, SHA256, folder=folder)
    with (folder / "some file.bin.part").open("ab") as file:
        file.write(BODY[-1:])
    before = len(site.seen)
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert len(site.seen) == before


def test_a_server_without_ranges_sends_the_whole_again(site: Site, folder: Path) -> None:
    site.ranges, site.cuts = False, [100_000]
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert [seen.get("range") for seen in site.seen] == [None, "bytes=100000-"]


def test_corrupted_content_is_removed_and_both_digests_are_named(site: Site, folder: Path) -> None:
    site.body = OTHER
    with pytest.raises(DataError) as caught:
        fetch(site.url, SHA256, folder=folder)
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert left_in(folder) == []


def test_a_failed_update_leaves_the_old_file(site: Site, folder: Path) -> None:
    folder.mkdir()
    (folder / "some file.bin").write_bytes(b"yesterday's")
    site.body = OTHER
    with pytest.raises(DataError):
        fetch(site.url, SHA256, folder=folder)
    assert (folder / "some file.bin").read_bytes() == b"yesterday's"
    site.body = BODY
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY


def test_too_long_a_stated_length_does_not_lose_a_right_file(site: Site, folder: Path) -> None:
    site.extra_length = 10
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY


def test_too_short_a_stated_length_is_a_wrong_file(site: Site, folder: Path) -> None:
    site.extra_length = -10
    with pytest.raises(DataError, match="is not the file that was expected"):
        fetch(site.url, SHA256, folder=folder)
    assert left_in(folder) == []


def test_a_body_of_no_stated_length(site: Site, folder: Path) -> None:
    site.lengths = False
    totals: set[int | None] = set()
    path = fetch(site.url, SHA256, folder=folder, progress=lambda done, total: totals.add(total))
    assert path.read_bytes() == BODY
    assert totals == {None}


def test_redirect(site: Site, folder: Path) -> None:
    site.cuts = [100_000]
    path = fetch(site.address + "/moved", SHA256, folder=folder)
    assert path.name == "moved"
    assert path.read_bytes() == BODY
    assert site.seen[-1]["range"] == "bytes=100000-"


def test_a_missing_file_is_said_at_once(site: Site, folder: Path) -> None:
    with pytest.raises(DataError, match="answered 404 Not Found"):
        fetch(site.address + "/missing", SHA256, folder=folder)
    assert len(site.seen) == 1
    assert left_in(folder) == []


def test_a_busy_server_is_asked_again(site: Site, folder: Path) -> None:
    site.statuses = [503, 429, 200]
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    site.statuses = [503] * 4
    with pytest.raises(DataError, match=r"answered 503 .*; nothing came"):
        fetch(site.url, SHA256, folder=folder, name="again")


def test_a_silent_server_counts_as_broken(site: Site, folder: Path) -> None:
    site.pause = 1.0
    with pytest.raises(DataError, match="timed out"):
        fetch(site.url, SHA256, folder=folder, timeout=0.1)


def test_offline_says_what_to_do_and_a_copy_by_hand_is_taken(site: Site, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    url = f"http://127.0.0.1:{port}/big.bin"
    with pytest.raises(DataError, match=r"cannot be reached .* put a copy of .*big.bin") as caught:
        fetch(url, SHA256, folder=folder)
    assert "\n" not in str(caught.value)
    (folder / "big.bin").write_bytes(BODY)
    assert fetch(url, SHA256, folder=folder) == folder / "big.bin"


def test_threads_and_processes_share_one_transfer(site: Site, folder: Path) -> None:
    site.pause = 0.01
    code = f"from workbench_datasets import fetch; fetch({site.url!r}, {SHA256!r}, folder={str(folder)!r})"
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    threads = [
        threading.Thread(target=fetch, args=(site.url, SHA256), kwargs={"folder": folder}) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait() for child in children] == [0, 0]
    assert len(site.seen) == 1
    assert (folder / "some file.bin").read_bytes() == BODY
    assert left_in(folder) == ["some file.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is a Unix one")
def test_a_disk_that_takes_no_more_keeps_nothing(site: Site, folder: Path) -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "from workbench_datasets import DataError, fetch\n"
        f"try: fetch({site.url!r}, {SHA256!r}, folder={str(folder)!r})\n"
        "except DataError as error: print(error)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"cannot be kept in {folder}" in child.stdout
    assert left_in(folder) == []


def test_too_small_a_disk_is_noticed_before_writing(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = download.shutil.disk_usage(os.curdir)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"needs 1\.0 MB in .* but 1000 bytes are free"):
        fetch(site.url, SHA256, folder=folder)
    assert left_in(folder) == []


def test_a_folder_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be kept in"):
        fetch(site.url, SHA256, folder=tmp_path / "file" / "below")


def test_an_interrupted_caller_can_go_on(site: Site, folder: Path) -> None:
    def stop_halfway(done: int, total: int | None) -> None:
        if total and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(site.url, SHA256, folder=folder, progress=stop_halfway)
    assert fetch(site.url, SHA256, folder=folder).read_bytes() == BODY
    assert "range" in site.seen[-1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_bar_on_a_terminal_only(
    site: Site,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    stream: Callable[[], io.StringIO],
    shown: bool,
) -> None:
    screen = stream()
    monkeypatch.setattr(sys, "stderr", screen)
    fetch(site.url, SHA256, folder=folder)
    assert ("some file.bin" in screen.getvalue()) is shown


@pytest.mark.parametrize(
    ("url", "sha256", "name", "says"),
    [
        ("ftp://example.org/a", SHA256, None, "http:// or https://"),
        ("file:///etc/hosts", SHA256, None, "http:// or https://"),
        ("http://example.org/a b", SHA256, None, "http:// or https://"),
        ("http://example.org/a", "abc", None, "64 hexadecimal digits"),
        ("http://example.org/", SHA256, None, "plain file name"),
        ("http://example.org/..%2Fa", SHA256, None, "plain file name"),
        ("http://example.org/a", SHA256, "../a", "plain file name"),
        ("http://example.org/a", SHA256, "..", "plain file name"),
    ],
)
def test_arguments_that_make_no_sense(url: str, sha256: str, name: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        fetch(url, sha256, name=name)

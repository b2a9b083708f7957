"""JupyterLab on the learner's copy: what is started, and that it really answers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from lesson_making import code, markdown, notebook, write

from workbench.errors import WorkbenchError
from workbench.lessons.lab import lab_command, open_lab
from workbench.lessons.study import study

KEY = "00-start/01-a tour"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    write(tmp_path / "notebooks", KEY, notebook([markdown("# Tour"), code("1")]))
    study(tmp_path / "study", root=tmp_path / "notebooks")
    return tmp_path / "study"


def test_the_command_opens_the_next_lesson(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = desk.parent / "notebooks"
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    command = lab_command(desk, ["--no-browser"], root)
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={desk.resolve()}" in command
    assert f"--LabApp.default_url=/lab/tree/{quote(KEY)}.ipynb" in command
    assert command[-1] == "--no-browser"
    assert "--allow-root" not in command
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert lab_command(desk, [], root).count("--allow-root") == 1
    assert lab_command(desk, ["--allow-root"], root).count("--allow-root") == 1


def test_the_newest_update_is_opened(desk: Path) -> None:
    root = desk.parent / "notebooks"
    path = desk / f"{KEY}.ipynb"
    path.write_text(path.read_text().replace("# Tour", "# My tour"))
    write(root, KEY, notebook([markdown("# Tour again"), code("1")]))
    study(desk, root=root)
    assert any(part.endswith("01-a%20tour.update-1.ipynb") for part in lab_command(desk, [], root))


def test_without_lessons_there_is_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="there is none"):
        open_lab(tmp_path / "nowhere")


@pytest.fixture
def lab(desk: Path) -> Iterator[tuple[str, str, subprocess.Popen]]:
    """A JupyterLab on a free port: its address, its token, its process."""
    script = (
        "import sys; from pathlib import Path; from workbench.lessons.lab import open_lab\n"
        "desk, root, *args = sys.argv[1:]\n"
        "sys.exit(open_lab(desk, args, no_browser=True, root=Path(root)))"
    )
    folders = {
        f"JUPYTER_{name}_DIR": str(desk.parent / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(desk), str(desk.parent / "notebooks"), "--port=0"],
        env={**os.environ, **folders},
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://localhost:(\d+)/lab/tree/(\S+)\?token=(\w+)", line):
                assert found[2] == f"{quote(KEY)}.ipynb"
                break
        else:
            pytest.fail("".join(said))
        yield f"http://localhost:{found[1]}", found[3], process
    finally:
        process.kill()
        process.wait()


def ask(address: str, token: str, path: str, send: bytes | None = None) -> Any:
    told = {"Authorization": f"token {token}"}
    request = urllib.request.Request(f"{address}/api/{path}", data=send, headers=told)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 30
    while True:  # the address is printed a moment before the first request is answered
        try:
            with direct.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.slow
def test_jupyterlab_really_serves_the_first_lesson_and_ends_without_leftovers(
    lab: tuple[str, str, subprocess.Popen],
) -> None:
    address, token, process = lab
    assert "started" in ask(address, token, "status")
    lesson = ask(address, token, f"contents/{quote(KEY)}.ipynb")
    assert lesson["content"]["cells"][0]["source"] == "# Tour"
    assert ask(address, token, "kernels", b'{"name": "python3"}')["name"] == "python3"
    started = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert len(started) > 1
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    deadline = time.monotonic() + 10
    while any(p.is_running() for p in started[1:]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

"""Lessons on a real Dask cluster; a worker that is killed in the middle loses nothing."""

import time

import pytest
from run_helpers import printed, running, write_lesson

from workbench.claims.ledger import Ledger
from workbench.errors import WorkbenchError
from workbench.lessons.run import run

pytest.importorskip("distributed")

# At the first attempt the lesson kills the Dask worker above it, and leaves a process behind.
FATAL = """
import os, pathlib, psutil, signal, subprocess, sys, time
tried = pathlib.Path({tried!r})
if not tried.exists():
    tried.touch()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    ours = lambda process: "workbench.lessons" in " ".join(process.cmdline())
    worker = next(process for process in psutil.Process().parents() if not ours(process))
    os.kill(worker.pid, signal.SIGKILL)
    time.sleep(600)
print("second attempt")
"""
NOTES = "from workbench.claims.ledger import Ledger\nLedger().add('prediction', id='guess', choice=2)"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WORKBENCH_LEDGER", raising=False)
    return tmp_path


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing(place):
    root, told = place / "notebooks", []
    lessons = [
        write_lesson(root, "fatal", FATAL.format(tried=str(place / "tried"))),
        write_lesson(root, "notes", NOTES),
        write_lesson(root, "wrong", "1 / 0"),
    ]
    results = run(lessons, jobs=2, executor="dask", progress=lambda event: told.append(str(event)))
    assert [result.status for result in results] == ["ok", "ok", "failed"], results
    assert printed(results[0].notebook) == "second attempt\n"
    assert results[2].error == "Cell 3 (`1 / 0`) raised ZeroDivisionError: division by zero."
    assert [row["lesson"] for row in Ledger().rows("prediction")] == ["01-small/notes"]
    assert "01-small/notes: cell 3 of 3" in told
    deadline = time.monotonic() + 20
    while left := running(place / "build"):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert all(result.reused for result in run(lessons[:2]))


def test_an_executor_that_is_none_gets_one_sentence(place):
    lesson = write_lesson(place / "notebooks", "a", "1")
    with pytest.raises(WorkbenchError, match=r"local, dask or the address .* 'nowhere://x' came"):
        run([lesson], executor="nowhere://x")

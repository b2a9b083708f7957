"""Interrupts, cold kernels, and the one sentence for a worker that dies."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from run_helpers import printed, running, write_lesson

from workbench.lessons import warm
from workbench.lessons.run import run

RUNNER = """
import json, sys
from pathlib import Path
from workbench.lessons.model import lessons
from workbench.lessons.run import run
told = lambda event: print(event, file=sys.stderr, flush=True)
print(json.dumps([result.row() for result in run(lessons(Path(sys.argv[1])), progress=told)]))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    return tmp_path


def _start(place):
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(place / "notebooks")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(process, text):
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"the run ended without saying {text!r}")


@pytest.mark.slow
def test_an_interrupted_run_keeps_what_is_finished_and_goes_on_from_there(place, launcher):
    ready = place / "ready"
    waiting = f"""
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    while not os.path.exists({str(ready)!r}):
        time.sleep(0.01)
    """
    first = write_lesson(place / "notebooks", "a", "print('done')")
    second = write_lesson(place / "notebooks", "b", "1", textwrap.dedent(waiting))
    third = write_lesson(place / "notebooks", "c", "1")
    process = _start(place)
    _wait_for(process, "b: cell 4")
    process.send_signal(signal.SIGINT)
    rows = json.loads(process.communicate(timeout=30)[0])
    assert [row["status"] for row in rows] == ["ok", "interrupted", "interrupted"]
    assert [bool(row["error"]) for row in rows] == [False, True, True]
    assert process.returncode == 0
    assert running(place / "build") == []
    ready.touch()
    results = run([first, second, third], executor=launcher)
    assert [result.status for result in results] == ["ok", "ok", "ok"]
    assert [result.reused for result in results] == [True, False, False]


@pytest.mark.slow
def test_nothing_outlives_a_runner_that_is_killed(place):
    start = "import subprocess, sys\nargs = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
    write_lesson(place / "notebooks", "a", start + "subprocess.Popen(args, start_new_session=True).wait()")
    process = _start(place)
    _wait_for(process, "cell 3")
    process.kill()
    process.communicate(timeout=30)
    _eventually(lambda: not running(place / "build"))


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_and_its_tree_ended(place, launcher):
    kill = """
    import os, signal, subprocess, sys
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    os.kill(os.getppid(), signal.SIGKILL)
    """
    bad = write_lesson(place / "notebooks", "a", textwrap.dedent(kill))
    good = write_lesson(place / "notebooks", "b", "import time; time.sleep(2)")
    results = run([bad, good], executor=launcher)
    assert [result.status for result in results] == ["crashed", "ok"]
    assert results[0].error.startswith("The lesson's worker ended before it could report")
    _eventually(lambda: not running(place / "build"))


@pytest.mark.parametrize(
    ("ended", "looks"),
    [
        ([(7, 0)], 0),  # a worker that did its work has ended its own tree
        ([(7, 9)], 1),  # a worker that was killed
        ([(7, 9), (8, 9)], 1),
        ([(9, 0)], 1),  # adopted from a dead worker: its children come next, after an earlier look
    ],
)
def test_every_end_that_leaves_orphans_is_followed_by_a_look(monkeypatch, ended, looks):
    told = iter([*ended, (0, 0)])
    looked = []
    monkeypatch.setattr(warm.os, "waitpid", lambda *_: next(told))
    monkeypatch.setattr(warm, "_end_orphans", looked.append)
    workers = {7, 8}
    warm._reap(workers)
    assert looked == [workers] * looks
    assert not workers & {pid for pid, _ in ended}


@pytest.mark.slow
def test_a_cold_kernel_gives_the_same(place, monkeypatch):
    monkeypatch.setenv("WORKBENCH_COLD", "1")
    lesson = write_lesson(
        place / "notebooks",
        "a",
        "import os, torch\nprint(budget, seed, torch.get_num_threads(), os.environ['NUMBA_NUM_THREADS'])",
        "import numpy\nx = numpy.ones(10**10)",
    )
    (result,) = run([lesson], jobs=2)
    assert result.status == "memory"
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert printed(result.notebook) == f"smoke 0 {share} {share}\n"
    assert running(place / "build") == []


def _eventually(holds, seconds=20.0):
    import time

    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_what_is_loaded_beforehand_starts_no_thread():
    """One that did would end all forking: every lesson would then load its libraries itself."""
    ask = "from workbench.lessons import warm; warm.preload(); print(warm.threads())"
    env = {**os.environ, **warm.ENVIRONMENT}
    told = subprocess.run([sys.executable, "-c", ask], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1"]

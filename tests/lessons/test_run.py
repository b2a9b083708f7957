"""Lessons of every kind, good and bad, run four at a time: none disturbs another, none stays behind."""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from run_helpers import printed, running, write_lesson

from workbench.errors import WorkbenchError
from workbench.lessons.job import Limits
from workbench.lessons.model import Cost, Lesson
from workbench.lessons.run import Event, RunResult, run

SLEEPER = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("left behind")
"""
DAEMON = """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("python3", ["python3", "-c", "import time; time.sleep(600)"])
    os._exit(0)
os.wait()
"""
COMPILED_HANG = """
import numba
@numba.njit
def forever(x):
    while x > 0:
        x = x + 1 if x < 5 else 1
    return x
forever(1)
"""
CAPS = """
import os, numba, torch
from threadpoolctl import threadpool_info
print(torch.get_num_threads(), numba.get_num_threads(), os.environ["OMP_NUM_THREADS"],
      *sorted({pool["num_threads"] for pool in threadpool_info()}))
"""
NUMERICS = """
import numba, numpy as np, torch
@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(x.size):
        s += x[i]
    return s
A = np.random.default_rng(0).standard_normal((600, 600))
assert np.allclose(torch.from_numpy(A) @ torch.from_numpy(A), A @ A)
assert total(np.ones(1_000_000)) == 1_000_000
print("computed")
"""
DRAWS = "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(()).item())"
GROWING = "held = []\nwhile True:\n    held.append(bytearray(2**20))"
MANY = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(b"x") * (160 * 2**20)
        time.sleep(60)
os.wait()
"""
SEGFAULT = "import ctypes\nctypes.string_at(0)"

GOOD = {
    "ok": ("print(budget, seed)", "import os\nprint(os.path.basename(os.getcwd()))"),
    "raises": ("1 / 0",),
    "caps": (CAPS,),
    "numerics": (NUMERICS,),
    "sleeper": (SLEEPER,),
    "daemon": (DAEMON,),
    "draws": (DRAWS,),
    "draws-again": (DRAWS,),
}
BAD = {
    "deadline": ("import time",) + ("time.sleep(4)",) * 6,
    "error": ("x = 1", "\n# divides\nboom = 1 / 0", "print('never')"),
    "hang": ("while True: pass",),
    "compiled": (COMPILED_HANG,),
    "exits": ("import os", "os._exit(3)"),
    "killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",),
    "segfault": (SEGFAULT,),
    "array": ("import numpy as np", "x = np.ones(10**9)"),
    "growing": ("n = 1", GROWING),
    "together": (MANY,),
}


class Batch(NamedTuple):
    lessons: dict[str, Lesson]
    results: dict[str, RunResult]
    events: list[Event]
    build: Path


@pytest.fixture(scope="module")
def batch(tmp_path_factory, launcher):
    """Everything in one run: the good lessons share it with the bad ones."""
    root = tmp_path_factory.mktemp("batch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(root / "build"))
        patch.setenv("WORKBENCH_HOME", str(root / "home"))
        lessons = {
            name: write_lesson(root / "notebooks", name, *cells, exclusive=name == "caps")
            for name, cells in (BAD | GOOD).items()
        }
        notebook = nbformat.read(lessons["raises"].path, as_version=4)
        notebook.cells[2].metadata["tags"] = ["raises-exception"]
        nbformat.write(notebook, lessons["raises"].path)
        events: list[Event] = []
        results = run(
            list(lessons.values()),
            jobs=4,
            executor=launcher,
            progress=events.append,
            cell_seconds=6,
            seconds=15,
            mib=700,
        )
        yield Batch(lessons, dict(zip(lessons, results, strict=True)), events, root / "build")


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_good_lessons_end_well_beside_bad_ones(batch, name):
    result = batch.results[name]
    assert (result.status, result.error) == ("ok", None)
    assert result.lesson == f"01-small/{name}"
    assert result.seconds > 0
    assert result.peak_mib > 20
    assert result.notebook.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("error", "failed", r"Cell 4 \(`# divides`\) raised ZeroDivisionError: division by zero\."),
        ("hang", "timeout", r"Cell 3 \(`while True: pass`\) ran longer than the 6 s a cell may take\."),
        ("compiled", "timeout", r"Cell 3 \(`import numba`\) ran longer than the 6 s a cell may take\."),
        ("exits", "crashed", r"Cell 4 \(`os\._exit\(3\)`\) ended the kernel with exit status 3\."),
        ("killed", "crashed", r"Cell 3 \(`import os, signal`\) ended the kernel with SIGKILL, as .*\."),
        ("segfault", "crashed", r"Cell 3 \(`import ctypes`\) ended the kernel with SIGSEGV\."),
        ("array", "memory", r"Cell 4 \(`x = np\.ones\(.*\)`\) asked for more memory than the 700 MiB .*\."),
        ("growing", "memory", r"Cell 4 \(`held = \[\]`\) asked for more memory than the 700 MiB .*\."),
        ("together", "memory", r"Cell 3 \(`import os, time`\) held more than the 1050 MiB .*\."),
        (
            "deadline",
            "timeout",
            r"Cell \d+ \(`time\.sleep\(4\)`\) was running at the deadline of 15 s .*\.",
        ),
    ],
)
def test_bad_lessons_are_told_in_one_sentence_that_names_the_cell(batch, name, status, error):
    result = batch.results[name]
    assert result.status == status, result.error
    assert re.fullmatch(error, result.error), result.error
    assert not (batch.build / "runs/smoke/01-small" / f"{name}.ipynb").exists()
    assert result.notebook.name == f"{name}.failed.ipynb"
    assert result.notebook.is_file()


@pytest.mark.slow
def test_the_partial_notebook_shows_the_error_and_stops_there(batch):
    cells = nbformat.read(batch.results["error"].notebook, as_version=4).cells
    assert [output.ename for cell in cells for output in cell.get("outputs", ())] == ["ZeroDivisionError"]
    assert cells[-1].outputs == []


@pytest.mark.slow
def test_nothing_stays_behind(batch):
    assert printed(batch.results["sleeper"].notebook) == "left behind\n"
    assert running(batch.build) == []


@pytest.mark.slow
def test_parameters_are_injected_and_the_rest_keeps_its_default(batch):
    assert printed(batch.results["ok"].notebook) == "smoke 0\nwork\n"


@pytest.mark.slow
def test_forks_share_no_random_stream(batch):
    draws = printed(batch.results["draws"].notebook).split()
    again = printed(batch.results["draws-again"].notebook).split()
    assert len(draws) == len(again) == 3
    assert not set(draws) & set(again)


@pytest.mark.slow
def test_an_exclusive_lesson_runs_last_and_alone_with_all_cores(batch):
    cores = len(os.sched_getaffinity(0))
    torch, numba, omp, *pools = printed(batch.results["caps"].notebook).split()
    assert {torch, numba, omp, *pools} == {str(cores)}
    lessons = [event.lesson for event in batch.events]
    first = lessons.index("01-small/caps")
    assert set(lessons[first:]) == {"01-small/caps"}


@pytest.mark.slow
def test_progress_tells_each_cell(batch):
    told = [str(event) for event in batch.events if event.lesson == "01-small/ok"]
    assert told[:-1] == ["01-small/ok: started", *(f"01-small/ok: cell {n} of 4" for n in (2, 3, 4))]
    assert re.fullmatch(r"01-small/ok: ok after [\d.]+ s, \d+ MiB", told[-1])


@pytest.mark.slow
def test_executed_notebooks_name_no_place_on_this_machine(batch):
    for name in GOOD:
        notebook = nbformat.read(batch.results[name].notebook, as_version=4)
        metadata = json.dumps([notebook.metadata, *(cell.metadata for cell in notebook.cells)])
        assert str(batch.build.parent) not in metadata
        assert '"/' not in metadata
        assert "widgets" not in notebook.metadata


@pytest.mark.slow
def test_the_record_says_what_went_in(batch):
    record = json.loads((batch.build / "runs/smoke/01-small/numerics.json").read_text())
    assert {"torch", "numba", "numpy"} <= record["inputs"]["libraries"].keys()
    assert record["machine"]
    assert record["when"]
    assert {name: record[name] for name in ("lesson", "status", "reused")} == {
        "lesson": "01-small/numerics",
        "status": "ok",
        "reused": False,
    }


def test_limits_follow_from_the_declared_cost():
    assert Limits.of(Cost(10, 1000), "smoke") == Limits(cell_seconds=50, seconds=70, mib=2000)
    assert Limits.of(Cost(0, 100), "smoke").mib == 612
    assert Limits.of(None, "full").seconds > Limits.of(None, "smoke").seconds
    assert Limits.of(None, "smoke").but(None, 5, None).seconds == 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"budget": "tiny"}, "budget must be one of .* 'tiny' came"), ({"jobs": 0}, "at least 1, but 0 came")],
)
def test_slips_get_one_sentence(options, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        run([], **options)

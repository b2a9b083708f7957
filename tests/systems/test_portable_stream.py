"""One algorithm call on every executor against the closed form, and what the calls cost."""

import numpy as np
import pytest

from workbench.claims import run_claim
from workbench.counting import Geometry, Level, count
from workbench.errors import WorkbenchError
from workbench.kernels.stream import stream_add
from workbench.systems.roofline import portable_stream as ps

EXECUTORS = [
    ps.Serial(),
    ps.Blocks(),
    ps.Blocks(threads=5),
    ps.Chunks(),
    ps.Chunks(size=3),
    ps.OnTorch(size=3),
    ps.ByValue(),
]
NAMES = [f"{executor.name} {number}" for number, executor in enumerate(EXECUTORS)]


@pytest.mark.parametrize("executor", EXECUTORS, ids=NAMES)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 101])
def test_every_executor_reaches_the_closed_form(executor, n):
    assert set(ps.stream(executor, n, iterations=3).seconds) == set(ps.NAMES)


@pytest.mark.parametrize("executor", EXECUTORS, ids=NAMES)
def test_each_element_is_done_exactly_once(executor):
    """Doubling in place shows a block that overlaps or is left out; the benchmark's copy would not."""
    for n in range(1, 40):
        array = executor.array(n, 1.0)
        ps.transform(ps.parallel.on(executor), array, array, array, ps.times(2.0))
        assert np.asarray(array).tolist() == [2.0] * n


@pytest.mark.parametrize("executor", EXECUTORS, ids=NAMES)
def test_algorithms_are_those_of_numpy(executor):
    policy, rng = ps.parallel.on(executor), np.random.default_rng(0)
    a, b, out = (executor.array(50, 0.0) for _ in range(3))
    x, y = rng.standard_normal((2, 50))
    np.asarray(a)[:], np.asarray(b)[:] = x, y
    ps.fill(policy, out, 4.5)
    assert np.asarray(out).tolist() == [4.5] * 50
    ps.copy(policy, a, out)
    np.testing.assert_array_equal(np.asarray(out), x)
    ps.transform(policy, a, b, out, ps.both)
    np.testing.assert_array_equal(np.asarray(out), x + y)
    ps.transform(policy, a, b, out, ps.plus_times(3.0))
    np.testing.assert_allclose(np.asarray(out), x + 3 * y, rtol=1e-15, atol=1e-15)


def test_the_closed_form_is_a_loop_over_numbers():
    a, b, c = 1.0, 2.0, 0.0
    a *= 2
    for iterations in range(1, 12):
        c = a
        b = 3 * c
        c = a + b
        a = b + 3 * c
        assert ps.expected(iterations) == (a, b, c)


def test_wrong_values_are_found():
    good = [np.full(4, value) for value in ps.expected(3)]
    ps.validate(*good, iterations=3)
    good[1][2] *= 1 + 1e-12
    with pytest.raises(WorkbenchError, match=r"b is wrong by 1.*the loops computed nonsense"):
        ps.validate(*good, iterations=3)


def test_slips_get_a_sentence():
    with pytest.raises(WorkbenchError, match="equally long, but 3, 3 and 4 came"):
        ps.copy(ps.parallel, np.ones(3), np.ones(4))
    with pytest.raises(WorkbenchError, match="at least 2 are needed, not 1"):
        ps.stream(ps.Serial(), 4, iterations=1)


def test_the_loop_contains_the_operation_and_no_call():
    a = np.ones(64)
    loop = ps.loop_of(ps.plus_times(3.0))
    loop(a, a.copy(), a.copy())
    (assembly,) = loop.inspect_asm().values()
    start = assembly.index("loop")
    body = assembly[start:]
    packed = [line for line in body.splitlines() if ("pd" in line and "%ymm" in line) or ".2d" in line]
    assert packed, "no packed operations: the loop was not vectorised"


@pytest.mark.parametrize(("name", "bytes_moved"), [("copy", 24), ("scale", 24), ("add", 32), ("triad", 32)])
def test_memory_moves_one_array_more_than_the_benchmark_counts(name, bytes_moved):
    assert ps.traffic(name, 64 * 8192).system == pytest.approx(bytes_moved, rel=0.01)


def test_without_write_allocation_the_count_is_right():
    n = 64 * 8192
    a, b, c = (np.ones(n) for _ in range(3))
    caches = Geometry([Level(64 * 1024, 8, write_allocate=False)])
    found = count(stream_add, a, b, c, geometry=caches)
    assert 64 * found.cache["L1"].misses["a"] == 8 * n
    assert found.stores["c"] == n


@pytest.mark.parametrize("claim", ps.SYSTEM.claims, ids=lambda claim: claim.id)
def test_claim_and_control_execute(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    record = run_claim(ps.SYSTEM, claim, "smoke")
    assert record.value > 0


def test_the_verdict_on_traffic_does_not_depend_on_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    assert run_claim(ps.SYSTEM, ps.SYSTEM.claim("copy-traffic"), "lesson").verdict == "reproduced"

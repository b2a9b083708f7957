"""Ceilings: what is kept and when, what is asked of them, and whether the probes are what they say."""

import json
import platform
import re
from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from workbench.errors import WorkbenchError
from workbench.machine import Cache, Ceiling, Ceilings, Machine, _measure, _probes, ceiling, ceilings
from workbench.machine._measure import Effort, measure_ceilings, working_sets
from workbench.machine.ceiling import kept_at, load, save
from workbench.quantity import Quantity

TINY = Effort(0.0002, 1, (0.5,), (64,), False)


def rate(what, value, cores="one", unit="flop/s", **more):
    quantity = Quantity(value, unit, "measured", machine="m", when="2024-01-01T00:00:00+00:00")
    return Ceiling(what, cores, quantity, probe="p", probes=(("p", value),), **more)


def made_up(**more):
    flops = (rate("float32 scalar", 4e9), rate("float32", 32e9), rate("float32", 64e9, "all"))
    bandwidths = (rate("L1", 200e9, unit="B/s"), rate("DRAM", 16e9, unit="B/s"))
    return Ceilings("m", "2024-01-01T00:00:00+00:00", flops, bandwidths, **more)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def measured():
    """One real measurement, as small as it can be: this machine with a small last level."""
    machine = replace(Machine.here(), caches=(Cache(1, 32 * 1024, 64, 8, 1), Cache(2, 2**18, 64, 8, 1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_measure, "QUICK", TINY)
        told = []
        return measure_ceilings(machine, quick=True, progress=told.append), told, machine


def test_every_ceiling_is_there_measured_and_positive(measured):
    found, told, machine = measured
    kinds = {(each.what, each.cores) for each in found.flops}
    names = ("float32", "float64", "float32 scalar", "float64 scalar")
    assert kinds == {(name, cores) for name in names for cores in ("one", "all")}
    assert found.levels == ("L1", "L2", "DRAM")
    for each in (*found.flops, *found.bandwidths):
        assert each.quantity.value > 0
        assert each.quantity.provenance == "measured"
        assert each.quantity.machine == machine.name
        assert each.probe in dict(each.probes)
        assert each.quantity.value == max(dict(each.probes).values())
    assert found.quick
    assert 0 <= found.busy <= 1
    assert "L2, one core" in told


def test_all_cores_can_do_what_one_can(measured):
    found, _, _ = measured
    for dtype in (np.float32, "float64"):
        assert found.peak(dtype, cores="all").value >= found.peak(dtype).value
    for level in found.levels:
        assert found.bandwidth(level, cores="all").value >= found.bandwidth(level).value


def test_a_machine_that_does_not_tell_its_caches_says_so(monkeypatch):
    monkeypatch.setattr(_measure, "QUICK", TINY)
    monkeypatch.setattr(_measure, "UNKNOWN_LAST_LEVEL", 2**20)
    monkeypatch.setattr(_measure, "_products", lambda *args: [])
    machine = replace(Machine.here(), caches=(), usable_cores=1)
    found = measure_ceilings(machine, quick=True, progress=lambda name: None)
    assert found.levels == ("DRAM",)
    assert "does not tell its caches" in found.notes[0]
    with pytest.raises(WorkbenchError, match="tells no ceiling for L1"):
        found.bandwidth("L1")


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_working_sets_lie_inside_their_level(threads):
    caches = (Cache(1, 32 * 2**10, 64, 8, 1), Cache(2, 2**20, 64, 8, 2), Cache(3, 32 * 2**20, 64, 16, 8))
    machine = replace(Machine.here(), caches=caches, memory=64 * 2**30)
    sets = working_sets(machine, threads, _measure.SHARES)
    before = 0
    for cache in caches:
        sharing = min(threads, cache.shared_by)
        for size in sets[f"L{cache.level}"]:
            assert before < size * sharing <= cache.size
        before = cache.size
    assert sets["DRAM"][0] * min(threads, 8) >= 4 * 32 * 2**20


def test_dram_never_takes_more_than_a_quarter_of_memory():
    machine = replace(Machine.here(), caches=(Cache(3, 2**30),), memory=2**30)
    assert working_sets(machine, 4, (0.5,))["DRAM"][0] * 4 <= 2**28


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64", "aarch64", "arm64"), reason="no known names"
)
@pytest.mark.parametrize(("kernel", "packed"), [(_probes.fma_lanes, True), (_probes.fma_scalar, False)])
def test_the_compiler_packs_lanes_and_not_scalars(kernel, packed):
    again = njit("void(float32[::1], float32, float32, int64)", fastmath=_probes.CONTRACT)(kernel.py_func)
    (assembly,) = again.inspect_asm().values()
    if platform.machine() in ("x86_64", "AMD64"):
        pattern = r"\bv?(fmadd\d+|mul)ps\b"
    else:
        pattern = r"\b(fmla|fmad|fmul)\s+v\d+\.4s"
    count = len(re.findall(pattern, assembly))
    assert (count >= _probes.DEPTH) if packed else (count == 0)


def test_the_probes_compute_what_they_say():
    v = np.arange(12, dtype=np.float64)
    _probes.fma_lanes(v, 1.0, 1.0, 2)
    assert np.array_equal(v, np.arange(12) + 2 * _probes.DEPTH)
    w = np.arange(12, dtype=np.float64)
    _probes.fma_scalar(w, 1.0, 1.0, 3)
    assert w[0] == sum(range(12)) + 3 * _probes.CHAINS
    a, b, c = np.arange(5.0), np.zeros(5), np.zeros(5)
    _probes.copy(a, b, c, 1)
    assert np.array_equal(c, a)
    _probes.triad(b, a, c, 2)
    assert np.array_equal(b, a + 3 * c)
    assert _probes.read(a, a, a, 2) == a[0] + 2 * 3 * a.sum()


def test_what_is_asked_is_found_or_named():
    found = made_up()
    assert found.peak().value == 32e9
    assert found.peak(np.dtype("float32"), scalar=True).value == 4e9
    assert found.bandwidth("L1").value == 200e9
    with pytest.raises(WorkbenchError, match=r"float64 \(all\); it tells float32 scalar \(one\)"):
        found.peak(np.float64, cores="all")
    assert list(found.peaks()) == ["float32 scalar", "float32"]
    assert found.peaks("all")["float32"].value == 64e9
    assert list(found.by_level()) == ["L1", "DRAM"]
    assert len(found.rows()) == 5
    assert "32.0 Gflop/s" in str(found)


def test_the_floor_is_the_longer_of_computing_and_moving():
    found = made_up()
    assert found.floor(flops=64e9).value == pytest.approx(2)
    assert found.floor(flops=64e9, bytes=16e9).value == pytest.approx(2)
    assert found.floor(flops=64e9, bytes=64e9).value == pytest.approx(4)
    assert found.floor(bytes=200e9, level="L1").value == pytest.approx(1)
    floor = found.floor(bytes=1)
    assert (floor.unit, floor.provenance, floor.machine) == ("s", "measured", "m")
    with pytest.raises(WorkbenchError, match="needs flops or bytes"):
        found.floor()


def test_contention_of_one_is_contention_of_all():
    assert not made_up().contended
    assert replace(made_up(), flops=(rate("float32", 1e9, contended=True),)).contended


def test_saved_and_loaded_is_the_same(tmp_path):
    path = tmp_path / "deep" / "c.json"
    save(made_up(busy=0.25, notes=("a",)), path)
    assert load(path) == made_up(busy=0.25, notes=("a",))
    assert [file.name for file in path.parent.iterdir()] == ["c.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 0}', '{"version": 1, "flops": 3}'])
def test_what_cannot_be_read_is_measured_again(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    assert load(tmp_path / "c.json") is None
    assert load(tmp_path / "absent.json") is None


def test_another_machine_has_another_file():
    here = Machine.here()
    assert kept_at(here) == kept_at(replace(here, python="9"))
    assert kept_at(here) != kept_at(replace(here, usable_cores=here.usable_cores + 1))
    assert kept_at(here) != kept_at(replace(here, caches=()))


def test_measured_once_kept_and_again_on_request(monkeypatch):
    asked = []

    def measure(machine, quick, progress):
        asked.append(quick)
        return made_up(quick=quick, busy=len(asked) / 10)

    monkeypatch.setattr(_measure, "measure_ceilings", measure)
    path = kept_at(Machine.here())
    assert ceiling.kept(Machine.here()) is None
    ceilings(quick=True)
    assert load(path).quick
    ceilings(quick=True)  # what is kept will do
    assert asked == [True]
    ceilings()  # a quick one will not do
    assert asked == [True, False]
    assert not load(path).quick
    assert not ceilings(quick=True).quick
    assert Machine.here().ceilings() == load(path)
    assert asked == [True, False]
    assert ceilings(refresh=True, quick=True).quick
    assert not load(path).quick  # never in place of a full one
    ceilings(refresh=True)
    assert load(path).busy == 0.4
    assert json.loads(path.read_text())["when"] == "2024-01-01T00:00:00+00:00"


def test_only_the_machine_at_hand_is_measured():
    with pytest.raises(WorkbenchError, match="another"):
        replace(Machine.here(), name="other").ceilings()

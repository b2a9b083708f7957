"""Energy counters from made-up files, and a made-up torch with a device in it."""

import platform
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.machine import elapsed, energy, gpus
from workbench.machine.rapl import joules, zones


@pytest.fixture(autouse=True)
def on_linux(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")


def zone(folder, name, microjoules, span=1000):
    folder.mkdir()
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{span}\n")
    return folder / "energy_uj"


@given(st.integers(0, 999), st.integers(0, 999))
def test_a_counter_that_starts_again_loses_nothing(before, spent):
    assert joules(before, (before + spent) % 1000, 1000) == pytest.approx(spent * 1e-6)


def test_every_zone_is_read_before_and_after(tmp_path):
    package = zone(tmp_path / "intel-rapl:0", "package-0", 900)
    core = zone(tmp_path / "intel-rapl:0:0", "core", 10)
    other = zone(tmp_path / "intel-rapl:1:0", "core", 0)
    (tmp_path / "intel-rapl").mkdir()
    with energy(tmp_path) as used:
        package.write_text("100\n")
        core.write_text("60\n")
        other.write_text("5\n")
    assert used["package-0"].value == pytest.approx(200e-6)
    assert used["core"].value == pytest.approx(50e-6)
    assert used["core (1:0)"].value == pytest.approx(5e-6)
    assert (used["core"].unit, used["core"].provenance) == ("J", "measured")
    with pytest.raises(WorkbenchError, match="no energy zone is called 'dram'; there are package-0"):
        used["dram"]


def test_without_counters_there_is_a_sentence_and_no_zero(tmp_path):
    with energy(tmp_path) as used:
        pass
    assert used.quantities == {}
    with pytest.raises(WorkbenchError, match="offers no RAPL"):
        used["package-0"]


def test_counters_that_may_not_be_read_say_so(tmp_path):
    zone(tmp_path / "intel-rapl:0", "package-0", 0).unlink()
    assert zones(tmp_path) == (
        [],
        "energy is not available here because only the administrator may read the RAPL counters",
    )


def test_other_systems_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert "Darwin" in zones(tmp_path)[1]


def test_here_every_device_is_told_or_the_reason():
    found, reason = gpus()
    assert bool(found) != bool(reason)
    if not found:
        with pytest.raises(WorkbenchError, match="no NVIDIA device is available here because"):
            elapsed(lambda: None)


@pytest.fixture
def device(monkeypatch):
    import torch

    milliseconds = iter([3.0, 1.0, 2.0])

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            pass

        synchronize = record

        def elapsed_time(self, end):
            return next(milliseconds)

    told = SimpleNamespace(
        name="Made-up", major=8, minor=0, multi_processor_count=4, total_memory=2**33, clock_rate=1_410_000
    )
    monkeypatch.setattr(torch.version, "cuda", "12.0")
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_properties": lambda index: told,
        "synchronize": lambda: None,
        "Event": Event,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return told


def test_a_device_is_described(device):
    (gpu,), reason = gpus()
    assert reason == ""
    assert (gpu.capability, gpu.multiprocessors, gpu.l2, gpu.clock) == ("8.0", 4, None, 1.41e9)
    assert gpu.sentence == "Made-up with 4 multiprocessors, 8 GiB, up to 1.41 GHz"
    del device.clock_rate
    assert gpus()[0][0].clock is None


def test_the_devices_own_clock_is_in_milliseconds(device):
    calls = []
    seconds = elapsed(lambda: calls.append(1), repeats=3, warmup=2)
    assert seconds.value == pytest.approx(0.002)
    assert (seconds.low, seconds.high) == (pytest.approx(0.001), pytest.approx(0.003))
    assert seconds.machine == "Made-up"
    assert len(calls) == 5
    with pytest.raises(WorkbenchError, match="repeats must be"):
        elapsed(lambda: None, repeats=0)

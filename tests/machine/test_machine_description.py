"""What a machine says about itself, from made-up descriptions and from the real one."""

import dataclasses
import subprocess
import sys

import pytest

from workbench.machine import Cache, Machine, hardware_counters, machine_name
from workbench.machine.here import (
    caches_from_sysctl,
    caches_from_sysfs,
    count_cpus,
    memory_limit,
    plain_cpu,
    usable_cores,
)


def describe(folder, level, kind, size, **more):
    folder.mkdir(parents=True)
    for name, value in {"level": level, "type": kind, "size": size, **more}.items():
        (folder / name).write_text(f"{value}\n")


def test_caches_of_linux_without_the_instruction_cache(tmp_path):
    full = {"coherency_line_size": 64, "ways_of_associativity": 8, "shared_cpu_list": "0,4"}
    describe(tmp_path / "index0", 1, "Data", "48K", **full)
    describe(tmp_path / "index1", 1, "Instruction", "32K", **full)
    describe(tmp_path / "index2", 3, "Unified", "2M", ways_of_associativity=0)
    describe(tmp_path / "index3", 2, "Unified", "1280K", coherency_line_size=128)
    describe(tmp_path / "index4", 4, "Unified", "")
    caches = caches_from_sysfs(tmp_path)
    assert caches == (
        Cache(1, 48 * 1024, 64, 8, 2),
        Cache(2, 1280 * 1024, 128),
        Cache(3, 2 * 2**20),
    )
    assert [cache.name for cache in caches] == ["L1d", "L2", "L3"]


def test_a_machine_that_says_nothing_has_no_caches(tmp_path):
    assert caches_from_sysfs(tmp_path / "absent") == ()
    assert caches_from_sysctl(lambda name: None) == ()


def test_caches_of_macos_are_those_of_the_fast_cores():
    said = {"hw.l1dcachesize": "65536", "hw.perflevel0.l1dcachesize": "131072", "hw.cachelinesize": "128"}
    assert caches_from_sysctl(lambda name: said.get(name)) == (Cache(1, 131072, 128),)


@pytest.mark.parametrize(("ranges", "count"), [("0", 1), ("0-3,8", 5), ("0,2,4", 3), ("", None)])
def test_lists_of_processors(ranges, count):
    assert count_cpus(ranges) == count


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "Intel Xeon E5-2680 v4"),
        ("AMD EPYC", "AMD EPYC"),
        ("Apple M2 Pro", "Apple M2 Pro"),
        ("", ""),
    ],
)
def test_names_of_processors(said, plain):
    assert plain_cpu(said) == plain


def test_a_container_limits_cores_and_memory(tmp_path):
    alone = usable_cores(tmp_path / "absent")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert usable_cores(tmp_path) == 1
    assert memory_limit(tmp_path) == 2**20
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_cores(tmp_path) == alone
    assert memory_limit(tmp_path) > 2**20


def test_this_machine_is_described_once_and_cannot_be_changed():
    here = Machine.here()
    assert here is Machine.here()
    assert here.name == machine_name()
    assert 1 <= here.usable_cores <= here.logical_cores
    assert here.memory > 0
    assert here.python.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert here.numpy
    assert here.cache(17) is None
    for cache in here.caches:
        assert here.cache(cache.level) == cache
        assert cache.size > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        here.name = "another"  # type: ignore[misc]


def test_the_name_is_the_same_in_another_process_and_keeps_the_host_private():
    import platform

    code = "from workbench.machine import machine_name; print(machine_name())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == machine_name()
    assert platform.node() not in machine_name().split()


def test_describing_the_machine_loads_nothing_heavy():
    code = (
        "import sys; from workbench.machine import Machine; Machine.here();"
        "print(*{'torch', 'numba', 'scipy', 'plotly'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == ""


def test_hardware_counters_answer_with_a_sentence():
    available, sentence = hardware_counters()
    assert isinstance(available, bool)
    assert sentence
    assert available == Machine.here().counters


def test_other_systems_have_no_counters(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    available, sentence = hardware_counters()
    assert not available
    assert "Plan9" in sentence

"""Machines by their documents: every figure with a source, and usable where a machine is wanted."""

import pytest

from workbench.counting.geometry import Geometry
from workbench.errors import WorkbenchError
from workbench.machine import Machine, preset, presets


@pytest.mark.parametrize("machine", presets(), ids=lambda machine: machine.key)
def test_every_figure_is_a_formula_with_a_source(machine):
    assert Machine.preset(machine.key) is machine
    found = machine.ceilings()
    assert machine.caches_source in found.notes[0]
    for each in (*found.flops, *found.bandwidths):
        assert each.quantity.provenance == "formula"
        assert each.quantity.value > 0
        assert each.source
    assert "from documents" in str(found)
    assert found.floor(flops=1e9, bytes=1e9).provenance == "formula"


@pytest.mark.parametrize("machine", presets(), ids=lambda machine: machine.key)
def test_the_simulator_takes_its_caches(machine):
    geometry = Geometry.of(machine)
    assert geometry.name == machine.name
    assert [level.size for level in geometry.levels] == [cache.size for cache in machine.caches]
    assert machine.cache(1) is machine.caches[0]
    assert machine.cache(4) is None


@pytest.mark.parametrize("machine", presets(), ids=lambda machine: machine.key)
def test_nearer_levels_and_narrower_numbers_are_faster(machine):
    found = machine.ceilings()
    for cores in ("one", "all"):
        known = [each for each in found.bandwidths if each.cores == cores and each.what != "DRAM"]
        speeds = [each.quantity.value for each in known]
        assert speeds == sorted(speeds, reverse=True)
    assert found.peak("float32").value == pytest.approx(2 * found.peak("float64").value, rel=0.02)


def test_the_device_is_its_multiprocessors():
    device = preset("gpu").ceilings()
    assert device.peak("float32", cores="all").value == pytest.approx(
        108 * device.peak("float32").value, rel=0.01
    )


def test_what_no_document_tells_is_named():
    with pytest.raises(WorkbenchError, match=r"tells no ceiling for L3 \(one\)"):
        preset("phone").ceilings().bandwidth("L3")
    with pytest.raises(WorkbenchError, match="there are laptop, phone, server, gpu"):
        preset("toaster")

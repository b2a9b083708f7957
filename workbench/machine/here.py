"""A computer as data: what it says about itself, read without loading anything heavy."""

import os
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from workbench.errors import WorkbenchError
from workbench.machine.perf import hardware_counters

if TYPE_CHECKING:
    from workbench.machine.ceiling import Ceilings
    from workbench.machine.elsewhere import Preset


@dataclass(frozen=True)
class Cache:
    """One level of data cache. Sizes in bytes; None where the machine does not say."""

    level: int
    size: int
    line: int | None = None
    ways: int | None = None
    shared_by: int | None = None

    @property
    def name(self) -> str:
        """`L1d`, `L2`, `L3`."""
        return "L1d" if self.level == 1 else f"L{self.level}"


@dataclass(frozen=True)
class Machine:
    """A computer and the libraries on it; `Machine.here()` is this one.

    `usable_cores` is what this process may use (affinity, container quota). `memory` is in bytes, within
    a container's limit. `blas` names numpy's linear algebra. `counters` tells whether the processor's own
    counters can be read; most often they cannot, which is no error.
    """

    name: str
    cpu: str
    architecture: str
    physical_cores: int | None
    logical_cores: int
    usable_cores: int
    caches: tuple[Cache, ...]
    memory: int
    os: str
    python: str
    numpy: str | None
    torch: str | None
    numba: str | None
    blas: str
    counters: bool

    @classmethod
    @cache
    def here(cls) -> "Machine":
        """This computer, described once per process."""
        return cls(
            name=machine_name(),
            cpu=_cpu(),
            architecture=platform.machine(),
            physical_cores=psutil.cpu_count(logical=False),
            logical_cores=os.cpu_count() or 1,
            usable_cores=usable_cores(),
            caches=_caches(),
            memory=memory_limit(),
            os=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            numpy=_version("numpy"),
            torch=_version("torch"),
            numba=_version("numba"),
            blas=_blas(),
            counters=hardware_counters()[0],
        )

    @staticmethod
    def preset(key: str) -> "Preset":
        """A machine that is not here, by documents: laptop, phone, server, gpu or gpu-multiprocessor."""
        from workbench.machine.elsewhere import preset

        return preset(key)

    def cache(self, level: int) -> Cache | None:
        """The data cache of this level, if the machine tells of one."""
        return next((cache for cache in self.caches if cache.level == level), None)

    def ceilings(self, refresh: bool = False, quick: bool = False) -> "Ceilings":
        """What this machine can do at best: kept from before, or measured now (see `ceilings`)."""
        from workbench.machine.ceiling import ceilings

        if self != Machine.here():
            raise WorkbenchError(f"only the machine at hand can be measured, and {self.name} is another one")
        return ceilings(refresh=refresh, quick=quick)


@cache
def machine_name() -> str:
    """A short, stable name for records: processor, cores, system. No host name, nothing private."""
    cores = os.cpu_count() or 1
    plural = "" if cores == 1 else "s"
    return f"{_cpu()}, {cores} core{plural}, {platform.system()} {platform.machine()}"


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The cores that this process may keep busy: its affinity, cut by a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = (_read(cgroup / "cpu.max") or "max").partition(" ")
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))


def memory_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory, cut by a container's limit."""
    limit = _read(cgroup / "memory.max") or "max"
    total = psutil.virtual_memory().total
    return total if limit == "max" else min(total, int(limit))


@cache
def _cpu() -> str:
    if platform.system() == "Linux":
        found = re.search(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")) or "", re.MULTILINE)
        name = found[1] if found else ""
    elif platform.system() == "Darwin":
        name = _sysctl("machdep.cpu.brand_string") or ""
    else:
        name = platform.processor()
    return plain_cpu(name) or platform.machine()


def plain_cpu(name: str) -> str:
    """A processor's name without marks and clock.

    >>> plain_cpu("Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz")
    'Intel Core i5-8250U'
    """
    name = re.sub(r"\((R|TM|r|tm)\)|\bCPU\b|@.*", " ", name)
    return " ".join(name.split())


def _caches() -> tuple[Cache, ...]:
    if platform.system() == "Darwin":
        return caches_from_sysctl(_sysctl)
    return caches_from_sysfs(Path("/sys/devices/system/cpu/cpu0/cache"))


def caches_from_sysfs(folder: Path) -> tuple[Cache, ...]:
    """The data caches that Linux describes in `folder`; none where it does not (some virtual machines)."""
    found = []
    for index in sorted(folder.glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        parsed = re.fullmatch(r"(\d+)([KMG]?)", size or "")
        if level and parsed and kind in ("Data", "Unified"):
            found.append(
                Cache(
                    level=int(level),
                    size=int(parsed[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[parsed[2]],
                    line=_number(_read(index / "coherency_line_size")),
                    ways=_number(_read(index / "ways_of_associativity")),
                    shared_by=count_cpus(_read(index / "shared_cpu_list") or ""),
                )
            )
    return tuple(sorted(found, key=lambda cache: cache.level))


def caches_from_sysctl(read: Callable[[str], str | None]) -> tuple[Cache, ...]:
    """The data caches that macOS describes, those of the fast cores where it has two kinds."""
    line = _number(read("hw.cachelinesize"))
    found = []
    for level, name in ((1, "l1dcachesize"), (2, "l2cachesize"), (3, "l3cachesize")):
        size = _number(read(f"hw.perflevel0.{name}")) or _number(read(f"hw.{name}"))
        if size:
            found.append(Cache(level, size, line))
    return tuple(found)


def count_cpus(ranges: str) -> int | None:
    """How many processors a list such as `0-3,8` names."""
    pairs = [part.split("-") for part in ranges.split(",") if part]
    return sum(int(pair[-1]) - int(pair[0]) + 1 for pair in pairs) or None


def _blas() -> str:
    import numpy

    built = numpy.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return " ".join(filter(None, (built.get("name"), built.get("version")))) or "unknown"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _number(text: str | None) -> int | None:
    """Zero is how some virtual machines say that they do not know."""
    return int(text) or None if text and text.isdigit() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _sysctl(name: str) -> str | None:
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None

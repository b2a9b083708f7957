"""The counting build as a module on disk, where numba can keep what it has compiled."""

import builtins
import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numba import types

from workbench._paths import build_dir
from workbench.counting.source import Source, source_of
from workbench.counting.weave import Plan

HELPERS = {
    "workbench.counting.cache": ("NOW", "SHIFT", "TAGS", "visit"),
    "workbench.counting.runs": ("TALLY", "BLOCKS", "turn", "place", "address_of"),
}
MOST_BUILDS = 200  # kept on disk
SAME_TIME = 10**9  # of every build: its name tells its content
KEPT_OPTIONS = ("fastmath", "error_model")  # those that change what is computed


@dataclass(frozen=True)
class Build:
    """A compiled counting build and what its counters mean."""

    function: Callable[..., Any]
    plan: Plan
    source: Source
    text: str


_BUILDS: dict[str, Callable[..., Any]] = {}


def counting_build(kernel: Any, arguments: tuple[types.Type, ...]) -> Build:
    """The counting build of a kernel for arguments of these types, compiled where it never was before."""
    source, plan = source_of(kernel), Plan()
    name = plan.function(kernel, arguments)
    text = module_text(plan, source)
    key = f"{source.name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if key not in _BUILDS:
        _BUILDS[key] = getattr(_import(key, text), name)
    return Build(_BUILDS[key], plan, source, text)


def module_text(plan: Plan, source: Source) -> str:
    """The source of the counting build."""
    lines = [
        f"# {source.name}, counted: made by workbench.counting {_fingerprint()}",
        "from numba import njit",
    ]
    for prefix in sorted(plan.prefixes):
        lines += [f"import numpy as {prefix}np", f"{prefix}SITES = {len(plan.sites)}"]
        for module, names in HELPERS.items():
            lines += [f"from {module} import {name} as {prefix}{name}" for name in names]
    for name, (value, line, where) in sorted(plan.outside.items()):
        text = spell(name, value)
        if text is None:
            kind = type(value).__name__
            raise where.refuse(line, f"{name} is a {kind} from outside, which cannot be followed; pass it")
        lines.append(text)
    for name, value in sorted(plan.constants.items()):
        if (constant := spell_number(value)) is not None:
            lines.append(f"# {name} = {constant}")  # compiled in: another value is another build
    for where, text in plan.texts:
        options = "".join(
            f", {name}={where.options[name]!r}" for name in KEPT_OPTIONS if where.options.get(name)
        )
        lines += ["", "", f"@njit(cache=True, boundscheck=True{options})", text]
    return "\n".join(lines)


def spell(name: str, value: Any) -> str | None:
    """Python that gives `name` the value it has outside the kernel; None where that cannot be written."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}"
    if (literal := spell_number(value)) is not None:
        return f"{name} = {literal}"
    own = getattr(value, "__name__", getattr(value, "name", ""))
    for home in ("builtins", getattr(value, "__module__", None) or "", "numpy", "numba"):
        if getattr(sys.modules.get(home), str(own), builtins) is value:
            return f"from {home} import {own} as {name}"
    return None


def spell_number(value: Any) -> str | None:
    """A number, string or tuple of them as an expression without loss."""
    match value:
        case np.generic():
            return f"__import__('numpy').{value.dtype.name}({spell_number(value.item())})"
        case bool() | str() | None:
            return repr(value)
        case int():
            return repr(int(value))  # an IntEnum too
        case float():
            return f"float.fromhex({value.hex()!r})"
        case complex():
            return f"complex({spell_number(value.real)}, {spell_number(value.imag)})"
        case tuple():
            parts = [spell_number(part) for part in value]
            return None if None in parts else f"({''.join(f'{part}, ' for part in parts)})"
    return None


def _import(name: str, text: str) -> ModuleType:
    path = _folder() / f"{name}.py"
    if not path.exists():
        _forget_oldest(path.parent)
        beside = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        beside.write_text(text, encoding="utf-8")
        os.utime(beside, (SAME_TIME, SAME_TIME))  # else two processes would void each other's machine code
        beside.replace(path)
    spec = importlib.util.spec_from_file_location(f"workbench_counted_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # numba's cache finds functions by their module
    spec.loader.exec_module(module)
    return module


def _forget_oldest(folder: Path) -> None:
    """Leaves the latest builds; whoever has loaded an older one keeps it in memory."""
    with contextlib.suppress(OSError):  # another process tidies too
        builds = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_ctime)
        for old in builds[: max(0, len(builds) - MOST_BUILDS)]:
            for path in (*folder.glob(f"__pycache__/{old.stem}.*"), old):
                path.unlink(missing_ok=True)


def _folder() -> Path:
    """Where counting builds live: beside the other things that can be rebuilt, or wherever one can write."""
    folder = build_dir() / "counting"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return _temporary_folder()


@cache
def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="workbench-counting-"))


@cache
def _fingerprint() -> str:
    """Changes with anything in this room, and with it the name of every file made here."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

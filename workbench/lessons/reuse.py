"""When is a lesson unchanged? What went into a run, hashed, and compared with today.

A run depends on its notebook, on the project's files that it imported or read, on its data, and on the
versions of Python and of the libraries it had loaded.
"""

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PROJECT = ("workbench", "workbench_datasets", "workbench_widgets")
CHANGED = "changed during the run"


@cache
def project_roots() -> dict[str, Path]:
    """The folder of each of the project's packages, found without importing them."""
    specs = {name: importlib.util.find_spec(name) for name in PROJECT}
    return {
        name: Path(spec.submodule_search_locations[0]).resolve()
        for name, spec in specs.items()
        if spec and spec.submodule_search_locations
    }


def digest(content: bytes | str) -> str:
    """SHA-256 of some content."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def inputs(
    notebook: str, inventory: Mapping[str, Any], since: float, systems: Sequence[str] = ()
) -> dict[str, Any]:
    """What a run depended on, from what its kernel said it had used.

    The committed records of its systems count whether or not there are any yet. A file written after
    `since` (seconds of the epoch) may not be the one that was imported: it counts as changed.
    """
    records = [f"workbench/claims/records/{system}.jsonl" for system in systems]
    files = {name: file_digest(name) for name in records}
    for name in inventory["files"]:
        if named := _name(Path(name)):
            files[named] = CHANGED if _written_after(Path(name), since) else file_digest(named)
    loaded: dict[str, str | None] = {}
    for module in inventory["modules"]:
        loaded.update(versions().get(module, {}))
    return {
        "notebook": digest(notebook),
        "files": files,
        "data": dict(inventory["data"]),
        "libraries": dict(sorted(loaded.items())),
        "python": platform.python_version(),
    }


def unchanged(recorded: Mapping[str, Any], notebook: str) -> bool:
    """Whether a run with these inputs would see the same today."""
    return (
        recorded["python"] == platform.python_version()
        and recorded["notebook"] == digest(notebook)
        and all(version(name) == was for name, was in recorded["libraries"].items())
        and all(file_digest(name) == was for name, was in recorded["files"].items())
        and all(_data_version(name) == was for name, was in recorded["data"].items())
    )


def file_digest(name: str) -> str | None:
    """The hash of a project file named from its package on (`workbench/budget.py`); None if absent."""
    package, _, rest = name.partition("/")
    path = project_roots().get(package, Path()) / rest
    return digest(path.read_bytes()) if path.is_file() else None


@cache
def version(distribution: str) -> str | None:
    """The version that is installed, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def versions() -> Mapping[str, Mapping[str, str | None]]:
    """Top-level module -> the distributions it comes from, with versions (slow: looks at all there are)."""
    own = {"kernel-workbench"}  # its files are compared one by one
    found = importlib.metadata.packages_distributions()
    return {module: {name: version(name) for name in set(names) - own} for module, names in found.items()}


def _data_version(name: str) -> str | None:
    import workbench_datasets

    try:
        return workbench_datasets.version(name)
    except workbench_datasets.DataError:
        return None  # renamed, or no longer on this computer


def _name(path: Path) -> str | None:
    for package, root in project_roots().items():
        if path.resolve().is_relative_to(root):
            return f"{package}/{path.resolve().relative_to(root).as_posix()}"
    return None


def _written_after(path: Path, since: float) -> bool:
    return path.is_file() and path.stat().st_mtime > since

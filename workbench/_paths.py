"""Where things live: the lessons, what is built from them, and what belongs to the reader."""

import os
from pathlib import Path

import platformdirs

APP = "kernel-workbench"
PACKAGE = Path(__file__).resolve().parent


def repo_root() -> Path | None:
    """The checkout that this package is imported from, or None for an installed wheel."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir() else None


def lessons_root() -> Path:
    """The committed lessons: `notebooks/` of a checkout, or the copy that travels in the wheel."""
    root = repo_root()
    return root / "notebooks" if root else PACKAGE / "_notebooks"


def build_dir() -> Path:
    """Executed lessons, caches and the book; safe to delete. `WORKBENCH_BUILD` moves it."""
    if moved := os.environ.get("WORKBENCH_BUILD"):
        return Path(moved)
    root = repo_root()
    return root / "_build" if root else Path(platformdirs.user_cache_dir(APP)) / "build"


def home() -> Path:
    """The reader's own directory (ledger, downloads). `WORKBENCH_HOME` moves it."""
    if moved := os.environ.get("WORKBENCH_HOME"):
        return Path(moved)
    return Path(platformdirs.user_data_dir(APP))

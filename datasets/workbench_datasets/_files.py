"""Where data files are: inside installed libraries, or in the reader's own directory."""

import os
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from .errors import DataError


def shipped(package: str, *parts: str) -> Path:
    """A file inside an installed package, found without importing the package."""
    spec = find_spec(package)
    if spec is None:
        raise DataError(f"{'/'.join(parts)} ships with {package}, which is not installed")
    for place in spec.submodule_search_locations or ():
        path = Path(place, *parts)
        if path.is_file():
            return path
    raise DataError(
        f"{'/'.join(parts)} was expected inside the installed package {package}, but is not there"
    )


def home() -> Path:
    """The reader's own directory; `WORKBENCH_HOME` moves it."""
    if moved := os.environ.get("WORKBENCH_HOME"):
        return Path(moved)
    return Path(platformdirs.user_data_dir("kernel-workbench"))


def downloads() -> Path:
    """Where downloaded files are kept."""
    return home() / "downloads"

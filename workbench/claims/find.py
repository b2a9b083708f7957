"""Where the systems live. A system is found by its file, as a plugin is; only `load_system` imports it."""

import importlib
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._paths import PACKAGE
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.claims.model import System

SYSTEMS = PACKAGE / "systems"
HASHES = "_hashes_of_claims"  # of a system's module, taken when it was loaded


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the known name that the user probably meant, or what there is."""
    known = list(known)
    if close := get_close_matches(name, known, n=1, cutoff=0.5):
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(known[:8])}{', …' if len(known) > 8 else ''}" if known else "there are none"


def system_file(key: str) -> Path | None:
    """The module file of a system, `systems/<chapter>/<key_with_underscores>.py`, or None where absent."""
    return next(iter(sorted(SYSTEMS.glob(f"*/{key.replace('-', '_')}.py"))), None)


def system_module(key: str) -> str | None:
    """The dotted name of a present system's module."""
    file = system_file(key)
    return f"workbench.systems.{file.parent.name}.{file.stem}" if file else None


def present() -> list[str]:
    """Keys of the systems that have code: every module of a chapter that assigns `SYSTEM`."""
    modules = (file for file in SYSTEMS.glob("*/*.py") if not file.stem.startswith("_"))
    return sorted(
        file.stem.replace("_", "-") for file in modules if "\nSYSTEM" in file.read_text(encoding="utf-8")
    )


def load_system(key: str) -> "System":
    """Imports a system's module and returns its `SYSTEM`."""
    module = system_module(key)
    if module is None:
        raise WorkbenchError(f"no system {key!r} has code here; {nearest(key, present())}")
    loaded = importlib.import_module(module)
    system: System | None = getattr(loaded, "SYSTEM", None)
    if system is None or system.key != key:
        raise WorkbenchError(f"{module} should define SYSTEM with the key {key!r}, but it defines {system!r}")
    if not hasattr(loaded, HASHES):
        from workbench.claims.source import claim_hash  # on first use: it needs this module

        setattr(loaded, HASHES, {claim.id: claim_hash(key, claim.id) for claim in system.claims})
    return system


def hash_when_loaded(key: str, claim: str) -> str | None:
    """The hash of the code that is in memory: whoever edits a file meanwhile measures the old code still."""
    from workbench.claims.source import claim_hash

    module = system_module(key)
    kept: dict[str, str | None] = getattr(sys.modules.get(module or ""), HASHES, {})
    return kept[claim] if claim in kept else claim_hash(key, claim)

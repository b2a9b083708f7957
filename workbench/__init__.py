"""Kernel Workbench: learn kernels by running them, measuring them and breaking them.

Importing this loads nothing heavy; names below load on first use.
"""

import copyreg
from importlib import import_module
from types import ModuleType

import lazy_loader


def _by_name(room: ModuleType) -> tuple[object, tuple[str]]:
    return import_module, (room.__name__,)


# Some rooms are of lazy_loader's own type of module, which no pickle knows: functions that mention one could
# not travel to other processes.
if hasattr(lazy_loader, "_ShadowGuardModule"):
    copyreg.pickle(lazy_loader._ShadowGuardModule, _by_name)  # type: ignore[arg-type]

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Lessons: run them, hold them to their contract, make the learner's copy, keep what the learner did."""

import sys
from types import ModuleType

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Face(ModuleType):
    """`workbench.lessons.study` is the function, whether or not its module of the same name was imported.

    Python binds a submodule to its parent when it is imported; here its namesake is bound instead, so
    that the public names do not depend on what was imported first.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in __all__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face

"""Is this function right? A candidate runs in a process of its own, the comparison stays here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

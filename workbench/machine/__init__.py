"""This computer: what it is, what it lacks, and how long things take on it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

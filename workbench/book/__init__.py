"""The static book: executed lessons, rendered so that a reader without Python can turn every knob."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

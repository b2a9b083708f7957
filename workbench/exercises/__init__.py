"""Exercises: a reference, inputs that find mistakes, and named wrong answers with their hints.

One package per chapter, one module per exercise; `exercise("receptive-fields/radius")` loads one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

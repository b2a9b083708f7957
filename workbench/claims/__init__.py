"""Claims as data: what the authors report, what is measured here, and the verdict between the two."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

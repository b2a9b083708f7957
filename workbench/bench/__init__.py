"""The kernels against the best that one can install, side by side: `workbench bench`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

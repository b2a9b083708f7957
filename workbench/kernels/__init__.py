"""Numeric kernels, one idea per file; each loads (and compiles) on first use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

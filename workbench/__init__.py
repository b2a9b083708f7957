"""Kernel Workbench: learn kernels by running them, measuring them and breaking them.

Importing this loads nothing heavy; names below load on first use.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

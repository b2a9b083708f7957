"""Explorers: a pure function of a few knobs, live in JupyterLab and baked into the book.

>>> from workbench_widgets import explore, linear
>>> @explore(kernel_size=[3, 7, 13, 31], depth=range(1, 9))
... def effective_field(kernel_size=7, depth=4):
...     return views.receptive_field(stack(kernel_size, depth))
"""

import sys

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if "ipykernel" in sys.modules:
    from .front import front_end_listens

    if front_end_listens():  # figures without knobs are part of the lesson too
        from .still import put_captions

        put_captions()

"""Data for the lessons, real ones and made ones: arrays, and a card that says where each came from.

    >>> from workbench_datasets import card, load, names
    >>> load("astronaut", size=64, gray=True).shape
    (64, 64)
    >>> print(card("astronaut").licence)
    public domain

Every data set but the trained arrays of all-MiniLM-L6-v2 ships here (attention-words) or inside a library
that is installed anyway (scikit-image, scikit-learn, networkx), or is made by a law that its card states, so
nothing needs a network. `load` hands out fresh arrays: what one cell writes, no other cell sees. Mistakes
raise `DataError`, a `ValueError` of one sentence.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

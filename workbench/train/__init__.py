"""The small, honest training bench: tasks, recipes, runs that are kept, and comparisons that are fair.

    >>> from workbench.train import Recipe, task, train
    >>> run = train(make, task("shape-textures"), Recipe(steps=200), seed=0)
    >>> run.score, run.flops, run.seconds

A run depends on its seed alone, is kept by content and resumed after an interrupt. `compare` gives every arm
the same data in the same order and the same tuning effort, and says so; `equal` finds the width at which two
architectures cost the same.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Data in, plotly figure out, all in the house's template.

The template becomes plotly's default with the first use of any name of this room, or on import where
plotly is loaded already; importing the room alone loads nothing heavy.
"""

import sys

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if "plotly" in sys.modules:
    from workbench.views import theme as theme

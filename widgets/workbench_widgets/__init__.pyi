from . import machine_panels as machine_panels
from . import panels as panels
from .baking import bake, unbake
from .explorer import EXPLORER_MIME, Explorer, explore
from .frames import Picture
from .knobs import Knob, Steps, linear, linked, logarithmic, play

__all__ = [
    "EXPLORER_MIME",
    "Explorer",
    "Knob",
    "Picture",
    "Steps",
    "bake",
    "explore",
    "linear",
    "linked",
    "logarithmic",
    "machine_panels",
    "panels",
    "play",
    "unbake",
]

from .caches import Cache, Simulated, Tally, simulate
from .counts import Counts, Line, count
from .geometry import Geometry, Level
from .source import Refusal, Source, kernel, source_of

__all__ = [
    "Cache",
    "Counts",
    "Geometry",
    "Level",
    "Line",
    "Refusal",
    "Simulated",
    "Source",
    "Tally",
    "count",
    "kernel",
    "simulate",
    "source_of",
]

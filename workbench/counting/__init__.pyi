from .caches import Cache, Simulated, Tally, simulate
from .counts import Counts, Line, count
from .geometry import Geometry, Level
from .source import Refusal, Source, kernel, source_of
from .traces import Trace, trace

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
    "Trace",
    "count",
    "kernel",
    "simulate",
    "source_of",
    "trace",
]

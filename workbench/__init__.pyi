from . import layers, probes, views
from .budget import by_budget
from .counting import count, kernel, trace
from .errors import WorkbenchError
from .exercises import exercise
from .machine import Machine
from .quantity import Quantity

__all__ = [
    "Machine",
    "Quantity",
    "WorkbenchError",
    "by_budget",
    "count",
    "exercise",
    "kernel",
    "layers",
    "probes",
    "trace",
    "views",
]

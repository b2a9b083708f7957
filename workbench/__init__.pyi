from . import layers, probes, views
from .budget import by_budget
from .errors import WorkbenchError
from .exercises import exercise
from .machine import Machine
from .quantity import Quantity

__all__ = ["Machine", "Quantity", "WorkbenchError", "by_budget", "exercise", "layers", "probes", "views"]

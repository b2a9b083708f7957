from .budget import by_budget
from .errors import WorkbenchError
from .exercises import exercise
from .quantity import Quantity

__all__ = ["Quantity", "WorkbenchError", "by_budget", "exercise"]

from .compare import Difference, compare
from .ruling import Outcome, Ruling
from .trial import Trial, judge
from .worker import Worker

__all__ = ["Difference", "Outcome", "Ruling", "Trial", "Worker", "compare", "judge"]

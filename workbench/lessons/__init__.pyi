from .check import Problem, check
from .lab import open_lab
from .model import Lesson, find, lessons
from .predict import predict, recall
from .progress import progress
from .run import RunResult, run
from .study import StudyReport, study

__all__ = [
    "Lesson",
    "Problem",
    "RunResult",
    "StudyReport",
    "check",
    "find",
    "lessons",
    "open_lab",
    "predict",
    "progress",
    "recall",
    "run",
    "study",
]

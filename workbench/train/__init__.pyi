from .comparing import Comparison, Trial, compare
from .joints import HeatMapLoss, JointScore, decode, heat_maps
from .matching import Match, equal
from .named import TASKS, task
from .recipes import Recipe
from .runs import Run
from .scores import accuracy, cross_entropy, mean_iou, mean_squares, relative_error
from .tasks import Task
from .training import Diverged, step_flops, train

__all__ = [
    "TASKS",
    "Comparison",
    "Diverged",
    "HeatMapLoss",
    "JointScore",
    "Match",
    "Recipe",
    "Run",
    "Task",
    "Trial",
    "accuracy",
    "compare",
    "cross_entropy",
    "decode",
    "equal",
    "heat_maps",
    "mean_iou",
    "mean_squares",
    "relative_error",
    "step_flops",
    "task",
    "train",
]

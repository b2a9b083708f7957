from .comparing import Comparison, Trial, compare
from .joints import HeatMapLoss, JointScore, decode, heat_maps
from .matching import Match, equal
from .mixer_survey import MIXER_ARMS, mixer_arm, mixer_survey
from .mixing import equal_mixer_network
from .named import TASKS, task
from .recipes import Recipe
from .regions import REGION_TASKS, region_task
from .runs import Run
from .scores import accuracy, cross_entropy, mean_iou, mean_squares, relative_error
from .tasks import Task
from .training import Diverged, step_flops, train

__all__ = [
    "MIXER_ARMS",
    "REGION_TASKS",
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
    "equal_mixer_network",
    "heat_maps",
    "mean_iou",
    "mean_squares",
    "mixer_arm",
    "mixer_survey",
    "region_task",
    "relative_error",
    "step_flops",
    "task",
    "train",
]

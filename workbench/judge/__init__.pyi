from .compare import Difference, compare
from .published import KERNELBENCH, ROBUST_KBENCH, Published
from .rules import RULES, Rule
from .ruling import Outcome, Ruling
from .source import ALLOWED, Both, Source
from .task import Draw, Expected, Task, drawn
from .trial import Trial, judge
from .verdict import Fault, Verdict
from .whole import WHOLE, Judge, first_failures
from .worker import Worker

__all__ = [
    "ALLOWED",
    "KERNELBENCH",
    "ROBUST_KBENCH",
    "RULES",
    "WHOLE",
    "Both",
    "Difference",
    "Draw",
    "Expected",
    "Fault",
    "Judge",
    "Outcome",
    "Published",
    "Rule",
    "Ruling",
    "Source",
    "Task",
    "Trial",
    "Verdict",
    "Worker",
    "compare",
    "drawn",
    "first_failures",
    "judge",
]

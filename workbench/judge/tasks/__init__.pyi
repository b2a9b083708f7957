from .catalog import categories, exemplar, task, tasks
from .model import Array, KernelTask, Law

__all__ = ["Array", "KernelTask", "Law", "categories", "exemplar", "task", "tasks"]

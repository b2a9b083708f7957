"""The 42 tasks, three in each of 14 categories, and the six that are shown as examples."""

from functools import cache

from workbench.errors import WorkbenchError
from workbench.judge.tasks import (
    activation,
    arch,
    broadcast,
    convolution,
    exemplars,
    fuse,
    index,
    loss,
    math,
    matmul,
    normalization,
    optimizer,
    pooling,
    reduce,
    resize,
)
from workbench.judge.tasks.model import KernelTask

MODULES = {
    "activation": activation,
    "arch": arch,
    "broadcast": broadcast,
    "convolution": convolution,
    "fuse": fuse,
    "index": index,
    "loss": loss,
    "math": math,
    "matmul": matmul,
    "normalization": normalization,
    "optimizer": optimizer,
    "pooling": pooling,
    "reduce": reduce,
    "resize": resize,
}


def categories() -> tuple[str, ...]:
    """The names of the 14 categories."""
    return tuple(MODULES)


def tasks(category: str | None = None) -> tuple[KernelTask, ...]:
    """All 42 tasks, or the three of a category."""
    if category is None:
        return tuple(task for module in MODULES.values() for task in module.TASKS)
    if category not in MODULES:
        raise WorkbenchError(f"a category is one of {', '.join(MODULES)}, but {category!r} came")
    return MODULES[category].TASKS


def task(name: str) -> KernelTask:
    """The task, or the example, with this name."""
    found = _by_name()
    if name not in found:
        raise WorkbenchError(f"a task is one of {', '.join(found)}, but {name!r} came")
    return found[name]


def exemplar(category: str) -> KernelTask:
    """The example that is shown for a category: its own where it has one, else the sum of two arrays."""
    own = {example.category: example for example in exemplars.TASKS}
    return own.get(category, own[""])


@cache
def _by_name() -> dict[str, KernelTask]:
    return {task.name: task for task in (*tasks(), *exemplars.TASKS)}

"""The scattered regions as tasks: which value has the region of each token, or the region that it names?"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.train.scores import mean_squares
from workbench.train.tasks import Task

IMAGES, TEST_IMAGES = 8000, 1000
REGION_TASKS: Mapping[str, Mapping[str, Any]] = {
    "scattered-regions": {},
    "relational-regions": {"relational": True},
    "noisy-regions": {"side": 16, "code_noise": 0.7, "value_noise": 2.0},
}


def region_task(
    name: str = "scattered-regions", seed: int = 0, *, test: Mapping[str, Any] | None = None, **options: Any
) -> Task:
    """Scattered regions to be learned by regression; X [n, 4 or 7, side, side], Y [n, 1, side, side].

    scattered-regions: the value of a token's own region.
    relational-regions: the value of the region whose code each token shows beside its own.
    noisy-regions: the first on 16 x 16 tokens, with noise of 0.7 on codes and 2 on readings.

    options: those of `workbench_datasets.load("scattered-regions")`, on top of what the name says; 8000
        images to learn from and 1000 for the test unless said. test: options that differ for the test data.

    The score is minus the mean squared error, to be held against `workbench_datasets.region_ideal`.
    """
    if name not in REGION_TASKS:
        raise WorkbenchError(f"no region task is called {name!r}; there are {', '.join(REGION_TASKS)}")
    law = {**REGION_TASKS[name], **options}
    train = _part("train", seed, {"images": IMAGES, **law})
    check = _part("test", seed, {**law, "images": TEST_IMAGES, **(test or {})})
    return Task(name, _shape(train[0]), 1, train, check, mean_squares, minus_mean_squares)


def minus_mean_squares(output: Tensor, Y: Tensor) -> float:
    """Minus the mean squared difference of two tensors of one shape: 0 is perfect."""
    return -mean_squares(output, Y).item()


def _part(part: str, seed: int, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    from workbench_datasets import DataError, load

    try:
        made = load("scattered-regions", part=part, seed=seed, **options)
    except (DataError, TypeError) as error:
        raise WorkbenchError(str(error)) from None
    return torch.from_numpy(made["inputs"]), torch.from_numpy(made["targets"])[:, None]


def _shape(X: Tensor) -> tuple[int, int, int]:
    channels, height, width = X.shape[1:]
    return channels, height, width

"""What a training came to."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from workbench.errors import WorkbenchError
from workbench.quantity import Quantity
from workbench.train.recipes import Recipe
from workbench.train.tasks import Task

TOGETHER = 128  # inputs that are evaluated at once


@dataclass(frozen=True, eq=False)
class Run:
    """One trained model and how it came about; everything belongs to the last step, never to the best one.

    model: trained, in evaluation mode. score: of the task, on its test data. curve: float32 [steps], the
    loss of each step before it. seconds: of the steps alone. order: a digest of which inputs were seen when.
    kept: whether the result was found and not made anew (`seconds` are then those of its making).
    """

    model: nn.Module = field(repr=False)
    task: Task = field(repr=False)
    recipe: Recipe
    seed: int
    steps: int
    score: float
    curve: np.ndarray = field(repr=False)
    seconds: Quantity
    order: str
    kept: bool

    def __str__(self) -> str:
        made = "kept" if self.kept else "trained now"
        return (
            f"{self.task.name}: score {self.score:.4g} after {self.steps} steps; "
            f"{self.parameters}, {self.seconds}, {made}"
        )

    @cached_property
    def train_score(self) -> float:
        """The task's score on the training data."""
        return self.evaluate(*self.task.train)

    @cached_property
    def parameters(self) -> Quantity:
        """Numbers that the model can learn, frozen ones included."""
        return Quantity(sum(p.numel() for p in self.model.parameters()), "parameters", "formula")

    @cached_property
    def flops(self) -> Quantity:
        """Of the whole training, forward and back, by formula; the optimiser's own arithmetic left out."""
        from workbench.train.training import step_flops

        return step_flops(self.model, self.task, self.recipe).scaled(self.steps, "flop")

    def predict(self, X: Tensor) -> Any:
        """The model's output for inputs [n, channels, height, width]: a tensor, or a structure of them."""
        return predict(self.model, X)

    def evaluate(self, X: Tensor, Y: Tensor) -> float:
        """The task's score on other data."""
        return self.task.score(self.predict(X), Y)


def predict(model: nn.Module, X: Tensor) -> Any:
    """The output for inputs [n, ...] in evaluation mode, some at a time; the mode is left as it was."""
    if not len(X):
        raise WorkbenchError("there is nothing to predict: no input came")
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            outputs = [model(part) for part in X.split(TOGETHER)]
            return tree_map(lambda *parts: torch.cat(parts), *outputs) if len(outputs) > 1 else outputs[0]
    finally:
        for part, training in modes:
            part.training = training

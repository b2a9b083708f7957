"""What is to be learned: pictures and answers, what counts as a mistake, what counts as success."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.train.scores import accuracy, cross_entropy
from workbench.train.streams import stream

Loss = Callable[[Any, Tensor], Tensor]
Score = Callable[[Any, Tensor], float]
HELD_OUT = 0.2


@dataclass(frozen=True, eq=False)
class Task:
    """Training and test data with a loss and a score.

    inputs: (channels, height, width) of one input. outputs: how many numbers (classes, maps) the model
    answers with. train, test: (X, Y), X float32 [n, channels, height, width], Y any tensor [n, ...].
    loss(output, Y) -> one number to go down. score(output, Y) -> float; higher is better.
    overlap: for inputs in the order of time, how many of those that follow an input share readings with it.

    Test data are for the final score alone: whoever chooses anything chooses on `validation()`.
    """

    name: str
    inputs: tuple[int, int, int]
    outputs: int
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    loss: Loss = cross_entropy
    score: Score = accuracy
    overlap: int = 0

    def __post_init__(self) -> None:
        for part, (X, Y) in (("train", self.train), ("test", self.test)):
            if X.dtype != torch.float32 or tuple(X.shape[1:]) != tuple(self.inputs):
                raise WorkbenchError(
                    f"{part} inputs of task {self.name!r} must be float32 [n, "
                    f"{', '.join(map(str, self.inputs))}], but {X.dtype} {list(X.shape)} came"
                )
            if len(X) != len(Y) or not len(X):
                raise WorkbenchError(
                    f"task {self.name!r} needs one answer for each {part} input, "
                    f"but {len(X)} inputs and {len(Y)} answers came"
                )

    def validation(self) -> "Task":
        """The same task with a fifth of the training data held out in the place of the test data.

        Which fifth depends on the task's name and size alone, so that every model is chosen on the same.
        Of inputs that overlap it is the last one, and those before that overlap it are left out.
        """
        X, Y = self.train
        held = round(HELD_OUT * len(X))
        if not 0 < held < len(X) - self.overlap:
            raise WorkbenchError(
                f"task {self.name!r} has {len(X)} training inputs, too few to hold out a fifth"
            )
        if self.overlap:
            fit, check = torch.arange(len(X) - held - self.overlap), torch.arange(len(X) - held, len(X))
        else:
            order = torch.randperm(len(X), generator=stream(0, self.name, "validation"))
            fit, check = order[held:], order[:held]
        return replace(
            self, name=f"{self.name}, validation", train=(X[fit], Y[fit]), test=(X[check], Y[check])
        )

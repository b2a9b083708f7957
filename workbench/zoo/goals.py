"""What a network of the zoo is asked, and what somebody says who has learnt nothing.

The score that costs nothing is the gate: a network that does not beat it has not learnt, its filters are the
leftovers of its first weights, and it does not enter the zoo.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.train import Task, accuracy, cross_entropy, mean_squares, relative_error
from workbench.zoo.arm_table import Arm
from workbench.zoo.nets import ZooNet
from workbench.zoo.picture_sets import SIDE, pictures

NOISE = 0.5  # standard deviation; the pictures' own is about as large
BY_HEART = 256  # pictures with labels drawn by lot
MARGIN = 2.0  # standard errors by which an accuracy must beat the trivial one
CELL = 4  # pixels: the trivial autoencoder tells the mean of each cell


@cache
def goal(data: str, task: str, labels: str, seed: int) -> tuple[Task, float, float]:
    """The task, the trivial score, and the score from which on a network has learnt something.

    classify: which class? Trivial: the commonest one, always. The bar is two standard errors higher.
    denoise: what was there before noise came? Trivial: the noisy picture, shrunk by the best factor.
    autoencode: the picture, through a code of 32 numbers. Trivial: the mean of each of 16 cells.
    Random labels are tested on the pictures that were learnt, whose labels can only be known by heart.
    """
    found = pictures(data)
    (X, y), (X_test, y_test) = ([_tensor(array) for array in part] for part in found)
    name = f"zoo {data} {task} {labels}"
    inputs = (1, SIDE, SIDE)
    if task == "classify":
        if labels == "random":
            drawn = np.random.default_rng([seed, BY_HEART]).integers(found.classes, size=BY_HEART)
            X = X_test = X[:BY_HEART]
            y = y_test = torch.from_numpy(drawn)
        made = Task(name, inputs, found.classes, (X, y), (X_test, y_test), cross_entropy, accuracy)
        trivial = float((y_test == y.mode().values).double().mean())
        return made, trivial, trivial + MARGIN * float(np.sqrt(trivial * (1 - trivial) / len(y_test)))
    if labels == "random":
        raise WorkbenchError(f"random labels are for the task classify, but {task} came")
    given, given_test = (X, X_test) if task == "autoencode" else (_noisy(X, 0), _noisy(X_test, 1))
    made = Task(name, inputs, 1, (given, X), (given_test, X_test), mean_squares, relative_error)
    if task == "autoencode":
        said = (
            torch.nn.functional.avg_pool2d(X_test, CELL).repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
        )
    else:
        said = given_test * float((given * X).sum() / given.square().sum())
    trivial = relative_error(said, X_test)
    return made, trivial, trivial


def of_arm(arm: Arm) -> tuple[Task, float, float]:
    """`goal` of an arm."""
    return goal(arm.data, arm.task, arm.labels, arm.seed)


def network(arm: Arm) -> ZooNet:
    """The arm's network with its first weights, which its seed decides; torch's generator is left alone."""
    from workbench.train.streams import stream_seed

    outputs = of_arm(arm)[0].outputs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(arm.seed, "zoo", arm.wiring, arm.depth, arm.width))
        return ZooNet(arm.depth, arm.width, arm.wiring, arm.task, outputs)


def _tensor(array: np.ndarray) -> Tensor:
    tensor = torch.from_numpy(array.copy())
    return tensor[:, None] if tensor.ndim == 3 else tensor


def _noisy(X: Tensor, part: int) -> Tensor:
    draws = np.random.default_rng([part, len(X)])
    return X + NOISE * torch.from_numpy(draws.standard_normal(X.shape).astype(np.float32))

"""How a model is trained: for how long, with which optimiser, schedule and regularisers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError

OptimizerName = Literal["adamw", "adam", "sgd", "adadelta"]
Schedule = Literal["one-cycle", "cosine", "constant", "milestones"]
Decayed = Literal["kernels", "all"]
Augment = Callable[[Tensor, torch.Generator], Tensor]

RISE, START, END = (
    0.3,
    1 / 25,
    1 / 25e4,
)  # of the one-cycle schedule, as in torch.optim.lr_scheduler.OneCycleLR


@dataclass(frozen=True)
class Recipe:
    """One way to train; the defaults suit small networks on small pictures.

    steps, batch: optimiser steps and inputs a step. flops: a budget in place of `steps` for the whole
        training, forward and back; dearer models take fewer steps.
    lr, schedule: the highest learning rate and its course. `warmup` is the share of the steps in which it
        also rises linearly; "milestones" multiplies it by `gamma` at each of the `milestones` (shares).
    optimizer, momentum, options: one of torch's; momentum is for "sgd"; options go to the optimiser as they
        are, e.g. {"eps": 1e-3}.
    weight_decay, decay: how much, and of what: "kernels" spares biases, norms and other vectors.
    label_smoothing: passed on to the loss of the task, which must know it (`cross_entropy` does).
    ema: decay of the moving average of weights and norm statistics that replaces the last ones at the end.
    clip: largest norm of the gradient.
    augment: (X [batch, ...], generator) -> X, before each step.
    freeze: parts or parameters, by name, that stay as they are, statistics of norms included.

    >>> Recipe(steps=200, schedule="cosine").factor(0, 200)
    1.0
    """

    steps: int = 100
    batch: int = 32
    lr: float = 2e-3
    optimizer: OptimizerName = "adamw"
    schedule: Schedule = "one-cycle"
    weight_decay: float = 1e-2
    momentum: float = 0.9
    label_smoothing: float = 0.0
    ema: float | None = None
    clip: float | None = None
    augment: Augment | None = None
    flops: float | None = None
    freeze: tuple[str, ...] = ()
    decay: Decayed = "kernels"
    warmup: float = 0.0
    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OptimizerName), ("schedule", Schedule), ("decay", Decayed)):
            if getattr(self, name) not in get_args(choices):
                raise WorkbenchError(
                    f"{name} must be one of {', '.join(get_args(choices))}, but {getattr(self, name)!r} came"
                )
        if isinstance(self.freeze, str):
            raise WorkbenchError(f"freeze must be a tuple of names, but the text {self.freeze!r} came")
        limits = [
            ("steps", self.steps, self.steps >= 1, "at least 1"),
            ("batch", self.batch, self.batch >= 1, "at least 1"),
            ("lr", self.lr, 0 < self.lr < math.inf, "a positive number"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "0 or more"),
            ("momentum", self.momentum, 0 <= self.momentum < 1, "at least 0 and below 1"),
            (
                "label_smoothing",
                self.label_smoothing,
                0 <= self.label_smoothing < 1,
                "at least 0 and below 1",
            ),
            ("ema", self.ema, self.ema is None or 0 <= self.ema < 1, "None, or at least 0 and below 1"),
            ("clip", self.clip, self.clip is None or self.clip > 0, "None or a positive number"),
            ("flops", self.flops, self.flops is None or self.flops > 0, "None or a positive number"),
            ("warmup", self.warmup, 0 <= self.warmup <= 1, "a share between 0 and 1"),
        ]
        for name, value, good, wanted in limits:
            if not good:
                raise WorkbenchError(f"{name} must be {wanted}, but {value} came")

    def factor(self, step: int, steps: int) -> float:
        """What step `step` (from 0) of `steps` multiplies the learning rate by."""
        return _course(self, step, steps) * min(1.0, (step + 1) / max(1.0, self.warmup * steps))

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser for those parameters of the model that are not frozen."""
        learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not learning:
            raise WorkbenchError("there is nothing to train: the model has no parameter that is not frozen")
        spared = [p for name, p in learning if self.decay == "kernels" and p.ndim < 2]
        sparing = set(map(id, spared))
        groups = [
            {"params": [p for _, p in learning if id(p) not in sparing], "weight_decay": self.weight_decay},
            {"params": spared, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        try:
            match self.optimizer:
                case "adamw":
                    return torch.optim.AdamW(groups, lr=self.lr, **{"fused": True, **self.options})
                case "adam":
                    return torch.optim.Adam(groups, lr=self.lr, **{"fused": True, **self.options})
                case "sgd":
                    settings = {"fused": True, "momentum": self.momentum, **self.options}
                    return torch.optim.SGD(groups, lr=self.lr, **settings)
                case "adadelta":
                    return torch.optim.Adadelta(groups, lr=self.lr, **self.options)
        except (TypeError, ValueError) as error:
            raise WorkbenchError(
                f"{self.optimizer} does not take options {dict(self.options)}: {error}"
            ) from None

    def is_frozen(self, name: str) -> bool:
        """Whether a part or parameter of that name stays as it is."""
        return any(name == frozen or name.startswith(f"{frozen}.") for frozen in self.freeze)


def _course(recipe: Recipe, step: int, steps: int) -> float:
    """The schedule alone, a factor between 0 and 1."""
    match recipe.schedule:
        case "constant":
            return 1.0
        case "milestones":
            return recipe.gamma ** sum(step >= share * steps for share in recipe.milestones)
        case "cosine":
            return _bend(1.0, 0.0, step / steps)
        case "one-cycle":
            peak = max(RISE * steps - 1, 0.0)
            if step < peak:
                return _bend(START, 1.0, step / peak)
            return _bend(1.0, END, (step - peak) / max(steps - 1 - peak, 1.0))


def _bend(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

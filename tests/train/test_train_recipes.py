"""Schedules are torch's, optimisers are torch's, and slips are said in one sentence."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.train import Recipe


def course(recipe: Recipe, steps: int) -> list[float]:
    return [recipe.factor(step, steps) for step in range(steps)]


def of_torch(steps: int, make: Callable) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("steps", [4, 10, 37, 100])
def test_schedules_are_those_of_torch(steps):
    kinds = torch.optim.lr_scheduler
    cosine = of_torch(steps, lambda o: kinds.CosineAnnealingLR(o, T_max=steps))
    np.testing.assert_allclose(course(Recipe(schedule="cosine"), steps), cosine, atol=1e-9)
    cycle = of_torch(steps, lambda o: kinds.OneCycleLR(o, 1.0, total_steps=steps, cycle_momentum=False))
    np.testing.assert_allclose(course(Recipe(schedule="one-cycle"), steps), cycle, atol=1e-9)
    places = [steps // 2, steps * 3 // 4]
    stones = of_torch(steps, lambda o: kinds.MultiStepLR(o, places))
    shares = tuple(place / steps for place in places)
    np.testing.assert_allclose(course(Recipe(schedule="milestones", milestones=shares), steps), stones)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant", "milestones"])
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_factors_stay_between_nothing_and_one(schedule, steps):
    factors = course(Recipe(schedule=schedule, warmup=0.2), steps)
    assert all(0 < factor <= 1 for factor in factors)


def test_ends():
    assert Recipe(schedule="cosine").factor(0, 80) == 1
    assert Recipe(schedule="cosine").factor(80, 80) == pytest.approx(0)
    assert Recipe(schedule="one-cycle").factor(0, 100) == pytest.approx(1 / 25)
    assert Recipe(schedule="one-cycle").factor(29, 100) == pytest.approx(1)
    assert Recipe(schedule="one-cycle").factor(99, 100) == pytest.approx(1 / 25e4)
    assert course(Recipe(schedule="constant", warmup=0.4), 10) == [0.25, 0.5, 0.75, *[1.0] * 7]


def test_vectors_are_spared_from_decay_unless_all_is_said():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    spare, whole = (Recipe(decay=decay, weight_decay=0.3).build(model) for decay in ("kernels", "all"))
    assert [(len(g["params"]), g["weight_decay"]) for g in spare.param_groups] == [(1, 0.3), (3, 0.0)]
    assert [(len(g["params"]), g["weight_decay"]) for g in whole.param_groups] == [(4, 0.3)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        ("adadelta", torch.optim.Adadelta),
    ],
)
def test_optimisers_take_options(name, kind):
    options = {"nesterov": True} if name == "sgd" else {"eps": 1e-3}
    optimizer = Recipe(optimizer=name, lr=0.5, momentum=0.8, options=options).build(nn.Linear(2, 2))
    assert type(optimizer) is kind
    assert optimizer.defaults.items() >= {"lr": 0.5, **options}.items()
    if name == "sgd":
        assert optimizer.defaults["momentum"] == 0.8
    with pytest.raises(WorkbenchError, match=f"{name} does not take options"):
        Recipe(optimizer=name, options={"speed": 1}).build(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        ({"steps": 0}, "steps must be at least 1, but 0 came"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"lr": float("nan")}, "lr must be a positive number, but nan came"),
        ({"optimizer": "lion"}, "optimizer must be one of adamw, adam, sgd, adadelta, but 'lion' came"),
        ({"schedule": "step"}, "schedule must be one of"),
        ({"decay": "some"}, "decay must be one of kernels, all"),
        ({"ema": 1.0}, "ema must be None, or at least 0 and below 1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be"),
        ({"weight_decay": -1}, "weight_decay must be 0 or more"),
        ({"momentum": 1}, "momentum must be"),
        ({"clip": 0}, "clip must be None or a positive number"),
        ({"flops": 0}, "flops must be None or a positive number"),
        ({"warmup": 2}, "warmup must be a share"),
        ({"freeze": "head"}, "freeze must be a tuple of names, but the text 'head' came"),
    ],
)
def test_slips(slip, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        Recipe(**slip)

"""Tasks, scores and targets against sums that are done by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.train import (
    HeatMapLoss,
    JointScore,
    Recipe,
    Task,
    accuracy,
    decode,
    heat_maps,
    mean_iou,
    relative_error,
    task,
    train,
)

# Scores -------------------------------------------------------------------------------------------


def logits(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).float()


def test_accuracy_of_labels_and_of_pixels():
    assert accuracy(logits(torch.tensor([0, 1, 2, 2]), 3), torch.tensor([0, 1, 1, 2])) == 0.75
    pixels = torch.tensor([[[0, 1], [1, 1]]])
    assert accuracy(logits(pixels, 2), torch.tensor([[[0, 0], [1, 1]]])) == 0.75


def test_mean_iou_against_sets():
    rng = np.random.default_rng(0)
    said, true = rng.integers(3, size=(2, 4, 5, 6))
    want = [((said == c) & (true == c)).sum() / ((said == c) | (true == c)).sum() for c in range(3)]
    got = mean_iou(logits(torch.from_numpy(said), 3), torch.from_numpy(true))
    assert got == pytest.approx(np.mean(want))


def test_a_class_that_nobody_knows_has_no_say():
    labels = torch.tensor([[[0, 1], [1, 1]]])
    assert mean_iou(logits(labels, 5), labels) == 1
    assert mean_iou(logits(torch.zeros_like(labels), 2), labels) == pytest.approx(0.125)  # 1/4 and 0


def test_relative_error_is_minus_one_for_the_mean():
    Y = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert relative_error(Y.mean(0).expand_as(Y), Y) == pytest.approx(-1)
    assert relative_error(Y, Y) == 0


# Joints -------------------------------------------------------------------------------------------


def planted(n: int, people: int = 1, size: int = 48, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(n, people, 6, 2, generator=generator) * (size - 9) + 4
    return torch.cat([places, torch.ones(n, people, 6, 1)], -1)


@pytest.mark.parametrize(("size", "out"), [(48, 48), (48, 24), (48, 12), (33, 11)])
def test_what_is_planted_is_decoded(size, out):
    Y = planted(8, size=size)
    maps = heat_maps(Y[..., :2], Y[..., 2], size, out)
    assert maps.shape == (8, 6, out, out)
    off = (decode(maps, size) - Y[:, 0, :, :2]).abs()
    assert off.max() <= size / out / 2 + 1e-4  # half a step of the map, no shift


def test_a_bump_is_the_gaussian_of_the_distance():
    maps = heat_maps(torch.tensor([[[[10.0, 20.5]]]]), torch.ones(1, 1, 1), 48, 24, sigma=3.0)[0, 0]
    for i, j in [(0, 0), (5, 10), (4, 9), (23, 23)]:
        square = (2 * i + 0.5 - 10) ** 2 + (2 * j + 0.5 - 20.5) ** 2
        assert maps[i, j].item() == pytest.approx(math.exp(-square / 18), abs=1e-6)


def test_people_overlap_by_the_higher_bump_and_the_hidden_leave_none():
    Y = planted(3, people=2)
    Y[1, 0, 2, 2] = 0
    both = heat_maps(Y[..., :2], Y[..., 2], 48, 24)
    single = [heat_maps(Y[:, p : p + 1, :, :2], Y[:, p : p + 1, :, 2], 48, 24) for p in (0, 1)]
    assert torch.equal(both, torch.maximum(*single))
    assert single[0][1, 2].max() == 0


def test_the_loss_weighs_bumps_and_follows_the_maps_size():
    Y = planted(2)
    loss = HeatMapLoss(48)
    for out in (24, 12):
        target = heat_maps(Y[..., :2], Y[..., 2], 48, out)
        assert loss(target, Y) == 0
        want = ((1 + 20 * target) * target**2).mean()
        assert torch.allclose(loss(torch.zeros_like(target), Y), want)
    with pytest.raises(WorkbenchError, match=r"expected square maps \[n, 6, side, side\]"):
        loss(torch.zeros(2, 5, 24, 24), Y)


def test_joints_count_within_three_pixels_of_the_picture():
    Y = planted(1)
    Y[0, 0, :, :2] = torch.tensor([[10.5, 10.5]] * 6)
    near = Y[..., :2].clone()
    near[0, 0, :, 1] += torch.tensor([0.0, 2.0, 2.9, 3.2, 6.0, 0.0])
    Y[0, 0, 5, 2] = 0  # not visible: not judged
    maps = heat_maps(near, torch.ones(1, 1, 6), 48, 48, sigma=0.5)
    assert JointScore(48)(maps, Y) == pytest.approx(3 / 5)
    assert JointScore(48, near=7)(maps, Y) == 1
    assert JointScore(48, only=(0, 4))(maps, Y) == 0.5


def test_anybodys_joint_counts():
    Y = planted(4, people=3)
    second = heat_maps(Y[:, 1:2, :, :2], Y[:, 1:2, :, 2], 48, 24)
    assert JointScore(48)(second, Y) == 1


# Tasks --------------------------------------------------------------------------------------------

X, Y = torch.randn(50, 1, 4, 4), torch.arange(50)
PLAIN = Task("plain", (1, 4, 4), 50, (X, Y), (X[:5], Y[:5]))


def test_validation_holds_out_a_fifth_and_forgets_the_test():
    held = PLAIN.validation()
    fit, check = held.train[1], held.test[1]
    assert (len(fit), len(check)) == (40, 10)
    assert sorted([*fit.tolist(), *check.tolist()]) == list(range(50))
    assert torch.equal(held.train[0], X[fit])
    assert torch.equal(PLAIN.validation().test[1], check)
    assert not torch.equal(check, torch.arange(10))


@pytest.mark.parametrize(
    ("slip", "sentence"),
    [
        ({"train": (X.double(), Y)}, r"must be float32 \[n, 1, 4, 4\], but torch.float64"),
        ({"test": (X[:, :, :3], Y)}, r"test inputs .* but torch.float32 \[50, 1, 3, 4\] came"),
        ({"train": (X, Y[:3])}, "one answer for each train input, but 50 inputs and 3 answers came"),
        ({"test": (X[:0], Y[:0])}, "0 inputs and 0 answers"),
    ],
)
def test_slips(slip, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        replace(PLAIN, **slip)


def test_of_windows_in_time_the_last_are_held_out_after_a_gap():
    held = replace(PLAIN, overlap=7).validation()
    assert held.train[1].tolist() == list(range(33))
    assert held.test[1].tolist() == list(range(40, 50))
    with pytest.raises(WorkbenchError, match="too few to hold out a fifth"):
        replace(PLAIN, overlap=40).validation()


def test_two_inputs_are_too_few_to_hold_out_a_fifth():
    with pytest.raises(WorkbenchError, match="too few to hold out a fifth"):
        replace(PLAIN, train=(X[:2], Y[:2])).validation()


# Tasks by name ------------------------------------------------------------------------------------


def test_names_that_nobody_knows():
    with pytest.raises(WorkbenchError, match="no task is called 'horizont'; did you mean 'horizon'"):
        task("horizont")
    with pytest.raises(WorkbenchError, match=r"takes images .* but .size. came"):
        task("scarce-digits", size=4, colour=3)


SMALL: dict[str, dict] = {
    "shape-textures": {"images": 60},
    "textures": {"images": 60},
    "scarce-digits": {},
    "horizon": {"images": 20},
    "stick-figures": {"images": 20},
    "segmentation": {"picture": "coins", "images": 20},
    "struck-sounds": {"images": 20},
    "heat-series": {"length": 500},
    "oscillators": {"length": 500},
}


@pytest.mark.parametrize("name", SMALL)
def test_tasks_by_name(name):
    made, again = task(name, seed=1, **SMALL[name]), task(name, seed=1, **SMALL[name])
    for (a, b), (c, d) in ((made.train, again.train), (made.test, again.test)):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
        assert a.isfinite().all()
    perfect = {
        "heat-series": lambda t: t.test[1],
        "oscillators": lambda t: t.test[1],
        "stick-figures": lambda t: heat_maps(t.test[1][..., :2], t.test[1][..., 2], 48, 48),
    }.get(name, lambda t: logits(t.test[1], t.outputs))(made)
    assert made.score(perfect, made.test[1]) == pytest.approx(made.score(perfect, made.test[1]))
    assert made.score(perfect, made.test[1]) == pytest.approx(
        0 if name in ("heat-series", "oscillators") else 1
    )
    assert perfect.shape[1] == made.outputs


def test_test_data_may_differ_by_option():
    conflict = task("shape-textures", images=60, mode="matched", test={"mode": "conflict", "images": 30})
    assert (len(conflict.train[0]), len(conflict.test[0])) == (60, 30)
    plain = task("shape-textures", images=60, mode="matched", test={"images": 30})
    assert torch.equal(conflict.train[0], plain.train[0])
    assert not torch.equal(conflict.test[0], plain.test[0])


def test_windows_of_a_series_continue_each_other():
    series = task("heat-series", length=500, channels=3)
    past, future = series.train
    assert series.inputs == (1, 3, 96)
    assert series.outputs == future.shape[1] == 72
    ahead = future.view(-1, 3, 24)
    assert torch.equal(past[1:, 0, :, -1], ahead[:-1, :, 0])  # one reading later
    assert torch.equal(series.test[0][1:, 0, :, :-4], series.test[0][:-1, 0, :, 4:])
    both = torch.cat([past[0, 0], ahead[:, :, 0].T], 1)
    assert both.std(1) == pytest.approx([1, 1, 1], abs=0.1)
    with pytest.raises(WorkbenchError, match="no options of their own"):
        task("heat-series", test={"length": 3})
    with pytest.raises(WorkbenchError, match="needs 400 readings or more"):
        task("heat-series", length=200)


def test_a_net_learns_scarce_digits():
    def net() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    assert train(net, task("scarce-digits"), Recipe(steps=80), keep=False).score > 0.4

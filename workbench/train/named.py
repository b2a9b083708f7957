"""The tasks that the workbench brings along, made from its data sets."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.train.joints import HeatMapLoss, JointScore
from workbench.train.scores import accuracy, cross_entropy, mean_iou, mean_squares, relative_error
from workbench.train.tasks import Task

Data = Mapping[str, np.ndarray]
PAST, AHEAD, EVERY = 96, 24, 4
LEARNT = 0.7  # of a series, the beginning


def task(name: str, seed: int = 0, *, test: Mapping[str, Any] | None = None, **options: Any) -> Task:
    """A task by the name of its data set, `options` being those of `workbench_datasets.load`.

    test: options that differ for the test data, as in test={"mode": "conflict"}.

    shape-textures, textures, scarce-digits, struck-sounds: which class is it? (accuracy)
    horizon, segmentation: which class is each pixel? (mean IoU)
    stick-figures: where is each joint? (share within 3 pixels)
    heat-series, oscillators: 96 readings of each channel, what are the next 24? (minus error over variance)

    Pictures are [n, 1, height, width]; a series is a picture of channels by time, standardised as its
    learnt part is, and its answer a row of channels * 24 numbers.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(str(name), TASKS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(TASKS)}"
        raise WorkbenchError(f"no task is called {name!r}; {hint}")
    return TASKS[name](name, seed, options, dict(test or {}))


def classes(name: str, seed: int, options: dict[str, Any], test: dict[str, Any]) -> Task:
    """One label for each picture."""
    fit, check = _parts(name, seed, options, test)
    outputs = int(max(fit["labels"].max(), check["labels"].max())) + 1
    return _pictures(name, outputs, fit, check, _labels, cross_entropy, accuracy)


def pixels(name: str, seed: int, options: dict[str, Any], test: dict[str, Any]) -> Task:
    """One label for each pixel."""
    fit, check = _parts(name, seed, options, test)
    outputs = int(max(_labels(fit).max(), _labels(check).max())) + 1
    return _pictures(name, outputs, fit, check, _labels, cross_entropy, mean_iou)


def places(name: str, seed: int, options: dict[str, Any], test: dict[str, Any]) -> Task:
    """The places of joints; Y is [n, people, joints, (y, x, visible)]."""
    fit, check = _parts(name, seed, options, {"images": 500, **test})
    size = fit["images"].shape[-1]
    return _pictures(name, fit["joints"].shape[2], fit, check, _joints, HeatMapLoss(size), JointScore(size))


def series(name: str, seed: int, options: dict[str, Any], test: dict[str, Any]) -> Task:
    """The next readings of several channels; no test window overlaps a window that was learnt from."""
    if test:
        raise WorkbenchError(f"{name} is one series, cut in time: its test data take no options of their own")
    readings = torch.from_numpy(_load(name, seed=seed, **options)["series"]).float()
    learnt = int(LEARNT * len(readings))
    if min(learnt, len(readings) - learnt) < PAST + AHEAD:
        raise WorkbenchError(
            f"{name} needs {round((PAST + AHEAD) / (1 - LEARNT))} readings or more, but {len(readings)} came"
        )
    mean, std = readings[:learnt].mean(0), readings[:learnt].std(0).clamp_min(1e-6)
    readings = (readings - mean) / std
    fit, check = _windows(readings[:learnt], 1), _windows(readings[learnt:], EVERY)
    channels = readings.shape[1]
    return Task(
        name,
        inputs=(1, channels, PAST),
        outputs=channels * AHEAD,
        train=fit,
        test=check,
        loss=mean_squares,
        score=relative_error,
        overlap=PAST + AHEAD - 1,
    )


TASKS: dict[str, Callable[[str, int, dict[str, Any], dict[str, Any]], Task]] = {
    "shape-textures": classes,
    "textures": classes,
    "scarce-digits": classes,
    "struck-sounds": classes,
    "horizon": pixels,
    "segmentation": pixels,
    "stick-figures": places,
    "heat-series": series,
    "oscillators": series,
}


def _load(name: str, **options: Any) -> Data:
    from workbench_datasets import DataError, load

    try:
        return load(name, **options)
    except DataError as error:
        raise WorkbenchError(str(error)) from None


def _parts(name: str, seed: int, options: dict[str, Any], test: dict[str, Any]) -> tuple[Data, Data]:
    """Training and test data; the number of training pictures says nothing about the test."""
    shared = {key: value for key, value in options.items() if key not in ("images", "wrong")}
    fit = _load(name, part="train", seed=seed, **options)
    return fit, _load(name, part="test", seed=seed, **{**shared, **test})


def _pictures(
    name: str,
    outputs: int,
    fit: Data,
    check: Data,
    answers: Callable[[Data], Tensor],
    loss: Callable[[Any, Tensor], Tensor],
    score: Callable[[Any, Tensor], float],
) -> Task:
    def pair(data: Data) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(data["images"]).float()[:, None], answers(data)

    train = pair(fit)
    inputs = (1, *train[0].shape[2:])
    return Task(name, inputs, outputs, train, pair(check), loss, score)


def _labels(data: Data) -> Tensor:
    return torch.from_numpy(data["labels"] if "labels" in data else data["masks"]).long()


def _joints(data: Data) -> Tensor:
    visible = torch.from_numpy(data["visible"]).float()[..., None]
    return torch.cat([torch.from_numpy(data["joints"]).float(), visible], -1)


def _windows(readings: Tensor, every: int) -> tuple[Tensor, Tensor]:
    """Past [n, 1, channels, 96] and future [n, channels * 24], one window at each `every`-th reading."""
    cut = readings.unfold(0, PAST + AHEAD, every)  # [n, channels, 120]
    return cut[:, None, :, :PAST].contiguous(), cut[..., PAST:].flatten(1).contiguous()

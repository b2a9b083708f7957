"""Scattered regions as tasks."""

import pytest
import torch
from workbench_datasets import load

from workbench.errors import WorkbenchError
from workbench.train import REGION_TASKS, region_task


@pytest.mark.parametrize("name", REGION_TASKS)
def test_region_tasks(name):
    made, again = (region_task(name, seed=1, images=20, test={"images": 10}) for _ in "ab")
    assert torch.equal(made.train[0], again.train[0])
    assert (len(made.train[0]), len(made.test[0]), made.outputs) == (20, 10, 1)
    side = 16 if name == "noisy-regions" else 8
    assert made.inputs == (7 if name == "relational-regions" else 4, side, side)
    data = load("scattered-regions", images=10, part="test", seed=1, **REGION_TASKS[name])
    assert torch.equal(made.test[1][:, 0], torch.from_numpy(data["targets"]))
    perfect = made.test[1].clone()
    assert made.score(perfect, made.test[1]) == 0
    assert made.score(perfect + 2, made.test[1]) == pytest.approx(-4)


def test_options_change_the_law_and_mistakes_are_named():
    assert region_task(images=5, side=4, value_noise=0, test={"images": 5}).inputs == (4, 4, 4)
    with pytest.raises(WorkbenchError, match="no region task is called 'regions'"):
        region_task("regions")
    with pytest.raises(WorkbenchError, match="cell must divide side"):
        region_task(side=9)
    with pytest.raises(WorkbenchError, match=r"takes .* but 'colour' came"):
        region_task(colour=1)

"""A small database of random models, and folders of its own for every test."""

import numpy as np
import pytest
import torch

from workbench.probes import FilterLayer, FilterSet
from workbench.zoo import Zoo, store


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))


def layers(seed, *shapes):
    """Normal weights [c_out, c_in, *k] as the layers of a model."""
    draws = np.random.default_rng(seed)
    arrays = [draws.standard_normal(shape).astype(np.float32) for shape in shapes]
    last = max(len(arrays) - 1, 1)
    return FilterSet(
        tuple(FilterLayer(f"l{i}", i, i / last, W.shape[1], W.shape[0], 1, W) for i, W in enumerate(arrays))
    )


@pytest.fixture(autouse=True)
def one_thread():
    """As in a build: the tests share the computer with others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def random_layers():
    return layers


@pytest.fixture
def put():
    """Writes a random model into a folder and gives its filters."""

    def write(folder, number, data="a", task="x", shapes=((4, 1, 3, 3), (6, 4, 3, 3)), **columns):
        found = layers(number, *shapes)
        row = {
            "model_id": number,
            "name": f"m{number}",
            "source": "test",
            "data": data,
            "task": task,
            **columns,
        }
        store.write(folder, store.entry(row, found))
        return found

    return write


@pytest.fixture
def zoo(tmp_path, put):
    """Five random models of three data sets and two tasks."""
    for number, (data, task, seed) in enumerate([("a", "x", 0), ("a", "y", 1), ("b", "x", 0), ("b", "x", 1)]):
        put(tmp_path / "zoo", number, data, task, seed=seed)
    put(tmp_path / "zoo", 4, "c", "y", shapes=((5, 3, 7, 7), (3, 5, 3, 3)))
    return Zoo(tmp_path / "zoo")

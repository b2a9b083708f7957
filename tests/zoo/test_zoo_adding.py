"""Other people's weights: from files, from libraries that may not be there, and what is refused."""

import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from workbench.errors import WorkbenchError
from workbench.zoo import Zoo, add, own


def network():
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 8, 7), *(nn.Conv2d(8, 8, 3) for _ in range(10)), nn.Conv2d(8, 8, 3, groups=8)]
    return nn.Sequential(*parts, nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(network().state_dict(), path)
    return path


def test_a_file_is_added_layer_by_layer_in_its_order(weights):
    row = add(weights, data="imagenet", task="classify")
    assert (row["name"], row["source"], row["filters"], row["depth"]) == (
        "small.safetensors",
        "file",
        648,
        12,
    )
    assert row["seed"] is row["score"] is None
    zoo = own()
    names = [row["name"] for row in zoo.query("SELECT name FROM layers ORDER BY layer_id").rows()]
    assert names == [str(number) for number in range(12)]  # 10 behind 9
    W = network()[2].weight.detach().numpy()
    found = zoo.query("SELECT * FROM filters WHERE layer_id & 4095 = 2 ORDER BY o, i")
    np.testing.assert_allclose(found["scale"], np.abs(W).max(axis=(2, 3)).ravel(), rtol=1e-6)
    assert zoo.query("SELECT DISTINCT data, task FROM filters").rows() == [
        {"data": "imagenet", "task": "classify"}
    ]


def test_adding_again_replaces_and_another_name_does_not(weights):
    add(weights)
    add(weights, data="cells")
    assert own().query("SELECT data FROM models")["data"] == ["cells"]
    add(weights, name="other")
    assert len(own().query("FROM models")) == 2


def test_a_model_is_added_with_its_groups(tmp_path):
    add(network(), name="mine", folder=tmp_path / "zoo")
    (row,) = Zoo(tmp_path / "zoo").query("FROM layers WHERE groups > 1").rows()
    assert (row["groups"], row["c_in"], row["n"], row["orth"]) == (8, 8, 8, None)


def test_half_precision_weights_are_taken(tmp_path):
    save_file({"a.weight": torch.randn(4, 2, 3, 3).bfloat16()}, tmp_path / "half.safetensors")
    assert add(tmp_path / "half.safetensors")["filters"] == 8


@pytest.mark.parametrize(
    ("name", "tensors", "words"),
    [
        ("none.safetensors", {"fc.weight": torch.ones(2, 2)}, "has no convolution of 3 x 3"),
        ("wide.safetensors", {"a.weight": torch.ones(2, 2, 5, 5)}, "has no convolution of 3 x 3"),
        ("nan.safetensors", {"a.weight": torch.full((2, 2, 3, 3), torch.nan)}, "NaN or infinity"),
    ],
)
def test_files_without_filters_are_refused(tmp_path, name, tensors, words):
    save_file(tensors, tmp_path / name)
    with pytest.raises(WorkbenchError, match=words):
        add(tmp_path / name)
    with pytest.raises(WorkbenchError, match="no filter database"):
        own()


def test_sources_that_are_none(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not at all")
    with pytest.raises(WorkbenchError, match=r"broken\.safetensors is not a whole file"):
        add(broken)
    with pytest.raises(WorkbenchError, match="there is no file"):
        add(tmp_path / "absent.safetensors")
    with pytest.raises(WorkbenchError, match=r"FILE\.safetensors, timm:NAME or torchvision:NAME"):
        add("weights.pt")
    with pytest.raises(WorkbenchError, match=r"FILE\.safetensors, timm:NAME or torchvision:NAME"):
        add("hub:resnet18")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_installed_is_named(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(WorkbenchError, match=f"{library} is not installed: pip install {library}"):
        add(f"{library}:resnet18")


def stand_in(monkeypatch, library, make):
    """A module that has only what is asked of the library."""
    module = types.ModuleType(library)
    if library == "timm":
        module.create_model = lambda name, pretrained: make(name, pretrained)
    else:
        module.models = types.SimpleNamespace(
            get_model=lambda name, weights: make(name, weights == "DEFAULT")
        )
    monkeypatch.setitem(sys.modules, library, module)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_public_weights_come_through_the_library(monkeypatch, library):
    asked = []
    stand_in(monkeypatch, library, lambda *arguments: asked.append(arguments) or network())
    row = add(f"{library}:small", data="imagenet", task="classify")
    assert (row["name"], row["source"], row["filters"]) == (f"{library}:small", library, 648)
    assert asked == [("small", True)]
    with pytest.raises(WorkbenchError, match=f"name a model of {library}"):
        add(f"{library}:")


def test_without_a_network_it_says_so(monkeypatch):
    def offline(name, pretrained):
        raise OSError("name resolution failed\nand a long story")

    stand_in(monkeypatch, "timm", offline)
    with pytest.raises(WorkbenchError) as caught:
        add("timm:resnet18")
    assert str(caught.value) == (
        "timm cannot give the trained weights of 'resnet18'; it needs a network unless it has kept them "
        "before (name resolution failed)"
    )

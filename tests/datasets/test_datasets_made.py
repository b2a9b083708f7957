"""What holds for every made data set: seeds, parts, versions, and options that do not fit."""

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench_datasets import DataError, _made, card, load, version
from workbench_datasets.registry import _DATA_SETS

SMALL: Mapping[str, Mapping[str, Any]] = {
    "textures": {"images": 12},
    "shape-textures": {"images": 12},
    "scarce-digits": {"images": 40},
    "horizon": {"images": 4},
    "stick-figures": {"images": 4},
    "segmentation": {"images": 4, "size": 32},
    "boards": {"images": 4},
    "struck-sounds": {"images": 6},
    "heat-series": {"length": 50},
    "oscillators": {"length": 50},
    "fractals": {"images": 6},
    "wave-snapshots": {"images": 6},
    "scattered-regions": {"images": 6},
    "moving-textures": {"images": 6},
}
WITH_PARTS = [name for name in SMALL if "part" in card(name).options]
MAIN = {"heat-series": "series", "oscillators": "series", "scattered-regions": "inputs"}


def main(name: str, **options: Any) -> np.ndarray:
    """The part of a small version that everything else is about."""
    return load(name, **{**SMALL[name], **options})[MAIN.get(name, "images")]


def same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[part], other[part]) for part in one)


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_says_everything(name: str) -> None:
    first, again, other = (load(name, **SMALL[name], seed=seed) for seed in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("name", SMALL)
def test_numpys_own_generator_is_left_alone(name: str) -> None:
    np.random.seed(7)  # noqa: NPY002 - this one must not be touched
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    main(name)
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("name", WITH_PARTS)
def test_the_parts_share_no_image(name: str) -> None:
    train, test = (main(name, part=part) for part in ("train", "test"))
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


def test_names_parts_and_seeds_draw_independently() -> None:
    draws = {
        _made.generator(name, part, seed).random()
        for name in ("horizon", "textures")
        for part in ("train", "test")
        for seed in (0, 1)
    }
    assert len(draws) == 8


@pytest.mark.parametrize("name", SMALL)
def test_everything_that_makes_the_data_counts_among_the_sources(name: str) -> None:
    """A module's imports from this package, all the way down, but for cards, files and errors."""
    module = Path(inspect.getfile(_DATA_SETS[name].load))
    needed, waiting = set(), {module}
    while waiting:
        path = waiting.pop()
        needed.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                waiting.add(path.with_name(f"{node.module}.py"))
        waiting -= needed | {
            path.with_name(f"{name}.py") for name in ("_card", "_files", "errors", "digests")
        }
    assert needed <= set(card(name).sources())


def test_a_changed_generator_changes_the_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = version("horizon")
    for path in _made.code("horizon", "images"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(_made, "__file__", str(tmp_path / "_made.py"))
    assert version("horizon") == before
    with (tmp_path / "horizon.py").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert version("horizon") != before


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "shape-textures",
            {"mode": "mixed"},
            "mode must be one of 'free', 'matched', 'conflict', but 'mixed'",
        ),
        ("shape-textures", {"size": 65}, "size must be a whole number from 16 to 64, but 65 came"),
        ("shape-textures", {"images": 0}, "images must be a whole number from 1 to"),
        ("shape-textures", {"images": True}, "images must be a whole number"),
        ("textures", {"part": "valid"}, "part must be one of 'train', 'test', but 'valid' came"),
        ("textures", {"seed": -1}, "seed must be a whole number from 0"),
        ("textures", {"seed": 1.0}, "seed must be a whole number from 0"),
        ("textures", {"colour": 1}, "textures takes size and images and part and seed, but 'colour' came"),
        ("scarce-digits", {"images": 798}, "images must be a whole number from 1 to 797, but 798 came"),
        ("scarce-digits", {"wrong": 1.2}, "wrong must be a number from 0 to 1, but 1.2 came"),
        ("scarce-digits", {"wrong": float("nan")}, "wrong must be a number from 0 to 1, but nan came"),
        ("horizon", {"strips": "no"}, "strips must be a number from 0 to 1, but 'no' came"),
        ("horizon", {"size": 31}, "size must be a whole number from 32 to 256, but 31 came"),
        ("stick-figures", {"turn": 181}, "turn must be a number from 0 to 180, but 181 came"),
        ("stick-figures", {"people": 5}, "people must be a whole number from 1 to 4, but 5 came"),
        (
            "segmentation",
            {"picture": "moon"},
            "picture must be one of 'coins', 'cells', 'retina', but 'moon'",
        ),
        ("segmentation", {"part": None}, "part must be one of 'train', 'test', but None came"),
        ("heat-series", {"channels": 0}, "channels must be a whole number from 1 to 64, but 0 came"),
        ("oscillators", {"stiffening": -1}, "stiffening must be a number from 0 to 5, but -1 came"),
        (
            "struck-sounds",
            {"images": 10_001},
            "images must be a whole number from 1 to 10000, but 10001 came",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError) as caught:
        load(name, **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in SMALL if "size" in card(name).options])
@pytest.mark.parametrize("images", [1, 3])
def test_other_sizes_and_counts(name: str, images: int) -> None:
    for size in (33, 64):
        assert load(name, size=size, images=images)["images"].shape == (images, size, size)


def test_numpy_numbers_are_numbers() -> None:
    assert np.array_equal(main("horizon", seed=np.int64(2)), main("horizon", seed=2))
    assert np.array_equal(main("horizon", strips=np.float32(0.5)), main("horizon", strips=0.5))

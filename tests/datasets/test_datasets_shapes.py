"""Textures, shapes filled with them, and scarce digits."""

import numpy as np
import pytest
import scipy.stats
from scipy import ndimage
from workbench_datasets import load, textures
from workbench_datasets.shape_textures import SHAPES


@pytest.mark.parametrize("name", textures.NAMES)
def test_regions_lie_in_the_photograph_and_share_no_pixel(name: str) -> None:
    used = np.zeros(textures._photograph(name).shape, int)
    for part in textures.REGIONS[name].values():
        for top, bottom, left, right in part:
            assert min(bottom - top, right - left) >= textures.LARGEST
            assert used[top:bottom, left:right].size == (bottom - top) * (right - left)
            used[top:bottom, left:right] += 1
    assert used.max() == 1


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("size", [32, 64])
def test_every_crop_comes_from_a_region_of_its_part(part: str, size: int) -> None:
    for name, regions in textures.REGIONS.items():
        allowed = np.zeros(textures._photograph(name).shape, bool)
        for top, bottom, left, right in regions[part]:
            allowed[top:bottom, left:right] = True
        sums = np.pad(allowed.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        sums = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
        found = np.zeros(sums.shape, int)
        np.add.at(found, tuple(textures._corners(name, part, size).T), 1)
        np.testing.assert_array_equal(found, sums == size**2)


def test_a_crop_is_the_photograph_there_standardised() -> None:
    crops = load("textures", images=4, size=12, seed=5)
    for image, label in zip(crops["images"], crops["labels"], strict=True):
        photograph = textures._photograph(textures.NAMES[label])
        rows, columns = textures._corners(textures.NAMES[label], "train", 12).T
        windows = np.lib.stride_tricks.sliding_window_view(photograph, (12, 12))[rows, columns]
        expected = np.clip(0.5 + textures.standardised(windows + np.float32(1e-6)) / 6, 0, 1)
        assert np.abs(expected - image).max(axis=(1, 2)).min() < 1e-3


def test_brightness_and_contrast_do_not_give_the_texture_away() -> None:
    crops = load("textures", images=400)
    quiet = np.all((crops["images"] > 0) & (crops["images"] < 1), axis=(1, 2))  # where nothing was cut off
    assert quiet.mean() > 0.3
    np.testing.assert_allclose(crops["images"][quiet].mean(axis=(1, 2)), 0.5, atol=1e-4)
    np.testing.assert_allclose(crops["images"][quiet].std(axis=(1, 2)), 1 / 6, atol=1e-4)


def test_textures_can_be_told_in_the_other_region() -> None:
    """Mean of how much neighbours differ, over five distances: enough for far more than chance."""

    def features(part: str) -> tuple[np.ndarray, np.ndarray]:
        crops = load("textures", images=600, part=part)
        images = crops["images"]
        across = [np.abs(images[:, :, d:] - images[:, :, :-d]).mean(axis=(1, 2)) for d in (1, 2, 4, 8, 12)]
        down = [np.abs(images[:, d:] - images[:, :-d]).mean(axis=(1, 2)) for d in (1, 2, 4, 8, 12)]
        return np.stack(across + down, 1), crops["labels"]

    (known, labels), (seen, truth) = features("train"), features("test")
    scale = known.std(axis=0)
    nearest = np.square((seen[:, None] - known) / scale).sum(-1).argmin(axis=1)
    assert np.mean(labels[nearest] == truth) > 0.6


@pytest.mark.parametrize("part", ["train", "test"])
def test_inside_standardised_outside_slight_noise(part: str) -> None:
    data = load("shape-textures", images=300, part=part)
    for image, mask in zip(data["images"].astype(np.float64), data["masks"], strict=True):
        assert abs(image[mask].mean()) < 1e-4
        assert image[mask].std() == pytest.approx(1, abs=1e-3)
        assert image[~mask].std() == pytest.approx(0.05, rel=0.2)
        assert mask.sum() > 50
        frame = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert frame.sum() <= 4  # shapes lie within the image, at most touching its border


def test_free_says_nothing_matched_everything_conflict_never_the_same() -> None:
    free = load("shape-textures", images=3000, size=16)
    counts = np.zeros((6, 6))
    np.add.at(counts, (free["labels"], free["textures"]), 1)
    assert scipy.stats.chi2_contingency(counts).pvalue > 0.01
    assert scipy.stats.chisquare(counts.ravel()).pvalue > 0.01

    matched = load("shape-textures", images=300, mode="matched", size=16)
    np.testing.assert_array_equal(matched["labels"], matched["textures"])

    conflict = load("shape-textures", images=3000, mode="conflict", size=16)
    assert (conflict["labels"] != conflict["textures"]).all()
    counts = np.zeros((6, 6))
    np.add.at(counts, (conflict["labels"], conflict["textures"]), 1)
    assert scipy.stats.chisquare(counts[~np.eye(6, dtype=bool)]).pvalue > 0.01


def test_textures_do_not_show_in_the_mask() -> None:
    """Area and centre of a shape are drawn without looking at its texture."""
    data = load("shape-textures", images=3000, size=24)
    rows = data["labels"] == 0
    areas = [data["masks"][rows & (data["textures"] == t)].sum(axis=(1, 2)) for t in range(6)]
    assert scipy.stats.f_oneway(*areas).pvalue > 0.01


def test_shapes_have_their_topology_and_symmetry() -> None:
    data = load("shape-textures", images=600, size=64)
    for mask, label in zip(data["masks"], data["labels"], strict=True):
        _, pieces = ndimage.label(mask, structure=np.ones((3, 3)))  # thin tips may touch by a corner
        _, outside = ndimage.label(np.pad(~mask, 1, constant_values=True))
        assert pieces == 1
        assert outside == (2 if SHAPES[label] == "ring" else 1)
    # How far a shape is from its own turn by 180, 120 and 90 degrees about its centre.
    symmetric = {
        "disc": {2, 3, 4},
        "square": {2, 4},
        "triangle": {3},
        "plus": {2, 4},
        "ring": {2, 3, 4},
        "bar": {2},
    }
    for label, shape in enumerate(SHAPES):
        for turns in (2, 3, 4):
            overlap = np.mean([own_turn(mask, turns) for mask in data["masks"][data["labels"] == label][:10]])
            assert (overlap > 0.9) == (turns in symmetric[shape]), (shape, turns, overlap)


def own_turn(mask: np.ndarray, turns: int) -> float:
    """Intersection over union of a mask and itself turned by a whole turn / `turns` about its centre."""
    centre = np.argwhere(mask).mean(axis=0)
    shifted = ndimage.shift(mask.astype(float), (np.array(mask.shape) - 1) / 2 - centre, order=1)
    turned = ndimage.rotate(shifted, 360 / turns, reshape=False, order=1) > 0.5
    return float((turned & (shifted > 0.5)).sum() / (turned | (shifted > 0.5)).sum())


def test_scarce_digits_are_rows_of_digits_with_the_wrong_share() -> None:
    digits, scarce = load("digits"), load("scarce-digits", images=200, wrong=0.25, seed=1)
    rows = {image.tobytes(): row for row, image in enumerate(digits["images"])}
    found = [rows[image.tobytes()] for image in scarce["images"]]
    assert len(set(found)) == 200
    assert max(found) < 797
    np.testing.assert_array_equal(digits["labels"][found], scarce["clean"])
    assert (scarce["labels"] != scarce["clean"]).sum() == 50
    assert set(scarce["labels"]) <= set(range(10))


def test_the_test_digits_are_clean_and_always_the_same() -> None:
    one, other = load("scarce-digits", part="test"), load("scarce-digits", part="test", seed=8, images=7)
    digits = load("digits")
    np.testing.assert_array_equal(one["images"], digits["images"][797:])
    np.testing.assert_array_equal(one["labels"], digits["labels"][797:])
    for part in one:
        np.testing.assert_array_equal(one[part], other[part])
    assert len(one["labels"]) == 1000


def test_wrong_labels_are_spread_over_order_and_classes() -> None:
    scarce = load("scarce-digits", images=797, wrong=0.5)
    wrong = np.flatnonzero(scarce["labels"] != scarce["clean"])
    assert len(wrong) == 398
    assert abs(wrong.mean() - 398) < 40
    shift = (scarce["labels"] - scarce["clean"])[wrong] % 10
    assert scipy.stats.chisquare(np.bincount(shift, minlength=10)[1:]).pvalue > 0.01
    assert (load("scarce-digits", wrong=0)["labels"] == load("scarce-digits", wrong=0)["clean"]).all()

"""Scenes whose pixels need reach: the horizon and the stick figures; and crops with masks."""

import numpy as np
import pytest
from scipy import ndimage
from workbench_datasets import horizon, load, segmentation
from workbench_datasets.stick_figures import GROUND, JOINTS, MOST


def test_labels_of_discs_agree_with_the_height_of_the_line() -> None:
    scene = load("horizon", images=200)
    for labels, height in zip(scene["labels"], scene["heights"], strict=True):
        rows = np.arange(48)[:, None] * np.ones(48)
        assert (rows[labels == 1] < height).all()
        assert (rows[labels == 2] > height).all()


def test_discs_are_equal_apart_and_outside_the_strips() -> None:
    scene = load("horizon", images=200)
    strip = horizon.STRIP
    seen = np.zeros(6, int)
    for labels in scene["labels"]:
        pieces, count = ndimage.label(labels > 0, structure=np.ones((3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.min() >= 0.8 * np.pi * 9
        assert sizes.max() <= 1.2 * np.pi * 9
        assert not labels[:, :strip].any()
        assert not labels[:, -strip:].any()
        seen[count] += 1
    assert seen[:3].sum() == 0
    assert seen[5] > 100


def test_the_line_shows_in_the_strips_alone_and_strips_0_erases_it() -> None:
    shown, erased = load("horizon", images=100), load("horizon", images=100, strips=0)
    for part in ("labels", "heights"):
        np.testing.assert_array_equal(shown[part], erased[part])
    changed = shown["images"] != erased["images"]
    assert not changed[:, :, horizon.STRIP : -horizon.STRIP].any()
    # A strip steps down at the line, and where it is erased it is as plain as anything.
    rows = np.arange(48) - shown["heights"][:, None]
    for strip in (np.s_[:, :, :5], np.s_[:, :, -5:]):
        brightness = shown["images"][strip].mean(axis=2)
        assert brightness[rows < -0.5].min() > horizon.PLAIN + 0.1
        assert brightness[rows > 0.5].max() < horizon.PLAIN - 0.1
        assert np.abs(erased["images"][strip].mean(axis=2) - horizon.PLAIN).max() < 0.1


def test_a_discs_own_row_says_little_about_its_side() -> None:
    scene = load("horizon", images=3000)
    above, below = ((scene["labels"] == side).sum(axis=(0, 2)) for side in (1, 2))
    assert above.sum() / (above + below).sum() == pytest.approx(0.5, abs=0.03)
    assert np.maximum(above, below).sum() / (above + below).sum() < 0.65
    # And some images have discs on both sides, so that one look at the whole image is not enough.
    both = (scene["labels"] == 1).any(axis=(1, 2)) & (scene["labels"] == 2).any(axis=(1, 2))
    assert both.mean() == pytest.approx(0.21, abs=0.03)


def chirality(joints: np.ndarray, side: str, limb: str) -> np.ndarray:
    """Positive where a hand or foot lies to the right of the way from the hip to the head."""
    hip = joints[..., JOINTS.index("hip"), :]
    up = joints[..., JOINTS.index("head"), :] - hip
    out = joints[..., JOINTS.index(f"{side} {limb}"), :] - hip
    return up[..., 1] * out[..., 0] - up[..., 0] * out[..., 1]


@pytest.mark.parametrize("turn", [0, 90, 180])
@pytest.mark.parametrize("people", [1, 2, MOST])
def test_left_and_right_are_told_by_the_head_at_any_turn(turn: float, people: int) -> None:
    joints = load("stick-figures", images=200, turn=turn, people=people)["joints"]
    for limb in ("hand", "foot"):
        assert (chirality(joints, "left", limb) > 0).all()
        assert (chirality(joints, "right", limb) < 0).all()


def test_upright_figures_face_the_viewer_and_turned_ones_look_everywhere() -> None:
    upright = load("stick-figures", images=300, turn=0)["joints"][:, 0]
    head, hip, left, right = (upright[:, JOINTS.index(j)] for j in ("head", "hip", "left hand", "right hand"))
    np.testing.assert_allclose(head[:, 1], hip[:, 1], atol=1e-4)
    assert (head[:, 0] < hip[:, 0] - 10).all()
    assert (left[:, 1] > right[:, 1]).all()
    for turn in (60, 180):
        joints = load("stick-figures", images=1000, turn=turn)["joints"][:, 0]
        up = joints[:, 0] - joints[:, 1]
        angle = np.rad2deg(np.arctan2(up[:, 1], -up[:, 0]))
        assert np.abs(angle).max() <= turn + 1e-3
        assert np.histogram(angle, bins=6, range=(-turn, turn))[0].min() > 110


@pytest.mark.parametrize("people", [1, 3])
def test_joints_lie_on_the_drawn_figure(people: int) -> None:
    scene = load("stick-figures", images=200, people=people)
    image, person, joint = np.nonzero(scene["visible"])
    row, column = np.rint(scene["joints"][image, person, joint]).astype(int).T
    assert scene["images"][image, row, column].min() > GROUND + 0.18
    dark = np.sort(scene["images"].reshape(len(scene["images"]), -1))[:, :500].mean()
    assert dark < GROUND


@pytest.mark.parametrize("people", [1, 2, MOST])
def test_visible_says_which_joints_are_inside(people: int) -> None:
    scene = load("stick-figures", people=people, images=500)
    inside = ((scene["joints"] >= 0) & (scene["joints"] <= 47)).all(axis=-1)
    np.testing.assert_array_equal(scene["visible"], inside)
    assert 0.95 < scene["visible"].mean() <= 1
    assert people == MOST or not scene["visible"].all()
    assert scene["visible"][..., JOINTS.index("hip")].all()
    assert scene["joints"].flags.c_contiguous


def test_people_stand_apart_and_shrink_with_their_number() -> None:
    lengths = []
    for people in (1, 2, 4):
        joints = load("stick-figures", people=people, images=200)["joints"]
        lengths.append(np.linalg.norm(joints[:, :, 0] - joints[:, :, 1], axis=-1).mean())
        hips = joints[:, :, 1]
        apart = np.linalg.norm(hips[:, :, None] - hips[:, None], axis=-1)
        assert (apart[:, ~np.eye(people, dtype=bool)] > 8).all()
    assert lengths[0] / lengths[1] == pytest.approx(np.sqrt(2), rel=0.02)
    assert lengths[0] / lengths[2] == pytest.approx(2, rel=0.02)


def test_the_stray_stroke_belongs_to_nobody() -> None:
    """What is bright away from every limb is one connected stroke, in most images."""
    scene = load("stick-figures", images=100)
    grid = np.moveaxis(np.mgrid[:48, :48], 0, -1)
    strokes = []
    for image, joints in zip(scene["images"], scene["joints"][:, 0], strict=True):
        near = np.linalg.norm(grid[:, :, None] - joints, axis=-1).min(axis=-1) < 12
        pieces, count = ndimage.label((image > 0.4) & ~near)
        strokes.append(max(np.bincount(pieces.ravel())[1:], default=0) if count else 0)
    assert np.mean(np.array(strokes) > 8) > 0.3


@pytest.mark.parametrize(
    ("picture", "least", "most"), [("coins", 0.2, 0.5), ("cells", 0.2, 0.7), ("retina", 0.05, 0.2)]
)
def test_masks_mark_what_the_card_says(picture: str, least: float, most: float) -> None:
    for part in ("train", "test"):
        crops = load("segmentation", picture=picture, images=60, part=part)
        assert least < crops["masks"].mean() < most
        found, rest = crops["images"][crops["masks"]], crops["images"][~crops["masks"]]
        if picture == "coins":
            assert found.mean() > rest.mean() + 0.2
        else:
            assert found.mean() < rest.mean()
    assert "by a procedure" in segmentation.DATA_SETS[0].card.origin


def test_there_are_24_coins() -> None:
    assert ndimage.label(segmentation._whole("coins")[1])[1] == 24


@pytest.mark.parametrize("picture", list(segmentation.FILES))
def test_crops_of_the_parts_lie_on_two_sides(picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops of a picture whose pixels are their own columns and rows say where they were cut."""
    shape = {"coins": (303, 384), "cells": (512, 512), "retina": (705, 705)}[picture]
    for axis in (0, 1):
        place = np.broadcast_to(
            np.arange(shape[axis], dtype=np.float32).reshape((-1, 1) if axis == 0 else (1, -1)), shape
        )
        monkeypatch.setattr(segmentation, "_whole", lambda _, place=place: (place, place > 0))
        train, test = (
            load("segmentation", picture=picture, size=128, images=300, part=part)["images"]
            for part in ("train", "test")
        )
        assert min(train.min(), test.min()) >= (103 if picture == "retina" else 0)
        assert train.max() < (602 if picture == "retina" else shape[axis])
        if axis == 1:
            assert train.max() < test.min()

"""Boards: one plan for all images, defects where the masks say, and nowhere else."""

import numpy as np
import pytest
from workbench_datasets import boards, load

DEFECTS = {name: number for number, name in enumerate(boards.DEFECTS)}


@pytest.mark.parametrize("board", range(6))
def test_a_plan_has_two_parts_of_each_kind_that_do_not_touch(board: int) -> None:
    rows, columns, kinds = np.array(boards.plan(board)).T
    assert sorted(kinds) == sorted([*range(len(boards.KINDS))] * 2)
    apart = np.hypot(rows[:, None] - rows, columns[:, None] - columns)[~np.eye(len(rows), dtype=bool)]
    assert apart.min() > 2 * (boards.RADIUS + boards.SLACK)
    assert min(rows.min(), columns.min()) > boards.REACH
    assert max(rows.max(), columns.max()) < 1 - boards.REACH
    assert boards.plan(board) == boards.plan(board)
    assert boards.plan(board) != boards.plan(board + 1)


@pytest.mark.parametrize("defective", [0, 0.3, 0.75, 1])
def test_masks_and_labels_agree(defective: float) -> None:
    found = load("boards", images=20, defective=defective)
    bad = round(20 * defective)
    assert (found["labels"][: 20 - bad] == 0).all()
    assert np.bincount(found["labels"], minlength=4)[1:].tolist() == [
        len(range(kind, bad, 3)) for kind in range(3)
    ]
    np.testing.assert_array_equal(found["masks"].any(axis=(1, 2)), found["labels"] > 0)


def test_a_board_is_the_same_everywhere_but_for_its_material_and_slack() -> None:
    """Over the middle of a part the mean of many images is far from the material, and hardly varies."""
    images = load("boards", images=200, board=4)["images"]
    spread = images.std(axis=0)
    parts = np.zeros((96, 96), bool)
    for row, column, _ in boards.plan(4):
        parts |= np.hypot(*(np.mgrid[:96, :96] + 0.5 - 96 * np.array([row, column])[:, None, None])) < 9
    assert np.abs(images.mean(axis=0)[~parts] - boards.MEAN).max() < 0.05
    assert np.abs(images.mean(axis=0)[parts] - boards.MEAN).mean() > 0.15
    assert spread[~parts].mean() == pytest.approx(boards.CONTRAST, rel=0.1)


@pytest.mark.parametrize("defect", ["missing", "swapped"])
def test_masks_of_parts_are_discs_about_their_places(defect: str) -> None:
    found = load("boards", images=60, board=2, defective=1, part="test")
    places = 96 * np.array(boards.plan(2))[:, :2]
    masks = found["masks"][found["labels"] == DEFECTS[defect]]
    area = np.pi * (96 * boards.RADIUS) ** 2
    for mask in masks:
        at = np.argwhere(mask) + 0.5
        nearest = np.hypot(*(at[:, None] - places).transpose(2, 0, 1)).argmin(axis=1)
        touched = np.unique(nearest)
        assert len(touched) == {"missing": 1, "swapped": 2}[defect]
        for place in touched:
            np.testing.assert_allclose(at[nearest == place].mean(axis=0), places[place], atol=1.0)
            assert (nearest == place).sum() == pytest.approx(area, rel=0.05)


def test_what_is_missing_is_material_and_what_is_swapped_is_of_another_kind() -> None:
    whole = load("boards", images=300, board=1)["images"].mean(axis=0)
    found = load("boards", images=300, board=1, defective=1)
    for defect, least in (("missing", 0.1), ("swapped", 0.1)):
        rows = found["labels"] == DEFECTS[defect]
        images, masks = found["images"][rows], found["masks"][rows]
        off = np.abs(images - whole)
        assert off[masks].mean() > off[~masks].mean() + least
    rows = found["labels"] == DEFECTS["missing"]
    inside = found["images"][rows][found["masks"][rows]]
    assert inside.mean() == pytest.approx(boards.MEAN, abs=0.02)


def test_scratches_are_thin_and_inside() -> None:
    found = load("boards", images=40, defective=1)
    masks = found["masks"][found["labels"] == DEFECTS["scratched"]]
    assert ((masks.sum(axis=(1, 2)) > 30) & (masks.sum(axis=(1, 2)) < 150)).all()
    signs = [
        np.sign((image - boards.MEAN)[mask].mean())
        for image, mask in zip(found["images"][found["labels"] == DEFECTS["scratched"]], masks, strict=True)
    ]
    assert len(set(signs)) == 2


def test_materials_take_turns_and_parts_share_no_piece() -> None:
    for board in range(3):
        train, test = (
            load("boards", images=2, board=board, part=part)["images"] for part in ("train", "test")
        )
        assert not np.array_equal(train, test)
    assert boards.SPLIT >= 96
    assert 512 - boards.SPLIT >= 128

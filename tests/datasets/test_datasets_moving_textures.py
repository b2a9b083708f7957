"""Moving textures: the flow is exact, and nothing else tells the figure."""

import numpy as np
import pytest
from workbench_datasets import DataError, card, load
from workbench_datasets.moving_textures import APART, RADII, SPEED


@pytest.mark.parametrize("camera", ["still", "moving"])
@pytest.mark.parametrize("size", [32, 64, 65])
def test_every_pixel_is_found_where_the_flow_says(camera: str, size: int) -> None:
    """But where the figure has come to lie over it, or it has left the image."""
    scene = load("moving-textures", size=size, images=12, camera=camera)
    rows, columns = np.mgrid[:size, :size]
    seen = 0
    for now, after, flow, mask in zip(
        *(scene[key] for key in ("images", "next", "flow", "masks")), strict=True
    ):
        to = np.stack([rows, columns]) + flow.astype(int)
        inside = ((to >= 0) & (to < size)).all(0)
        moved = np.zeros_like(mask)  # where the figure is in the next frame
        own = inside & mask
        moved[tuple(to[:, own])] = True
        free = inside & ~mask
        free[free] = ~moved[tuple(to[:, free])]
        for part in (own, free):
            np.testing.assert_array_equal(after[tuple(to[:, part])], now[part])
            seen += part.sum()
    assert seen > 0.7 * 12 * size**2


def test_flow_is_whole_pixels_and_one_for_each_layer() -> None:
    for camera in ("still", "moving"):
        scene = load("moving-textures", images=40, camera=camera)
        for flow, mask in zip(scene["flow"], scene["masks"], strict=True):
            figure, ground = np.unique(flow[:, mask], axis=1), np.unique(flow[:, ~mask], axis=1)
            assert figure.shape == ground.shape == (2, 1)
            assert np.abs(figure - ground).max() >= APART
            assert max(np.abs(figure).max(), np.abs(ground).max()) <= SPEED
            assert (ground == 0).all() or camera == "moving"
            assert (figure == np.round(figure)).all()


def test_a_moving_camera_moves_ground_and_figure_by_one_law() -> None:
    scene = load("moving-textures", size=32, images=1500, camera="moving")
    mask = scene["masks"][:, None]
    shifts = [(np.where(kind, scene["flow"], 0).sum((2, 3)) / kind.sum((2, 3))) for kind in (mask, ~mask)]
    for one in shifts:
        assert np.abs(one.mean(0)).max() < 0.35
        assert one.std(0) == pytest.approx(np.sqrt(80 / 12), abs=0.2)
    assert np.abs(shifts[0]).sum() == pytest.approx(np.abs(shifts[1]).sum(), rel=0.05)


def test_figures_have_the_declared_sizes_and_lie_inside() -> None:
    scene = load("moving-textures", images=300)
    share = scene["masks"].mean((1, 2))
    assert share.min() > np.pi * RADII[0] ** 2 * 0.9
    assert share.max() < np.pi * (1.36 * RADII[1]) ** 2
    edge = scene["masks"].copy()
    edge[:, 1:-1, 1:-1] = False
    assert edge.mean() < 0.002


def test_shuffling_moves_the_flow_alone() -> None:
    own, other = (load("moving-textures", images=9, shuffled=shuffled) for shuffled in (False, True))
    for key in ("images", "next", "masks"):
        np.testing.assert_array_equal(own[key], other[key])
    np.testing.assert_array_equal(np.roll(own["flow"], 1, 0), other["flow"])
    assert (own["flow"] != other["flow"]).any((1, 2, 3)).all()


def test_brightness_tells_nothing() -> None:
    scene = load("moving-textures", images=400)
    figure, ground = scene["images"][scene["masks"]], scene["images"][~scene["masks"]]
    assert figure.mean() == pytest.approx(ground.mean(), abs=0.02)
    assert figure.std() == pytest.approx(ground.std(), abs=0.02)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 16}, "size must be"),
        ({"size": 400}, "size must be"),
        ({"camera": "hand-held"}, "camera must be"),
        ({"shuffled": 1}, "shuffled must be"),
        ({"shuffled": True, "images": 1}, "at least 2 images"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        load("moving-textures", **{"images": 2, **options})


def test_the_card_names_its_options() -> None:
    assert set(card("moving-textures").options) == {"size", "images", "camera", "shuffled", "part", "seed"}

"""The laws of the one way in which pictures become arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import resize_local_mean
from workbench_datasets import DataError
from workbench_datasets.images import LUMINANCE, area_mean, coverage, fit, to_gray, wanted, window

sides = st.integers(1, 40)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@st.composite
def shrinkings(draw: st.DrawFn) -> tuple[int, int, int, int]:
    height, width = draw(sides), draw(sides)
    return height, width, draw(st.integers(1, height)), draw(st.integers(1, width))


@given(shrinkings(), st.floats(0, 1, width=32))
def test_a_constant_stays_constant(case: tuple[int, int, int, int], value: float) -> None:
    height, width, *size = case
    flat = np.full((height, width, 3), value, np.float32)
    shrunk = fit(flat, (size[0], size[1]))
    assert shrunk.shape == (*size, 3)
    assert np.all(shrunk == np.float32(value))


@given(shrinkings())
def test_the_mean_of_the_window_is_kept_and_the_range_is_not_left(case: tuple[int, int, int, int]) -> None:
    height, width, *size = case
    image = noise(height, width)
    rows, columns = window((height, width), (size[0], size[1]))
    shrunk = fit(image, (size[0], size[1]))
    assert shrunk.mean(dtype=np.float64) == pytest.approx(
        image[rows, columns].mean(dtype=np.float64), abs=1e-6
    )
    assert image.min() <= shrunk.min() <= shrunk.max() <= image.max()


@pytest.mark.parametrize(("have", "size"), [((12, 12), (5, 7)), ((9, 30), (9, 10)), ((17, 5), (1, 1))])
def test_area_mean_equals_a_library(have: tuple[int, int], size: tuple[int, int]) -> None:
    image = noise(*have, 3)
    expected = resize_local_mean(image.astype(np.float64), size, grid_mode=True, preserve_range=True)
    np.testing.assert_allclose(area_mean(image, size), expected, atol=1e-6)


def test_a_whole_factor_is_the_mean_of_blocks() -> None:
    image = noise(8, 12)
    blocks = image.reshape(4, 2, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(fit(image[:, :], (4, 4)), fit(image, 4), atol=0)
    np.testing.assert_allclose(area_mean(image, (4, 4)), blocks, atol=1e-6)


@given(sides, sides)
def test_coverage_spends_every_pixel_evenly(have: int, want: int) -> None:
    share = coverage(have, want)
    assert share.shape == (want, have)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    np.testing.assert_allclose(share.sum(axis=0), want / have)


def test_the_stored_size_is_an_identity_and_a_copy() -> None:
    image = noise(6, 7, 3)
    for same in (fit(image, None), fit(image, (6, 7))):
        np.testing.assert_array_equal(same, image)
        assert not np.shares_memory(same, image)


def test_the_crop_is_the_largest_centred_window_of_the_aspect() -> None:
    assert window((100, 60), (10, 10)) == (slice(20, 80), slice(0, 60))
    assert window((100, 60), (5, 10)) == (slice(35, 65), slice(0, 60))
    assert window((60, 101), (6, 6)) == (slice(0, 60), slice(20, 80))


def test_fine_stripes_become_grey_instead_of_a_pattern() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), (64, 32))
    np.testing.assert_allclose(fit(stripes, 16), 0.5)


def test_grey_is_bt709_luminance() -> None:
    red, green, blue = np.eye(3, dtype=np.float32).reshape(3, 1, 1, 3)
    assert [to_gray(colour).item() for colour in (red, green, blue)] == pytest.approx(
        [0.2126, 0.7152, 0.0722]
    )
    assert sum(LUMINANCE) == pytest.approx(1, abs=1e-15)
    assert to_gray(np.ones((2, 2, 3), np.float32)).max() <= 1
    assert to_gray(noise(5, 4, 3)).dtype == np.float32


def test_grey_of_grey_is_a_copy() -> None:
    image = noise(4, 4)
    np.testing.assert_array_equal(to_gray(image), image)
    assert not np.shares_memory(to_gray(image), image)


@pytest.mark.parametrize("size", [0, -3, 2.5, "64", True, (3,), (1, 2, 3), (4, 0), [4, True]])
def test_a_size_that_is_none(size: object) -> None:
    with pytest.raises(DataError, match="whole number of pixels"):
        wanted(size)


def test_numpy_integers_are_sizes() -> None:
    assert wanted(np.int64(5)) == (5, 5)
    assert wanted([np.int32(5), 6]) == (5, 6)


def test_pictures_are_never_enlarged() -> None:
    with pytest.raises(DataError, match="this one has 4 x 9 pixels, but size 5 x 5 came"):
        fit(noise(4, 9), 5)

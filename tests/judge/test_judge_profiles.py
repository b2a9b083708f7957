"""The strategies reach the inputs that find mistakes, and draw the same ones each time."""

import warnings

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.judge.profiles import LAYOUTS, PROFILES, arrays, lay_out, sample, shapes


def test_samples_repeat_and_never_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (sample(arrays(shapes(2)), 40) for _ in range(2))
    assert len(first) == 40
    assert all(np.array_equal(a, b) and a.strides == b.strides for a, b in zip(first, second, strict=True))
    assert sample(arrays(shapes(2)), 5, start=1)[1:] is not first


def test_forty_samples_reach_size_one_odd_shapes_layouts_and_values():
    drawn = sample(arrays(shapes(2)), 40)
    assert any(a.shape == (1, 1) for a in drawn)
    assert any(a.shape[0] != a.shape[1] and a.shape[0] % 2 for a in drawn)
    assert any(not a.flags.c_contiguous and not a.flags.f_contiguous for a in drawn)
    assert any(min(a.strides) < 0 for a in drawn)
    assert any(not a.any() for a in drawn)
    assert any(a.size > 1 and (a < 0).all() for a in drawn)
    assert any(abs(a).max() > 1e5 for a in drawn)
    assert any(0 < abs(a).max() < 1e-4 for a in drawn)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_changes_memory_and_no_value(layout):
    array = np.random.default_rng(0).standard_normal((3, 5))
    laid = lay_out(array, layout)
    assert np.array_equal(laid, array)
    assert (laid.strides == array.strides) == (layout == "rows")


def test_an_unknown_layout_is_one_sentence():
    with pytest.raises(WorkbenchError, match="layout must be one of rows"):
        lay_out(np.ones(1), "diagonal")


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_are_finite_in_float32(profile):
    values = PROFILES[profile](np.random.default_rng(0), (20, 3))
    assert values.shape == (20, 3)
    assert np.isfinite(values.astype(np.float32)).all()

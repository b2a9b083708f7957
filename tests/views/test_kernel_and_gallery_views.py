"""Kernels as maps around zero, and small pictures with titles."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError


def test_kernels_share_one_range_around_zero_and_zeros_are_left_out():
    sparse = np.zeros((5, 5))
    sparse[::2, ::2] = -3.0
    fig = views.kernel_maps({"dense": np.full((3, 3), 2.0), "sparse": sparse})
    assert (fig.layout.coloraxis.cmin, fig.layout.coloraxis.cmax) == (-3, 3)
    assert np.isnan(fig.data[1].z).sum() == 16
    assert "9 weights on 5 by 5, from -3 to 0" in fig.layout.meta["alt"]
    assert views.kernel_maps({"": np.eye(1)}, limit=5).layout.coloraxis.cmax == 5
    assert views.kernel_maps({"nothing": np.zeros((3, 3))}).layout.coloraxis.cmax == 1


@pytest.mark.parametrize("kernels", [{}, {"a": np.ones(3)}, {"a": np.full((1, 1), np.nan)}])
def test_what_is_no_kernel_is_a_sentence(kernels):
    with pytest.raises(WorkbenchError, match=r"expected 1 to 12|must be finite weights"):
        views.kernel_maps(kernels)


def test_a_gallery_names_its_pictures():
    fig = views.gallery(
        {f"disc<br>in {n}": np.full((4, 6), n / 9) for n in range(5)}, columns=3, caption="Five."
    )
    assert len(fig.data) == 5
    assert "5 small pictures: disc in 0" in fig.layout.meta["alt"]
    assert fig.layout.yaxis5.scaleanchor == "x5"
    with pytest.raises(WorkbenchError, match="1 to 16 pictures"):
        views.gallery({}, caption="None.")

"""Slices of a cube and what its axes hold."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError


def test_bars_of_a_product_are_its_factors():
    a, b, c = np.array([1.0, 0.0, 4.0]), np.array([2.0, 1.0]), np.array([1.0, 0.5, 0.25, 0.0, 0.0])
    cube = np.einsum("i,j,k->ijk", a, b, c)
    truth = np.zeros(cube.shape, bool)
    truth[2, 0, 0] = truth[1, 1, 4] = True
    fig = views.product_cube(cube, truth=truth)
    for bars, factor in zip(fig.data[:3], (a, b, c), strict=True):
        np.testing.assert_allclose(bars.y, factor / factor.max())
    sheet, rings = fig.data[3].z, fig.data[4]
    shown = np.array([sheet[int(y)][int(x)] for x, y in zip(rings.x, rings.y, strict=True)])
    np.testing.assert_allclose(sorted(shown), [-30, 0])
    assert np.isfinite(sheet).sum() == cube.size
    assert "2, 2 and 3 places of the axes and 12 entries of 30" in fig.layout.meta["alt"]
    assert "1 of the 2 true entries" in fig.layout.meta["caption"]


def test_slips_are_a_sentence():
    with pytest.raises(WorkbenchError, match="not all zero"):
        views.product_cube(np.zeros((2, 2, 2)))
    with pytest.raises(WorkbenchError, match=r"truth must have shape \(1, 2, 3\)"):
        views.product_cube(np.ones((1, 2, 3)), truth=np.ones((2, 3)))

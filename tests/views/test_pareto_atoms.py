"""A trade along a knob, with the atoms of one place."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError

CURVE = {"ξ = 0.1": (0.34, 0.88), "ξ = 1": (0.28, 0.8), "ξ = 10": (0.22, 0.5)}
ATOMS = np.random.default_rng(0).standard_normal((2, 8, 7))


def test_the_ring_moves_and_the_axes_stay():
    one, other = (
        views.pareto_atoms(CURVE, ATOMS, at=at, rivals={"PCA": (0.21, 0.5)}) for at in CURVE if at != "ξ = 1"
    )
    assert (one.data[1].x, one.data[1].y) == ((0.34,), (0.88,))
    assert other.data[1].x == (0.22,)
    assert one.layout.xaxis.range == other.layout.xaxis.range
    assert one.layout.yaxis.range[0] < 0.5
    assert one.layout.yaxis.range[1] > 0.88
    assert "PCA (0.21, 0.5)" in one.layout.meta["alt"]
    assert "ξ = 10" in other.layout.meta["caption"]


def test_each_atom_is_drawn_to_its_own_largest_entry():
    fig = views.pareto_atoms(CURVE, [1e3 * ATOMS[0], ATOMS[1], 0 * ATOMS[0]], at="ξ = 1")
    maps = [trace for trace in fig.data if trace.type == "heatmap"]
    assert [np.abs(trace.z).max() for trace in maps] == [1, 1, 0]
    np.testing.assert_allclose(maps[0].z, ATOMS[0] / np.abs(ATOMS[0]).max(), atol=0.0051)
    assert {(trace.zmin, trace.zmax) for trace in maps} == {(-1, 1)}


def test_slips_are_a_sentence():
    with pytest.raises(WorkbenchError, match="at must be one of"):
        views.pareto_atoms(CURVE, ATOMS, at="ξ = 2")
    for wrong in (ATOMS[0], np.zeros((7, 2, 2)), np.full((1, 2, 2), np.nan)):
        with pytest.raises(WorkbenchError, match="finite maps"):
            views.pareto_atoms(CURVE, wrong, at="ξ = 1")

"""Weights on a ladder of powers of two: shares add up, and what is no power of two is refused."""

import numpy as np
import pytest

from workbench import views
from workbench.errors import WorkbenchError


def drawn(weights, rounded, **options):
    fig = views.weight_ladder(weights, rounded, **options)
    bars, rungs = fig.data
    return fig, bars, rungs


def test_each_rung_has_its_share_and_bars_have_all_weights():
    weights = np.array([[0.3, -0.3], [0.7, 1.2], [0.01, 0.0]])
    fig, bars, rungs = drawn(weights, [[0.25, -0.25], [0.5, 1], [0.0625, 0]], lowest=-4)
    assert rungs.x.tolist() == [-4, -2, -1, 0]
    assert rungs.y.tolist() == pytest.approx([16.67, 33.33, 16.67, 16.67])
    assert bars.y.sum() == pytest.approx(100 * 5 / 6, abs=0.1)
    assert "33 %, at 2^-2" in fig.layout.meta["alt"]
    assert fig.layout.meta["caption"] == "Rounded weights stand on 4 rungs, from 2^-4 to 2^0."


def test_large_weights_are_drawn_where_they_were():
    _, bars, rungs = drawn([5.0, 0.5], [1.0, 0.5])
    assert bars.x[bars.y.argmax()] < bars.x[np.flatnonzero(bars.y)[-1]] == pytest.approx(2.375, abs=0.13)
    assert rungs.x.tolist() == [-1, 0]


@pytest.mark.parametrize(("weights", "rounded"), [([1.0], [0.3]), ([1.0, 2.0], [1.0]), ([0.0], [0.0])])
def test_what_it_refuses(weights, rounded):
    with pytest.raises(WorkbenchError, match="rounded weights"):
        views.weight_ladder(weights, rounded)

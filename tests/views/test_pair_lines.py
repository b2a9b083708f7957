"""Pairs on the line of exponents: what is inside of float32, and what the text says."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.views import pair_line


def test_points_and_sums_stand_where_their_pairs_are():
    fig = pair_line(([1.0, 0.8, 1.2], [-200, 3, 128]), ([1.0, 1.0], [-200, 128]))
    numbers, sums = fig.data
    assert list(numbers.x) == [-200, 3, 128]
    assert list(numbers.y) == [1.0, 0.8, 1.2]
    assert list(sums.x) == [-200, 128]
    assert "1 of 3 numbers" in fig.layout.meta["caption"]
    assert "1 times 2 to the 128" in fig.layout.meta["alt"]
    band = fig.layout.shapes[0]
    assert (band.x0, band.x1) == (-126, 128)
    assert fig.layout.xaxis.title.text == "exponent n"


def test_the_band_ends_where_float32_does():
    for n, inside in ((-127, False), (-126, True), (127, True), (128, False)):
        with np.errstate(over="ignore"):
            held = np.isfinite(np.float32(2.0) ** np.float32(n)) and n >= -126
        assert held == inside
        assert pair_line(([1.0], [n])).layout.meta["caption"].startswith(f"{int(inside)} of 1")


@pytest.mark.parametrize(
    ("numbers", "sums", "sentence"),
    [
        (
            ([1.0], [1, 2]),
            None,
            r"numbers must be mantissas .points. and as many exponents, but .1,. and .2,.",
        ),
        (([], []), None, r"but .0,. and .0,. came"),
        (([1.0], [1]), ([0.0], [-np.inf]), "sums must be finite pairs"),
    ],
)
def test_a_slip_gets_one_sentence(numbers, sums, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        pair_line(numbers, sums)

"""The lite space: what fits, what divides, and that it is small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.wasm import Tile, lite_space, wide_space

SIZES = st.integers(1, 400)


@given(SIZES, SIZES, SIZES, st.sampled_from([16, 32]))
def test_what_is_kept_fits_and_divides(m, n, k, registers):
    for tile in lite_space(m, n, k, registers=registers, relaxed=(False, True)):
        assert tile.mr * tile.nv + tile.nv + 1 == tile.registers <= registers
        assert (m % tile.mr, n % (4 * tile.nv), k % tile.ku) == (0, 0, 0)


@given(SIZES, SIZES, SIZES)
def test_more_registers_and_edges_only_add(m, n, k):
    few = set(lite_space(m, n, k))
    assert few <= set(lite_space(m, n, k, registers=32))
    assert few <= set(lite_space(m, n, k, edges=True))
    assert Tile() in lite_space(m, n, k, edges=True)


@pytest.mark.parametrize(
    ("m", "n", "k"), [(128, 384, 384), (128, 1536, 384), (128, 384, 1536), (32, 384, 384)]
)
def test_dozens_instead_of_thousands(m, n, k):
    lite, wide = lite_space(m, n, k), wide_space(m)
    assert 24 <= len(lite) <= 96
    assert len(wide) > 1000
    assert len(set(wide)) == len(wide)


def test_one_row_asks_for_one_row():
    assert {tile.mr for tile in lite_space(1, 384, 384)} == {1}


def test_impossible_tiles_and_sizes_are_refused():
    with pytest.raises(WorkbenchError, match="at least one row"):
        Tile(0, 1, 1)
    with pytest.raises(WorkbenchError, match="at least 1"):
        lite_space(0, 4, 4)

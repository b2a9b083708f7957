"""The map of tiles: values at their places, the budget as frames, words that say the fastest."""

import pytest

from workbench.errors import WorkbenchError
from workbench.views import tile_map
from workbench.wasm import Tile

SPEEDS = {Tile(1, 1): 3.0, Tile(1, 4): 20.0, Tile(4, 2): 44.0, Tile(8, 4): 50.0}


def test_every_tile_has_its_place():
    heat = tile_map(SPEEDS).data[0]
    assert (list(heat.y), list(heat.x)) == (["1", "4", "8"], ["1", "2", "4"])
    assert [list(row) for row in heat.z] == [[3.0, None, 20.0], [None, 44.0, None], [None, None, 50.0]]


@pytest.mark.parametrize(("registers", "framed"), [(2, 4), (8, 3), (16, 1), (37, 0)])
def test_frames_are_the_tiles_beyond_the_budget(registers, framed):
    figure = tile_map(SPEEDS, registers=registers)
    assert len(figure.layout.shapes) == framed
    assert f"{framed} tiles need more" in figure.layout.meta["alt"]


def test_the_words_say_the_fastest_within_and_of_all():
    caption = tile_map(SPEEDS).layout.meta["caption"]
    assert "8 × 4 with 50" in caption
    assert "within 16 registers 4 × 2 with 44" in caption
    assert "none fits 2" in tile_map(SPEEDS, registers=2).layout.meta["caption"]


def test_two_speeds_for_one_place_are_refused():
    with pytest.raises(WorkbenchError, match="2 tiles of 1"):
        tile_map({Tile(1, 1): 1.0, Tile(1, 1, 4): 2.0})
    with pytest.raises(WorkbenchError, match="0 tiles"):
        tile_map({})

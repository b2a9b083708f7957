"""The exercises of chapter 15 agree with the instruments, and with each other's other ways."""

import numpy as np
import pytest

from workbench.counting import Geometry, Level, simulate
from workbench.exercises import exercise
from workbench.exercises.roofline import attainable, cache
from workbench.judge.profiles import sample

ROOM = {name: exercise(f"roofline/{name}") for name in ("cache", "attainable")}


@pytest.mark.parametrize("name", list(ROOM))
def test_at_least_four_wrong_answers(name):
    assert len(ROOM[name].wrong_answers) >= 4


@pytest.mark.parametrize(("addresses", "line", "lines"), sample(ROOM["cache"].inputs, 40))
def test_misses_are_those_of_the_simulator_and_grow_as_the_cache_shrinks(addresses, line, lines):
    own = cache.misses(addresses, line, lines)
    level = Level(lines * line, None)
    assert own == simulate(addresses, Geometry([level], line)).cache["L1"].misses.total
    assert own == cache.by_reuse_distance(addresses, line, lines)
    assert own >= cache.misses(addresses, line, lines + 1) >= len(np.unique(addresses // line))


@pytest.mark.parametrize(("flops", "traffic", "peak", "bandwidths"), sample(ROOM["attainable"].inputs, 40))
def test_roofs_are_laws_of_scale(flops, traffic, peak, bandwidths):
    roof = attainable.attainable(flops, traffic, peak, bandwidths)
    assert roof <= peak
    assert roof == pytest.approx(attainable.attainable(7 * flops, 7 * traffic, peak, bandwidths))
    assert 2 * roof == pytest.approx(attainable.attainable(flops, traffic, 2 * peak, 2 * bandwidths))
    assert roof <= attainable.attainable(flops, traffic / 2, peak, bandwidths)

"""Knobs: what may be declared, what is a slip, and which states the grid holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workbench_widgets import linear, linked, logarithmic, play
from workbench_widgets.knobs import Knobs

from workbench.errors import WorkbenchError


def several(kernel_size=7, depth=4, width=0.5, noisy=False, law="Gauss"):
    return kernel_size, depth, width, noisy, law


DECLARED = {
    "kernel_size": [3, 7, 13, 31],
    "depth": range(1, 9),
    "width": linear(0, 1, 5),
    "noisy": bool,
    "law": ["Gauss", "Laplace"],
}


def test_each_declaration_gets_its_kind_and_values():
    knobs = Knobs.of(several, DECLARED)
    assert [knob.kind for knob in knobs.knobs] == ["range", "range", "range", "toggle", "choice"]
    assert knobs.values_at(knobs.start) == dict(kernel_size=7, depth=4, width=0.5, noisy=False, law="Gauss")
    assert len(list(knobs.grid())) == 4 * 8 * 5 * 2 * 2


def test_real_ranges_hit_both_ends_and_their_declared_steps():
    assert linear(0.1, 0.5, 5).values == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert logarithmic(0.01, 100, 5).values == (0.01, 0.1, 1, 10, 100)


@given(st.data())
def test_indexes_and_values_are_each_others_inverse(data):
    knobs = Knobs.of(several, DECLARED)
    indexes = tuple(data.draw(st.integers(0, len(knob.table[0]) - 1)) for knob in knobs.knobs)
    assert knobs.indexes_of(**knobs.values_at(indexes)) == indexes


def test_a_linked_knob_offers_what_its_parent_allows():
    def heads_of(width=8, heads=4):
        return width, heads

    divisors = linked("width", lambda width: [n for n in (1, 2, 4, 8, 16) if width % n == 0])
    knobs = Knobs.of(heads_of, {"width": [4, 8, 16], "heads": divisors})
    states = [tuple(knobs.values_at(indexes).values()) for indexes in knobs.grid()]
    assert len(states) == len(set(states)) == 3 + 4 + 5
    assert all(width % heads == 0 for width, heads in states)
    assert knobs.says(knobs.start) == "width 8, heads 4"


def test_play_keeps_the_knob_and_adds_the_button():
    (knob,) = Knobs.of(lambda depth=1: depth, {"depth": play(range(1, 4))}).knobs
    assert knob.play
    assert knob.table == ((1, 2, 3),)


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({}, "at least one knob"),
        ({"size": [1, 2]}, "no parameter 'size'"),
        ({"depth": [1, 2]}, "the default of depth must be one of its values 1, 2; it is 4"),
        ({"depth": [True, False]}, "the default of depth"),
        ({"depth": []}, "has no values"),
        ({"depth": [4, 4]}, "must differ"),
        ({"depth": 4}, "but int came"),
        ({"depth": [4, None]}, "but NoneType came"),
        ({"depth": linked("width", range)}, "linked to 'width'"),
    ],
)
def test_a_slip_is_one_sentence(declared, sentence):
    with pytest.raises(WorkbenchError, match=sentence) as slip:
        Knobs.of(several, declared)
    assert "\n" not in str(slip.value)


def test_a_parameter_without_default_is_named():
    with pytest.raises(WorkbenchError, match="n has none"):
        Knobs.of(lambda n: n, {"n": [1]})


@pytest.mark.parametrize("ends", [(1, 0, 5), (0, 1, 1), (0, 0, 3)])
def test_real_ranges_need_room(ends):
    with pytest.raises(WorkbenchError, match="low < high"):
        linear(*ends)
    with pytest.raises(WorkbenchError, match="positive low end"):
        logarithmic(0, 1, 3)


def test_states_outside_the_grid_are_named():
    knobs = Knobs.of(several, DECLARED)
    with pytest.raises(WorkbenchError, match="depth must be one of"):
        knobs.indexes_of(depth=99)
    with pytest.raises(WorkbenchError, match="no knob 'deep'"):
        knobs.indexes_of(deep=1)
    with pytest.raises(WorkbenchError, match="kernel_size has 4 values"):
        knobs.values_at((4, 0, 0, 0, 0))

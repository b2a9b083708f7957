"""Interval arithmetic along one axis."""

from fractions import Fraction
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.probes.windows import EVERYTHING, Reach, Staircase, Window, inside

sizes = st.integers(1, 12)
slides = st.builds(
    Window.sliding, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(-2, 4)
)
grows = st.builds(
    Window.transposed, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)
)


def test_a_sliding_window_reads_its_dilated_taps():
    window = Window.sliding(kernel=3, stride=2, dilation=2, before=1)
    np.testing.assert_array_equal(window.read(np.array([0, 5])), [[-1, 1, 3], [9, 11, 13]])


@given(
    kernel=st.integers(1, 5), stride=st.integers(1, 4), dilation=st.integers(1, 3), before=st.integers(0, 3)
)
def test_a_transposed_window_is_the_adjoint_of_a_sliding_one(kernel, stride, dilation, before):
    forward = Window.sliding(kernel, stride, dilation, before).read(np.arange(-20, 20))
    pairs = {(int(i), o) for o, row in zip(range(-20, 20), forward, strict=True) for i in row}
    back = Window.transposed(kernel, stride, dilation, before).read(np.arange(10))
    found = {(i, int(o)) for i, row in enumerate(back) for o in row if not np.isnan(o)}
    assert found == {(i, o) for i, o in pairs if 0 <= i < 10}


@given(inputs=st.integers(1, 30), outputs=st.integers(1, 30))
def test_bins_follow_the_definition_of_adaptive_pooling(inputs, outputs):
    for o, row in enumerate(Window.bins(inputs, outputs).read(np.arange(outputs))):
        taps = row[~np.isnan(row)]
        assert taps[0] == np.floor(o * inputs / outputs)
        assert taps[-1] == np.ceil((o + 1) * inputs / outputs) - 1


@pytest.mark.parametrize(
    ("border", "expected"),
    [
        ("zeros", [np.nan, np.nan, 0, 2, np.nan]),
        ("replicate", [0, 0, 0, 2, 2]),
        ("reflect", [2, 1, 0, 2, 1]),
        ("circular", [1, 2, 0, 2, 0]),
    ],
)
def test_what_indices_outside_stand_for(border, expected):
    np.testing.assert_array_equal(inside(np.array([-2.0, -1, 0, 2, 3]), 3, border), expected)


@given(st.lists(st.one_of(slides, grows), max_size=4))
def test_the_shortest_rule_is_the_same_rule(windows):
    rule = Reach.pixels(1).rule
    for window in windows:
        read = window.read(np.arange(len(window.taps) * len(rule.lo)))
        lo, hi = rule.at(read)
        long = Staircase(lo.min(axis=1), hi.max(axis=1), rule.rise * window.rise)
        assert long.jump == rule.jump * window.rise / len(window.taps)
        rule = rule.through(window)
        index = np.arange(-5.0, 20)
        for short_side, long_side in zip(rule.at(index), long.at(index), strict=True):
            np.testing.assert_array_equal(short_side, long_side)


@settings(deadline=None)
@given(st.lists(slides, min_size=1, max_size=4), st.integers(8, 20))
def test_far_from_the_border_clipped_is_unclipped(windows, outputs):
    lengths = [outputs]
    for window in reversed(windows):
        lengths.insert(0, int(window.read(np.array([lengths[0] - 1])).max()) + 1)
    if lengths[0] < 1:
        return
    reach = Reach.pixels(lengths[0])
    for window, length in zip(windows, lengths[1:], strict=True):
        reach = reach.through(window, max(length, 1))
    lo, hi = reach.rule.at(np.arange(float(len(reach))))
    seen = reach.first <= reach.last
    assert (reach.first >= np.maximum(lo, 0))[seen].all()
    assert (reach.last <= np.minimum(hi, lengths[0] - 1))[seen].all()


def test_paths_that_disagree_say_so():
    pixels = Reach.pixels(8)
    shifted, problem = pixels.joined(pixels.through(Window.sliding(2), 8))
    assert "0.5 pixels apart" in problem
    assert shifted.rule.size == 2
    both, problem = pixels.joined(pixels.through(Window.sliding(1, 2), 8))
    assert "jumps 1 and 2 differ" in problem
    assert both.rule is None


def test_everything_swallows_and_nothing_adds_nothing():
    pixels = Reach.pixels(5)
    everything = pixels.mixed(5)
    union, problem = pixels.joined(everything)
    assert problem is None
    assert union.rule is EVERYTHING
    assert (union.first == 0).all()
    assert (union.last == 4).all()
    holes = pixels.through(Window.transposed(1, 2), 9)
    assert holes.first[1] == inf
    assert holes.rule.jump == Fraction(1, 2)
    assert holes.rule.start == 0

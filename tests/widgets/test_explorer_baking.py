"""Baked frames are the live ones within the declared digits, they are small, and what is too big says so."""

import json
import random

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workbench_widgets import Picture, bake, explore, linear, linked, unbake
from workbench_widgets import baking as baking_module
from workbench_widgets.frames import frame_of, plain

from workbench.errors import WorkbenchError


@explore(width=linear(0.1, 2, 6), count=range(4), title="waves", digits=3)
def waves(width=0.48, count=2):
    x = np.linspace(0, 7, 50)
    figure = go.Figure(layout={"title": f"{count} waves"} if count else {})
    for i in range(count):  # the number of traces depends on a knob
        figure.add_scatter(x=x, y=np.sin(x / width + i) * 10.0**i)
    figure.layout.meta = {"alt": f"{count} waves of width {width}", "caption": "Wider waves are slower."}
    return figure


@explore(side=range(1, 5))
def pictures(side=2):
    pixels = np.linspace(0, 1, 12 * 9).reshape(12, 9) ** side
    return [pixels, Picture(np.stack([pixels] * 3, -1), alt="in colour", caption="Darker.")]


def numbers(tree):
    if isinstance(tree, dict):
        return [n for key in sorted(tree) for n in numbers(tree[key])]
    if isinstance(tree, list):
        return [n for item in tree for n in numbers(item)]
    return [tree] if isinstance(tree, int | float) and not isinstance(tree, bool) else []


@pytest.mark.parametrize("explorer", [waves, pictures])
def test_first_last_and_random_frames_equal_live_ones_within_the_digits(explorer):
    baked = bake(explorer)
    grid = list(explorer.knobs.grid())
    for indexes in [explorer.knobs.start, grid[0], grid[-1], *random.Random(0).sample(grid, 3)]:
        frame = unbake(baked["frame"], baked["baked"]["data"], indexes)
        exact = plain(frame_of(explorer(**explorer.knobs.values_at(indexes))), 15)
        assert frame == plain(exact, explorer.digits)
        np.testing.assert_allclose(numbers(frame), numbers(exact), rtol=0.5 * 10 ** (1 - explorer.digits))


def test_every_state_of_linked_knobs_is_there():
    @explore(width=[4, 8], heads=linked("width", lambda width: [1, 2, 4] if width == 4 else [1, 8]))
    def attention(width=8, heads=8):
        return go.Figure(layout={"meta": {"alt": f"{width}/{heads}"}})

    baked = bake(attention)
    alts = [unbake(baked["frame"], baked["baked"]["data"], at)[0]["alt"] for at in attention.knobs.grid()]
    assert alts == ["4/1", "4/2", "4/4", "8/1", "8/8"]


def test_what_frames_share_is_stored_once():
    def constant(many):
        @explore(n=range(many), limit_kb=3000)
        def ramp(n=0):
            return go.Figure(go.Scatter(y=np.random.default_rng(n % 2).normal(size=2000)))

        return bake(ramp)["baked"]["bytes"]

    assert constant(40) < 1.2 * constant(2)


def test_what_is_too_big_says_how_to_shrink_it():
    @explore(seed=range(8), limit_kb=20)
    def noise(seed=0):
        return go.Figure(go.Scatter(y=np.random.default_rng(seed).normal(size=3000)))

    with pytest.raises(
        WorkbenchError, match=r"noise takes \d+ kB baked, more than 20: give seed fewer than its 8"
    ):
        bake(noise)


def test_frames_must_hold_the_same_kinds():
    @explore(n=range(2))
    def moody(n=0):
        return go.Figure() if n else np.zeros((2, 2))

    with pytest.raises(WorkbenchError, match="same kinds of figures"):
        bake(moody)


def test_processes_compute_the_same(monkeypatch):
    here = bake(waves)
    monkeypatch.setattr(baking_module, "WORTH_PROCESSES", -1.0)
    waves._cached.cache_clear()
    assert bake(waves)["baked"]["data"] == here["baked"]["data"]


def test_frames_are_computed_on_one_thread_and_the_others_come_back():
    torch = pytest.importorskip("torch")
    before, seen = torch.get_num_threads(), []

    @explore(n=[1, 2, 3])
    def counted(n=1):
        seen.append(torch.get_num_threads())
        return np.full((2, 2), n / 4)

    torch.set_num_threads(2)
    try:
        bake(counted)
        assert seen == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 8))
def test_rounding_keeps_significant_digits_and_whole_numbers(x, digits):
    near = plain(x, digits)
    assert near == x if x.is_integer() else abs(near - x) <= 0.51 * 10 ** (1 - digits) * abs(x) + 5e-324
    json.dumps(near, allow_nan=False)


def test_gaps_become_null_and_typed_arrays_keep_their_shape():
    z = np.array([[1.0, np.nan, 2.5], [np.inf, 4.0, 5.0]])
    (part,) = plain(frame_of(go.Figure(go.Heatmap(z=z))), 4)
    assert part["data"][0]["z"] == [[1, None, 2.5], [None, 4, 5]]


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        (3, "but int came"),
        ([], "nothing came"),
        (np.zeros((2, 2, 2)), r"\[2, 2, 2\] came"),
        (np.array([[np.nan]]), "NaN"),
    ],
)
def test_what_cannot_be_drawn_is_named(shown, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        frame_of(shown)

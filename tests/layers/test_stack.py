"""Plain stacks: reach, spread, weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.layers import (
    ConvStack,
    DepthwiseBlock,
    conv_stack,
    depth_for_reach,
    depth_for_spread,
    profile,
    reach,
    spread,
)

odd = st.integers(0, 15).map(lambda n: 2 * n + 1)


@given(kernel=odd.filter(lambda k: k > 1), depth=st.integers(0, 40))
def test_reach_and_its_inverse(kernel, depth):
    assert depth_for_reach(kernel, reach(kernel, depth)) == depth


@pytest.mark.parametrize(
    ("kernel", "wanted", "sentence"),
    [
        (13, 30, "nearest see 25 and 37"),
        (1, 5, "see one pixel"),
        (3, 0, "nearest see 1 and 3"),
        (4, 7, "odd"),
    ],
)
def test_no_stack_has_that_reach(kernel, wanted, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        depth_for_reach(kernel, wanted)


@given(kernel=odd, depth=st.integers(0, 30))
def test_variances_add(kernel, depth):
    assert spread(kernel, depth) ** 2 == pytest.approx(depth * (kernel**2 - 1) / 12, abs=1e-9)
    assert len(profile(kernel, depth)) == reach(kernel, depth)
    assert profile(kernel, depth, "random").sum() == pytest.approx(1)


@given(kernel=odd.filter(lambda k: k > 1), depth=st.integers(1, 20))
def test_random_weights_spread_further_but_at_most_by_root_two(kernel, depth):
    ratio = spread(kernel, depth, "random") / spread(kernel, depth)
    assert 1 - 1e-9 <= ratio <= np.sqrt(2)


def test_equal_spread_takes_many_small_layers():
    assert depth_for_spread(3, like=(13, 3)) == 63
    assert spread(3, 63) == pytest.approx(spread(13, 3))
    with pytest.raises(WorkbenchError, match="do not spread"):
        depth_for_spread(1, like=(13, 3))


def test_a_stack_keeps_the_size_and_ends_without_relu():
    stack = conv_stack(5, 3, channels=4, inputs=2)
    out = stack(torch.randn(1, 2, 7, 9))
    assert out.shape == (1, 4, 7, 9)
    assert (out < 0).any()
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in stack) == 2
    assert not any(isinstance(layer, torch.nn.ReLU) for layer in conv_stack(3, 3, linear=True))


def test_seeds_decide_the_weights_and_nothing_else_moves():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    a, b, c = (conv_stack(3, 2, seed=seed)[0].weight for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), before)


def test_he_weights_keep_the_signal_and_uniform_ones_average():
    signal = torch.randn(4, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    out = conv_stack(3, 10, channels=32, inputs=16)(signal)
    assert 0.3 < (out**2).mean().item() < 6
    ones = conv_stack(3, 4, channels=2, inputs=1, linear=True, weights="uniform")(torch.ones(1, 1, 11, 11))
    assert ones[0, 0, 5, 5].item() == pytest.approx(1)


@pytest.mark.parametrize("settings", [{"depth": 0}, {"channels": 0}, {"kernel": 2}, {"weights": "ones"}])
def test_bad_settings_are_a_sentence(settings):
    with pytest.raises(WorkbenchError):
        ConvStack(**{"kernel": 3, "depth": 1} | settings)


@pytest.mark.parametrize("channels", [1, 5])
def test_depthwise_block(channels):
    block = DepthwiseBlock(channels, 7).eval()
    x = torch.randn(2, channels, 5, 9)
    assert block(x).shape == x.shape
    plain = DepthwiseBlock(channels, 7, shortcut=False).eval()
    plain.load_state_dict(block.state_dict())
    torch.testing.assert_close(block(x), x + plain(x))
    assert block.spatial[0].weight.shape == (channels, 1, 7, 7)

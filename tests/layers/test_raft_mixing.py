"""Rafts against loops over channels, columns and rows, and against one matrix over all numbers."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import RaftMixing, from_rafts, to_rafts
from workbench.layers.token_visibility import visible


@pytest.mark.parametrize(("raft", "places", "height", "width"), [(2, 3, 4, 5), (1, 4, 2, 2), (3, 1, 1, 6)])
def test_rafts_are_cut_as_said(raft, places, height, width):
    x = torch.randn(2, raft * places, width, height).mT  # not contiguous
    columns, rows = (to_rafts(x, raft, axis) for axis in ("columns", "rows"))
    for place in range(places):
        members = range(place, raft * places, places)
        for w in range(width):
            assert torch.equal(columns[:, place, w], torch.cat([x[:, c, :, w] for c in members], 1))
        for h in range(height):
            assert torch.equal(rows[:, place, h], torch.cat([x[:, c, h] for c in members], 1))
    for axis, lines in (("columns", columns), ("rows", rows)):
        assert torch.equal(from_rafts(lines, raft, axis), x)


def linear(layer):
    """The layer without norms and GELU: a linear function of all its numbers."""
    for part in (layer.vertical, layer.horizontal):
        part.norm = nn.Identity()
        part.mix[1] = nn.Identity()
        for dense in (part.mix[0], part.mix[2]):
            dense.bias.data.zero_()
    return layer.double()


def test_without_norms_it_is_a_product_of_kronecker_products():
    """Probed by unit vectors: (I + V) along columns, then (I + H) along rows, for rafts of one channel."""
    torch.manual_seed(0)
    layer = linear(RaftMixing(2, (3, 4), raft=1))
    unit = torch.eye(24, dtype=torch.double).view(24, 2, 3, 4)
    with torch.no_grad():
        dense = layer(unit).flatten(1).T  # column j: what unit vector j becomes
        V, H = (
            torch.eye(n, dtype=torch.double) + part.mix[2].weight @ part.mix[0].weight
            for n, part in ((3, layer.vertical), (4, layer.horizontal))
        )
    expected = torch.kron(torch.eye(2, dtype=torch.double), torch.kron(V, H))
    torch.testing.assert_close(dense, expected)


def test_rafts_tie_their_channels_and_no_others():
    torch.manual_seed(0)
    layer = linear(RaftMixing(4, 2, raft=2))
    x = torch.randn(1, 4, 2, 2, dtype=torch.double)
    jacobian = torch.autograd.functional.jacobian(layer, x)[0, :, :, :, 0].abs()
    tied = jacobian.sum((1, 2, 4, 5)) > 0
    assert tied.int().tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert (jacobian.sum((0, 3)) > 0).all()  # every token depends on every token
    assert layer.visible(2, 2).all()
    assert visible(layer, 2, 2).shape == (4, 4)


def test_the_norm_is_over_all_channels():
    """Moving a token's channels together, in all rafts, changes only the shortcut."""
    layer = RaftMixing(6, (3, 5)).double().vertical
    x = torch.randn(2, 6, 3, 5, dtype=torch.double)
    torch.testing.assert_close(layer(x + 2) - layer(x), torch.full_like(x, 2))


def test_parameters_do_not_grow_with_channels():
    def count(channels, raft):
        layer = RaftMixing(channels, 8, raft=raft)
        return sum(p.numel() for p in layer.parameters()) - 2 * 2 * channels  # but for the norms

    assert count(4, 2) == count(64, 2) == 2 * (2 * 16 * 32 + 32 + 16)
    assert count(4, 1) == 2 * (2 * 8 * 16 + 16 + 8)


def test_dropping_happens_in_training_alone():
    layer = RaftMixing(4, 2, drop=0.999)
    x = torch.randn(8, 4, 2, 2)
    torch.manual_seed(0)
    assert torch.equal(layer(x), x)
    assert not torch.allclose(layer.eval()(x), x)


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(WorkbenchError, match="made for maps of 4 x 6 tokens, but 6 x 4 came"):
        RaftMixing(4, (4, 6))(torch.zeros(1, 4, 6, 4))
    with pytest.raises(WorkbenchError, match="made for maps"):
        RaftMixing(4, 3).visible(3, 4)
    with pytest.raises(WorkbenchError, match="raft of 3 and 4 channels"):
        RaftMixing(4, 2, raft=3)
    with pytest.raises(WorkbenchError, match="at least 1"):
        RaftMixing(4, 0)

"""Rows with targets: bumps, divergences and the game of gradients against independent truths."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy as kullback
from scipy.stats import multivariate_normal
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers.intra_inter_correlation import (
    FLOOR,
    Correlation,
    GuidedAttention,
    IntraInterCorrelation,
    divergences,
    entropy,
    gaussian_rows,
    opposed,
    spreads,
    symmetric_divergence,
)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (4, 3), (6, 6)])
def test_bumps_are_scipys_gaussians(height, width):
    sigma = torch.rand(2, height * width, 2, dtype=torch.double) + 0.3
    rows = gaussian_rows(sigma, height, width)
    places = np.argwhere(np.ones((height, width)))
    for head in range(2):
        for token, place in enumerate(places):
            wide = np.diag(sigma[head, token].numpy() ** 2)
            density = np.atleast_1d(multivariate_normal(place, wide).pdf(places))
            np.testing.assert_allclose(rows[head, token], density / density.sum(), atol=1e-12)


def test_the_narrowest_bump_is_one_token_and_has_no_nan():
    sigma = spreads(torch.full((9, 2), -50.0)).requires_grad_()
    rows = gaussian_rows(sigma, 3, 3)
    torch.testing.assert_close(rows, torch.eye(9))
    rows.square().sum().backward()
    assert torch.isfinite(sigma.grad).all()


def test_spreads_lie_between_0_and_2():
    raw = torch.linspace(-20, 20, 101, dtype=torch.double)
    sigma = spreads(raw)
    assert ((sigma > 0) & (sigma < 2.0001)).all()
    assert (sigma.diff() >= 0).all()
    assert spreads(torch.zeros(1)).item() == pytest.approx(3**0.50001 - 1)


def test_the_divergence_of_three_tokens_in_closed_form():
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    shift = [
        np.log(p_i + FLOOR) - np.log(q_i + FLOOR) for p_i, q_i in zip(p.tolist(), q.tolist(), strict=True)
    ]
    expected = 0.3 * shift[0] + 0.1 * shift[1] - 0.4 * shift[2]
    assert symmetric_divergence(p, q).item() == pytest.approx(float(expected), rel=1e-5)
    both = kullback(p, q) + kullback(q, p)
    assert symmetric_divergence(p, q).item() == pytest.approx(both, rel=2e-3)
    assert symmetric_divergence(p, p).item() == 0
    assert entropy(torch.full((8,), 1 / 8)).item() == pytest.approx(np.log(8), rel=1e-3)


def two_losses(own, own_target, other, other_target):
    """The readable twin: two losses, one side of each divergence held still."""

    def mean(p, q):
        return symmetric_divergence(p, q).mean()

    of_targets = mean(own.detach(), own_target) - mean(other.detach(), other_target)
    of_rows = mean(other, other_target.detach()) - mean(own, own_target.detach())
    return of_targets + of_rows


def test_turned_gradients_are_those_of_two_losses_with_stop_gradients():
    rows = torch.softmax(torch.randn(4, 2, 3, 6, 6, dtype=torch.double), -1)
    found = []
    for way in (False, True):
        sides = [side.clone().requires_grad_() for side in rows]
        if way:
            tells = divergences(Correlation(*sides[:2]), Correlation(*sides[2:]), 2, 3)
            loss = tells.intra.mean() + tells.inter.mean()
        else:
            loss = two_losses(*sides)
        loss.backward()
        found.append([side.grad for side in sides])
    torch.testing.assert_close(*found)
    assert all(grad.abs().max() > 1e-4 for grad in found[0])


@pytest.mark.parametrize("seed", range(20))
def test_each_player_pulls_its_own_way(seed):
    """A small step of one side alone moves the divergences in the direction that the game says.

    The step is one of logits, so that rows stay rows: a step of the rows themselves can leave them negative.
    """
    draws = torch.Generator().manual_seed(seed)
    logits = [x.requires_grad_() for x in torch.randn(4, 1, 2, 6, 6, dtype=torch.double, generator=draws)]

    def told(sides):
        rows = [torch.softmax(side, -1) for side in sides]
        return divergences(Correlation(*rows[:2]), Correlation(*rows[2:]), 2, 3)

    tells = told(logits)
    (tells.intra.mean() + tells.inter.mean()).backward()
    for number, grows in enumerate((True, False, False, True)):
        moved = [side.detach() for side in logits]
        moved[number] = moved[number] - 1e-3 * logits[number].grad
        which = number // 2
        assert bool(told(moved)[which].mean() > tells[which].mean()) is grows


def test_opposed_is_the_identity_with_the_gradient_turned():
    x = torch.randn(5, requires_grad=True)
    y = opposed(x)
    torch.testing.assert_close(y, x)
    (3 * y).sum().backward()
    torch.testing.assert_close(x.grad, torch.full((5,), -3.0))


def test_attention_is_that_of_torch():
    part = GuidedAttention(12, 3).double()
    peer = nn.MultiheadAttention(12, 3, batch_first=True).double()
    key, value = part.offer.weight.chunk(2)
    peer.in_proj_weight.data = torch.cat([part.ask.weight, key, value])
    peer.in_proj_bias.data = torch.cat([part.ask.bias, part.offer.bias])
    peer.out_proj.weight.data, peer.out_proj.bias.data = part.answer.weight.data, part.answer.bias.data
    x, source = torch.randn(2, 2, 12, 3, 5, dtype=torch.double)
    out, correlation = part(x, source)
    tokens = [map_.flatten(2).mT for map_ in (x, source, source)]
    expected, weights = peer(*tokens, average_attn_weights=False)
    torch.testing.assert_close(out.flatten(2).mT, expected)
    torch.testing.assert_close(correlation.found, weights)
    torch.testing.assert_close(correlation.target.sum(-1), torch.ones(2, 3, 15, dtype=torch.double))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3)])
def test_the_difference_drops_the_token_itself(shape):
    """(x + a) - (x + b): with both attentions answering nothing the next map does not know x."""
    layer = IntraInterCorrelation(8, 2)
    for part in (layer.within, layer.across):
        nn.init.zeros_(part.answer.weight)
        nn.init.zeros_(part.answer.bias)
    x, y, reference = torch.randn(3, 2, 8, *shape).transpose(-1, -2).contiguous().transpose(-1, -2)
    torch.testing.assert_close(layer(x, reference)[0], layer(y, reference)[0])
    plain = IntraInterCorrelation(8, 2, difference=False)
    out, intra, inter = plain(x, reference)
    assert inter is None
    assert intra.found.shape == (2, 2, shape[0] * shape[1], shape[0] * shape[1])
    assert not torch.equal(out, plain(y, reference)[0])
    torch.testing.assert_close(out, plain(x, torch.zeros_like(reference))[0])


def test_the_order_of_tokens_does_not_matter_to_the_mixing():
    layer = IntraInterCorrelation(8, 2).eval()
    x, reference = torch.randn(2, 1, 8, 3, 4)
    order = torch.randperm(12)

    def mixed(map_):
        return map_.flatten(2)[:, :, order].view_as(map_)

    torch.testing.assert_close(layer(mixed(x), reference)[0], mixed(layer(x, reference)[0]))
    torch.testing.assert_close(layer(x, mixed(reference))[0], layer(x, reference)[0])


def test_every_token_sees_every_token():
    assert IntraInterCorrelation(4, 1).visible(2, 3).all()


@pytest.mark.parametrize("heads", [0, 3])
def test_heads_that_do_not_divide_are_a_sentence(heads):
    with pytest.raises(WorkbenchError, match="heads must divide"):
        IntraInterCorrelation(8, heads)


def test_shapes_that_differ_are_a_sentence():
    with pytest.raises(WorkbenchError, match="one shape"):
        GuidedAttention(4, 1)(torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 3, 2))

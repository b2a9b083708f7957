"""Context sharing and gathering-scattering against attention with masks, loops, and what must not change."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import ContextSharing, GatheringScattering, PostNormFeedForward
from workbench.layers.gathering_scattering import gather, scatter
from workbench.probes import attention


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def awake(part: ContextSharing) -> ContextSharing:
    """What starts with 0 would hide what lies before it."""
    nn.init.normal_(part.mlp[-1].weight)
    return part.double()


def test_context_sharing_is_attention_with_a_constant_query():
    part = awake(ContextSharing(6))
    x = noise(2, 6, 3, 5)
    tokens = x.flatten(2).mT
    queries = part.ask.weight.flatten()[None, None].expand(2, 15, 6)  # every token asks the same
    context = F.scaled_dot_product_attention(queries, tokens, tokens, scale=1.0)
    expected = x + part.mlp(context.mT.unflatten(2, (3, 5)))
    torch.testing.assert_close(part(x), expected)


def test_context_sharing_adds_one_vector_everywhere_and_nothing_at_first():
    x = noise(2, 4, 3, 3)
    part = ContextSharing(4, ratio=3).double()
    torch.testing.assert_close(part(x), x, rtol=0, atol=0)
    added = awake(part)(x) - x
    torch.testing.assert_close(added, added[..., :1, :1].expand_as(added))
    assert part.mlp[0].out_channels == 12
    assert part.row(x).sum((2, 3)).flatten().tolist() == pytest.approx([1, 1])


def test_the_probe_is_told_the_one_row():
    part = awake(ContextSharing(4))
    x = noise(2, 4, 2, 3)
    map = attention(part, x)[0].probabilities()
    assert map.shape == (2, 1, 6, 6)
    torch.testing.assert_close(map, part.row(x).flatten(2)[:, :, None].expand_as(map))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2)])
def test_odd_maps_and_strides(shape):
    x = noise(2, 5, 4, *shape)[:, ::2, :].transpose(1, 2)[:, :, :, :]  # [2, 4, 3, *shape] not contiguous
    x = x[:, :, 0]
    for part in (awake(ContextSharing(4)), GatheringScattering(4, 3, heads=2).double()):
        torch.testing.assert_close(part(x), part(x.contiguous()))
        assert part(x).shape == x.shape
        assert part.visible(*shape).all()
        assert part.visible(*shape).shape == 2 * (shape[0] * shape[1],)


def by_mask(part: GatheringScattering, x: torch.Tensor) -> torch.Tensor:
    """Dense: all tokens look at all merged tokens of both kinds, those of the other kind are masked out.

    Image by image; the feed-forward layer runs along each kind's own line.
    """
    images = []
    for one in x:
        heat = torch.sigmoid(part.heat(one[None]))
        member = (heat >= 0.5).flatten()
        if member.all() or not member.any():
            images.append(one)
            continue
        tokens, out = one.flatten(1).T, one.flatten(1).T.clone()
        for side, kind in ((part.figure, member), (part.ground, ~member)):
            keys = []
            for other, weight in ((part.figure, heat), (part.ground, 1 - heat)):
                weighted = (one[None] * weight).flatten(2)[0]  # [channels, tokens]
                rule = other.merge.weight.flatten(1) @ weighted + other.merge.bias[:, None]
                keys.append(rule @ weighted.T)
            mine = torch.cat(
                [
                    torch.full((len(k),), other is side)
                    for k, other in zip(keys, (part.figure, part.ground), strict=True)
                ]
            )
            q = side.ask(tokens).unflatten(1, (side.heads, -1)).transpose(0, 1)
            k, v = side.look(torch.cat(keys)).unflatten(1, (2, side.heads, -1)).permute(1, 2, 0, 3)
            scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mine, -torch.inf)
            mixed = (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)
            line = side.norm(tokens + side.answer(mixed))[kind]
            out[kind] = side.feed_forward(line.T[None, :, :, None])[0, :, :, 0].T
        images.append(out.T.unflatten(1, one.shape[1:]))
    return torch.stack(images)


@pytest.mark.parametrize("seed", range(4))
def test_gathering_is_attention_under_a_mask(seed):
    torch.manual_seed(seed)
    part = GatheringScattering(6, 3, heads=2, expansion=2).double()
    nn.init.normal_(part.figure.merge.weight)
    nn.init.normal_(part.ground.merge.weight)
    x = noise(4, 6, 3, 4, seed=seed)  # four images with figures of different sizes
    torch.testing.assert_close(part(x), by_mask(part, x))


def test_images_of_one_kind_pass_through_beside_others():
    part = GatheringScattering(2, 2, heads=1).double()
    part.heat.weight.data[:] = torch.tensor([5.0, 0.0]).view(1, 2, 1, 1)
    part.heat.bias.data[:] = 0
    x = noise(3, 2, 3, 3)
    x[0, 0], x[1, 0] = x[0, 0].abs() + 0.1, -x[1, 0].abs() - 0.1
    out = part(x)
    torch.testing.assert_close(out[:2], x[:2], rtol=0, atol=0)
    assert (out[2] - x[2]).abs().max() > 0.1


def test_figure_does_not_see_the_ground_but_for_its_heat():
    """With heat near 0 or 1, what the ground's tokens are does not reach the figure."""
    part = GatheringScattering(3, 2, heads=1).double()
    part.heat.weight.data[:] = torch.tensor([200.0, 0.0, 0.0]).view(1, 3, 1, 1)
    part.heat.bias.data[:] = 0
    x = noise(1, 3, 4, 4)
    x[:, 0] = torch.where(x[:, 0] > 0, 1.0, -1.0)
    figure = (x[:, :1] > 0).expand_as(x)
    other = torch.where(figure, x, x + noise(1, 3, 4, 4, seed=1) * torch.tensor([0.0, 1, 1]).view(1, 3, 1, 1))
    torch.testing.assert_close(part(x)[figure], part(other)[figure])
    assert not torch.allclose(part(x)[~figure], part(other)[~figure])


def test_the_heat_learns():
    part = GatheringScattering(4, 2, heads=2)
    part(torch.randn(2, 4, 4, 4)).square().mean().backward()
    assert part.heat.weight.grad.abs().max() > 0


@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_scatter_undoes_gather(images, n, seed):
    member = noise(images, n, seed=seed) > 0
    tokens = noise(images, n, 3, seed=seed + 1)
    found = gather(tokens, member)
    for one, there, kind, line in zip(found.tokens, found.there, member, tokens, strict=True):
        torch.testing.assert_close(one[there], line[kind])
    torch.testing.assert_close(scatter(tokens, found), tokens, rtol=0, atol=0)
    changed = scatter(tokens, found._replace(tokens=found.tokens + 1))
    torch.testing.assert_close(changed - tokens, member[..., None].double().expand_as(tokens))


def test_padding_is_nobodys_neighbour():
    part = PostNormFeedForward(3, 2).double()
    line = noise(1, 3, 5, 1)
    there = torch.tensor([1.0, 1, 1, 0, 0], dtype=torch.float64).view(1, 1, 5, 1)
    torch.testing.assert_close(part(line, there)[:, :, :3], part(line[:, :, :3]))


def test_only_the_middle_column_of_the_convolution_matters_along_a_line():
    part = PostNormFeedForward(2, 2).double()
    line = noise(1, 2, 6, 1)
    before = part(line)
    part.neighbours.weight.data[..., [0, 2]] = 7.0
    torch.testing.assert_close(part(line), before)


@pytest.mark.parametrize(
    ("options", "says"), [((6, 2, 4), "heads must divide"), ((6, 0, 2), "at least 1 merged")]
)
def test_mistakes_are_told(options, says):
    with pytest.raises(WorkbenchError, match=says):
        GatheringScattering(*options)

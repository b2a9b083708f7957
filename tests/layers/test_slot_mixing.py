"""Mixing by slots against loops, against limits of its scale, and as one attention matrix of low rank."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers import SelfAttention2d, SlotMixing
from workbench.layers.slot_mixing import deal, gather, slot_logits
from workbench.probes import attending, cost, receptive_field

SHAPES = [(2, 6, 5, 7), (1, 6, 1, 1), (3, 6, 8, 8), (2, 6, 1, 9)]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def mixing(slots: int = 3, heads: int = 2, **options: object) -> SlotMixing:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return SlotMixing(6, slots, heads, **options).double()


def by_loops(part: SlotMixing, x: Tensor, seed_map: Tensor) -> Tensor:
    """The two softmaxes written out, one slot and one pixel at a time."""
    out = torch.zeros_like(x)
    for b, image in enumerate(x):
        pixels = image.flatten(1).T
        starts = []
        for rows in np.array(_bins(seed_map.shape[2], part.slots)):
            for columns in np.array(_bins(seed_map.shape[3], part.slots)):
                patch = seed_map[b, :, slice(*rows), slice(*columns)]
                starts.append(patch.flatten(1).mean(1))
        cosines = [[float(s @ p / (s.norm() * p.norm())) for p in pixels] for s in starts]
        L = np.array(cosines) * part.scale.item()
        slots = []
        for row in np.exp(L):
            slots.append(sum(w * p for w, p in zip(row / row.sum(), pixels, strict=True)))
        related = part.relate(torch.stack(slots).T[None, :, :, None])[0, :, :, 0].T
        for j, column in enumerate(np.exp(L).T):
            share = column / column.sum()
            found = sum(w * slot for w, slot in zip(share, related, strict=True))
            out[b, :, j // x.shape[3], j % x.shape[3]] = found
    return out


def _bins(length: int, parts: int) -> list[tuple[int, int]]:
    return [(length * i // parts, -(-length * (i + 1) // parts)) for i in range(parts)]


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_it_is_what_loops_compute(shape):
    part, x = mixing(kernel=0, scale=3.0), numbers(*shape)
    seed_map = numbers(*shape, seed=5)
    torch.testing.assert_close(part(x, seed_map), by_loops(part, x, seed_map))
    torch.testing.assert_close(part(x), by_loops(part, x, x))


@torch.no_grad()
def test_the_convolution_is_added_beside():
    part, x = mixing(kernel=5).float(), numbers(2, 6, 5, 7).float()
    both, local = part(x), part.local
    assert isinstance(local, nn.Sequential)
    part.local = None
    torch.testing.assert_close(part(x) + local(x), both)


@torch.no_grad()
def test_without_heat_every_pixel_gets_the_mean():
    part, x = mixing(scale=0.0, attend=False, kernel=0), numbers(2, 6, 5, 7)
    mean = x.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(part(x), mean)


@torch.no_grad()
def test_with_great_heat_it_is_a_hard_assignment():
    """A slot becomes the pixel most like it, and a pixel gets the slot most like it."""
    part, x = mixing(scale=1e6, attend=False, kernel=0), numbers(1, 6, 5, 7)
    pixels = x[0].flatten(1).T
    L = part.logits(x)[0]
    nearest_pixel, nearest_slot = L.argmax(1), L.argmax(0)
    expected = pixels[nearest_pixel][nearest_slot].T.view_as(x[0])
    torch.testing.assert_close(part(x)[0], expected)
    starts = torch.nn.functional.adaptive_avg_pool2d(x, 3)[0].flatten(1).T
    unit = [v / v.norm(dim=1, keepdim=True) for v in (starts, pixels)]
    distances = torch.cdist(unit[1], unit[0])  # k-means on the sphere: the nearest centre
    assert torch.equal(distances.argmin(1), nearest_slot)


@torch.no_grad()
def test_logits_do_not_see_the_length_of_x():
    part, x = mixing(), numbers(2, 6, 5, 7)
    lengths = torch.rand(2, 1, 5, 7, dtype=torch.double) + 0.1
    torch.testing.assert_close(part.logits(x, x), part.logits(lengths * x, x))
    assert torch.equal(slot_logits(torch.zeros(3, 6), torch.ones(4, 6), 2.0), torch.zeros(3, 4))


@pytest.mark.parametrize("scale", [0.2, 2.0, 8.0])
@torch.no_grad()
def test_shares_differ_by_no_more_than_the_scale_allows(scale):
    L = mixing(scale=scale).logits(numbers(2, 6, 8, 8))
    for shares, axis in ((L.softmax(-1), -1), (L.softmax(-2), -2)):
        assert (shares.amax(axis) / shares.amin(axis)).max() <= math.exp(2 * scale) * (1 + 1e-9)


@torch.no_grad()
def test_the_two_softmaxes_run_over_different_axes():
    L, x, slots = numbers(2, 3, 5), numbers(2, 5, 4), numbers(2, 3, 4)
    torch.testing.assert_close(gather(L, torch.ones_like(x)), torch.ones(2, 3, 4).double())
    torch.testing.assert_close(deal(L, torch.ones_like(slots)), torch.ones_like(x))
    assert not torch.allclose(L.softmax(-1), L.softmax(-2))


@pytest.mark.parametrize("options", [{}, {"attend": False}, {"start": "learned"}])
@torch.no_grad()
def test_it_is_one_attention_matrix_of_low_rank(options):
    """Dealing times attention times gathering, with the values of the attention among the slots."""
    part, x = mixing(2, kernel=0, scale=4.0, **options), numbers(2, 6, 5, 7)
    rows = part.attention_rows(x, list(range(35)))
    torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows[..., 0]))
    assert torch.linalg.matrix_rank(rows[0, 0], rtol=1e-10) <= 4
    if isinstance(part.relate, SelfAttention2d):
        ask, answer = part.relate.ask, part.relate.answer
        values = ask(x)[:, 12:].unflatten(1, (2, -1)).flatten(3)  # [batch, heads, dim, pixels]
        expected = answer((values @ rows.mT).flatten(1, 2).view_as(x))
    else:
        expected = (x.flatten(2) @ rows[:, 0].mT).view_as(x)
    torch.testing.assert_close(part(x), expected)


@torch.no_grad()
def test_pixels_may_be_exchanged_where_slots_are_learned():
    part, x = mixing(start="learned", kernel=0), numbers(2, 6, 4, 5)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    mixed = part(x.flatten(2)[..., order].view_as(x)).flatten(2)
    torch.testing.assert_close(mixed, part(x).flatten(2)[..., order])


def test_gradients_reach_scale_and_slots():
    part, x = mixing(start="learned"), numbers(2, 6, 4, 5)
    part(x.transpose(2, 3).contiguous().transpose(2, 3)).square().sum().backward()
    assert part.scale.grad is not None
    assert part.scale.grad.abs() > 0
    assert part.first_slots.grad.abs().max() > 0
    assert not [name for name, _ in mixing(learn_scale=False).named_parameters() if name == "scale"]


def test_probes_know_it():
    part = SlotMixing(8, 2, 2, scale=4.0)
    small, large = (cost(part, (1, 8, side, side)) for side in (8, 16))
    relate = [sum(row.macs for row in found.layers if "relate" in row.name) for found in (small, large)]
    rest = [found.macs.value - own for found, own in zip((small, large), relate, strict=True)]
    assert relate[0] == relate[1] > 0
    assert rest[1] == 4 * rest[0]
    assert part.visible(3, 4).all()
    assert part.visible(3, 4).shape == (12, 12)
    field = receptive_field(part, (1, 8, 9, 9))
    assert field.interval((0, 8)) == ((0, 8), (0, 8))
    with attending(part) as found:
        part(torch.randn(1, 8, 4, 4))
    assert found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slots": 0}, "slots must be"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"start": "random"}, "start must be"),
        ({"heads": 5}, "heads must divide"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(WorkbenchError, match=said):
        SlotMixing(6, **options)


def test_a_map_must_have_four_axes():
    with pytest.raises(WorkbenchError, match="batch, channels"):
        mixing()(numbers(6, 5, 7))

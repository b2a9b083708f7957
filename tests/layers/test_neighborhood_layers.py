"""Neighbourhood attention as an operator of torch, and as a mixer of tokens."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.kernels import neighborhood_mask
from workbench.layers import (
    NeighborhoodAttention1d,
    NeighborhoodAttention2d,
    SelfAttention2d,
    neighborhood,
)

CASES = [
    ((11,), 4, 2, False),
    ((9,), 5, 1, True),
    ((4, 5), (3, 2), (1, 2), (True, False)),
    ((3, 2, 4), (3, 1, 2), 1, False),
]


def drawn(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_differences(case):
    space, window, dilation, causal = case
    tensors = [drawn(1, 2, *space, dim).requires_grad_() for dim in (3, 3, 2)]
    tensors[1] = (drawn(1, 2, *space, 3) * 0.7).requires_grad_()
    assert torch.autograd.gradcheck(lambda *qkv: neighborhood(*qkv, window, dilation, causal), tensors)


@pytest.mark.parametrize("case", CASES)
def test_it_is_masked_attention(case):
    space, window, dilation, causal = case
    queries, keys, values = (drawn(2, 2, *space, dim) for dim in (4, 4, 3))
    out = neighborhood(queries, keys, values, window, dilation, causal)
    mask = torch.from_numpy(neighborhood_mask(space, window, dilation=dilation, causal=causal))
    flat = [x.flatten(2, -2) for x in (queries, keys, values)]
    expected = nn.functional.scaled_dot_product_attention(*flat, attn_mask=mask)
    torch.testing.assert_close(out.flatten(2, -2), expected, rtol=1e-12, atol=1e-12)


def test_the_operator_keeps_torchs_rules():
    arguments = (*(drawn(1, 1, 6, 2).requires_grad_() for _ in range(3)), [3], [1], [False])
    torch.library.opcheck(torch.ops.workbench.neighborhood_attention.default, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_window_of_the_whole_map_is_self_attention(dtype):
    torch.manual_seed(0)
    whole, local = SelfAttention2d(6, 2).to(dtype), NeighborhoodAttention2d(6, (5, 7), 2).to(dtype)
    local.load_state_dict(whole.state_dict())
    x = drawn(2, 6, 5, 7, dtype=dtype)
    torch.testing.assert_close(local(x), whole(x), rtol=1e-5, atol=1e-6)


def test_a_plane_of_one_row_is_a_line():
    torch.manual_seed(0)
    line = NeighborhoodAttention1d(8, 4, 2, dilation=2)
    plane = NeighborhoodAttention2d(8, (1, 4), 2, dilation=(1, 2))
    plane.load_state_dict({name: p[..., None] if p.ndim == 3 else p for name, p in line.state_dict().items()})
    x = drawn(3, 8, 13, dtype=torch.float32)
    torch.testing.assert_close(plane(x[:, :, None])[:, :, 0], line(x), rtol=1e-5, atol=1e-6)


def test_it_learns_and_reaches_no_further_than_its_window():
    torch.manual_seed(0)
    mixer = NeighborhoodAttention2d(4, 3, 2)
    x = drawn(1, 4, 9, 9, dtype=torch.float32).requires_grad_()
    mixer(x)[..., 4, 4].sum().backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert seen[3:6, 3:6].all()
    assert seen.sum() == 9
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in mixer.parameters() if p.ndim > 1)
    assert "window=3, heads=2" in repr(mixer)


def test_what_does_not_fit_is_refused():
    with pytest.raises(WorkbenchError, match="heads must divide the channels, but 3 heads and 4"):
        NeighborhoodAttention1d(4, 3, 3)
    with pytest.raises(WorkbenchError, match="2 axes of space"):
        NeighborhoodAttention2d(4, 3)(torch.zeros(1, 4, 9))
    with pytest.raises(WorkbenchError, match="must not exceed the axis, but 9"):
        NeighborhoodAttention1d(4, 9)(torch.zeros(1, 4, 8))
    with pytest.raises(WorkbenchError, match="1 to 3 axes"):
        neighborhood(*(torch.zeros(1, 4, 9) for _ in range(3)), 3)

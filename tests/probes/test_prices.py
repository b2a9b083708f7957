"""Prices of operators against torch's own counter where it counts, against hand formulas elsewhere."""

from math import log2

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from workbench.kernels import neighborhood_mask
from workbench.layers import neighborhood
from workbench.probes import probe
from workbench.probes.prices import fourier, pairs_attended, stored


class Do(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def flops(function, *inputs):
    return probe(Do(function), *inputs).total.flops


X = torch.randn(2, 4, 6, 8)
N = X.numel()


@settings(deadline=None, max_examples=15)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 3),
    transposed=st.booleans(),
    bias=st.booleans(),
    size=st.integers(9, 12),
)
def test_convolutions_forward_and_back_equal_torchs_counter(
    kernel, stride, dilation, groups, transposed, bias, size
):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = kind(2 * groups, 3 * groups, kernel, stride, 1, dilation=dilation, groups=groups, bias=bias)
    x = torch.randn(2, 2 * groups, size, size + 1, requires_grad=True)
    found = probe(conv, x, backward=True).total
    with FlopCounterMode(display=False) as forward:
        out = conv(x)
    with FlopCounterMode(display=False) as back:
        out.sum().backward()
    assert 2 * found.macs == forward.get_total_flops()
    if groups == 1:  # with groups torch's counter takes every pair of channels for the weight's gradient
        assert 2 * found.backward_macs == back.get_total_flops()
    positions = (x if transposed else out).numel() * (3 if transposed else 2) * kernel**2
    assert found.macs == positions
    assert found.backward_macs == 2 * positions


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: torch.einsum("bchw,bdhw->bcd", a, b),
        lambda a, b: a @ b.transpose(2, 3),
        lambda a, b: a @ b[:1, :1].transpose(2, 3),
        lambda a, b: torch.tensordot(a, b, dims=([1, 2, 3], [1, 2, 3])),
        lambda a, b: F.linear(a, b[0, 0]),
        lambda a, b: torch.addmm(b[0, 0, :, :6], a[0, 0], b[0, 0].T),
        lambda a, b: torch.baddbmm(b[0, :, :, :6], a[0], b[0].transpose(1, 2)),
    ],
)
def test_products_forward_and_back_equal_torchs_counter(function):
    a, b = torch.randn(2, 4, 6, 8, requires_grad=True), torch.randn(2, 4, 6, 8, requires_grad=True)
    found = probe(Do(function), a, b, backward=True).total
    with FlopCounterMode(display=False) as counter:
        function(a, b).sum().backward()
    assert 2 * (found.macs + found.backward_macs) == counter.get_total_flops()
    assert not found.uncounted


@settings(deadline=None, max_examples=20)
@given(queries=st.integers(1, 7), keys=st.integers(1, 7), causal=st.booleans())
def test_attention_by_hand_the_causal_half_exact(queries, keys, causal):
    pairs = sum(not causal or k <= q for q in range(queries) for k in range(keys))
    assert pairs == pairs_attended(queries, keys, causal)
    q, k = torch.randn(2, 3, queries, 8), torch.randn(2, 3, keys, 8)
    found = probe(Do(lambda q, k: F.scaled_dot_product_attention(q, k, k, is_causal=causal)), q, k).total
    assert found.macs == 2 * 3 * pairs * (8 + 8)
    assert found.flops == 2 * found.macs + 2 * 3 * pairs * (5 + 1)  # softmax and scale
    assert not found.uncounted


def test_attention_back_is_five_products_where_forward_was_two():
    q = torch.randn(1, 2, 5, 8, requires_grad=True)
    found = probe(Do(lambda q: F.scaled_dot_product_attention(q, q, q)), q, backward=True).total
    assert 2 * found.backward_macs == 5 * found.macs


@pytest.mark.parametrize(("window", "dilation", "causal"), [(3, 1, False), ((3, 5), (2, 1), (True, False))])
def test_attention_to_neighbours_costs_what_a_mask_leaves(window, dilation, causal):
    torch.manual_seed(0)
    q, k = torch.randn(2, 2, 3, 7, 6, 4, requires_grad=True)
    v = torch.randn(2, 3, 7, 6, 5, requires_grad=True)
    model = Do(lambda q, k, v: neighborhood(q, k, v, window, dilation, causal))
    found = probe(model, q, k, v).total
    pairs = 2 * 3 * int(neighborhood_mask((7, 6), window, dilation=dilation, causal=causal).sum())
    assert found.macs == pairs * (4 + 5)
    assert found.flops == 2 * found.macs + pairs * (5 + 1)  # softmax and scale
    assert probe(model, q, k, v, backward=True).total.backward_macs == pairs * (3 * 4 + 2 * 5)
    assert not found.uncounted


def test_the_fused_layers_do_what_their_parts_do():
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True).eval()
    x = torch.randn(3, 5, 16)
    alone = probe(layer, x).total
    with torch.no_grad():
        fused = probe(layer, x).total
    assert fused.macs == alone.macs == 3 * 5 * (4 * 16 * 16 + 2 * 16 * 24) + 2 * 3 * 5 * 5 * 16
    assert not fused.uncounted
    assert fused.flops == pytest.approx(alone.flops, rel=0.02)
    heads = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    with torch.no_grad():
        assert probe(heads, x, x, x).total.macs == probe(heads.train(), x, x, x).total.macs


def test_recurrent_layers_by_hand():
    x, steps, hidden, into = torch.randn(2, 5, 7), 2 * 5, 3, 7
    for kind, gates in ((nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)):
        found = probe(kind(into, hidden, batch_first=True), x, backward=True).total
        assert found.macs == steps * gates * hidden * (into + hidden), kind
        assert not found.uncounted
        assert found.backward_flops > found.flops
    both = probe(nn.LSTM(into, hidden, 1, batch_first=True, bidirectional=True), x).total
    assert both.macs == 2 * steps * 4 * hidden * (into + hidden)


@pytest.mark.parametrize(
    ("layer", "per_number"),
    [
        (nn.BatchNorm2d(4), 8),
        (nn.BatchNorm2d(4).eval(), 4),
        (nn.BatchNorm2d(4, affine=False), 6),
        (nn.LayerNorm(8), 8),
        (nn.LayerNorm(8, bias=False), 7),
        (nn.GroupNorm(2, 4), 8),
        (nn.InstanceNorm2d(4), 6),
        (nn.Softmax(-1), 5),
        (nn.LogSoftmax(1), 5),
        (nn.ReLU(), 1),
        (nn.GELU(), 1),
        (nn.Hardtanh(), 1),
        (nn.Dropout(0.5), 3),
        (nn.MaxPool2d(2), 1),
        (nn.AvgPool2d(2), 1),
        (nn.AdaptiveAvgPool2d(2), 1),
        (nn.Flatten(), 0),
        (nn.PixelShuffle(2), 0),
        (nn.ZeroPad2d(1), 0),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
def test_layers_by_hand_per_number(layer, per_number):
    found = probe(layer, X, backward=False).total
    assert found.flops == per_number * N
    assert found.macs == 0
    assert not found.uncounted
    if per_number:
        x = X.clone().requires_grad_()
        back = probe(layer, x, backward=True).total
        assert back.backward_flops > 0
        assert not back.uncounted


def test_overlapping_windows_and_uneven_adaptive_ones():
    assert flops(lambda x: F.max_pool2d(x, 3, 2, 1), X) == 2 * 4 * 3 * 4 * 9
    assert flops(lambda x: F.avg_pool2d(x, (2, 3), 1), X) == 2 * 4 * 5 * 6 * 6
    windows = 2 * 2 * 2  # of 3 numbers in 2: [0, 2) and [1, 3)
    assert flops(lambda x: F.adaptive_avg_pool2d(x, 2), torch.randn(1, 1, 3, 3)) == windows * 2


def test_summaries_by_hand():
    assert flops(lambda x: x.sum(), X) == N
    assert flops(lambda x: x.mean(1), X) == N + N // 4
    assert flops(lambda x: x.var(1), X) == 4 * N
    assert flops(lambda x: x.logsumexp(1), X) == 4 * N
    assert flops(lambda x: x.norm(), X) == 2 * N
    assert (
        flops(lambda x: x.max(), X) == flops(lambda x: x.max(1)[0], X) == flops(lambda x: x.cumsum(1), X) == N
    )
    assert flops(lambda x: torch.maximum(x, x), X) == N


def test_fourier_transforms_real_ones_half():
    whole = 5 * 8 * log2(8) * (N // 8)
    assert flops(lambda x: torch.fft.fft(x.to(torch.complex64)), X) == whole
    assert (
        flops(torch.fft.rfft, X) == flops(lambda x: torch.fft.irfft(x, n=8), torch.fft.rfft(X)) == whole / 2
    )
    plane = 5 * 48 * log2(48) * (N // 48)
    assert flops(torch.fft.rfft2, X) == round(plane / 2)
    assert fourier(1, 7, real=False) == 0


def test_complex_numbers_cost_their_real_ones():
    z = torch.randn(4, 5, dtype=torch.complex64)
    assert flops(lambda z: z * z, z) == 6 * 20
    assert flops(lambda z: z + z, z) == 2 * 20
    assert flops(lambda z: z @ z.T, z) == 8 * 4 * 4 * 5


def test_integers_are_free_and_looking_up_reads_what_it_takes():
    rows = torch.tensor([[1, 2, 2]])
    found = probe(nn.Embedding(100, 6), rows, backward=True).total
    assert found.flops == 3 * 6  # the sum that it goes back from
    assert found.bytes - (3 * 6 + 1) * 4 == 2 * 3 * 6 * 4 + 3 * 8
    assert found.backward_flops == 3 * 6
    assert flops(lambda i: i * 2 + 1, rows) == 0


def test_repeated_numbers_are_read_once():
    row = torch.randn(1, 8)
    assert stored(row.expand(50, 8)) == 8 * 4
    assert stored(X.transpose(1, 3)) == stored(X[:, ::2]) * 2 == N * 4
    assert stored(torch.zeros(0, 3).expand(0, 3)) == 0
    added = probe(Do(torch.add), X, row).total
    assert added.bytes == 4 * (N + 8 + N)


@pytest.mark.parametrize(
    "function", [torch.sort, torch.linalg.svd, lambda x: torch.topk(x, 2), torch.linalg.inv]
)
def test_what_has_no_formula_is_listed_and_costs_no_invented_flops(function):
    found = probe(Do(function), torch.randn(3, 4, 4))
    assert len(found.uncounted) == 1
    assert found.total.flops == 0
    assert found.total.bytes > 0
    assert "uncounted" in str(found)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(1, 1, 1, 1),
        torch.randn(1, 2, 8, 6).transpose(2, 3),
        torch.randn(4, 4, 3, 5)[::2, :, :, 1:],
    ],
)
def test_size_one_and_strided_inputs(x):
    conv = nn.Conv2d(x.shape[1], 3, 3, padding=1)
    out = x.numel() // x.shape[1] * 3
    assert probe(conv, x).total.macs == out * x.shape[1] * 9
    assert flops(lambda x: x * 2, x) == x.numel()

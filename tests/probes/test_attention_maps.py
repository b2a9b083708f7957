"""Maps of every kind of attention against dense matrices in float64, and the measures taken on them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from workbench import probes
from workbench.errors import WorkbenchError
from workbench.layers import neighborhood
from workbench.probes.attention_tiles import as_map, row_tiles


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dense(q, k, allowed=None, scale=None):
    """softmax(q k^T scale) in float64; a row without any key has zeros."""
    k = k.double().repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = q.double() @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return torch.nan_to_num(scores.softmax(-1))


def close(found, expected, atol=1e-6):
    torch.testing.assert_close(found.double(), torch.as_tensor(expected).double(), atol=atol, rtol=0)


# Kinds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 2, 7])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_softmax_rows(tokens, causal, key_heads):
    q, k = randn(3, 4, 5, tokens).mT, randn(3, key_heads, tokens, 5, seed=1)  # q is not contiguous
    expected = dense(q, k, torch.ones(tokens, tokens, dtype=torch.bool).tril() if causal else None)
    found = probes.softmax_attention(q, k, causal=causal)
    close(found.probabilities(), expected)
    few = probes.softmax_attention(q, k, causal=causal, rows=[-1, 0])
    close(few.probabilities(), expected[:, :, [-1, 0]])
    close(found.only([tokens - 1, 0]).probabilities(), expected[:, :, [-1, 0]])


def test_a_mask_may_be_a_function_as_in_flex_attention():
    q, k = randn(2, 3, 6, 4), randn(2, 3, 8, 4, seed=1)
    slopes = torch.tensor([1, 2, 3])
    places = torch.arange(6)[:, None], torch.arange(8)
    allowed = torch.stack([abs(places[0] - places[1]) <= slope for slope in slopes])
    by_function = probes.softmax_attention(q, k, mask=lambda b, h, i, j: abs(i - j) <= slopes[h], rows=[5, 1])
    close(by_function.probabilities(), dense(q, k, allowed)[:, :, [5, 1]])
    close(by_function.probabilities(slice(1, 2)), dense(q, k, allowed)[:, :, [1]])
    close(probes.softmax_attention(q, k, mask=allowed).probabilities(), dense(q, k, allowed))


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_is_seen_with_its_functions():
    slopes, q, k = torch.tensor([1.0, 0.5]), randn(2, 2, 6, 8), randn(2, 1, 6, 8, seed=1)

    class Flex(nn.Module):
        def forward(self, q, k):
            mask = create_block_mask(lambda b, h, i, j: (i - j).abs() <= 2, None, None, 6, 6, device="cpu")
            return flex_attention(
                q,
                k,
                k,
                score_mod=lambda s, b, h, i, j: s - slopes[h] * (i - j),
                block_mask=mask,
                enable_gqa=True,
            )

    with torch.no_grad():
        (found,) = probes.attention(Flex(), q, k, rows=[5, 0])
        out = Flex()(q, k)
    assert (found.operator, found.shape) == ("flex_attention", (2, 2, 2, 6))
    close(found.probabilities() @ k, out[:, :, [5, 0]])


def test_grouped_heads_over_a_long_sequence_by_rows():
    q, k = randn(1, 4, 65_536, 4), randn(1, 2, 65_536, 4, seed=1)
    found = probes.softmax_attention(q, k, causal=True, rows=[0, 40_000])
    rows = found.probabilities()
    assert rows.shape == (1, 4, 2, 65_536)
    assert rows[0, :, 0, 0].tolist() == [1, 1, 1, 1]
    expected = dense(q[:, :, 40_000:40_001], k[:, :, :40_001])
    close(rows[:, :, 1:, :40_001], expected)
    assert not rows[:, :, 1, 40_001:].any()


def linear_attention(q, k, v, phi, causal):
    """As linear attention is computed: sums of phi(k) v, without any matrix of tokens by tokens."""
    q, k = phi(q.double()), phi(k.double())
    state = torch.einsum("bhkf,bhkd->bhkfd", k, v.double())
    total = k
    if causal:
        state, total = state.cumsum(2), total.cumsum(2)
        return torch.einsum("bhqf,bhqfd->bhqd", q, state) / (q * total).sum(-1, keepdim=True)
    state, total = state.sum(2), total.sum(2)
    return torch.einsum("bhqf,bhfd->bhqd", q, state) / (q @ total[..., None])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("feature", ["elu", lambda x: torch.cat([x.exp(), (-x).exp()], -1)])
@pytest.mark.parametrize("tokens", [1, 9])
def test_rows_of_linear_attention_give_what_it_computes(causal, feature, tokens):
    q, k, v = (randn(2, 3, tokens, 4, seed=seed) for seed in range(3))
    phi = feature if callable(feature) else (lambda x: F.elu(x) + 1)
    found = probes.kernel_attention(q, k, feature=feature, causal=causal)
    rows = found.probabilities()
    close(rows @ v, linear_attention(q, k, v, phi, causal), atol=1e-5)
    close(rows.sum(-1), torch.ones(2, 3, tokens), atol=1e-5)
    assert not found.signed
    if causal:
        assert not rows.triu(1).any()


def test_linear_attention_with_signs_and_without_any_match():
    q, k = randn(1, 2, 5, 4), randn(1, 1, 5, 4, seed=1)
    assert probes.kernel_attention(q, k, feature=torch.tanh).signed
    nothing = probes.kernel_attention(-q.abs(), k, feature="relu").probabilities()
    assert not nothing.any()
    with pytest.raises(WorkbenchError, match="feature must be a function or one of elu, relu"):
        probes.kernel_attention(q, k, feature="cosine")


def test_sparse_rows_are_masked_softmax():
    q, k = randn(2, 4, 6, 3), randn(2, 2, 9, 3, seed=1)
    generator = np.random.default_rng(0)
    allowed = generator.random((2, 4, 6, 9)) < 0.4
    allowed[0, 0, 2] = False
    width = allowed.sum(-1).max()
    lists = np.full((2, 4, 6, width), -1)
    for place in np.ndindex(2, 4, 6):
        keys = np.flatnonzero(allowed[place])
        lists[place][: len(keys)] = generator.permutation(keys)
    expected = dense(q, k, torch.from_numpy(allowed))
    close(probes.sparse_attention(q, k, lists).probabilities(), expected)
    close(probes.sparse_attention(q, k, lists, rows=[4, 2]).probabilities(), expected[:, :, [4, 2]])
    one = probes.sparse_attention(q, k, lists[0, 1])
    close(one.probabilities(), dense(q, k, torch.from_numpy(allowed[0, 1])))


def test_a_sparse_softmax_of_a_model_is_seen():
    class Sparse(nn.Module):
        def forward(self, x, where):
            scores = torch.sparse_coo_tensor(
                where, (x[where[0]] * x[where[1]]).sum(1), 2 * [len(x)], check_invariants=True
            )
            return torch.sparse.softmax(scores, 1) @ x

    x = randn(6, 4)
    allowed = torch.eye(6, dtype=torch.bool) | (torch.arange(6)[:, None] == 2)
    (found,) = probes.attention(Sparse(), x, allowed.nonzero().T, rows=[5, 2])
    assert (found.operator, found.shape) == ("_sparse_softmax", (1, 1, 2, 6))
    close(found.probabilities(), dense(x[None, None], x[None, None], allowed, 1)[:, :, [5, 2]])
    close(found.probabilities(slice(1, 2)), found.probabilities()[:, :, 1:])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda q: probes.softmax_attention(q, q[..., :2]), "query and key must be"),
        (lambda q: probes.softmax_attention(q, q[:, :2]), "2 heads of keys cannot serve 3 heads"),
        (lambda q: probes.softmax_attention(q, q, rows=[5]), "there are 5 queries"),
        (lambda q: probes.sparse_attention(q, q, np.zeros((4, 2), int)), "neighbors must be whole numbers"),
        (lambda q: probes.sparse_attention(q, q, np.full((5, 2), 5)), "indices of 5 keys"),
        (lambda q: probes.map_overview(q[0, 0]), "a map must be"),
        (lambda q: probes.map_overview(q[0], most=0), "at least one block"),
        (lambda q: probes.head_similarity([as_map(q[0]), as_map(q[0, :, :2])]), "same examples, queries"),
        (lambda q: probes.head_similarity(q[0, :1]).score(), "at least two heads"),
        (lambda q: probes.map_measures(q[0] @ q[0].mT, grid=(2, 2)), "a grid of 2 × 2 has 4 places"),
        (lambda q: probes.map_measures(q[0]), "queries and keys must be the same tokens"),
        (lambda q: probes.rollout([]), "at least one map"),
        (lambda q: probes.rollout([as_map(q[0])]), "maps with all their queries"),
        (lambda q: probes.rollout([as_map(q[0] @ q[0].mT)] * 2, residual=2), "residual must lie"),
        (lambda q: probes.map_error(q[0], q[0, :, :4]), "same shape and queries"),
        (lambda q: probes.neighborhood_keys(5, 3, dilation=2), "must not exceed the axis"),
        (lambda q: probes.windows_to_field(q[0] @ q[0].mT, np.zeros((3, 5), int)), "places"),
        (lambda q: probes.neighbors_to_field(q[0], np.zeros((5, 3), int)), "has 4 neighbours"),
        (lambda q: probes.implicit_attention(nn.Linear(4, 3), q[0]), "as many channels out as in"),
        (lambda q: probes.implicit_attention(nn.Linear(4, 4), q[0, 0]), "needs tokens"),
        (lambda q: probes.implicit_attention(nn.Linear(4, 4), q[0], channels=[4]), "channels must lie in 0"),
        (
            lambda q: probes.implicit_attention(nn.Identity(), q[0].long()),
            "floating point numbers, but int64",
        ),
        (lambda q: probes.implicit_attention(nn.Identity(), q[0], part="a"), "no part called 'a'"),
        (lambda q: probes.implicit_attention(nn.Identity(), q[0], reduce="sum"), "reduce must be one of"),
        (lambda q: probes.attention_rule(nn.Identity()), "expects a class of torch modules"),
    ],
)
def test_bad_input_is_one_sentence(call, says):
    with pytest.raises(WorkbenchError, match=says):
        call(randn(2, 3, 5, 4))


# Places -----------------------------------------------------------------------------------------


def brute_neighbourhood(length, window, dilation, causal):
    """The window of each token, by going through its residue class."""
    found = []
    for token in range(length):
        peers = list(range(token % dilation, length, dilation))
        at = peers.index(token)
        if causal:
            found.append(peers[max(0, at - window + 1) : at + 1])
        else:
            first = min(max(at - window // 2, 0), len(peers) - window)
            found.append(peers[first : first + window])
    return found


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_neighbourhoods(data):
    length = data.draw(st.integers(1, 20))
    dilation = data.draw(st.integers(1, length))
    window = data.draw(st.integers(1, length // dilation))
    causal = data.draw(st.booleans())
    found = probes.neighborhood_keys(length, window, dilation=dilation, causal=causal)
    expected = brute_neighbourhood(length, window, dilation, causal)
    assert [[key for key in row if key >= 0] for row in found.tolist()] == expected


def test_a_neighbourhood_on_two_axes_is_the_product_of_both():
    rows, columns = brute_neighbourhood(5, 2, 2, True), brute_neighbourhood(4, 3, 1, False)
    found = probes.neighborhood_keys((5, 4), (2, 3), dilation=(2, 1), causal=(True, False))
    expected = [sorted(4 * y + x for y in rows[i] for x in columns[j]) for i in range(5) for j in range(4)]
    assert [sorted(key for key in row if key >= 0) for row in found.tolist()] == expected


class Windows(nn.Module):
    """Attention inside shifted windows, as Swin does it, on [batch, height, width, channels]."""

    def __init__(self, window, shift):
        super().__init__()
        self.window, self.shift, self.heads = window, shift, 2

    def forward(self, x):
        w, (b, height, width, c) = self.window, x.shape
        padded = F.pad(x, (0, 0, 0, -width % w, 0, -height % w))
        rolled = padded.roll((-self.shift, -self.shift), (1, 2))
        tall, wide = rolled.shape[1] // w, rolled.shape[2] // w
        cut = rolled.reshape(b, tall, w, wide, w, c).transpose(2, 3).reshape(-1, w * w, self.heads, c // 2)
        q = cut.transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, q, q).transpose(1, 2).reshape(b, tall, wide, w, w, c)
        back = mixed.transpose(2, 3).reshape(b, tall * w, wide * w, c).roll((self.shift,) * 2, (1, 2))
        return back[:, :height, :width]


@pytest.mark.parametrize(("height", "width", "shift"), [(4, 6, 0), (4, 6, 1), (5, 3, 1), (1, 1, 0)])
def test_rows_of_windows_on_the_whole_field_give_what_the_model_computes(height, width, shift):
    model, x = Windows(2, shift), randn(3, height, width, 8)
    (small,) = probes.attention(model, x)
    places = probes.window_places(height, width, 2, shift)
    found = probes.windows_to_field(small, places, grid=(height, width))
    assert found.shape == (3, 2, height * width, height * width)
    values = x.flatten(1, 2).unflatten(-1, (2, 4)).transpose(1, 2)
    mixed = (found.probabilities() @ values).transpose(1, 2).reshape(x.shape)  # padding has zeros as values
    close(mixed, model(x))
    assert found.grid == (height, width)
    close(torch.cat([tile for _, tile in row_tiles(found, 3)], 2), found.probabilities())
    close(found.only([0]).probabilities(), found.probabilities()[:, :, :1])
    whole = not (height % 2 or width % 2)
    assert bool((found.probabilities().sum(-1) > 0.9999).all()) == whole


@pytest.mark.parametrize(
    ("space", "window", "dilation", "causal"),
    [
        ((7,), 3, 1, False),
        ((9,), 2, 3, True),
        ((5, 4), (3, 2), (1, 2), (False, True)),
        ((2, 3, 4), 2, 1, False),
    ],
)
def test_the_neighbourhood_operator_is_seen(space, window, dilation, causal):
    q, k, v = (randn(2, 2, *space, 8, seed=seed) for seed in range(3))

    class Layer(nn.Module):
        def forward(self, q, k, v):
            return neighborhood(q, k, v, window, dilation, causal)

    (found,) = probes.attention(Layer(), q, k, v)
    assert found.grid == (space if len(space) == 2 else None)
    close(found.probabilities() @ v.flatten(2, -2), Layer()(q, k, v).flatten(2, -2))
    keys = probes.neighborhood_keys(space, window, dilation=dilation, causal=causal)
    close(
        found.probabilities(),
        probes.sparse_attention(q.flatten(2, -2), k.flatten(2, -2), keys).probabilities(),
    )


def test_windows_that_overlap_are_refused():
    with pytest.raises(WorkbenchError, match="exactly once"):
        probes.windows_to_field(torch.ones(2, 1, 2, 2), [[0, 1], [1, 2]])


def test_neighbourhood_maps_written_out_go_back_to_the_field():
    q, k = randn(2, 3, 6, 4), randn(2, 3, 6, 4, seed=1)
    near = torch.from_numpy(probes.neighborhood_keys(6, 3))
    weights = (torch.einsum("bhqd,bhqnd->bhqn", q, k[:, :, near]) / 2).softmax(-1)
    found = probes.neighbors_to_field(weights, near)
    close(found.probabilities(), probes.sparse_attention(q, k, near).probabilities())
    close(found.probabilities(slice(2, 4)), found.probabilities()[:, :, 2:4])


# Parts that speak for themselves ----------------------------------------------------------------


class Linear(nn.Module):
    """Linear attention that says its rows; inside it there is a softmax that is none of its maps."""

    def __init__(self):
        super().__init__()
        self.ask = nn.Linear(6, 12)

    def parts(self, x):
        return self.ask(x).unflatten(-1, (2, 2, 3)).permute(2, 0, 3, 1, 4)

    def forward(self, x, scale=1.0):
        q, k = self.parts(x)
        x = x * F.scaled_dot_product_attention(q, k, k).mean()
        v = x.unflatten(-1, (2, 3)).transpose(1, 2)
        return (
            scale
            * linear_attention(q, k, v, lambda x: F.elu(x) + 1, False).transpose(1, 2).flatten(2).float()
        )

    def attention_rows(self, x, queries, scale=1.0):
        return probes.kernel_attention(*self.parts(x), rows=queries).probabilities()


def test_a_part_says_what_it_looks_at_and_the_softmax_after_it_is_still_seen():
    torch.manual_seed(0)
    net = nn.Sequential(Linear(), nn.MultiheadAttention(6, 2, batch_first=True))
    net.forward = lambda x: net[1](*3 * [net[0](x, scale=1.0)])[0]
    x = randn(2, 5, 6)
    expected_out = net(x)
    linear, softmax = probes.attention(net, x, rows=[4, 1])
    assert torch.equal(net(x), expected_out)
    assert (linear.module, linear.operator, softmax.module) == ("0", "Linear", "1")
    assert linear.shape == softmax.shape == (2, 2, 2, 5)
    expected = probes.kernel_attention(*net[0].parts(x)).probabilities()
    close(linear.probabilities(), expected[:, :, [4, 1]])
    assert not net[0]._forward_pre_hooks


def test_a_rule_for_a_class_of_somebody_else():
    class Foreign(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x)

    x = randn(1, 2, 4, 3)

    @probes.attention_rule(Foreign)
    def rule(part, x):
        return None if x.shape[2] == 1 else as_map(torch.eye(x.shape[2]).expand(1, 1, -1, -1))

    (found,) = probes.attention(Foreign(), x)
    close(found.probabilities(), torch.eye(4)[None, None])
    (found,) = probes.attention(Foreign(), x[:, :, :1])  # the rule declines: its softmax is seen
    assert found.operator.startswith("_scaled_dot_product")


# Implicit attention -----------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2])
def test_rows_of_a_convolution_are_its_toeplitz_matrix(stride):
    conv = nn.Conv1d(2, 2, 3, padding=1, groups=2, stride=stride)
    found = probes.implicit_attention(conv, randn(2, 2, 7), channel_dim=1)
    toeplitz = np.zeros((2, found.shape[2], 7))
    for channel, weight in enumerate(conv.weight[:, 0].detach().numpy()):
        for row in range(found.shape[2]):
            for tap in range(3):
                if 0 <= stride * row + tap - 1 < 7:
                    toeplitz[channel, row, stride * row + tap - 1] = weight[tap]
    close(found.probabilities(), np.stack([toeplitz] * 2))
    assert found.signed
    assert found.operator == "linearised"


class StateSpace(nn.Module):
    """h = a h + b x, y = c h, one state a channel, run step by step."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (
            nn.Parameter(part) for part in torch.tensor([[0.5, -0.9], [1, 2], [3, 1.0]])
        )

    def forward(self, x):
        state, out = torch.zeros_like(x[:, 0]), []
        for token in x.unbind(1):
            state = self.a * state + self.b * token
            out.append(self.c * state)
        return torch.stack(out, 1)


def test_rows_of_a_state_space_layer_are_powers():
    found = probes.implicit_attention(StateSpace(), randn(1, 6, 2)).probabilities()
    apart = torch.arange(6.0)[:, None] - torch.arange(6)
    for head, (a, gain) in enumerate([(0.5, 3), (-0.9, 2)]):
        close(found[0, head], torch.where(apart >= 0, gain * a ** apart.clamp(min=0), 0.0))


@pytest.mark.parametrize("reduce", ["same", "contribution", "norm"])
def test_whole_mixers_against_the_jacobian(reduce):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.TransformerEncoderLayer(3, 1, 4, batch_first=True), nn.Tanh())
    x = randn(2, 5, 3)[:, ::2]  # not contiguous
    net.train()
    found = probes.implicit_attention(net, x, reduce=reduce, channels=[2, 0], rows=[2, 0])
    assert net.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())
    net.eval()
    for example in range(2):
        J = torch.autograd.functional.jacobian(lambda one: net(one[None])[0], x[example])
        J = J[[2, 0]][:, [2, 0]].transpose(0, 1)  # [heads, rows, keys, channels]
        if reduce == "same":
            expected = torch.stack([J[0, :, :, 2], J[1, :, :, 0]])
        else:
            expected = (J * x[example]).sum(-1) if reduce == "contribution" else J.norm(dim=-1)
        close(found.probabilities()[example], expected)


def test_contributions_of_a_linear_part_add_up_to_its_output():
    conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    x = randn(1, 3, 4, 5)
    found = probes.implicit_attention(nn.Sequential(nn.ReLU(), conv), x, part="1", reduce="contribution")
    assert found.grid == (4, 5)
    close(found.probabilities().sum(-1), conv(x.relu()).flatten(2).detach(), atol=1e-5)


# Tiles and measures -----------------------------------------------------------------------------


@pytest.mark.parametrize(("queries", "keys", "most"), [(7, 10, 4), (1, 1, 4), (5, 3, 9), (12, 12, 4)])
def test_shrinking_loses_nothing(queries, keys, most, monkeypatch):
    monkeypatch.setattr("workbench.probes.attention_tiles.NUMBERS", 1)  # one row of blocks at a time
    values = randn(2, 3, queries, keys).double()
    found = probes.map_overview(values, most)
    assert max(found.sums.shape[2:]) <= most
    assert found.row_edges[-1] == queries
    assert found.key_edges[-1] == keys
    for i, (top, bottom) in enumerate(zip(found.row_edges, found.row_edges[1:], strict=False)):
        for j, (left, right) in enumerate(zip(found.key_edges, found.key_edges[1:], strict=False)):
            block = values[:, :, top:bottom, left:right].flatten(2)
            close(torch.from_numpy(found.sums[:, :, i, j]), block.sum(-1), atol=1e-12)
            close(torch.from_numpy(found.means[:, :, i, j]), block.mean(-1), atol=1e-12)
            strongest = block.gather(-1, block.abs().argmax(-1, keepdim=True))[..., 0]
            close(torch.from_numpy(found.largest[:, :, i, j]), strongest, atol=0)


def test_4096_tokens_never_lie_in_memory_at_once(monkeypatch):
    q = randn(1, 2, 4096, 4)
    sizes = []

    def counted(self, rows=slice(None), true=probes.AttentionMap.probabilities):
        tile = true(self, rows)
        sizes.append(tile.numel())
        return tile

    monkeypatch.setattr(probes.AttentionMap, "probabilities", counted)
    found = probes.map_overview(probes.softmax_attention(q, q), 64)
    assert found.blocks == (64, 64)
    assert max(sizes) <= 2**21 < 2 * 4096 * 4096
    np.testing.assert_allclose(found.sums.sum((2, 3)), 4096, rtol=1e-5)


def test_similarity_of_heads():
    maps = randn(3, 4, 6, 5).softmax(-1)
    maps[:, 3] = 1 / 5  # looks at nothing in particular
    found = probes.head_similarity(maps)
    flat = maps.double().flatten(2).numpy()
    for kind, off in (("raw", 0), ("mean_removed", flat.mean(-1, keepdims=True))):
        x = flat - off
        for example in range(3):
            lengths = np.linalg.norm(x[example], axis=1)
            cosines = x[example] @ x[example].T / np.maximum(np.outer(lengths, lengths), 1e-9)
            if kind == "mean_removed":
                cosines[3] = cosines[:, 3] = 0
            np.testing.assert_allclose(getattr(found, kind)[example], cosines, atol=1e-9)
    others = found.raw.copy()
    others[:, range(4), range(4)] = -1
    assert found.score("raw") == pytest.approx(others.max(-1).mean())
    assert found.score() < found.score("raw")


def test_uniform_heads_are_alike_only_by_their_mean():
    found = probes.head_similarity(torch.full((2, 3, 49, 49), 1 / 49))
    assert found.score("raw") == pytest.approx(1)
    assert found.score() == 0
    layers = [as_map(randn(2, heads, 4, 4).softmax(-1)) for heads in (1, 2)]
    assert probes.head_similarity(layers).names == ("layer 0 head 0", "layer 1 head 0", "layer 1 head 1")


def brute_measures(weights, places):
    """Mean distance and entropy of one head's rows [queries, keys]."""
    weights = weights / weights.sum(-1, keepdims=True)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return (weights * apart).sum(-1).mean(), -(weights * np.log2(weights)).sum(-1).mean()


@pytest.mark.parametrize(("grid", "skip"), [(None, 0), ((2, 4), 0), ((1, 7), 1), (None, 2)])
def test_distance_and_entropy(grid, skip, monkeypatch):
    monkeypatch.setattr("workbench.probes.attention_tiles.NUMBERS", 100)
    values = randn(2, 3, 8, 8).softmax(-1).double()
    found = probes.map_measures(values, grid=grid, skip=skip)
    places = np.stack(np.unravel_index(np.arange(8 - skip), grid or (8 - skip,)), -1).astype(float)
    for example in range(2):
        for head in range(3):
            part = values[example, head, skip:, skip:].numpy()
            expected = brute_measures(part, places)
            measured = found.distance[example, head], found.entropy[example, head]
            np.testing.assert_allclose(measured, expected, rtol=1e-6)
    expected = brute_measures(np.ones((8 - skip, 8 - skip)), places)
    np.testing.assert_allclose((found.uniform_distance, found.uniform_entropy), expected, rtol=1e-9)
    np.testing.assert_allclose(
        found.own,
        (values.diagonal(dim1=2, dim2=3) / values[..., skip:].sum(-1))[..., skip:].mean(-1),
        rtol=1e-9,
    )


def test_measures_of_one_token_of_causal_maps_and_of_blind_queries():
    one = probes.map_measures(torch.ones(1, 1, 1))
    assert (one.distance.item(), one.entropy.item(), one.largest.item(), one.own.item()) == (0, 0, 1, 1)
    q = torch.zeros(1, 1, 3, 2)
    causal = probes.map_measures(probes.softmax_attention(q, q, causal=True))
    assert causal.entropy.item() == pytest.approx(causal.uniform_entropy)
    assert causal.distance.item() == pytest.approx(causal.uniform_distance) == (0 + 0.5 + 1) / 3
    blind = torch.zeros(1, 2, 2)
    blind[0, 0, 1] = 1
    assert probes.map_measures(blind).distance.item() == 1  # the second query is left out


# Rollout ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", ["mean", "max"])
@pytest.mark.parametrize("residual", [0.0, 0.5, 1.0])
def test_rollout_is_the_product_of_the_layers(heads, residual, monkeypatch):
    monkeypatch.setattr("workbench.probes.attention_tiles.NUMBERS", 40)
    layers = [randn(2, 3, 6, 6, seed=seed).double().softmax(-1) for seed in range(3)]
    product = torch.eye(6).double().expand(2, 6, 6)
    for layer in layers:
        one = layer.mean(1) if heads == "mean" else layer.amax(1) / layer.amax(1).sum(-1, keepdim=True)
        product = (residual * torch.eye(6) + (1 - residual) * one) @ product
    found = probes.rollout([as_map(layer) for layer in layers], heads=heads, residual=residual)
    close(found.probabilities()[:, 0], product, atol=1e-12)
    few = probes.rollout([as_map(layer) for layer in layers], rows=[4], heads=heads, residual=residual)
    close(few.probabilities()[:, 0], product[:, [4]], atol=1e-12)
    close(few.probabilities().sum(-1), torch.ones(2, 1, 1), atol=1e-12)


def test_rollout_through_windows_and_a_merge():
    early = probes.windows_to_field(randn(2 * 4, 2, 4, 4).softmax(-1), probes.window_places(4, 3, 2, 1))
    late = as_map(randn(2, 3, 4, 4).double().softmax(-1))
    merge = probes.merging(4, 3)
    assert merge.tolist() == [[0, 1, 3, 4], [2, -1, 5, -1], [6, 7, 9, 10], [8, -1, 11, -1]]
    M = torch.zeros(4, 12).double()
    for after, before in enumerate(merge):
        M[after, before[before >= 0]] = 1 / (before >= 0).sum()
    first = 0.5 * torch.eye(12) + 0.5 * early.probabilities().double().mean(1)
    last = 0.5 * torch.eye(4) + 0.5 * late.probabilities().mean(1)
    found = probes.rollout([early, merge, late])
    close(found.probabilities()[:, 0], last @ M @ first)
    with pytest.raises(WorkbenchError, match="step 0 leaves 12 tokens, but step 1 takes 4"):
        probes.rollout([early, late])


# Errors -----------------------------------------------------------------------------------------


def test_error_against_exact_attention():
    q, k = randn(2, 3, 7, 4), randn(2, 3, 7, 4, seed=1)
    exact, kernel = probes.softmax_attention(q, k), probes.kernel_attention(q, k)
    found = probes.map_error(kernel, exact)
    difference = (kernel.probabilities() - exact.probabilities()).double()
    close(torch.from_numpy(found.misplaced), difference.abs().sum(-1) / 2)
    close(torch.from_numpy(found.largest), difference.abs().amax(-1))
    close(found.difference.probabilities(), difference)
    assert found.difference.signed
    assert found.per_head.shape == (2, 3)
    assert not probes.map_error(exact, exact).misplaced.any()
    apart = probes.map_error(torch.eye(4)[None], torch.eye(4).flip(0)[None])
    assert apart.misplaced.tolist() == [[[1.0] * 4]]

"""Every mixer of tokens through the probes: price, receptive field, attention views, and its cascade."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.layers import (
    MIXERS,
    MLPMixing,
    mixer,
    neighborhood,
    visible,
)
from workbench.layers.landmark_attention import landmark_attention, landmark_factors
from workbench.layers.raft_mixing import RaftAxis, from_rafts, to_rafts
from workbench.layers.slot_mixing import deal, gather
from workbench.layers.sparse_low_rank_attention import (
    Support,
    orthogonal_rows,
    positive_features,
    sparse_low_rank,
)
from workbench.probes import (
    MIXER_CASCADES,
    MIXER_RULES,
    attention,
    cost,
    implicit_attention,
    interpret,
    passes,
    receptive_field,
)

SIZE, CHANNELS = (8, 8), 8
WITH_A_MATRIX = {
    "full", "window", "grid", "window-grid", "neighborhood", "landmark", "sparse-low-rank", "slots",
    "cascade",
}  # fmt: skip


def made(kind):
    torch.manual_seed(0)
    return mixer(kind, CHANNELS, SIZE).eval(), torch.randn(1, CHANNELS, *SIZE)


@pytest.mark.parametrize("kind", MIXERS)
def test_every_operator_has_a_price(kind):
    model, x = made(kind)
    found = cost(model, x.shape)
    assert found.unpriced == ()
    assert (found.flops.value > 0) == (kind != "none")
    assert found.parameters.value == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", MIXERS)
def test_the_receptive_field_holds_what_is_visible(kind):
    model, x = made(kind)
    field = receptive_field(model, x.shape, rules=MIXER_RULES)
    sees = visible(model, *SIZE).reshape(*SIZE, *SIZE)
    for row, column in ((0, 0), (3, 5), (7, 7)):
        places = sees[row, column].nonzero()
        told = field.interval((row, column))
        for axis in range(2):
            low, high = told[axis]
            assert low <= places[:, axis].min()
            assert places[:, axis].max() <= high
    if kind not in ("grid", "neighborhood"):  # a grid's interval has gaps, windows shift at the border
        middle = sees[4, 4].nonzero()
        assert field.interval((4, 4)) == tuple((int(p.min()), int(p.max())) for p in middle.T)


@pytest.mark.parametrize("kind", MIXERS)
def test_attention_views_show_what_has_a_matrix_and_implicit_attention_the_rest(kind):
    model, x = made(kind)
    maps = attention(model, x)
    assert bool(maps) == (kind in WITH_A_MATRIX)
    for found in maps:
        rows = found.probabilities()
        if kind not in ("landmark", "sparse-low-rank"):  # these two do not divide by their sums, or roughly
            torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows.sum(-1)))
    rows = implicit_attention(model, x, reduce="norm", channels=[0]).probabilities()[0, 0]
    assert not (rows > 0)[~visible(model, *SIZE)].any()


# Cascades -----------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)


def drawn(*shape):
    return RNG.standard_normal(shape)


def same(cascade, inputs, expected, tensor="Y", sizes=None, **functions):
    made = interpret(MIXER_CASCADES[cascade], inputs, sizes, functions)[tensor]
    np.testing.assert_allclose(made, np.asarray(expected), atol=1e-9)


def attended(Q, K, V):
    """Softmax attention over the last two axes."""
    Q, K, V = (torch.from_numpy(x) for x in (Q, K, V))
    return ((Q @ K.mT).softmax(-1) @ V).numpy()


def gelu(x):
    return F.gelu(torch.from_numpy(np.asarray(x))).numpy()


def test_full_window_and_grid_are_attention_along_other_axes():
    Q, K, V = drawn(6, 3), drawn(6, 3), drawn(6, 2)
    same("full", {"Q": Q, "K": K, "V": V}, attended(Q, K, V))
    Q, K, V = drawn(4, 5, 3), drawn(4, 5, 3), drawn(4, 5, 2)
    same("window", {"Q": Q, "K": K, "V": V}, attended(Q, K, V))
    across = attended(*(x.swapaxes(0, 1) for x in (Q, K, V))).swapaxes(0, 1)
    same("grid", {"Q": Q, "K": K, "V": V}, across)


def test_neighborhood():
    Q, K, V = drawn(9, 4), drawn(9, 4), drawn(9, 4)
    expected = neighborhood(*(torch.from_numpy(x)[None, None] for x in (Q, K, V)), 3)[0, 0, 1:-1]
    same(
        "neighborhood", {"Q": Q[1:-1] / 2, "K": K, "V": V}, expected, sizes={"j": 3}
    )  # inside, where no window shifts


def test_landmark():
    Q, L, V = drawn(7, 3), drawn(4, 3), drawn(7, 2)
    _, M = landmark_factors(torch.from_numpy(Q), torch.from_numpy(L))
    expected = landmark_attention(*(torch.from_numpy(x) for x in (Q, L, V)))
    same("landmark", {"Q": Q, "LM": L, "V": V, "IM": M.numpy()}, expected)


def test_sparse_low_rank():
    Q, K, V = (torch.from_numpy(drawn(n, 4) / 2) for n in (5, 7, 7))
    rows = orthogonal_rows(3, 4, torch.Generator().manual_seed(0))
    keys = torch.arange(5)[:, None] + torch.arange(3)
    expected = sparse_low_rank(Q, K, V, rows, Support(keys, torch.ones_like(keys, dtype=torch.bool)))
    (FQ, a), (FK, b) = positive_features(Q, rows), positive_features(K, rows, shared=True)
    features = {"FQ": (FQ * a.exp()).numpy(), "FK": (FK * b.exp()).numpy()}
    same(
        "sparse-low-rank",
        {**features, "Q": Q.numpy(), "K": K.numpy(), "V": V.numpy()},
        expected,
        sizes={"j": 3},
    )


def test_slots():
    X, C = drawn(9, 3), drawn(4, 3)
    logits, pixels = torch.from_numpy(C @ X.T), torch.from_numpy(X)
    Z = gather(logits, pixels)
    mixed = (Z @ Z.mT).softmax(-1) @ Z
    same("slots", {"X": X, "CS": C}, deal(logits, mixed), sizes={"t": 4})


def test_mlp():
    model = MLPMixing((1, 6), expansion=0.5).double()
    X, (first, _, last) = drawn(6, 2), model.mix
    with torch.no_grad():
        first.bias.zero_()
        last.bias.zero_()
        expected = model(torch.from_numpy(X.T.copy())[None, :, None])[0, :, 0].T
    weights = {"W": first.weight.detach().numpy(), "U": last.weight.detach().numpy()}
    same("mlp", {"X": X, **weights}, expected, gelu=gelu)


def test_raft():
    """Two rafts of three channels; without norms and shortcuts, which handle one token alone."""
    X = drawn(2, 4, 2, 3)  # [rows, columns, raft, channels]
    down, across = RaftAxis(6, 2, "columns", 2, 1.5).double(), RaftAxis(6, 4, "rows", 2, 0.5).double()
    lines = torch.from_numpy(X).permute(2, 3, 0, 1).reshape(1, 6, 2, 4)
    with torch.no_grad():
        for axis in (down, across):
            axis.mix[0].bias.zero_()
            axis.mix[2].bias.zero_()
            lines = from_rafts(axis.mix(to_rafts(lines, 2, axis.axis)), 2, axis.axis)
        W, U, P, S = (axis.mix[i].weight.numpy() for axis in (down, across) for i in (0, 2))
    weights = {
        "W": W.reshape(-1, 2, 2),
        "U": U.reshape(2, 2, -1).swapaxes(0, 1),
        "P": P.reshape(-1, 2, 4),
        "S": S.reshape(2, 4, -1).swapaxes(0, 1),
    }
    expected = lines.reshape(2, 3, 2, 4).permute(2, 3, 0, 1)
    same("raft", {"X": X, **weights}, expected, tensor="Z", gelu=gelu)


def test_convolution():
    X, W = drawn(8, 2), drawn(3, 2)
    rows, taps = torch.from_numpy(X.T.copy())[None], torch.from_numpy(W.T.copy())[:, None]
    expected = F.conv1d(rows, taps, groups=2)[0].T
    same("convolution", {"X": X, "W": W}, expected, sizes={"p": 6})


@pytest.mark.parametrize(
    ("cascade", "rank", "count"),
    [
        ("full", "m", 3), ("window", "m", 3), ("window", "w", 1), ("grid", "u", 3), ("grid", "w", 1),
        ("neighborhood", "p", 1), ("neighborhood", "j", 3), ("landmark", "m", 2), ("sparse-low-rank", "m", 1),
        ("slots", "m", 4), ("mlp", "m", 1), ("raft", "i", 1), ("convolution", "p", 1),
    ],
)  # fmt: skip
def test_walks_over_the_tokens(cascade, rank, count):
    assert passes(MIXER_CASCADES[cascade]).counts[rank] == count


def test_the_cascades_are_those_of_the_registry():
    known = set(MIXERS) - {
        "window-grid",
        "cascade",
        "gated-convolution",
        "none",
    }  # chains of others, or nothing
    assert set(MIXER_CASCADES) == known

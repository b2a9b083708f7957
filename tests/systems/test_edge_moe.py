"""Edge-MoE: schedule, attention in fixed point, the one unit, experts, and a whole network in codes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.kernels import WORD, FixedPoint, gelu, staggered_steps
from workbench.layers import MixtureOfExperts
from workbench.systems.attention_cost import edge_moe
from workbench.systems.attention_cost.edge_moe import (
    SYSTEM,
    Buffers,
    FixedNetwork,
    Layer,
    MultiTaskViT,
    SharedGate,
    attention_fixed,
    experts_fixed,
    fixed_experts,
    flushed,
    linear_unit,
    moments,
    overlapped_time,
    scores_fixed,
    staggered,
    unstaggered,
)

SIZES = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@given(SIZES)
def test_a_staggered_schedule_is_right_and_thin(size):
    tokens, lanes = size
    schedule = staggered(tokens, lanes)
    assert schedule.faults() == []
    assert schedule.steps == staggered_steps(tokens, lanes)
    assert (schedule.keys_read == 1).all()
    assert schedule.queries_read.max() == 1 == schedule.finished.max()
    assert schedule.queries_read.sum() == tokens == schedule.finished.sum()


@given(SIZES)
def test_other_orders_are_right_but_wide_or_long(size):
    tokens, lanes = size
    wide, long = unstaggered(tokens, lanes), flushed(tokens, lanes)
    assert wide.faults() == [] == long.faults()
    assert wide.vectors_read.max() == lanes + 1
    assert wide.finished.max() == lanes
    assert long.vectors_read.max() <= 2
    assert long.steps >= staggered_steps(tokens, lanes)


def test_the_published_reads_and_means():
    reads = {p: int(staggered(129, p).keys_read.sum()) for p in (1, 4, 16)}
    assert reads == {1: 16641, 4: 4257, 16: 1161}
    means = [float(staggered(129, p).vectors_read.mean()) for p in (4, 32)]
    assert means == pytest.approx([1.03, 1.20], abs=0.005)


def test_the_checker_finds_what_is_wrong():
    right = staggered(7, 3)
    query, key = right.query.copy(), right.key.copy()
    query[3, 0] = key[3, 0] = -1
    assert replace(right, query=query, key=key).faults()[0] == "1 pairs of a query and a key never meet"
    assert "comes back" in replace(right, query=query, key=key).faults()[-1]
    key = right.key.copy()
    key[3, 0] = key[2, 0]
    assert any("more than once" in fault for fault in replace(right, key=key).faults())
    query = right.query.copy()
    query[0, 1] = 1
    assert "without a key" in replace(right, query=query).faults()[0]
    with pytest.raises(WorkbenchError, match="1 to 7 lanes"):
        unstaggered(7, 8)


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize(("shape", "lanes"), [((1, 8), 1), ((2, 3, 8), 4), ((3, 33, 20), 4), ((33, 7), 32)])
def test_attention_in_codes_is_attention(shape, lanes):
    q, k, v = np.random.default_rng(0).normal(size=(3, *shape))
    found = attention_fixed(WORD.of(q), WORD.of(k), WORD.of(v), lanes=lanes)
    exact = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(shape[-1]))
    np.testing.assert_allclose(WORD.real(found.probabilities), exact, atol=3e-6)
    np.testing.assert_allclose(WORD.real(found.output), exact @ v, atol=3e-5)


def test_scores_round_product_by_product():
    q, k = WORD.of(np.random.default_rng(1).normal(size=(2, 2, 11)))
    scale = int(WORD.of(11**-0.5))
    by_hand = 0
    for first in (0, 8):
        part = sum(
            int(a) * int(b) >> 22
            for a, b in zip(q[0, first : first + 8], k[1, first : first + 8], strict=True)
        )
        by_hand += part * scale >> 22
    assert scores_fixed(q, k)[0, 1] == by_hand


def test_attention_says_which_shapes_it_wants():
    with pytest.raises(WorkbenchError, match=r"expected q, k \[..., n, d\]"):
        attention_fixed(np.zeros((3, 4), np.int64), np.zeros((2, 4), np.int64), np.zeros((3, 4), np.int64))


@pytest.fixture
def unit():
    draws = torch.Generator().manual_seed(0)
    layer = Layer.of(torch.randn(5, 6, generator=draws) / 3, torch.randn(5, generator=draws), WORD)
    x = torch.randn(7, 6, generator=draws).numpy()
    return layer, x, x @ edge_moe.WEIGHTS.real(layer.matrix).T + WORD.real(layer.bias)


@pytest.mark.parametrize("bump", [False, True])
@pytest.mark.parametrize("tokens", [None, np.array([5, 0, 2])])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_unit_with_all_its_flags(unit, bump, tokens, weighted):
    layer, x, wanted = unit
    answer = gelu(wanted) if bump else wanted
    rows = np.arange(7) if tokens is None else tokens
    scores = np.linspace(0.1, 0.9, len(rows)) if weighted else None
    before = WORD.of(np.random.default_rng(0).normal(size=(7, 5)))
    out = before.copy()
    codes = None if scores is None else WORD.of(scores)
    linear_unit(out, WORD.of(x), layer, gelu=bump, tokens=tokens, scores=codes)
    expected = WORD.real(before)
    expected[rows] = expected[rows] + answer[rows] * scores[:, None] if weighted else answer[rows]
    np.testing.assert_allclose(WORD.real(out), expected, atol=2e-4 if bump else 1e-5)
    others = np.setdiff1d(np.arange(7), rows)
    np.testing.assert_array_equal(out[others], before[others])


def test_weights_beyond_two_bits_are_cut_off():
    layer = Layer.of(torch.tensor([[5.0, -5.0]]), None, WORD)
    np.testing.assert_allclose(edge_moe.WEIGHTS.real(layer.matrix), [[2, -2]], atol=1e-3)
    assert layer.bias.tolist() == [0]


@pytest.mark.parametrize("experts", [[], [3], [0, 2, 5]])
def test_loading_goes_one_layer_ahead_and_never_into_the_buffer_at_work(experts):
    visit = moments(experts)
    assert [m.load for m in visit[:-1]] == [m.compute for m in visit[1:]]
    assert [m.compute for m in visit[1:]] == [(e, layer) for e in experts for layer in (0, 1)]
    assert all(m.load[1] != m.compute[1] for m in visit if m.load and m.compute)


def test_what_is_not_in_the_buffer_cannot_compute():
    layer = Layer(np.zeros((1, 1), np.int64), np.zeros(1, np.int64))
    buffers = Buffers([(layer, layer)] * 2)
    buffers.load((1, 0))
    assert buffers.take((1, 0)) is layer
    assert buffers.loads == 1
    with pytest.raises(WorkbenchError, match="is to compute"):
        buffers.take((0, 0))


def test_time_with_two_buffers_by_hand():
    # load 3 | compute 2, load 3 | compute 2, load 3 | compute 10, load 3 | compute 10
    assert overlapped_time([2, 10], load=3, token=1) == (4 * 3 + 2 + 2 + 10 + 10, 3 + 3 + 3 + 10 + 10)
    assert overlapped_time([], load=3, token=1) == (0, 0)


@pytest.mark.parametrize(("tokens", "experts", "chosen"), [(1, 3, 1), (5, 4, 2), (40, 16, 2)])
def test_experts_in_codes_are_the_layer(tokens, experts, chosen):
    torch.manual_seed(0)
    layer = MixtureOfExperts(8, 12, experts, chosen, tasks=2)
    torch.nn.init.normal_(layer.narrow_bias)
    x = torch.randn(tokens, 8)
    for task in (0, 1):
        gate, parts = fixed_experts(layer, task)
        found, loads = experts_fixed(WORD.of(x.numpy()), gate, parts, chosen=chosen)
        np.testing.assert_allclose(WORD.real(found), layer(x, task).detach().numpy(), atol=2e-3)
        assert loads == 2 * len(layer.queues(x, task)) <= 2 * min(experts, chosen * tokens)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MultiTaskViT((3, 2), size=6, patch=3, dim=16, heads=2, depth=4, experts=4).eval()


def test_a_whole_network_in_codes(network):
    X = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    fixed = FixedNetwork(network)
    with torch.no_grad():
        for task in (0, 1):
            wanted = network.answer(X, task).numpy()
            np.testing.assert_allclose(WORD.real(fixed.answer(X, task)), wanted, atol=0.02)
            coarse = FixedNetwork(network, FixedPoint(16, 10)).answer(X, task)
            assert np.abs(FixedPoint(16, 10).real(coarse) - wanted).max() > 0.02
    assert 0 < fixed.loads <= 2 * 2 * 2 * 4  # two layers of two blocks, two tasks, four experts


def test_norm_in_codes(network):
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    norm = network.blocks[0].norms[0]
    found = WORD.real(FixedNetwork(network).norm(WORD.of(x.numpy()), norm))
    np.testing.assert_allclose(found, norm(x).detach().numpy(), atol=1e-4)


def test_every_second_block_has_experts_and_every_task_its_gate(network):
    assert [block.experts is not None for block in network.blocks] == [False, True, False, True]
    assert all(len(block.experts.gates) == 2 for block in network.blocks if block.experts)
    X = torch.rand(4, 1, 6, 6)
    with torch.no_grad():
        both = network(X)
        torch.testing.assert_close(both[:, 3:], network.answer(X, 1))
        assert not torch.allclose(network.answer(X, 1, gates=0), both[:, 3:])


@pytest.mark.parametrize("which", [0, 1])
def test_a_shared_gate_serves_both_tasks(which):
    torch.manual_seed(0)
    own = MultiTaskViT().eval()
    torch.manual_seed(0)
    shared = SharedGate(which).eval()
    X = torch.rand(3, 1, 8, 8)
    wanted = torch.cat([own.answer(X, task, gates=which) for task in (0, 1)], 1)
    torch.testing.assert_close(shared(X), wanted)
    shared(X).sum().backward()
    for block in shared.blocks[1::2]:
        used = block.experts.gates.grad.abs().sum((1, 2)) > 0
        assert used.tolist() == [which == 0, which == 1]


def test_every_parameter_learns():
    torch.manual_seed(0)
    model = MultiTaskViT(experts=4)
    edge_moe.both_losses(model(torch.rand(32, 1, 8, 8)), torch.randint(0, 2, (32, 2))).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert still == []


@pytest.mark.parametrize(
    "id", ["tokens-per-step", "key-reads", "gelu-error", "expert-loads", "fixed-point-error"]
)
def test_claims_that_need_no_training(id):
    claim = SYSTEM.claim(id)
    budget = "smoke" if id == "gelu-error" else "lesson"
    measured, control = claim.measure(0, budget), claim.control(0, budget)
    assert claim.bar.low <= measured.value <= claim.bar.high
    assert not claim.bar.low <= control.value <= claim.bar.high


def test_what_no_computer_here_can_measure():
    assert run_claim(SYSTEM, "energy-gpu", "lesson").verdict == "needs hardware"


@pytest.mark.parametrize("id", ["same-answers", "a-gate-for-each-task"])
def test_trained_claims_execute(id, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for part in (SYSTEM.claim(id).measure, SYSTEM.claim(id).control):
        assert np.isfinite(part(0, "smoke").value)

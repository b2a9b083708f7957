"""Turbo-VBI: messages against enumeration, steps against numerical maxima, noise, pruning, what is kept."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from workbench.errors import WorkbenchError
from workbench.systems.filter_distributions import turbo_vbi
from workbench.systems.filter_distributions.turbo_vbi import (
    ALONE,
    DEMO_PRECISION,
    MARKOV,
    SYSTEM,
    AndLoss,
    Chain,
    Grouped,
    Masked,
    Noisy,
    Precision,
    Settings,
    Turbo,
    alternate,
    belief_gap,
    bound,
    clusters,
    connected,
    count_of,
    digits_net,
    enumerate_grid,
    largest,
    logit,
    pass_messages,
    prune,
    rho_step,
    runs,
    s_step,
    settle,
    settled,
    shuffled,
    stored_bytes,
    wave_net,
    weights_of,
)

DEMO = Chain(0.288, 0.49)  # of the federated demo, convolutions


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def draws(*shape, seed=0, scale=2.0):
    return np.random.default_rng(seed).normal(0, scale, shape)


# Module B -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 12), (9, 1)])
@pytest.mark.parametrize("chain", [DEMO, Chain(0.03, 0.85), Chain(0.9, 0.2)], ids=str)
def test_chains_are_exact(shape, chain):
    evidence, other = draws(*shape), Chain(0.4, 0.7)
    found = pass_messages(evidence, chain, other)
    np.testing.assert_allclose(sigmoid(found.belief), enumerate_grid(evidence, chain, other), atol=1e-10)
    np.testing.assert_allclose(found.belief - found.extrinsic, evidence)
    assert found.change <= 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_a_weakly_coupled_grid_is_nearly_exact(seed):
    evidence = draws(3, 3, seed=seed)
    found = sigmoid(pass_messages(evidence, DEMO).belief)
    np.testing.assert_allclose(found, enumerate_grid(evidence, DEMO), atol=0.002)


def test_a_strong_coupling_breaks_the_messages():
    """Where evidence is weak; with the strong evidence that weights give, it does not matter."""
    strong = Chain(0.03, 0.85)

    def worst(scale):
        gaps = []
        for seed in range(10):
            evidence = draws(3, 3, seed=seed, scale=scale)
            said = sigmoid(pass_messages(evidence, strong, damping=0.3).belief)
            gaps.append(np.abs(said - enumerate_grid(evidence, strong)).max())
        return max(gaps)

    assert worst(2.0) > 0.2
    assert worst(200.0) < 1e-3


def test_a_chain_without_memory_knows_no_neighbours():
    evidence, alone = draws(4, 5), Chain(0.2, 0.2)
    found = pass_messages(evidence, alone)
    np.testing.assert_allclose(found.extrinsic, 2 * logit(0.2))  # once for the row, once for the column
    assert alone.coupling == pytest.approx(0)
    assert alone.start == pytest.approx(0.2)


def test_many_grids_at_once_are_grids_one_by_one():
    evidence = draws(2, 3, 4, 5)[:, ::-1]  # not contiguous
    together = pass_messages(evidence, DEMO).belief
    one = pass_messages(evidence[1, 2], DEMO).belief
    np.testing.assert_allclose(together[1, 2], one, atol=1e-8)


def test_rows_and_columns_have_chains_of_their_own():
    evidence, along, down = draws(3, 4), Chain(0.1, 0.5), Chain(0.4, 0.3)
    found = pass_messages(evidence, along, down).belief
    np.testing.assert_allclose(found, pass_messages(evidence.T, down, along).belief.T, atol=1e-8)


def test_extreme_evidence_stays_finite():
    evidence = np.array([[1e4, -1e4], [-1e4, 1e4]])
    found = pass_messages(evidence, Chain(0.05, 0.6))
    assert np.isfinite(found.belief).all()
    np.testing.assert_array_equal(found.belief > 0, evidence > 0)


# Module A -------------------------------------------------------------------------------------


def test_rho_step_is_the_maximum_of_the_bound():
    prior = Precision(1.3, 0.05, 0.9, 1e-3)
    square, odds, message = (torch.tensor(x, dtype=torch.float64) for x in (0.03, 0.4, -0.7))
    shape, rate = rho_step(square, odds.sigmoid(), prior)

    def loss(logs):
        a, b = (torch.tensor(x).exp() for x in logs)
        return -bound(square, a, b, odds, message, prior).item()

    best = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    np.testing.assert_allclose(np.exp(best.x), [shape.item(), rate.item()], rtol=1e-5)


def test_s_step_is_the_maximum_of_the_bound():
    prior = Precision(1.3, 0.05, 0.9, 1e-3)
    square, shape, rate, message = (torch.tensor(x, dtype=torch.float64) for x in (0.03, 1.6, 0.02, -0.7))
    odds = s_step(shape, rate, message, prior)

    def loss(x):
        return -bound(square, shape, rate, torch.tensor(x[0]), message, prior).item()

    best = minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-16})
    assert best.x[0] == pytest.approx(odds.item(), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_never_falls(seed):
    generator = torch.Generator().manual_seed(seed)
    square = 0.1 * torch.rand(50, generator=generator, dtype=torch.float64)
    odds, message = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    prior, before = Precision(b=0.02), -math.inf
    for _ in range(15):
        shape, rate = rho_step(square, odds.sigmoid(), prior)
        now = bound(square, shape, rate, odds, message, prior).item()
        assert now >= before - 1e-9
        odds = s_step(shape, rate, message, prior)
        before = bound(square, shape, rate, odds, message, prior).item()
        assert before >= now - 1e-9


def test_lock_in():
    """With the demo's constants a weight of exactly zero stays, or not, by where its belief began."""
    assert settled(0.0, 0.5) > 0.9
    assert settled(0.0, 0.2) < 1e-6
    ours = Precision(b=0.02)
    assert settled(0.0, 0.03, prior=ours) < 1e-6 < 0.99 < settled(0.5, 0.03, prior=ours)
    assert DEMO_PRECISION.b == 1


# The layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: nn.Linear(5, 3), lambda: nn.Conv2d(2, 3, 3, padding=1, stride=2)])
def test_local_noise_has_the_moments_of_noisy_weights(make):
    torch.manual_seed(0)
    layer = Noisy(make(), Settings(sigma=0.3))
    x = torch.randn(2, 5) if isinstance(layer.layer, nn.Linear) else torch.randn(2, 2, 5, 4)
    local = torch.stack([layer(x) for _ in range(1500)])
    w, bias = layer.layer.weight, layer.layer.bias
    noisy = [turbo_vbi.answer(layer.layer, x, w + 0.3 * torch.randn_like(w), bias) for _ in range(1500)]
    there = torch.stack(noisy)
    scale = there.std(0).max().item()
    torch.testing.assert_close(local.mean(0), there.mean(0), atol=0.1 * scale, rtol=0)
    torch.testing.assert_close(local.std(0), there.std(0), rtol=0.1, atol=0.01)
    layer.eval()
    torch.testing.assert_close(layer(x), layer.layer(x))


def test_the_divergence_has_the_gradient_of_the_kl_of_two_normals():
    torch.manual_seed(0)
    layer = Noisy(nn.Linear(3, 2), Settings())
    layer.divergence().backward()
    found = layer.layer.weight.grad.clone(), layer.log_sigma.grad.clone()
    layer.zero_grad()
    q = torch.distributions.Normal(layer.layer.weight, layer.log_sigma.exp())
    prior = torch.distributions.Normal(0.0, (layer.rate / layer.shape).sqrt())
    torch.distributions.kl_divergence(q, prior).sum().backward()
    torch.testing.assert_close(found, (layer.layer.weight.grad, layer.log_sigma.grad))


def test_a_further_loss_comes_along():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    AndLoss.apply(3 * x, (x**2).sum()).sum().backward()
    torch.testing.assert_close(x.grad, 3 + 2 * x.detach())


def test_modules_exchange_on_time_and_in_training_alone():
    torch.manual_seed(0)
    net = Turbo(digits_net(), Settings(every=2), 100)
    x, before = torch.rand(4, 1, 8, 8), net.odds()[0].clone()
    net(x)
    assert torch.equal(net.odds()[0], before)
    net(x)
    assert not torch.equal(net.odds()[0], before)
    net.eval()
    torch.testing.assert_close(net(x), net.net(x))
    assert net.clock == 2
    message, odds = net.noisy()[0].message, net.noisy()[0].odds
    sent = (net.noisy()[0].odds.double() - pass_once(net.noisy()[0])).float()
    assert message.shape == odds.shape == sent.shape == (60, 64)


def pass_once(layer):
    found = pass_messages(layer.odds.double().numpy(), layer.settings.along, rounds=1)
    return torch.from_numpy(found.extrinsic)


def test_weights_that_do_not_move_settle_by_their_size():
    weights = torch.tensor([[0.0, 0.5, 0.01, -0.6]])
    odds, message = settle(weights, ALONE)
    assert (odds > 0).tolist() == [[False, True, False, True]]
    torch.testing.assert_close(message, torch.full_like(message, 2 * logit(0.08)))
    beside, _ = settle(weights, MARKOV)
    assert beside[0, 2] > odds[0, 2]  # two neighbours that stay speak for the small one between them


def test_what_the_demo_sends_makes_beliefs_louder():
    weights = 0.2 * torch.randn(8, 9, generator=torch.Generator().manual_seed(0))
    once, _ = settle(weights, MARKOV)
    twice, message = settle(weights, replace(MARKOV, twice=True))
    assert twice.abs().mean() > 1.5 * once.abs().mean()
    assert (message.sign() == twice.sign()).double().mean() > 0.9  # B repeats what A had said


def test_a_prior_without_neighbours_sends_one_number():
    net = Turbo(wave_net(), ALONE, 100)
    for layer in net.noisy():
        layer.exchange()
        torch.testing.assert_close(layer.message, torch.full_like(layer.message, 2 * logit(0.08)))
        assert layer.odds.shape[-2:] == (5, 5)


def test_extrinsic_messages_are_exact_and_double_counting_is_not():
    for seed in range(3):
        assert belief_gap(False, seed) < 1e-8
        assert belief_gap(True, seed) > 0.05
    evidence = draws(1, 6)
    np.testing.assert_allclose(
        alternate(evidence, MARKOV.along), pass_messages(evidence, MARKOV.along).belief
    )


# Pruning and its price ------------------------------------------------------------------------


def masks(*texts):
    return [torch.tensor([[c == "x" for c in row] for row in text.split()]) for text in texts]


def test_pieces_and_runs_by_hand():
    (support,) = masks("xx.x .x.. x..x xx.x")
    assert clusters([support]) == 4
    assert runs([support]) == 7
    assert stored_bytes([support]) == 2 * 9 + 3 * 7
    assert clusters([support.expand(2, 3, 4, 4)]) == 24  # every kernel is a grid of its own
    assert clusters(masks("..")) == runs(masks("..")) == 0


def test_shuffling_keeps_the_numbers_of_rows_and_columns():
    (support,) = masks("xxx... xxx... xx....")
    (mixed,) = shuffled([support], 1)
    assert not torch.equal(mixed, support)
    for axis in (0, 1):
        assert sorted(mixed.sum(axis).tolist()) == sorted(support.sum(axis).tolist())
    kernels = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) < 0.3
    (mixed,) = shuffled([kernels], 1)
    assert torch.equal(mixed.sum((2, 3)), kernels.sum((2, 3)))
    assert not torch.equal(mixed[0, 0].sort(0)[0], kernels[0, 0].sort(0)[0])  # each has an order of its own


def test_the_largest_of_the_whole_network():
    scores = [torch.tensor([[1.0, 9.0]]), torch.tensor([[7.0], [3.0]])]
    assert [s.tolist() for s in largest(scores, 2)] == [[[False, True]], [[True], [False]]]
    assert count_of(largest([torch.zeros(3, 3)], 4)) == 4  # also where all are alike
    with pytest.raises(WorkbenchError, match="1 to 4"):
        largest(scores, 0)


def test_units_without_a_side_lose_the_other():
    first, second = connected(masks("xx .. xx", "xx. xx."))  # unit 1 hears nothing, unit 2 is not heard
    assert first.tolist() == [[True, True], [False, False], [False, False]]
    assert second.tolist() == [[True, False, False], [True, False, False]]
    chain = connected(masks("x. .x", "x. .x", "x. .."))
    assert [count_of([m]) for m in chain] == [1, 1, 1]  # what leads nowhere goes, layer by layer


def test_unheard_units_change_no_answer():
    torch.manual_seed(0)
    net, x = digits_net(), torch.rand(5, 1, 8, 8)
    supports = [torch.rand_like(w) < 0.5 for w in weights_of(net)]
    supports[1][:, 7] = False  # nobody listens to unit 7
    kept = connected(supports)
    assert not kept[0][7].any()
    whole = turbo_vbi.replace_layers(
        turbo_vbi.deepcopy(net), partial(lambda parts, layer: Masked(layer, next(parts)), iter(supports))
    )
    torch.testing.assert_close(prune(net, supports)(x), whole(x))


@pytest.mark.parametrize("make", [digits_net, wave_net])
def test_pruning_takes_the_means(make):
    torch.manual_seed(0)
    net = Turbo(make(), MARKOV, 100)
    supports = largest([w.abs() for w in weights_of(net)], 200)
    thin = prune(net, supports)
    assert [part.mask.sum() for part in thin.modules() if isinstance(part, Masked)] == [
        m.sum() for m in connected(supports)
    ]
    assert not any(isinstance(part, Noisy) for part in thin.modules())
    assert any(isinstance(part, Noisy) for part in net.modules())  # the other one is left as it was


def test_masked_weights_get_no_gradient():
    layer = Masked(nn.Conv2d(1, 2, 3), torch.rand(2, 1, 3, 3) < 0.5)
    layer(torch.randn(1, 1, 5, 5)).sum().backward()
    assert not layer.layer.weight.grad[~layer.mask].any()


def test_group_lasso_pays_for_both_sides():
    net = Grouped(nn.Sequential(nn.Linear(4, 3)), 0.1)
    w = net.net[0].weight
    expected = 2 * w.norm(dim=1).sum() + math.sqrt(3) * w.norm(dim=0).sum()
    torch.testing.assert_close(net.norms(), expected)


def test_slips_are_a_sentence():
    with pytest.raises(WorkbenchError, match="between 0 and 1"):
        Chain(0.0, 0.5)
    with pytest.raises(WorkbenchError, match="finite log-odds"):
        pass_messages(np.zeros(4), DEMO)
    with pytest.raises(WorkbenchError, match="at most 16"):
        enumerate_grid(np.zeros((5, 5)), DEMO)


@pytest.mark.parametrize("part", ["measure", "control"])
@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda c: c.id)
def test_claims_execute(claim, part, tmp_path_factory, monkeypatch):
    build = tmp_path_factory.getbasetemp() / "turbo"  # what they train is shared, as it is in a lesson
    monkeypatch.setenv("WORKBENCH_BUILD", str(build))
    found = getattr(claim, part)(0, "smoke")
    assert math.isfinite(getattr(found, "value", found))

"""Powers of two, binary attention, learned hashes and unequal experts, each against an independent truth."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.errors import WorkbenchError
from workbench.kernels import masked_sums, shift_linear
from workbench.layers import (
    BinaryAttention2d,
    KernelHash,
    ShiftLinear,
    UnequalExperts,
    fair_shares,
    power_of_two,
    signs_and_exponents,
    unevenness,
)
from workbench.layers.binary_attention import binary
from workbench.layers.kernel_hashing import MOMENTUM, RATE, ROUNDS, descended, similar_pairs
from workbench.layers.power_of_two import fixed_point, lowest_exponent


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


# Powers of two


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_rounding_is_nearest_in_the_exponent(bits):
    weight = torch.randn(50, 7) * 2.0 ** torch.randint(-20, 3, (50, 7))
    rungs = 2.0 ** torch.arange(lowest_exponent(bits), 1)
    heights = (weight.abs()[..., None].log2() - rungs.log2()).abs()
    torch.testing.assert_close(power_of_two(weight, bits), weight.sign() * rungs[heights.argmin(-1)])


def test_zero_stays_zero_and_five_bits_end_at_minus_14():
    signs, exponents = signs_and_exponents(torch.tensor([0.0, 1e-30, -9.0]))
    assert signs.tolist() == [0, 1, -1]
    assert exponents.tolist() == [-14, -14, 0]
    with pytest.raises(WorkbenchError, match="2 to 8 bits"):
        power_of_two(torch.ones(1), 1)


def test_fixed_point_rounds_down_and_stops_at_both_ends():
    x = torch.tensor([0.5, 2**-17, -(2**-17), 1e6, -1e6], requires_grad=True)
    found = fixed_point(x)
    assert found.tolist() == [0.5, 0.0, -(2**-16), 2**15 - 1, -(2**15)]
    found.sum().backward()
    assert x.grad.tolist() == [1] * 5


@pytest.mark.parametrize("learns", ["weight", "exponent"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_converted_layer_is_its_integers_bit_for_bit(learns, bias):
    layer = nn.Linear(13, 6, bias=bias).double()
    shifted = ShiftLinear.of(layer, learns=learns).double()
    torch.testing.assert_close(shifted.rounded(), power_of_two(layer.weight))
    x = 3 * torch.randn(4, 13).double()
    codes = (fixed_point(x) * 2**16).long().numpy()
    signs, shifts, bias_codes = shifted.codes()
    whole = shift_linear(
        codes, signs.numpy(), shifts.numpy(), None if bias_codes is None else bias_codes.numpy()
    )
    with torch.no_grad():
        np.testing.assert_array_equal(whole / 2.0**30, shifted(x).numpy())


def test_a_sign_near_zero_switches_its_weight_off():
    layer = ShiftLinear(3, 2)
    with torch.no_grad():
        layer.signs.copy_(torch.tensor([[0.4, -0.4, 0.6], [-0.6, 1.0, -1.0]]))
        layer.exponents.copy_(torch.tensor([[0.0, 0.0, -20.0], [-1.4, 3.0, -1.6]]))
    assert layer.rounded().tolist() == [[0, 0, 2**-14], [-0.5, 1, -0.25]]


@pytest.mark.parametrize("learns", ["weight", "exponent"])
def test_gradients_pass_the_rounding(learns):
    layer, x = ShiftLinear(5, 3, learns=learns), torch.randn(7, 5)
    layer(x).sum().backward()
    inputs = fixed_point(x).sum(0).expand(3, 5)
    if learns == "weight":
        torch.testing.assert_close(layer.weight.grad, inputs)
    else:
        signs, exponents = layer.parts()
        size = exponents.exp2()
        torch.testing.assert_close(layer.signs.grad, inputs * size)
        torch.testing.assert_close(layer.exponents.grad, inputs * signs * size * math.log(2))


# Attention


@pytest.mark.parametrize("form", ["softmax", "linear", "binary", "hashed"])
@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (2, 8, 3, 5)])
def test_every_form_keeps_the_shape_and_sees_all_tokens(form, shape):
    layer = BinaryAttention2d(8, 2, form)
    assert layer(torch.randn(shape)).shape == shape
    assert layer.visible(*shape[2:]).all()
    x = torch.randn(shape).transpose(2, 3)  # not contiguous
    assert layer(x).shape == x.shape


def test_softmax_is_attention():
    layer, x = BinaryAttention2d(6, 2, "softmax"), torch.randn(2, 6, 3, 2)
    q, k, v = layer.projected(x)
    mixed = (q @ k.mT / math.sqrt(3)).softmax(-1) @ v
    wanted = layer.answer(mixed.transpose(1, 2).flatten(2)).mT.unflatten(2, (3, 2))
    torch.testing.assert_close(layer(x), wanted)


@pytest.mark.parametrize("form", ["linear", "binary"])
def test_linear_attention_is_its_quadratic_form(form):
    layer, x = BinaryAttention2d(6, 2, form), torch.randn(2, 6, 3, 2)
    q, k, v = layer.queries_keys_values(x)
    scores = 1 / 2 * torch.eye(6) + q @ k.mT / math.pi  # all pairs, as it would be without the trick
    mixed = F.normalize(scores @ v, dim=-1) + layer.along(v)
    wanted = layer.answer(mixed.transpose(1, 2).flatten(2)).mT.unflatten(2, (3, 2))
    torch.testing.assert_close(layer(x), wanted)


def test_binary_queries_need_only_additions():
    layer, x = BinaryAttention2d(6, 1), torch.randn(1, 6, 2, 4)
    q, k, v = (part[0, 0].detach().double() for part in layer.queries_keys_values(x))
    assert set(q.unique().tolist()) | set(k.unique().tolist()) == {0.0, 1.0}
    joined, asked = np.zeros((6, 6)), np.zeros((8, 6))
    masked_sums(k.bool().numpy(), v.numpy(), joined)
    masked_sums(q.bool().numpy().T.copy(), joined, asked)  # a row of k^T v for every bit of a query
    np.testing.assert_allclose(asked, q @ (k.T @ v), atol=1e-12)


def test_the_threshold_and_its_gradient():
    x = torch.tensor([-2.0, 0.2, 0.6, 1.4, 0.0], requires_grad=True)  # their mean is 0.04
    found = binary(x)
    assert found.tolist() == [0, 1, 1, 1, 0]
    found.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0, 1]


def test_another_form_keeps_what_it_shares():
    first = BinaryAttention2d(8, 2, "softmax", reach=3)
    second = BinaryAttention2d.of(first, "linear")
    third = BinaryAttention2d.of(second, "binary")
    torch.testing.assert_close(first.ask.weight, third.ask.weight)
    torch.testing.assert_close(second.along.weight, third.along.weight)
    assert third.along.weight.shape == (2, 1, 3, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"heads": 3}, "divide"), ({"form": "other"}, "form"), ({"reach": 4}, "odd")],
)
def test_attention_says_what_it_expects(options, words):
    with pytest.raises(WorkbenchError, match=words):
        BinaryAttention2d(8, **options)


# Hashes


def agreement_of(codes, x):
    alike = codes @ codes.mT + (1 - codes) @ (1 - codes).mT
    return float(torch.corrcoef(torch.stack([alike.flatten(), (x @ x.mT).flatten()]))[0, 1])


def test_a_learned_hash_tells_similar_from_dissimilar():
    x = F.normalize(torch.randn(8, 2, 16, 6), dim=-1)
    hash = KernelHash(2, 6)
    before = agreement_of(hash(x), x)
    hash.fit(x)
    codes = hash(x)
    assert codes.shape == (8, 2, 16, 16)
    assert set(codes.unique().tolist()) == {0.0, 1.0}
    assert agreement_of(codes, x) > before + 0.2


def test_descent_is_that_of_torch():
    own, weights = torch.randn(2, 3, 5, 4), torch.randn(3, 4)
    pairs = torch.randn(2, 3, 5, 5)
    pairs = 50 * (pairs + pairs.mT)
    learning = weights.clone().requires_grad_()
    descent = torch.optim.SGD([learning], RATE, MOMENTUM, nesterov=True)
    for _ in range(ROUNDS):
        code = 2 * torch.sigmoid((own @ learning.unsqueeze(-1)).squeeze(-1)) - 1
        loss = -torch.einsum("bhn,bhnm,bhm->bh", code, pairs, code).mean() / 5
        descent.zero_grad()
        loss.backward()
        descent.step()
    torch.testing.assert_close(descended(weights, own, pairs), learning.detach(), rtol=1e-4, atol=1e-4)
    assert (learning - weights).abs().max() > 0.05


def test_distances_to_anchors_are_exact():
    x, hash = torch.randn(2, 3, 5, 4), KernelHash(3, 4, anchors=7)
    squares = (x.unsqueeze(-2) - hash.anchors[:, None]).square().sum(-1)
    width = squares.mean((-2, -1), keepdim=True)
    torch.testing.assert_close(hash.similarities(x), torch.exp(-squares / (2 * width)))


def test_pairs_are_the_largest_and_the_smallest_products():
    x = torch.tensor([[1.0, 0], [0.9, 0.1], [-1, 0], [0, 1]])[None, None]
    pairs = similar_pairs(x, 1)[0, 0]
    assert pairs[0].tolist() == [1, 0, -1, 0]
    assert pairs[2].tolist() == [-1, 0, 1, 0]


# Experts


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def experts(latencies=(0.6, 0.4), **options):
    return UnequalExperts(4, [Times(1.0), Times(10.0)], latencies, **options)


def test_every_token_gets_one_expert_times_its_probability():
    layer, x = experts().eval(), torch.randn(3, 5, 4)
    probabilities = layer.score(x).softmax(-1)
    best = probabilities.max(-1)
    factor = torch.where(best.indices == 0, 1.0, 10.0)
    torch.testing.assert_close(layer(x), (best.values * factor)[..., None] * x)
    shares = layer.shares(x)
    assert shares.sum() == 1
    assert shares[0] == (best.indices == 0).double().mean()


def test_routing_adds_up_to_all_tokens():
    layer, x = experts(), torch.randn(40, 4)
    torch.manual_seed(5)
    chosen, probabilities, _ = layer.route(x)
    torch.manual_seed(5)
    whole = sum((chosen == e)[:, None] * probabilities[:, e, None] * layer.experts[e](x) for e in range(2))
    torch.testing.assert_close(layer(x), whole)


def test_loads_are_the_probability_of_being_on_top():
    layer, x = experts(), torch.randn(1, 4)
    with torch.no_grad():
        clean, spread = layer.score(x), F.softplus(layer.spread(x)) + 1e-2
        torch.manual_seed(0)
        _, _, loads = layer.route(x)
        torch.manual_seed(0)
        noisy = clean + spread * torch.randn_like(clean)
    for e in (0, 1):  # against the other's score, which stays
        again = clean[0, e] + spread[0, e] * torch.randn(200_000)
        assert loads[0, e] == pytest.approx(float((again > noisy[0, 1 - e]).double().mean()), abs=0.005)


def test_noise_is_for_training_unless_asked_for():
    x = torch.randn(500, 4)
    quiet, noisy = experts().eval(), experts(noise_at_test=True).eval()
    assert torch.equal(quiet(x), quiet(x))
    assert not torch.equal(noisy(x), noisy(x))
    assert not torch.equal(quiet.train()(x), quiet(x))


def test_unevenness_is_zero_where_shares_are_fair():
    latencies = torch.tensor([0.6, 0.4])
    shares = torch.tensor(fair_shares([0.6, 0.4]))
    assert unevenness(latencies * shares) == pytest.approx(0, abs=1e-9)
    assert unevenness(torch.tensor([3.0, 0.0])) == pytest.approx(2)
    assert unevenness(torch.tensor([1.0, 2.0, 6.0])) == pytest.approx(7 / 9)
    assert fair_shares([0.8, 0.2]) == [0.2, 0.8]


def test_both_sums_have_gradients():
    layer = experts()
    layer.with_unevenness(torch.randn(64, 4))[1].backward()
    assert layer.score.weight.grad.abs().sum() > 0
    assert layer.spread.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("latencies", [(1.0,), (1.0, 0.0)])
def test_experts_say_what_they_expect(latencies):
    with pytest.raises(WorkbenchError, match="positive latency"):
        UnequalExperts(4, [Times(1.0), Times(2.0)], latencies)

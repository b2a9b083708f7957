"""Plans, their totals and their reach against independent truths; the claims in the smoke budget."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.exercises.receptive_fields.step import step
from workbench.probes import cost, receptive_field
from workbench.systems.receptive_fields import simplenet
from workbench.systems.receptive_fields.simplenet import (
    EARLY_MIXING,
    EARLY_POOLS,
    EXTRA_POOL,
    FULL,
    SLIM,
    SLIM_460,
    SYSTEM,
    Layer,
    SimpleNet,
    layers_of,
    make,
    resnet_20,
    source_recipe,
    wide_early,
)


def weights(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def total(plan: str, inputs: int, outputs: int) -> int:
    """Weights by hand: kernels, biases, two numbers of each norm, the linear layer."""
    found, channels = 0, inputs
    for layer in layers_of(plan):
        if not layer.pools:
            found += layer.channels * (channels * layer.kernel**2 + 3)
            channels = layer.channels
    return found + outputs * (channels + 1)


@pytest.mark.parametrize(
    ("plan", "expected"), [(SLIM, 312_362), (SLIM_460, 385_790), (FULL, 5_498_378), (EXTRA_POOL, 5_498_378)]
)
def test_parameter_totals_for_cifar(plan, expected):
    assert weights(SimpleNet(plan, 3, 10)) == total(plan, 3, 10) == expected


def test_thirteen_layers_and_four_pools():
    for plan in (SLIM, SLIM_460, FULL, EARLY_POOLS, EARLY_MIXING):
        assert sum(not layer.pools for layer in layers_of(plan)) == 13
        assert sum(layer.pools for layer in layers_of(plan)) == 4
    assert sum(layer.pools for layer in layers_of(EXTRA_POOL)) == 5
    channels = [[layer.channels for layer in layers_of(p) if not layer.pools] for p in (SLIM, EARLY_POOLS)]
    assert channels[0] == channels[1]


def test_the_compared_networks_cost_what_is_said():
    late, early, wide, baseline = map(make, ("late pools", "early pools", "early pools, wider", "ResNet-20"))
    assert weights(late) == weights(early)
    assert weights(baseline) >= 3 * weights(late)
    works = [simplenet.multiplications(*net) for net in ((SLIM, 32, 0.5), (EARLY_POOLS, 32, wide_early(32)))]
    assert works[1] == pytest.approx(works[0], rel=0.05)
    assert simplenet.multiplications(EARLY_POOLS, 32, 0.5) < works[0] / 5
    assert weights(wide) > 5 * weights(late)


@pytest.mark.parametrize("size", [32, 45])
def test_multiplications_are_those_that_are_counted(size):
    counted = cost(SimpleNet(SLIM, width=0.1), (1, 1, size, size)).macs.value
    assert counted == simplenet.multiplications(SLIM, size, 0.1) + 6 * 6  # and the linear layer


def positive(net: SimpleNet, size: tuple[int, int]) -> torch.Tensor:
    """Pixels that move the middle output, by a float64 gradient through average pools and "
    "positive weights."""
    parts = []
    for part in net.features:
        if isinstance(part, nn.Conv2d):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
            nn.init.constant_(part.bias, 1.0)
            parts.append(part)
        elif isinstance(part, nn.MaxPool2d):
            parts.append(nn.AvgPool2d(2))
    x = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    y = nn.Sequential(*parts).double()(x)
    y[:, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    return x.grad[0, 0] > 0


@pytest.mark.parametrize("plan", [SLIM, EARLY_POOLS, "3", "2/5 P 3/1", "2 P 2/7"])
@pytest.mark.parametrize("size", [(64, 64), (47, 90)])
def test_reach_is_the_zero_pattern_of_a_gradient(plan, size):
    net = SimpleNet(plan, width=0.05 if "64" in plan else 1.0)
    seen = positive(net, size)
    (top, bottom), (left, right) = receptive_field(net.features, (1, 1, *size)).interval()
    expected = torch.zeros_like(seen)
    expected[top : bottom + 1, left : right + 1] = True
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("plan", [SLIM, FULL, EXTRA_POOL, EARLY_POOLS, EARLY_MIXING])
@pytest.mark.parametrize("size", [32, 45, 64])
def test_reach_is_the_recurrence(plan, size):
    state = (size, 1, 1, 0.0)
    for layer in layers_of(plan):
        state = step(*state, *((2, 2, 0, 1) if layer.pools else (layer.kernel, 1, layer.kernel // 2, 1)))
    found = receptive_field(SimpleNet(plan, width=0.05).features, (1, 1, size, size)).axes[0]
    assert (found.outputs, found.jump, found.size, found.start) == state


def test_reach_is_larger_than_the_picture_and_early_pools_reach_further():
    fields = [receptive_field(SimpleNet(p, width=0.1).features, (1, 1, 32, 32)) for p in (SLIM, EARLY_POOLS)]
    assert [field.size for field in fields] == [(100, 100), (270, 270)]


def test_after_the_extra_pool_the_last_layer_uses_one_of_nine_weights():
    for plan, used in ((FULL, 4), (EXTRA_POOL, 1)):
        net = SimpleNet(plan, 3, 10, width=0.05)
        net(torch.randn(4, 3, 32, 32)).square().sum().backward()
        last = [part for part in net.features if isinstance(part, nn.Conv2d)][-1]
        touched = last.weight.grad.abs().sum(dim=(0, 1)) > 0
        assert int(touched.sum()) == (9 if used == 4 else 1)


@pytest.mark.parametrize("shape", [(16, 16), (33, 17), (70, 19)])
def test_any_size_and_layout(shape):
    net = SimpleNet(SLIM, width=0.1).eval()
    x = torch.randn(2, 1, *shape[::-1]).transpose(2, 3)
    torch.testing.assert_close(net(x), net(x.contiguous()))
    assert net(x).shape == (2, 6)


def test_the_global_maximum_finds_the_same_anywhere():
    net = SimpleNet("4 4", width=1.0).eval()
    x = torch.zeros(1, 1, 20, 20)
    x[0, 0, 5:8, 6:9] = torch.randn(3, 3)
    torch.testing.assert_close(net(x), net(x.roll((6, 5), (2, 3))))


def slots(net: SimpleNet) -> list[str]:
    """What the features are made of, one letter each."""
    letters = {nn.Conv2d: "c", nn.MaxPool2d: "P", nn.Dropout2d: "d"}
    return [letters[type(part)] for part in net.features if type(part) in letters]


def test_slots_that_drop_channels():
    assert "".join(slots(SimpleNet("4 4 P 4 4"))) == "cdcPdcdc"
    net = SimpleNet("4 4 P 4", drop={0: 0.5, 2: 0.25, 4: 0.75})
    assert [part.p for part in net.features if isinstance(part, nn.Dropout2d)] == [0.5, 0.25]
    assert net.drop.p == 0.75
    everywhere = SimpleNet("8 8", drop=0.5).train()
    dropped = everywhere.features[3](torch.ones(1, 8, 3, 3)).flatten(2).sum(2)
    assert set(dropped.flatten().tolist()) <= {0.0, 18.0}


@pytest.mark.parametrize("plan", ["", "64 P", "x", "64/2", "0", "64/", "p", "64 /3"])
def test_impossible_plans_are_a_sentence(plan):
    with pytest.raises(WorkbenchError, match=r"plan"):
        SimpleNet(plan)


def test_items_of_a_plan():
    assert layers_of("64 P 32/1") == (Layer(64, 3), Layer(0, 0), Layer(32, 1))
    assert layers_of("64 P 32/1")[1].pools


def test_the_recipe_of_the_source():
    recipe = source_recipe()
    optimizer = recipe.build(SimpleNet(SLIM, 3, 10))
    assert type(optimizer) is torch.optim.Adadelta
    settings = {name: optimizer.defaults[name] for name in ("lr", "rho", "eps")}
    assert settings == {"lr": 0.1, "rho": 0.9, "eps": 1e-3}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-3]
    assert recipe.steps == 540 * 500
    at = [recipe.factor(500 * epoch, recipe.steps) for epoch in (99, 100, 190, 306, 390, 440, 539)]
    assert at == pytest.approx([1, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-5])


def test_norms_and_first_weights():
    net = SimpleNet(FULL, 3, 10)
    assert {part.momentum for part in net.features if isinstance(part, nn.BatchNorm2d)} == {0.05}
    conv = net.features[4]
    bound = 2**0.5 * (6 / (9 * (64 + 128))) ** 0.5
    assert conv.weight.abs().max() <= bound
    assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_resnet_20():
    assert weights(resnet_20()) == 271_926
    assert resnet_20()(torch.zeros(2, 1, 32, 32)).shape == (2, 6)
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in resnet_20().modules()) == 19


def test_swapped_pixels_are_the_same_pixels(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    plain, swapped = simplenet.shapes(0, "smoke"), simplenet.shapes(0, "smoke", permuted=True)
    for (x, y), (z, w) in ((plain.train, swapped.train), (plain.test, swapped.test)):
        assert torch.equal(y, w)
        assert not torch.equal(x, z)
        assert torch.equal(x.flatten(1).sort(1).values, z.flatten(1).sort(1).values)


def test_every_claim_and_control_in_the_smoke_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for claim in SYSTEM.claims:
        for measure in (claim.measure, claim.control):
            found = measure(0, "smoke")
            assert found.value == pytest.approx(found.system - found.baseline)

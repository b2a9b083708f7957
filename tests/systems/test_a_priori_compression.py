"""Kernels made of products: two ways to run, first weights, exact steps of a wave, elements against modes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.claims import run_claim
from workbench.errors import WorkbenchError
from workbench.kernels.waves import FIVE_POINTS, LAWS, drift, elements, frames, newmark, stencil
from workbench.layers import SeparableConv2d, WaveNet, separated
from workbench.probes import cost
from workbench.systems.filter_distributions.a_priori_compression import (
    SIZE,
    SYSTEM,
    ExactStep,
    compressed,
    extrapolation_error,
    full,
    minus_error,
    narrow,
    rank_errors,
    rollout,
    rollout_error,
    run_as,
    size_of,
    trained,
    twin,
    wave_task,
)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("ways", [2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 1},
        {"kernel": 3, "rank": 2},
        {"kernel": (5, 3), "rank": 3, "stride": 2},
        {"kernel": (1, 7), "dilation": 2, "bias": False},
        {"kernel": 5, "rank": 2, "stride": (1, 3), "dilation": (3, 1)},
    ],
    ids=str,
)
def test_composed_is_factored(ways, options):
    torch.manual_seed(0)
    layer = SeparableConv2d(3, 4, ways=ways, **options)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    for size in ((9, 12), (1, 1), (7, 2)):
        x = noise(2, 3, *size).transpose(2, 3)  # not contiguous
        factored = layer(x)
        layer.factored = False
        torch.testing.assert_close(layer(x), factored, rtol=1e-5, atol=1e-5)
        layer.factored = True


def test_the_formula_weight_by_weight():
    layer = SeparableConv2d(2, 3, (3, 5), 2)
    K, o, i, y, x = layer.compose(), 2, 1, 0, 3
    by_hand = sum(layer.down[o, r, y] * layer.across[o, r, x] * layer.mix[o, r, i] for r in range(2))
    torch.testing.assert_close(K[o, i, y, x], by_hand)
    two = SeparableConv2d(2, 3, (3, 5), 2, ways=2)
    by_hand = sum(two.down[o, i, r, y] * two.across[o, i, r, x] for r in range(2))
    torch.testing.assert_close(two.compose()[o, i, y, x], by_hand)


@pytest.mark.parametrize(("ways", "count"), [(3, 3 * 4 * (5 + 3 + 2) + 4), (2, 3 * 4 * 2 * (5 + 3) + 4)])
def test_number_of_parameters(ways, count):
    assert size_of(SeparableConv2d(2, 4, (5, 3), rank=3, ways=ways)) == count


@pytest.mark.parametrize("ways", [2, 3])
@pytest.mark.parametrize("rank", [1, 4])
def test_the_composed_kernel_has_hes_variance(ways, rank):
    torch.manual_seed(0)
    draws = torch.cat([SeparableConv2d(8, 64, 5, rank, ways).compose().flatten() for _ in range(40)])
    assert draws.var().item() == pytest.approx(2 / (25 * 8), rel=0.05)


@pytest.mark.parametrize("ways", [2, 3])
def test_gradients(ways):
    torch.manual_seed(0)
    layer = SeparableConv2d(2, 2, 3, 2, ways, stride=2, dilation=2).double()
    x = noise(1, 2, 5, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))
    layer(x).square().sum().backward()
    factored = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    layer.factored = False
    layer(x).square().sum().backward()
    torch.testing.assert_close([p.grad for p in layer.parameters()], factored)


def test_best_products_of_a_plane():
    kernel = noise(2, 3, 5, 4)
    down, across = separated(kernel, 4)
    torch.testing.assert_close(torch.einsum("...ry,...rx->...yx", down, across), kernel)
    for rank in (1, 2, 3):
        down, across = separated(kernel, rank)
        left = torch.einsum("...ry,...rx->...yx", down, across) - kernel
        values = torch.linalg.svdvals(kernel)[..., rank:]
        torch.testing.assert_close(left.norm(dim=(-2, -1)), values.norm(dim=-1))
    assert separated(noise(3, 2), 5)[0].shape == (5, 3)  # more than there are: zeros


def test_slips_are_a_sentence():
    with pytest.raises(WorkbenchError, match="must be odd"):
        SeparableConv2d(1, 1, 4)
    with pytest.raises(WorkbenchError, match="2 or 3"):
        SeparableConv2d(1, 1, 3, ways=1)
    with pytest.raises(WorkbenchError, match="at least 1"):
        SeparableConv2d(1, 1, 3, rank=0)
    with pytest.raises(WorkbenchError, match="law must be one of"):
        frames(1, 12, 0, "heat")
    with pytest.raises(WorkbenchError, match="gap"):
        stencil(0)


# The wave -------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [1, 2, 3, 5])
@pytest.mark.parametrize("courant", [0.3, 0.5, 0.7])
def test_leapfrog_over_a_gap_is_one_kernel_of_rank_gap_plus_one(gap, courant):
    kernel = stencil(gap, courant)
    assert kernel.shape == (2 * gap + 1, 2 * gap + 1)
    assert kernel.sum() == pytest.approx(2)
    values = np.linalg.svd(kernel, compute_uv=False)
    assert (values > 1e-13 * values[0]).sum() == gap + 1
    rng = np.random.default_rng(0)
    before, now = rng.standard_normal((2, 40, 40))
    fields = [before, now]
    for _ in range(2 * gap - 1):
        lap = F.conv2d(*(torch.from_numpy(a)[None, None] for a in (fields[-1], FIVE_POINTS)), padding=1)
        fields.append(2 * fields[-1] - fields[-2] + courant**2 * lap[0, 0].numpy())
    middle = torch.from_numpy(fields[gap])[None, None]
    exact = F.conv2d(middle, torch.from_numpy(kernel)[None, None], padding=gap)[0, 0].numpy()
    inside = slice(3 * gap, -3 * gap)
    summed = (fields[2 * gap] + fields[0])[inside, inside]
    np.testing.assert_allclose(summed, exact[inside, inside], rtol=1e-9, atol=1e-9)


def test_what_few_products_leave_of_the_stencil():
    np.testing.assert_allclose(rank_errors(stencil(3, 0.5))[:3], [0.513, 0.020, 1e-4], rtol=0.15)
    diagonal = np.diag([1.0, 3, 3, 1])
    assert rank_errors(diagonal)[0] > 0.7  # a drift along the diagonal has no good first product


def test_one_layer_takes_the_exact_step():
    taken = torch.from_numpy(frames(8, 24, 0, "leapfrog")).float()
    X, after = taken[:, [1, 0]], taken[:, 2:]
    inside = (..., slice(5, -5), slice(5, -5))
    errors = [(ExactStep(rank)(X) - after)[inside].abs().max().item() for rank in (1, 2, 3, 4)]
    assert errors[3] < 1e-5
    assert errors[0] > 2 * errors[1] > 20 * errors[2]
    layer = ExactStep(4).conv
    torch.testing.assert_close(layer.compose()[0, 0].double(), torch.from_numpy(stencil()), atol=1e-6, rtol=0)


def mode(cells):
    line = np.sin(np.pi * np.arange(cells) / (cells - 1))
    return np.outer(line, line)[None]


def test_elements_keep_a_mode_and_its_frequency():
    """One mode is an eigenvector of both matrices, and Newmark turns it by tan(w dt / 2) = root dt / 2."""
    cells, courant = 13, 0.5
    theta = np.pi / (cells - 1)
    value = 2 * (2 - 2 * np.cos(theta)) * 6 / (4 + 2 * np.cos(theta))
    mass, stiffness = elements(cells - 2)
    shape = mode(cells)[0, 1:-1, 1:-1].ravel()
    np.testing.assert_allclose(stiffness @ shape, value * (mass @ shape), atol=1e-12)
    turn = 2 * np.arctan(np.sqrt(value) * courant / 2)
    for step, field in enumerate(newmark(mode(cells), 30, courant)):
        np.testing.assert_allclose(field, np.cos(step * turn) * mode(cells), atol=1e-10)


def test_the_standing_mode_converges_with_the_square_of_the_cells():
    """A quarter of a period of a membrane of side 1, with steps as long as cells."""
    errors = []
    for cells in (9, 17, 33):
        side = cells - 1
        steps = side  # to time 1, in units in which the side is 1
        *_, last = newmark(mode(cells), steps, 1.0)
        exact = np.cos(np.pi * np.sqrt(2)) * mode(cells)
        errors.append(np.abs(last - exact).max())
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(rates, 2, atol=0.25)


def test_newmark_keeps_the_energy():
    rng = np.random.default_rng(0)
    u = np.pad(rng.standard_normal((2, 7, 7)), ((0, 0), (1, 1), (1, 1)))
    fields = list(newmark(u, 40))
    assert max(np.abs(field).max() for field in fields) < 10 * np.abs(u).max()
    assert all(not field[:, 0].any() and not field[:, :, -1].any() for field in fields)


def test_drift_moves_along_the_diagonal():
    u = np.zeros((1, 12, 12))
    u[0, 2, 2] = 1
    *_, last = drift(u, 3)
    np.testing.assert_allclose(np.diag(last[0])[2:6], np.array([1, 3, 3, 1]) / 8)
    assert last.sum() == pytest.approx(1)


@pytest.mark.parametrize("law", LAWS)
def test_frames(law):
    taken = frames(6, 14, 3, law)
    assert taken.shape == (6, 3, 14, 14)
    np.testing.assert_allclose(np.abs(taken).max((1, 2, 3)), 1)
    np.testing.assert_array_equal(taken, frames(6, 14, 3, law))
    assert not np.array_equal(taken, frames(6, 14, 4, law))
    longer = frames(6, 14, 3, law, after=4)
    assert longer.shape == (6, 6, 14, 14)
    np.testing.assert_array_equal(longer[:, :3], taken)


# The networks ---------------------------------------------------------------------------------


def test_sizes_of_the_networks():
    assert [size_of(net) for net in (full(), compressed(1), compressed(2), narrow(compressed(1)))] == [
        4525,
        455,
        885,
        457,
    ]
    assert size_of(twin(1)) == 457
    assert cost(compressed(2, factored=True), (1, 2, 10, 10)).macs.value == 860 * 100


def test_how_it_runs_changes_nothing():
    torch.manual_seed(0)
    net, x = compressed(2, factored=True), noise(2, 2, 9, 7)
    there = net(x)
    torch.testing.assert_close(run_as(net, factored=False)(x), there, rtol=1e-5, atol=1e-5)
    assert not any(part.factored for part in net.modules() if isinstance(part, SeparableConv2d))


def test_without_convolutions_things_go_on_as_they_went():
    net, x = WaveNet(4), noise(3, 2, 8, 8)
    torch.nn.init.zeros_(net.convs[-1].weight)
    torch.testing.assert_close(net(x), 2 * x[:, :1] - x[:, 1:])
    task = wave_task(0, 16)
    assert extrapolation_error(task) == pytest.approx(-minus_error(net(task.test[0]).detach(), task.test[1]))


def test_rollout_is_step_by_step():
    fields = rollout(ExactStep(4), (x := noise(2, 2, 9, 9)), 3)
    assert fields.shape == (2, 3, 9, 9)
    second = ExactStep(4)(torch.cat([fields[:, :1], x[:, :1]], 1))
    torch.testing.assert_close(fields[:, 1:2], second.detach())
    errors = rollout_error(ExactStep(4), 0, steps=3, count=8)
    taken = torch.from_numpy(frames(8, SIZE, 1, after=3)).float()
    once = -minus_error(ExactStep(4)(taken[:, [1, 0]]).detach(), taken[:, 2:3])
    assert errors[0] == pytest.approx(once, rel=1e-5)
    assert len(errors) == 3
    assert errors[0] < errors[2]


def test_training_goes_through_the_products(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    run = trained(compressed, 0, "smoke")
    first = compressed()
    assert run.steps == 2
    assert not torch.equal(run.model.convs[0].down, first.convs[0].down)


@pytest.mark.parametrize("part", ["measure", "control"])
@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda c: c.id)
def test_claims_execute(claim, part, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    found = getattr(claim, part)(0, "smoke")
    assert np.isfinite(found.value)
    assert found.value > 0


def test_the_counted_claim():
    assert run_claim(SYSTEM, "fewer-products", budget="lesson").verdict == "reproduced"

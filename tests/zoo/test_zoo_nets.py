"""The network: how many filters, which wiring, which shapes; and what it is asked."""

import math

import numpy as np
import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.zoo import PICTURES, Arm, ZooNet, arms, memory, pictures, untrained
from workbench.zoo.goals import BY_HEART, network, of_arm
from workbench.zoo.picture_sets import _doubled, _tiles


@pytest.mark.parametrize("wiring", ["plain", "residual", "concat"])
@pytest.mark.parametrize("depth", [1, 2, 3, 6, 9])
def test_every_wiring_has_the_same_filters_and_all_of_them_learn(wiring, depth):
    width = 4
    net = ZooNet(depth, width, wiring, outputs=3)
    kernels = [part[0].weight for part in net.trunk]
    assert sum(W.shape[0] * W.shape[1] for W in kernels) == width + (depth - 1) * width**2
    out = net(torch.randn(5, 1, 16, 16))
    assert out.shape == (5, 3)
    out.square().sum().backward()
    assert all(W.grad is not None and W.grad.abs().sum() > 0 for W in kernels)


@pytest.mark.parametrize("goal", ["denoise", "autoencode"])
@pytest.mark.parametrize("depth", [1, 2, 6])
def test_dense_heads_give_a_picture_back(goal, depth):
    net = ZooNet(depth, 4, goal=goal)
    assert net.stride == (2 if depth == 1 else 4)
    assert net(torch.randn(2, 1, 16, 16)).shape == (2, 1, 16, 16)


def test_wirings_differ_by_what_layers_read():
    x = torch.randn(2, 1, 16, 16)
    said = {}
    for wiring in ("plain", "residual", "concat"):
        torch.manual_seed(0)
        said[wiring] = ZooNet(4, 4, wiring).eval().features(x)
    assert not torch.allclose(said["plain"], said["residual"])
    assert not torch.allclose(said["plain"], said["concat"])


def test_residual_adds_where_shapes_agree():
    torch.manual_seed(0)
    net = ZooNet(2, 4, "residual").eval()  # stride 2 twice: nothing to add
    torch.manual_seed(0)
    plain = ZooNet(2, 4, "plain").eval()
    x = torch.randn(1, 1, 16, 16)
    assert torch.equal(net(x), plain(x))
    net = ZooNet(3, 4, "residual").eval()
    for parameter in net.trunk[2].parameters():
        torch.nn.init.zeros_(parameter)
    before = net.trunk[1](net.trunk[0](x))
    assert torch.equal(net.features(x), before)


@pytest.mark.parametrize(("depth", "width", "wiring"), [(0, 4, "plain"), (3, 0, "plain"), (3, 5, "concat")])
def test_networks_that_cannot_be_are_refused(depth, width, wiring):
    with pytest.raises(WorkbenchError, match="at least 1, and width even where halves"):
        ZooNet(depth, width, wiring)


def test_words_that_are_not_known_are_refused():
    with pytest.raises(
        WorkbenchError, match="wiring must be one of plain, residual, concat, but 'dense' came"
    ):
        ZooNet(wiring="dense")
    with pytest.raises(
        WorkbenchError, match="goal must be one of classify, denoise, autoencode, but 'rotate'"
    ):
        ZooNet(goal="rotate")
    with pytest.raises(WorkbenchError, match="labels must be true or random, but 'wrong' came"):
        Arm(labels="wrong")


def test_the_table_is_that_of_the_budgets():
    full = arms("full")
    assert len(full) == len({arm.model_id for arm in full}) == 185
    assert sum(arm.filters for arm in full) == 1_020_240
    lesson = arms("lesson")
    assert len(lesson) >= 40
    assert sum(arm.filters for arm in lesson) >= 200_000
    assert set(lesson) <= set(full)
    smoke = arms("smoke")
    assert len(smoke) == 12
    assert {arm.steps for arm in smoke} == {120}
    assert min(sum(a.data == arm.data and a.task == arm.task for a in smoke) for arm in smoke) >= 2
    assert {arm.data for arm in full} == set(PICTURES)


def test_the_number_of_an_arm_is_for_good():
    assert Arm().name == "digits-classify-plain-d6-w32-decay0.01-true-400-seed0"
    assert Arm().model_id == 1000441744293
    assert Arm(seed=1).model_id != Arm().model_id
    assert max(arm.model_id for arm in arms("full")) << 12 < 2**53


@pytest.mark.parametrize("decay", [0.0, 0.005, 0.02])
def test_memory_is_what_the_optimiser_leaves_without_gradients(decay):
    arm = Arm(weight_decay=decay, steps=50)
    part = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.ones_(part.weight)
    optimizer = arm.recipe.build(part)
    for step in range(arm.steps):
        optimizer.param_groups[0]["lr"] = arm.recipe.lr * arm.recipe.factor(step, arm.steps)
        part.weight.grad = torch.zeros_like(part.weight)
        optimizer.step()
    assert memory(arm) == pytest.approx(part.weight.item(), rel=1e-9)


def test_memory_is_near_the_law_of_exponential_decay():
    arm = Arm(weight_decay=0.001)
    rates = sum(0.2 * arm.recipe.factor(step, arm.steps) for step in range(arm.steps))
    assert math.log(memory(arm)) == pytest.approx(-0.001 * rates / (1 - 0.9), rel=0.03)


@pytest.mark.parametrize("name", list(PICTURES))
def test_picture_sets_are_level_and_of_both_parts(name):
    (X, y), (X_test, y_test) = found = pictures(name)
    assert X.shape[1:] == X_test.shape[1:] == (16, 16)
    assert X.dtype == np.float32
    assert np.abs(X.mean(axis=(1, 2))).max() < 1e-5
    assert X.std(axis=(1, 2)).max() < 1
    assert set(y) == set(y_test) == set(range(found.classes))
    assert not (X_test[:, None] == X[None, :200]).all(axis=(2, 3)).any()
    with pytest.raises(ValueError, match="read-only"):
        X[0] = 0


def test_tiles_of_the_test_are_one_in_four_and_no_others():
    image = np.zeros((200, 260), np.float32)
    train, test = _tiles(image, False), _tiles(image, True)
    assert (train ^ test).all()
    assert test.sum() == test.size / 4
    assert train.shape == (6, 8)


def test_doubling_keeps_straight_lines_and_constants():
    ramp = np.broadcast_to(np.arange(6.0, dtype=np.float32), (2, 4, 6))
    found = _doubled(ramp)
    assert found.shape == (2, 8, 12)
    np.testing.assert_allclose(np.diff(found[0, 3])[1:-1], 0.5)
    np.testing.assert_allclose(_doubled(np.full((1, 3, 3), 0.7, np.float32)), 0.7, rtol=1e-6)
    np.testing.assert_allclose(found.mean(), ramp.mean())


def test_an_unknown_picture_set_names_the_known_ones():
    with pytest.raises(WorkbenchError, match="'cats'; there are digits, scenes"):
        pictures("cats")


def test_what_costs_nothing_is_what_it_says():
    task, trivial, bar = of_arm(Arm("textures"))
    assert trivial == pytest.approx(134 / 400)
    assert trivial < bar < trivial + 0.06
    task, trivial, bar = of_arm(Arm("scenes", task="denoise"))
    X, Y = task.test
    assert (X - Y).std() == pytest.approx(0.5, rel=0.02)
    assert trivial == bar > task.score(X, Y)  # the noisy picture as it is
    task, trivial, _ = of_arm(Arm("scenes", task="autoencode"))
    assert -1 < trivial < 0
    assert torch.equal(*task.train)


def test_random_labels_are_tested_on_what_was_learnt():
    one, other = (of_arm(Arm(labels="random", seed=seed))[0] for seed in (0, 1))
    assert torch.equal(one.train[0], one.test[0])
    assert torch.equal(one.train[1], one.test[1])
    assert len(one.train[0]) == BY_HEART
    assert not torch.equal(one.train[1], other.train[1])
    with pytest.raises(WorkbenchError, match="random labels are for the task classify, but denoise"):
        of_arm(Arm(task="denoise", labels="random"))


def test_first_weights_depend_on_the_seed_and_not_on_the_data():
    before = torch.get_rng_state()
    a, b, c = untrained(Arm("digits")), untrained(Arm("faces")), untrained(Arm("digits", seed=1))
    assert all((x.weights == y.weights).all() for x, y in zip(a, b, strict=True))
    assert not (a.layers[0].weights == c.layers[0].weights).all()
    assert torch.equal(torch.get_rng_state(), before)
    deep = a.layers[3].weights
    assert deep.std() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)
    assert network(Arm("digits")).head[-1].out_features == 10

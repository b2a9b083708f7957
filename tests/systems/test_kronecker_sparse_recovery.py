"""Recovery on grids: the factored posterior against a dense one, fixed points, costs, channels."""

import itertools
from functools import reduce

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.linear_model import ARDRegression
from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError
from workbench.systems.filter_distributions.kronecker_sparse_recovery import (
    METHODS,
    SYSTEM,
    alternate,
    alternate_blocks,
    chain,
    changed,
    classic,
    coupling,
    dense_posterior,
    distinct_ends,
    draw,
    estimate,
    kronecker_omp,
    multiply,
    nmse,
    omp,
    one_sweep,
    oracle_least_squares,
    posterior,
    product,
    rank_one,
    recover,
    split,
    step_macs,
    support_rate,
    surface,
    symbol_errors,
)

SHAPES = [((3,), (5,)), ((3, 4), (5, 2)), ((2, 1, 3), (3, 1, 5)), ((2, 2, 3, 1), (3, 2, 3, 2)), ((1,), (1,))]
EASY = {"sizes": (5, 6, 4), "rows": (4, 5, 4), "snr": 40.0}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Matrices are small: several threads would only wait for each other."""
    with threadpool_limits(1):
        yield


def some_gammas(sizes, seed=0):
    return [np.exp(np.random.default_rng([seed, n]).standard_normal(n)) for n in sizes]


@pytest.mark.parametrize("numbers", [float, complex])
@pytest.mark.parametrize(("rows", "sizes"), SHAPES)
def test_the_factored_posterior_is_the_dense_one(rows, sizes, numbers):
    p = draw(0, sizes=sizes, rows=rows, active=1, numbers=numbers)
    gammas = some_gammas(sizes)
    by_factors = posterior([np.asfortranarray(A) for A in p.factors], gammas, p.y, p.noise)
    dense = dense_posterior(p.matrix, product(gammas), p.y, p.noise)
    np.testing.assert_allclose(by_factors.mean, dense.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(by_factors.variance, dense.variance, rtol=1e-8, atol=1e-12)
    assert by_factors.cost == pytest.approx(dense.cost, rel=1e-10)


@pytest.mark.parametrize("numbers", [float, complex])
def test_the_dense_posterior_is_bayes_rule(numbers):
    p = draw(1, sizes=(7,), rows=(4,), numbers=numbers)
    gamma = some_gammas((7,))[0]
    A = p.matrix
    Sigma = np.linalg.inv(A.conj().T @ A / p.noise + np.diag(1 / gamma))
    found = dense_posterior(A, gamma, p.y, p.noise)
    np.testing.assert_allclose(found.mean, Sigma @ A.conj().T @ p.y / p.noise, rtol=1e-8)
    np.testing.assert_allclose(found.variance, np.diag(Sigma).real, rtol=1e-8)


def test_multiply_is_the_product_that_is_never_written_down():
    rng = np.random.default_rng(0)
    factors = [rng.random((3, 2)).T.copy().T, rng.random((1, 4)), rng.random((5, 3)) + 1j]
    x = rng.random(24)
    np.testing.assert_allclose(multiply(factors, x), reduce(np.kron, factors) @ x)
    np.testing.assert_allclose(multiply(factors, rng.random(48)[::2]).shape, (15,))


@pytest.mark.parametrize("numbers", [float, complex])
def test_one_factor_is_classic(numbers):
    p = draw(3, sizes=(12,), rows=(7,), numbers=numbers)
    one = recover(p.factors, p.y, p.noise, prune=1e-3)
    same = classic(p.matrix, p.y, p.noise)
    assert one.steps == same.steps
    np.testing.assert_allclose(one.x, same.x, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(one.gammas[0], same.gammas[0], rtol=1e-6, atol=1e-12)


# The M-step ------------------------------------------------------------------------------------


def m_cost(d, gamma):
    return np.sum(np.log(gamma) + d / gamma)


@pytest.mark.parametrize("sizes", [(4,), (3, 5), (2, 3, 4), (2, 1, 3, 2)])
def test_am_finds_the_minimum_from_anywhere(sizes):
    d = np.exp(2 * np.random.default_rng(1).standard_normal(np.prod(sizes)))
    ends = [product(alternate(d, some_gammas(sizes, seed), tolerance=1e-14)) for seed in (0, 1)]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9)
    cuts = np.cumsum(sizes)[:-1]

    def cost(logs):
        return m_cost(d, product([np.exp(part) for part in np.split(logs, cuts)]))

    best = minimize(cost, np.zeros(sum(sizes)), method="BFGS", options={"gtol": 1e-7})
    assert m_cost(d, ends[0]) == pytest.approx(best.fun, rel=1e-9)


def test_every_update_keeps_a_product_and_am_beats_svd_at_its_own_goal():
    sizes = (3, 4, 2)
    true = product(some_gammas(sizes))
    start = [np.ones(n) for n in sizes]
    for update in (alternate, one_sweep, split):
        np.testing.assert_allclose(product(update(true, start)), true, rtol=1e-9)
    d = true * np.random.default_rng(0).exponential(size=true.size)
    am, svd = product(alternate(d, start)), product(split(d, start))
    assert m_cost(d, am) < m_cost(d, svd)
    assert np.linalg.norm(d - svd) < np.linalg.norm(d - am)


def test_two_factors_by_svd_are_the_nearest_product():
    d = np.random.default_rng(2).random((3, 5))
    u, s, v = np.linalg.svd(d)
    np.testing.assert_allclose(
        product(split(d.ravel(), [np.ones(3), np.ones(5)])).reshape(3, 5), s[0] * np.outer(u[:, 0], v[0])
    )


@pytest.mark.parametrize("numbers", [float, complex])
@pytest.mark.parametrize("update", ["am", "sweep"])
def test_the_cost_never_goes_up_with_am(update, numbers):
    for seed, values in itertools.product(range(3), ["product", "independent"]):
        p = draw(seed, sizes=(4, 5, 3), rows=(3, 3, 2), values=values, numbers=numbers)
        costs = recover(p.factors, p.y, p.noise, update=update, prune=0, steps=60, stop=0).costs
        assert (np.diff(costs) <= 1e-9 * np.abs(costs[:-1])).all()
        assert costs[-1] < costs[0] - 1


def test_the_cost_may_go_up_with_svd():
    rises = []
    for seed in range(10):
        p = draw(seed, sizes=(4, 5, 3), rows=(3, 3, 2), values="independent")
        costs = recover(p.factors, p.y, p.noise, update="svd", prune=0, steps=60, stop=0).costs
        rises.append(np.diff(costs).max())
    assert max(rises) > 1e-3


def test_am_ends_at_a_stationary_point():
    """The derivative of the cost by the logarithm of each surviving factor is zero, by finite differences."""
    p = draw(0, sizes=(4, 5, 3), rows=(4, 4, 3), snr=10.0)
    end = recover(p.factors, p.y, p.noise, steps=20_000, stop=1e-12)
    for which, place in [(i, int(np.argmax(g))) for i, g in enumerate(end.gammas)]:
        costs = []
        for step in (-1e-4, 1e-4):
            gammas = [g.copy() for g in end.gammas]
            gammas[which][place] *= np.exp(step)
            costs.append(dense_posterior(p.matrix, product(gammas), p.y, p.noise).cost)
        assert (costs[1] - costs[0]) / 2e-4 == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_fixed_points_are_those_of_scikit_learn(seed):
    p = draw(seed, sizes=(14,), rows=(10,), active=3, snr=15.0)
    A, huge = p.matrix, 1e12
    model = ARDRegression(
        alpha_1=huge,
        alpha_2=huge * p.noise,
        lambda_1=0,
        lambda_2=0,
        fit_intercept=False,
        max_iter=3000,
        tol=1e-10,
        threshold_lambda=1e6,
    ).fit(A, p.y)
    assert model.alpha_ == pytest.approx(1 / p.noise, rel=1e-6)
    alive = model.lambda_ < 1e6
    gamma = 1 / model.lambda_[alive]
    step = dense_posterior(A[:, alive], gamma, p.y, p.noise)
    np.testing.assert_allclose(step.second_moment, gamma, rtol=1e-4)
    np.testing.assert_allclose(step.mean, model.coef_[alive], rtol=1e-4)
    ours = classic(A, p.y, p.noise, start=np.where(alive, 1 / model.lambda_, 0) + 1e-9, steps=300, stop=1e-12)
    np.testing.assert_allclose(ours.x, model.coef_, atol=1e-3 * np.abs(model.coef_).max())


# The whole algorithm ---------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [float, complex])
@pytest.mark.parametrize("update", ["am", "svd", "sweep"])
def test_an_easy_problem_is_solved(update, numbers):
    p = draw(2, **EASY, numbers=numbers, values="independent")
    found = recover(p.factors, p.y, p.noise, update=update)
    assert nmse(found.x, p.x) < 1e-2
    assert found.x.dtype == p.x.dtype
    assert found.cube.shape == (5, 6, 4)
    assert [len(g) for g in found.gammas] == [5, 6, 4]


def test_pruned_is_gone_and_no_pruning_keeps_all():
    p = draw(2, **EASY)
    found = recover(p.factors, p.y, p.noise)
    assert (found.x[product(found.gammas) == 0] == 0).all()
    assert min((g == 0).sum() for g in found.gammas) > 0
    assert all((g > 0).all() for g in recover(p.factors, p.y, p.noise, prune=0, steps=20).gammas)


@pytest.mark.parametrize("update", ["am", "svd"])
def test_units_and_order_do_not_matter(update):
    p = draw(4, **EASY)
    found = recover(p.factors, p.y, p.noise, update=update, steps=20)
    start = [100 * np.ones(5), np.ones(6), np.ones(4)]
    scaled = recover(p.factors, 10 * p.y, 100 * p.noise, update=update, steps=20, start=start)
    np.testing.assert_allclose(scaled.x, 10 * found.x, rtol=1e-6, atol=1e-9)
    order = np.array([3, 1, 4, 0, 2])
    turned = recover((p.factors[0][:, order], *p.factors[1:]), p.y, p.noise, update=update, steps=20)
    np.testing.assert_allclose(
        turned.x.reshape(5, 6, 4), found.x.reshape(5, 6, 4)[order], rtol=1e-6, atol=1e-9
    )


def test_the_noise_can_be_learned():
    p = draw(5, **{**EASY, "snr": 15.0})
    found = recover(p.factors, p.y, None, steps=500)
    assert 0.5 < found.noise / p.noise < 2
    assert recover(p.factors, p.y, p.noise).noise == p.noise


def test_nothing_there_gives_nothing():
    p = draw(0, **EASY)
    assert np.abs(recover(p.factors, 0 * p.y, p.noise).x).max() == 0
    assert np.abs(rank_one(p.factors, 0 * p.y, p.noise)).max() == 0
    assert not omp(p.matrix, 0 * p.y, p.noise).any()


# The others ------------------------------------------------------------------------------------


def test_what_each_method_can_do_without_noise():
    p = draw(2, **{**EASY, "snr": 120.0})
    for name in ("AM", "SVD", "classic", "rank one", "oracle", "grid OMP"):
        assert nmse(METHODS[name](p), p.x) < 1e-3, name
    assert nmse(oracle_least_squares(p.matrix, p.y, p.x != 0), p.x) < 1e-10


def test_rank_one_needs_values_that_are_a_product():
    for numbers in (float, complex):
        easy, hard = (draw(6, **EASY, values=v, numbers=numbers) for v in ("product", "independent"))
        assert nmse(rank_one(easy.factors, easy.y, easy.noise), easy.x) < 1e-2
        assert nmse(rank_one(hard.factors, hard.y, hard.noise), hard.x) > 0.05


def test_pursuits_on_orthonormal_columns():
    rng = np.random.default_rng(0)
    factors = [np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (3, 4)]
    x = np.zeros((3, 4))
    x[np.ix_([0, 2], [1, 3])] = [[1, -2], [3, 4]]
    y = multiply(factors, x.ravel())
    for found in (omp(np.kron(*factors), y, 1e-20), kronecker_omp(factors, y, 1e-20)):
        np.testing.assert_allclose(found, x.ravel(), atol=1e-9)
    assert support_rate(x.ravel(), x.ravel()) == 1
    assert support_rate(np.ones(12), x.ravel()) == pytest.approx(4 / 12)


# The problems ----------------------------------------------------------------------------------


def test_what_is_drawn():
    grid, moved = (draw(7, support=support) for support in ("grid", "scattered"))
    on = grid.x.reshape(8, 8, 8) != 0
    assert [on.any(tuple({0, 1, 2} - {i})).sum() for i in range(3)] == [2, 2, 2]
    assert np.linalg.matrix_rank(grid.x.reshape(8, 64)) == 1
    assert np.linalg.matrix_rank(draw(7, values="independent").x.reshape(8, 64)) == 2
    np.testing.assert_allclose(np.sort(moved.x), np.sort(grid.x))
    assert [a.shape for a in grid.factors] == [(4, 8), (6, 8), (6, 8)]
    rest = [draw(n, snr=10.0) for n in range(20)]
    noises = [np.mean((p.y - multiply(p.factors, p.x)) ** 2) / p.noise for p in rest]
    assert np.mean(noises) == pytest.approx(1, abs=0.1)


def test_operations_by_hand():
    count = 0
    tensor = [3, 4]
    for wanted in (5, 2):  # each output of a product of two matrices takes as many products as they share
        shared, others = tensor[0], tensor[1:]
        count += wanted * shared * int(np.prod(others))
        tensor = [*others, wanted]
    assert chain((3, 4), (5, 2)) == count
    costs = step_macs((4, 6, 6), (8, 8, 8))
    assert costs["dense"] > 100 * costs["factored"]


def test_the_surface_is_a_kronecker_problem():
    for runs in (True, False):
        scene = surface(3, runs=runs)
        np.testing.assert_allclose(scene.channels_of(scene.problem.x), scene.channels, atol=1e-12)
        assert scene.error(scene.problem.x) < 1e-20
        assert scene.error(0 * scene.problem.x) == pytest.approx(1)
        assert np.count_nonzero(scene.problem.x) == 9
    quiet = surface(3, snr=200.0).problem
    np.testing.assert_allclose(quiet.y, multiply(quiet.factors, quiet.x), rtol=1e-6, atol=1e-8)
    assert np.linalg.matrix_rank(scene.channels[0]) == 1


def test_symbols_of_a_known_channel_are_read_as_theory_says():
    scene, snr = surface(0), 6.0
    miss = norm.sf(np.sqrt(10 ** (snr / 10)))
    wrong = symbol_errors(scene.channels, scene.channels, snr, symbols=40_000)
    assert wrong == pytest.approx(2 * miss - miss**2, rel=0.05)
    assert symbol_errors(1j * scene.channels, scene.channels, 30.0, symbols=500) == 1


def test_blocks_without_coupling_are_am():
    sizes = (4, 3, 5)
    d = np.random.default_rng(0).exponential(size=60) + 0.1
    plain = product(alternate(d, [np.ones(n) for n in sizes]))
    free = [np.eye(4), None, np.eye(5)]
    assert changed(product(alternate_blocks(d, [np.ones(n) for n in sizes], free)), plain) < 1e-3
    np.testing.assert_array_equal(coupling(3, 0.5), [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]])
    lonely = np.full(7, 1e-3)
    lonely[3] = 1.0
    (spread,) = alternate_blocks(lonely, [np.ones(7)], [coupling(7, 0.5)])
    assert spread[2] == pytest.approx(spread[4])
    assert spread[2] > 0.2 * spread[3] > 100 * lonely[2]


def test_a_channel_is_found_by_every_method():
    scene = surface(1, snr=25.0)
    for update in ("am", "svd", "sweep", "blocks"):
        assert scene.error(estimate(scene, update).x) < 0.1, update


def test_ends_of_joined_factors_are_those_of_classic():
    p = draw(2, sizes=(3, 4), rows=(2, 3), snr=30.0)
    ends = {model: distinct_ends(p, 4, model=model, steps=200) for model in ("product", "joined", "classic")}
    assert all(1 <= len(found) <= 4 for found in ends.values())
    for (x, cost), (same, also) in zip(ends["joined"], ends["classic"], strict=True):
        np.testing.assert_allclose(x, same, rtol=1e-5, atol=1e-7)
        assert cost == pytest.approx(also, rel=1e-6)


def test_slips_are_a_sentence():
    p = draw(0, **EASY)
    with pytest.raises(WorkbenchError, match="y must have 4 x 5 x 4 rows"):
        recover(p.factors, p.y[:-1], p.noise)
    with pytest.raises(WorkbenchError, match="80 of its 80 rows are not"):
        recover(p.factors, p.y * np.nan, p.noise)
    with pytest.raises(WorkbenchError, match="above zero, but 0"):
        recover(p.factors, p.y, 0)
    with pytest.raises(WorkbenchError, match="'am' with couplings"):
        recover(p.factors, p.y, p.noise, update="svd", couplings=[None] * 3)
    with pytest.raises(WorkbenchError, match=r"start must have \[5, 6, 4\]"):
        recover(p.factors, p.y, p.noise, start=[np.ones(5)])
    with pytest.raises(WorkbenchError, match="1 to 4 active"):
        draw(0, **EASY, active=5)


# The claims ------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["measure", "control"])
@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda claim: claim.id)
def test_claims_execute(claim, part):
    found = getattr(claim, part)(0, "smoke")
    assert found.value == pytest.approx(found.system / found.baseline, rel=0.3)  # times: a median of ratios


def test_the_grid_is_what_helps():
    """Medians of five problems: grids, and the same values in other places."""
    found = {}
    for name, support in itertools.product(("classic", "SVD"), ("grid", "scattered")):
        problems = [draw(seed, support=support, values="independent") for seed in range(5)]
        found[name, support] = np.median([nmse(METHODS[name](p), p.x) for p in problems])
    assert found["SVD", "grid"] < 0.5 * found["classic", "grid"]
    assert found["SVD", "scattered"] > 2 * found["classic", "scattered"]

"""Dictionaries that know the labels: their gradients, their two ways down, what they say of new examples."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from workbench.claims import run_claim
from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.systems.filter_distributions import supervised_dictionary_learning as sdl
from workbench.systems.filter_distributions.supervised_dictionary_learning import (
    EASY,
    HARD,
    SYSTEM,
    Dictionary,
    Examples,
    Model,
    Problem,
    area,
    bcd,
    best_lpgd,
    by_components,
    by_dictionary,
    by_everything,
    by_factors,
    codes,
    factored,
    factors,
    gradient_step,
    labels_alone,
    left_over,
    lpgd,
    mixtures,
    posed,
    projected,
    rebuilding_error,
    scores,
    straightness,
    truncated,
    tuned,
)

MODELS: tuple[Model, ...] = ("filter", "feature")


def random_problem(seed=0, p=5, n=31, q=2, classes=2, model="filter", xi=0.7, nu=0.3):
    """Columns in reversed memory, so that nothing is contiguous; n is odd."""
    rng = np.random.default_rng(seed)
    X, C = rng.standard_normal((p, 2 * n))[:, ::-2], rng.standard_normal((q, n))
    labels = np.arange(n) % classes
    return Problem(X, rng.permutation(labels), C, xi, nu, model, classes)


def random_place(problem, seed=1):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(part.shape) for part in problem.zeros())


def slope(function, place, at, step=1e-6):
    """The derivative of a function of arrays by one entry, from two sides."""
    block, index = at
    ends = []
    for sign in (1, -1):
        moved = [part.copy() for part in place]
        moved[block][index] += sign * step
        ends.append(function(*moved))
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("classes", [2, 4])
def test_gradients_agree_with_finite_differences(model, classes):
    problem = random_problem(model=model, classes=classes)
    place = random_place(problem)
    for block, found in enumerate(problem.gradient(*place)):
        for index in [(0, 0), (-1, -1), (0, found.shape[1] // 2)]:
            assert found[index] == pytest.approx(slope(problem.loss, place, (block, index)), abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("classes", [2, 3])
def test_gradients_by_factors_agree_with_finite_differences(model, classes):
    problem, rank = random_problem(model=model, classes=classes), 3
    rng = np.random.default_rng(2)
    p, n = problem.X.shape
    shapes = [(p, rank), (rank, n), (rank, classes - 1), (classes - 1, 2)]
    place = [rng.standard_normal(shape) for shape in shapes]

    def loss(W, H, beta, gamma):
        learnt = Dictionary(W, beta, gamma, H, model, np.zeros(1))
        return problem.loss(*learnt.lifted())

    for block, found in enumerate(by_factors(problem, *place)):
        assert found.shape == shapes[block]
        for index in [(0, 0), (-1, -1)]:
            assert found[index] == pytest.approx(slope(loss, place, (block, index)), abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("classes", [2, 4])
def test_the_loss_never_curves_more_than_it_says(model, classes):
    problem = random_problem(model=model, classes=classes)
    low, high = problem.curvatures
    rng = np.random.default_rng(3)
    for seed in range(20):
        here = random_place(problem, seed)
        there = tuple(part + 0.1 * rng.standard_normal(part.shape) for part in here)
        change = [b - a for a, b in zip(here, there, strict=True)]
        turned = [b - a for a, b in zip(problem.gradient(*here), problem.gradient(*there), strict=True)]
        along = sum(np.sum(a * b) for a, b in zip(change, turned, strict=True))
        size = sum(np.sum(a**2) for a in change)
        assert low * size - 1e-9 <= along <= high * size + 1e-9


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (4, 9), (9, 4), (6, 6)])
@pytest.mark.parametrize("rank", [1, 2, 3, 12])
def test_truncation_is_the_truncated_svd(shape, rank):
    Z = np.random.default_rng(0).standard_normal(shape)
    U, sigma, Vt = np.linalg.svd(Z, full_matrices=False)
    nearest = (U[:, :rank] * sigma[:rank]) @ Vt[:rank]
    np.testing.assert_allclose(truncated(Z, rank), nearest, atol=1e-10)
    left, right = factors(Z, rank)
    assert left.shape == (shape[0], rank)
    assert right.shape == (rank, shape[1])
    np.testing.assert_allclose(left @ right, nearest, atol=1e-10)
    np.testing.assert_allclose(truncated(Z[::-1, ::-1], rank), nearest[::-1, ::-1], atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rank", [1, 3, 40])
def test_factoring_back_gives_the_projection(model, rank):
    problem = random_problem(model=model, classes=3)
    A, B, _ = random_place(problem)
    A, B = projected(A, B, rank, model)
    W, beta, H = factored(A, B, rank, model)
    lifted = Dictionary(W, beta, np.zeros((2, 2)), H, model, np.zeros(1)).lifted()
    np.testing.assert_allclose(lifted[0], A, atol=1e-10)
    np.testing.assert_allclose(lifted[1], B, atol=1e-10)


def lowest(problem):
    """The convex minimum over (A, B, Γ) without a rank, by L-BFGS with a loss of its own."""
    sign = np.where(problem.labels == 1, 1.0, -1.0)
    A, _, gamma = problem.zeros()

    def loss(flat):
        a, g = flat[: A.size].reshape(A.shape), flat[A.size :].reshape(gamma.shape)
        logits = ((a.T @ problem.X if problem.model == "filter" else a) + g @ problem.C)[0]
        return np.sum(np.log1p(np.exp(-sign * logits))) + problem.nu * np.sum(flat**2)

    found = minimize(
        loss, np.zeros(A.size + gamma.size), method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    )
    return found.fun, found.x


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("balanced", [True, False])
def test_at_full_rank_it_is_the_convex_problem(model, balanced):
    problem = random_problem(model=model, n=15)
    learnt = lpgd(problem, 16, 4000, balanced=balanced)
    value, place = lowest(problem)
    A, B, gamma = learnt.lifted()
    assert learnt.losses[-1] == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(B, problem.X, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([A.ravel(), gamma.ravel()]), place, atol=1e-4)


def test_at_full_rank_without_covariates_it_is_a_ridge_logistic_regression():
    problem = random_problem(q=0)
    learnt = lpgd(problem, 5, 3000)
    peer = LogisticRegression(C=1 / (2 * problem.nu), fit_intercept=False, tol=1e-10).fit(
        problem.X.T, problem.labels
    )
    np.testing.assert_allclose((learnt.W @ learnt.beta)[:, 0], peer.coef_[0], atol=1e-5)
    assert learnt.gamma.shape == (1, 0)


def test_without_covariates_gamma_is_gone_and_with_a_row_of_zeros_it_stays_zero():
    without, zeros = random_problem(q=0), random_problem(q=0)
    zeros = Problem(zeros.X, zeros.labels, np.zeros((1, 31)), zeros.xi, zeros.nu)
    one, other = lpgd(without, 2, 50), lpgd(zeros, 2, 50)
    assert other.gamma.tolist() == [[0.0]]
    np.testing.assert_allclose(one.W @ one.beta, other.W @ other.beta, atol=1e-9)
    told, told_too = scores(one, without.X, np.empty((0, 31))), scores(other, zeros.X, np.ones((1, 31)))
    np.testing.assert_allclose(told, told_too, atol=1e-9)


def test_by_default_gamma_is_an_intercept():
    X = np.random.default_rng(0).standard_normal((3, 41))
    problem = Problem(X, (np.arange(41) < 35).astype(int))
    assert problem.C.tolist() == [[1.0] * 41]
    assert lpgd(problem, 1, 300).gamma[0, 0] > 1


@pytest.mark.parametrize("model", MODELS)
def test_lpgd_never_goes_up_in_the_easy_case_and_keeps_the_rank(model):
    problem = random_problem(model=model, xi=40, nu=30)
    learnt = lpgd(problem, 2, 60, balanced=False, start=3)
    assert (np.diff(learnt.losses) <= 1e-9 * learnt.losses[0]).all()
    A, B, _ = learnt.lifted()
    both = np.hstack([A, B]) if model == "filter" else np.vstack([A, B])
    assert np.linalg.matrix_rank(both, tol=1e-9) == 2
    assert learnt.losses[-1] == pytest.approx(problem.loss(A, B, learnt.gamma))


def test_inside_of_the_theorem_all_starts_meet_and_the_gap_halves_at_least():
    problem = posed(0, "smoke", EASY)
    low, high = problem.curvatures
    assert high / low == pytest.approx(EASY)
    ends = [lpgd(problem, 2, 60, start=start, balanced=False) for start in ("nothing", "labels", 0, 1)]
    losses = [end.losses[-1] for end in ends]
    assert max(losses) - min(losses) <= 1e-9 * min(losses)
    B = ends[0].lifted()[1]
    for start in (2, 3):
        steps = [lpgd(problem, 2, steps, start=start, balanced=False).lifted()[1] for steps in (1, 2, 3, 4)]
        gaps = [np.linalg.norm(step - B) for step in steps]
        assert all(after <= 2 * (1 - low / high) * before for before, after in itertools.pairwise(gaps))


def test_outside_of_the_theorem_two_ends_may_differ_and_the_better_one_is_taken():
    train, _ = mixtures(1, "weak", 300)
    problem = Problem(train.X, train.labels, train.covariates, xi=1.0, nu=1e-2)
    low, high = problem.curvatures
    assert high / low > HARD
    ends = [lpgd(problem, 2, 100, start=end, tolerance=1e-6).losses[-1] for end in ("nothing", "labels")]
    assert abs(ends[0] - ends[1]) > 0.05 * min(ends)
    assert best_lpgd(problem, 2, 100).losses[-1] == min(ends)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_block_descent_never_goes_up(model, nonnegative, classes):
    problem = random_problem(model=model, classes=classes)
    learnt = bcd(problem, 3, 40, nonnegative=nonnegative)
    assert (np.diff(learnt.losses) <= 1e-10 * learnt.losses[0]).all()
    assert learnt.losses[-1] < 0.9 * learnt.losses[0]
    assert learnt.losses[-1] == pytest.approx(problem.loss(*learnt.lifted()))
    if nonnegative:
        assert learnt.W.min() >= 0
        assert learnt.H.min() >= 0
        assert (learnt.beta < 0).any()


def test_no_block_leaves_its_radius():
    problem = random_problem()
    places = [bcd(problem, 2, sweeps, radius=0.3, decay=1.0, start=5) for sweeps in (3, 4, 5)]
    for k, (before, after) in enumerate(itertools.pairwise(places), start=4):
        farthest = 0.3 / k / np.log(k + 1)
        for name in ("W", "H", "beta", "gamma"):
            assert np.linalg.norm(getattr(after, name) - getattr(before, name)) <= farthest * (1 + 1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_both_ways_lead_to_the_same_loss(model):
    problem = random_problem(model=model, xi=2.0, n=15)
    lifted = min(lpgd(problem, 2, 500, start=seed).losses[-1] for seed in range(3))
    by_blocks = min(bcd(problem, 2, 150, radius=1e6, decay=0, start=seed).losses[-1] for seed in range(3))
    assert by_blocks == pytest.approx(lifted, rel=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_when_only_rebuilding_counts_the_atoms_are_those_of_pca(model):
    train, _ = mixtures(0, "weak", 200)
    learnt = lpgd(Problem(train.X, train.labels, train.covariates, xi=1e5, model=model), 2, 100)
    U = np.linalg.svd(train.X)[0][:, :2]
    assert np.linalg.norm(U.T @ np.linalg.qr(learnt.W)[0], 2) == pytest.approx(1, abs=1e-6)
    assert rebuilding_error(learnt.W, train.X) == pytest.approx(rebuilding_error(U, train.X), rel=1e-4)


def test_labels_alone_are_the_best_without_a_rank():
    problem = random_problem()
    A, gamma = labels_alone(problem)
    value, place = lowest(problem)
    np.testing.assert_allclose(np.concatenate([A.ravel(), gamma.ravel()]), place, atol=1e-3)
    assert problem.loss(A, problem.X, gamma) == pytest.approx(value, rel=1e-6)


def test_with_two_classes_many_class_formulas_say_the_same():
    problem = random_problem()
    A, B, gamma = random_place(problem)
    logits = (A.T @ problem.X + gamma @ problem.C)[0]
    sign = np.where(problem.labels == 1, 1, -1)
    rest = problem.xi * np.sum((B - problem.X) ** 2) + problem.nu * (np.sum(A**2) + np.sum(gamma**2))
    assert problem.loss(A, B, gamma) == pytest.approx(np.sum(np.log1p(np.exp(-sign * logits))) + rest)


def test_large_logits_do_not_overflow():
    problem = random_problem()
    A, B, gamma = (1e5 * part for part in random_place(problem))
    assert np.isfinite(problem.loss(A, B, gamma))
    assert all(np.isfinite(part).all() for part in problem.gradient(A, B, gamma))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_exhaustive_guesses_find_the_lowest_loss_of_each_label(classes, nonnegative):
    rng = np.random.default_rng(0)
    p, rank, m, xi = 6, 2, 5, 0.4
    W, beta = np.abs(rng.standard_normal((p, rank))), 2 * rng.standard_normal((rank, classes - 1))
    gamma, X, C = rng.standard_normal((classes - 1, 1)), rng.standard_normal((p, m)), np.ones((1, m))
    learnt = Dictionary(W, beta, gamma, np.zeros((rank, 1)), "feature", np.zeros(1))
    told = scores(learnt, X, C, xi=xi, guess="exhaustive", nonnegative=nonnegative)
    assert told.shape == (classes, m)
    bounds = [(0 if nonnegative else None, None)] * rank
    for label in range(classes):
        assert (left_over(learnt, X, gamma @ C, xi, label, nonnegative) == -told[label]).all()
        for j in range(m):

            def loss(h, label=label, j=j):
                logits = np.concatenate([[0], beta.T @ h + gamma[:, 0]])
                wrong = np.log(np.sum(np.exp(logits))) - logits[label]
                return wrong + xi * np.sum((X[:, j] - W @ h) ** 2)

            brute = min(minimize(loss, start, bounds=bounds).fun for start in (np.zeros(rank), np.ones(rank)))
            assert -told[label, j] == pytest.approx(brute, abs=1e-5)


def test_with_two_classes_and_free_codes_both_guesses_agree():
    rng = np.random.default_rng(4)
    W, beta, X = rng.standard_normal((6, 3)), 5 * rng.standard_normal((3, 1)), rng.standard_normal((6, 200))
    learnt = Dictionary(W, beta, np.array([[0.3]]), np.zeros((3, 1)), "feature", np.zeros(1))
    naive, exhaustive = scores(learnt, X), scores(learnt, X, xi=0.1, guess="exhaustive")
    assert (naive.argmax(axis=0) == exhaustive.argmax(axis=0)).all()
    assert 0 < naive.argmax(axis=0).mean() < 1


def test_naive_guesses_ask_the_codes_alone():
    rng = np.random.default_rng(0)
    W, H, beta = rng.standard_normal((6, 2)), rng.random((2, 9)), rng.standard_normal((2, 1))
    learnt = Dictionary(W, beta, np.zeros((1, 1)), H, "feature", np.zeros(1))
    np.testing.assert_allclose(codes(W, W @ H), H, atol=1e-10)
    np.testing.assert_allclose(codes(W, W @ H, nonnegative=True), H, atol=1e-8)
    assert codes(W, -W @ H, nonnegative=True).min() == 0
    np.testing.assert_allclose(scores(learnt, W @ H)[1], (beta.T @ H)[0], atol=1e-10)


def test_the_filter_model_looks_at_the_picture_and_the_feature_model_at_its_code():
    rng = np.random.default_rng(1)
    W, beta, X = rng.standard_normal((6, 2)), rng.standard_normal((2, 1)), rng.standard_normal((6, 4))
    by_filter, by_feature = (
        scores(Dictionary(W, beta, np.zeros((1, 1)), np.zeros((2, 1)), model, np.zeros(1)), X)[1]
        for model in MODELS
    )
    np.testing.assert_allclose(by_filter, (beta.T @ (W.T @ X))[0])
    assert np.abs(by_filter - by_feature).max() > 0.1


def test_the_readable_step_is_the_fast_one_and_costs_what_the_loops_say():
    problem = random_problem(nu=0.0, q=0)
    A, B, gamma = random_place(problem)
    by_A, by_B, _ = problem.gradient(A, B, gamma)
    wrong = 1 / (1 + np.exp(-A.T @ problem.X))[0] - problem.labels
    a, b = A[:, 0].copy(), B.copy()
    gradient_step(problem.X, wrong, a, b, problem.xi, 0.1)
    np.testing.assert_allclose(a, (A - 0.1 * by_A)[:, 0])
    np.testing.assert_allclose(b, B - 0.1 * by_B)
    p, n = problem.X.shape
    assert count(gradient_step, problem.X, wrong, a, b, 0.7, 0.1).flops == 5 * p * n + 2 * p + 2


def test_the_works_keep_test_examples_to_themselves():
    train, test = mixtures(0, "digits", 200)
    assert train.X.shape == (64, 160)
    assert test.X.shape == (64, 40)
    np.testing.assert_allclose(train.X.mean(axis=1), 0, atol=1e-12)
    assert np.sum(train.X**2) / 160 == pytest.approx(1)
    assert abs(test.X.mean()) > 1e-6
    assert np.sum(test.X**2) / 40 != pytest.approx(1)
    people, others = sdl.patients(0)
    assert people.X.shape == (8, 354)
    assert others.covariates.shape == (3, 88)
    assert 0.15 < others.labels.mean() < 0.35
    assert (people.covariates[0] == 1).all()


def test_the_zoo_parts_by_network():
    train, test, names = sdl.zoo_filters(0, 20)
    assert len(names) == 8
    assert train.X.shape[0] == 9
    assert len(test.labels) == 8 * 20
    assert len(train.labels) == 16 * 20
    assert set(test.labels) == set(range(8))


def test_turned_atoms_span_the_same_plane_and_do_not_depend_on_the_basis():
    rng = np.random.default_rng(0)
    W, X = rng.standard_normal((7, 3)), rng.standard_normal((7, 50))
    found = sdl.turned(W, X)
    assert rebuilding_error(found, X) == pytest.approx(rebuilding_error(W, X))
    np.testing.assert_allclose(sdl.turned(W @ rng.standard_normal((3, 3)), X), found, atol=1e-9)
    rebuilt = [np.sum((atom @ X) ** 2) for atom in found.T]
    assert rebuilt == sorted(rebuilt, reverse=True)


def test_products_keep_the_distances_of_matrices():
    weights = np.random.default_rng(0).standard_normal((9, 5))
    matrices = weights.T[:, :, None] * weights.T[:, None]
    found = sdl.pairs(weights)
    assert found.shape == (45, 5)
    np.testing.assert_allclose(found.T @ found, np.einsum("aij,bij->ab", matrices, matrices))
    np.testing.assert_allclose(sdl.as_matrices(found), matrices)


def test_thresholds_come_from_training():
    train = Examples(np.zeros((1, 4)), np.array([0, 0, 1, 1]), np.ones((1, 4)))
    said = sdl.Judged(np.array([[0, 0, 0, 0], [1, 2, 5, 6]]), np.array([[0, 0], [4, 5]]), 0.0, np.eye(1), 0.0)
    assert sdl.decided(said, train).tolist() == [0, 1]


def test_tuning_sees_training_data_alone():
    train, test = mixtures(0, "weak", 100)
    seen = []

    def arm(known, held, setting):
        seen.append((len(known.labels), len(held.labels), setting))
        return by_everything(known, held, setting)

    tuned(arm, (0.1, 1.0), train, test, area)
    assert [each[:2] for each in seen] == [(60, 20), (60, 20), (80, 20)]


def test_atoms_that_know_the_label_see_a_weak_direction():
    train, test = mixtures(0, "weak", 400)
    ours, theirs = by_dictionary(train, test, 0.3, steps=50), by_components(train, test, 1.0)
    everything = by_everything(train, test, 100.0)
    assert area(ours, train, test) > area(theirs, train, test) + 0.15
    assert area(everything, train, test) > 0.7
    assert ours.error > theirs.error
    assert everything.error == 0


def test_straightness_knows_a_line_from_a_curve():
    k = np.linspace(1, 499, 499)
    assert straightness(1 + 0.9**k, 1.0) == pytest.approx(1)
    assert straightness(1 + 1.0 / k**2, 1.0) < 0.95


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"X": np.zeros((3, 4, 2))}, "expected X"),
        ({"labels": np.array([0, 1, 2, 1])}, "whole numbers from 0 to 1"),
        ({"labels": np.array([0, 0.5, 1, 1])}, "whole numbers"),
        ({"X": np.full((3, 4), np.nan)}, "finite"),
        ({"model": "both"}, "filter or feature"),
        ({"xi": -1.0}, "not negative"),
        ({"covariates": np.ones((1, 5))}, "covariates"),
    ],
)
def test_a_slip_gets_a_sentence(wrong, says):
    with pytest.raises(WorkbenchError, match=says):
        Problem(**{"X": np.ones((3, 4)), "labels": np.array([0, 1, 0, 1]), **wrong})


def test_slips_later_get_a_sentence_too():
    problem = random_problem()
    for run in (lpgd, bcd):
        with pytest.raises(WorkbenchError, match="at least 1"):
            run(problem, 0)
    with pytest.raises(WorkbenchError, match="expected X"):
        scores(lpgd(problem, 1, 2), problem.X[1:], problem.C)


@pytest.mark.parametrize("claim", SYSTEM.claims, ids=lambda claim: claim.id)
def test_claims_execute(claim):
    record = run_claim(SYSTEM, claim, "smoke")
    assert np.isfinite([record.value, record.control_value]).all()

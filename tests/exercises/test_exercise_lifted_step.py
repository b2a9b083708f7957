"""The exercise of the lifted step is sound and agrees with the system's own step."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.filter_distributions.lifted_step import lifted_step, places
from workbench.systems.filter_distributions.supervised_dictionary_learning import projected

EXERCISE = exercise("filter-distributions/lifted-step")
CASES = [places(np.random.default_rng(seed)) for seed in range(20)]


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize("case", CASES)
def test_the_factors_are_those_of_the_projection(case):
    A, B, gamma, X, C, wrong, xi, tau, rank = case
    W, beta, H, new_gamma = lifted_step(*case)
    moved = A - tau * X @ wrong.T, B - 2 * tau * xi * (B - X)
    A_cut, B_cut = projected(*moved, rank, "filter")
    np.testing.assert_allclose(W @ beta, A_cut, atol=1e-9)
    np.testing.assert_allclose(W @ H, B_cut, atol=1e-9)
    np.testing.assert_allclose(W.T @ W, np.eye(rank), atol=1e-9)
    np.testing.assert_allclose(new_gamma, gamma - tau * wrong @ C.T)
    assert (W.max(axis=0) == np.abs(W).max(axis=0)).all()


@pytest.mark.parametrize("case", CASES[:5])
def test_without_a_step_and_with_full_rank_nothing_happens(case):
    A, B, gamma, X, C, wrong, xi, _, _ = case
    if len(A) <= A.shape[1] + B.shape[1]:
        W, beta, H, new_gamma = lifted_step(A, B, gamma, X, C, wrong, xi, 0.0, len(A))
        np.testing.assert_allclose(W @ beta, A, atol=1e-9)
        np.testing.assert_allclose(W @ H, B, atol=1e-9)
        np.testing.assert_array_equal(new_gamma, gamma)

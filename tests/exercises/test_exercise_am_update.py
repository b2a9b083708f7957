"""The exercise of one sweep of alternating minimisation is sound and agrees with the module."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.filter_distributions.am_update import case, sweep
from workbench.systems.filter_distributions.kronecker_sparse_recovery import one_sweep, product

EXERCISE = exercise("filter-distributions/am-update")
NAMED = {
    "the number of entries is missing",
    "a factor is divided by its own new value",
    "the posterior variance is forgotten",
    "plain means of d",
}


def test_it_knows_the_named_mistakes():
    assert set(EXERCISE.wrong_answers) > NAMED


@pytest.mark.parametrize("seed", range(10))
def test_a_sweep_is_the_modules_and_never_makes_it_worse(seed):
    mean, variance, *old = case(np.random.default_rng(seed))
    d = variance + np.abs(mean) ** 2
    new = sweep(mean, variance, *old)
    np.testing.assert_allclose(product(new), product(one_sweep(d.ravel(), old)), rtol=1e-9)

    def cost(gammas):
        gamma = product(gammas)
        return np.sum(np.log(gamma) + d.ravel() / gamma)

    assert cost(new) <= cost(old) + 1e-9
    for scale in (0.99, 1.01):  # the last factor is at its best while the others stay
        assert cost((*new[:2], scale * new[2])) > cost(new)

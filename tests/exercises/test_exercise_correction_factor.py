"""The exercise of the correction factor is sound and agrees with the cascade of one pass."""

import numpy as np
import pytest

from workbench.exercises import exercise
from workbench.exercises.attention_cost.correction_factor import case, one_block
from workbench.probes import CASCADES, interpret

EXERCISE = exercise("attention-cost/correction-factor")
NAMED = {
    "the factor is upside down",
    "only the denominator is corrected",
    "corrected with the block's maximum",
    "divided in every block",
}


def test_it_knows_the_named_mistakes():
    assert set(EXERCISE.wrong_answers) >= NAMED


@pytest.mark.parametrize("keys", [1, 5, 12])
def test_block_by_block_it_is_the_cascade(keys):
    rng = np.random.default_rng(keys)
    Q, K, V = rng.standard_normal((3, 2)), rng.standard_normal((keys, 2)), rng.standard_normal((keys, 4))
    RM, RD, RNV = np.full(3, -np.inf), np.zeros(3), np.zeros((3, 4))
    for start in range(0, keys, 4):
        here = slice(start, start + 4)
        RM, RD, RNV = one_block(RM, RD, RNV, Q @ K[here].T, V[here])
    found = interpret(CASCADES["attention, one pass"], {"Q": Q, "K": K, "V": V}, {"m0": 4})
    np.testing.assert_allclose(RNV / RD[:, None], found["AV"], rtol=1e-12)
    np.testing.assert_allclose(RM, found["RM"][:, -1])


def test_cases_cover_the_first_block_and_both_ways_of_growing():
    cases = [case(np.random.default_rng(seed)) for seed in range(60)]
    assert any(np.isinf(RM).all() for RM, *_ in cases)
    grows = [scores.max(1) > RM for RM, _, _, scores, _ in cases]
    assert any(each.all() for each in grows)
    assert any(not each.any() for each in grows)

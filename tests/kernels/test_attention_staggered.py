"""Staggered lanes give the same attention, whatever their number, and read as the closed form says."""

import numpy as np
import pytest

from workbench import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    attention_staggered,
    staggered_scores,
    staggered_scores_cost,
    staggered_steps,
)

SHAPES = [(1, 1), (2, 1), (2, 2), (5, 2), (5, 5), (7, 3), (33, 32), (129, 4), (129, 16)]


def exact(Q, K, V):
    S = Q.astype(float) @ K.T.astype(float) / np.sqrt(Q.shape[1])
    P = np.exp(S - S.max(1, keepdims=True))
    return P / P.sum(1, keepdims=True) @ V


@pytest.mark.parametrize(("n", "lanes"), SHAPES)
def test_it_is_attention(n, lanes):
    draws = np.random.default_rng(n)
    Q, K = draws.normal(size=(2, 16, n)).astype(np.float32).swapaxes(1, 2)  # not contiguous
    V = draws.normal(size=(n, 5)).astype(np.float32)
    np.testing.assert_allclose(attention_staggered(Q, K, V, lanes), exact(Q, K, V), atol=2e-6)


@pytest.mark.parametrize("scale", [0.0, 30.0, 1000.0])
def test_ties_and_peaks(scale):
    draws = np.random.default_rng(1)
    Q, K, V = (scale * draws.normal(size=(3, 9, 4))).astype(np.float32)
    np.testing.assert_allclose(attention_staggered(Q, K, V, 4), exact(Q, K, V), atol=1e-3 * (1 + scale))


def test_steps_in_closed_form():
    assert [staggered_steps(129, p) for p in (1, 4, 16, 129)] == [16641, 4257, 1161, 257]


@pytest.mark.slow  # compiles the counting build
@pytest.mark.parametrize(("n", "lanes", "d"), [(1, 1, 1), (7, 3, 5), (129, 4, 16)])
def test_the_count_is_the_closed_form(n, lanes, d):
    Q, K = np.random.default_rng(0).normal(size=(2, n, d)).astype(np.float32)
    S = np.zeros((staggered_steps(n, lanes), lanes), np.float32)
    counts = count(staggered_scores, Q, K, S)
    assert counts.loads["K"] == d * staggered_steps(n, lanes)
    assert staggered_scores_cost(n, lanes, d).equals(counts)


@pytest.mark.parametrize("lanes", [0, 6])
def test_lanes_that_do_not_fit(lanes):
    Q = np.zeros((5, 2), np.float32)
    with pytest.raises(WorkbenchError, match="expected 1 to 5 lanes"):
        attention_staggered(Q, Q, Q, lanes)
    with pytest.raises(WorkbenchError, match=r"expected Q \[n, d\]"):
        attention_staggered(Q, Q[:4], Q, 2)

"""SOFT: its measures against whole matrices, its rival against published steps, and its claims in smoke."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from workbench.claims import Measured
from workbench.layers.landmark_attention import RIDGE, gaussian, landmark_factors, newton_inverse
from workbench.probes import cost
from workbench.systems.attention_shapes import soft
from workbench.systems.attention_shapes.soft import SYSTEM, LandmarkAttention2d

MEASURED = [claim for claim in SYSTEM.claims if claim.needs is None]


def test_tokens_have_the_sources_scale_and_queries_are_keys():
    tokens = soft.tokens_of(0, 6)
    assert tokens.shape == (36, 27)
    assert tokens.square().sum(1).mean().item() == pytest.approx(27**0.5, rel=0.02)
    torch.testing.assert_close(soft.tokens_of(0, 6, 2.0), 2 * tokens)
    assert not torch.equal(soft.tokens_of(1, 6), tokens)


def test_landmarks_are_means_of_squares():
    tokens = soft.tokens_of(0, 6)
    landmarks = soft.pooled(tokens, 4)
    grid = tokens.view(6, 6, 27)
    torch.testing.assert_close(landmarks[1], grid[:3, 3:].mean((0, 1)))
    torch.testing.assert_close(soft.pooled(tokens, 36), tokens)


@pytest.mark.parametrize("inverse", [newton_inverse, soft.ridge_inverse])
def test_the_error_from_small_products_is_that_of_the_whole_matrix(inverse):
    tokens = soft.tokens_of(2, 8)
    landmarks = soft.pooled(tokens, 9)
    P, A, S = gaussian(tokens, landmarks), gaussian(landmarks, landmarks), gaussian(tokens, tokens)
    expected = soft.error(P @ inverse(A) @ P.mT, S)
    assert soft.gaussian_error(tokens, landmarks, inverse) == pytest.approx(expected, rel=1e-6)
    assert soft.gaussian_error(tokens, tokens, soft.ridge_inverse) < 2 * RIDGE


def test_the_norm_from_small_products_is_that_of_the_whole_matrix():
    tokens = soft.tokens_of(1, 8)
    P, M = landmark_factors(tokens, soft.pooled(tokens, 9))
    whole = torch.linalg.matrix_norm(P @ M @ P.mT, 2)
    assert soft.spectral_norm(P, M) == pytest.approx(whole.item(), rel=1e-6)


def test_the_rivals_inverse_goes_to_the_pseudo_inverse_and_its_rows_sum_to_one():
    tokens = soft.tokens_of(0, 8)
    landmarks = soft.pooled(tokens, 9)
    left, middle, right = soft.softmax_factors(tokens, landmarks, 40)
    A = (landmarks @ landmarks.mT).softmax(-1)
    torch.testing.assert_close(middle, torch.linalg.pinv(A), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close((left @ middle @ right).sum(1), torch.ones(64, dtype=A.dtype))
    left, middle, right = soft.softmax_factors(landmarks, landmarks, 40)  # all tokens are landmarks
    torch.testing.assert_close(left @ middle @ right, A, rtol=1e-6, atol=1e-6)


def test_a_softmax_is_a_gaussian_with_divided_rows_where_all_keys_have_one_length():
    tokens = nn.functional.normalize(soft.tokens_of(0, 8), dim=-1)
    rows = gaussian(tokens, tokens)
    torch.testing.assert_close(rows / rows.sum(1, keepdim=True), (tokens @ tokens.mT).softmax(-1))


def test_twenty_iterations_do_where_five_do_not():
    tokens = soft.tokens_of(3, 28)
    landmarks = soft.pooled(tokens)
    few, many, exact = (
        soft.gaussian_error(tokens, landmarks, inverse)
        for inverse in (lambda A: newton_inverse(A, 5), newton_inverse, soft.ridge_inverse)
    )
    assert exact <= many < 1.1 * exact < few


def test_what_is_kept_is_the_inverse_alone():
    A = gaussian(*[torch.randn(7, 3)] * 2).requires_grad_()
    assert soft.kept_bytes(lambda: newton_inverse(A)) == 7 * 7 * 4
    assert soft.kept_bytes(lambda: soft.through_the_loop(A)) > 20 * 7 * 7 * 4
    torch.testing.assert_close(soft.through_the_loop(A), newton_inverse(A))


def test_the_work_is_that_of_the_formula():
    """Products of one head of 8 channels on 6 x 6 tokens with ratio 2, so 9 landmarks."""
    n, m, d = 36, 9, 8
    projections, merge, local = 3 * n * d * d, m * d * d * 4, n * d * 9
    factors = n * m * d + m * m * d
    inverse = 2 * 20 * m**3
    mixing = m * n * d + m * m * d + n * m * d
    found = cost(LandmarkAttention2d(d, ratio=2), (1, d, 6, 6)).macs.value
    elementwise = found - (projections + merge + local + factors + inverse + mixing)
    assert 0 <= elementwise < 0.05 * found


@pytest.mark.parametrize("claim", MEASURED, ids=lambda claim: claim.id)
def test_claims_and_controls_run_in_smoke(claim):
    for run in (claim.measure, claim.control):
        found = run(0, "smoke")
        value = found.value if isinstance(found, Measured) else found
        assert math.isfinite(value)
        again = run(0, "smoke")
        assert value == (again.value if isinstance(again, Measured) else again)


def test_controls_that_are_exact_by_construction_fail():
    assert soft.growth("nothing", 0, "smoke").value == 1
    assert soft.kept(True, 0, "smoke").value == 1
    assert soft.beside_exact(20, 1.0, (soft.NARROW,), 1, "smoke").value == 1e6
    assert np.isclose(soft.beside_exact(20, 0.9, (soft.NARROW,), 1, "smoke").value, 1)

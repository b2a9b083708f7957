"""The exercise of the inverse is sound and agrees with the layer and its way back."""

import numpy as np
import pytest
import torch

from workbench.exercises import exercise
from workbench.exercises.attention_shapes.inverse_by_products import (
    by_eigenvalues,
    inverse_by_products,
    through_the_loop,
)
from workbench.judge.profiles import sample
from workbench.layers import newton_inverse

EXERCISE = exercise("attention-shapes/inverse-by-products")


def test_it_knows_the_named_mistakes():
    assert len(EXERCISE.wrong_answers) >= 4


@pytest.mark.parametrize("case", sample(EXERCISE.inputs, 20))
def test_it_agrees_with_the_layer(case):
    A, G, iterations = case
    matrix = torch.from_numpy(A).requires_grad_()
    V = newton_inverse(matrix, iterations)
    V.backward(torch.from_numpy(G))
    found, grad = inverse_by_products(*case)
    np.testing.assert_allclose(found, V.detach(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(grad, matrix.grad, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(by_eigenvalues(*case)[0], found, rtol=1e-6, atol=1e-8)


def test_the_derivative_through_the_loop_is_torchs_and_both_meet_in_the_end():
    A, G, _ = sample(EXERCISE.inputs, 6)[5]
    B = torch.from_numpy(A).requires_grad_()
    ridged = B + 0.01 * torch.eye(len(A), dtype=torch.double)
    V = 1.8 / B.detach().sum(1).max() ** 2 * ridged
    for _ in range(4):
        V = 2 * V - V @ ridged @ V
    V.backward(torch.from_numpy(G))
    np.testing.assert_allclose(through_the_loop(A, G, 4)[1], B.grad, rtol=1e-9, atol=1e-10)
    late, ours = through_the_loop(A, G, 60)[1], inverse_by_products(A, G, 60)[1]
    np.testing.assert_allclose(late, ours, rtol=1e-4, atol=1e-4)

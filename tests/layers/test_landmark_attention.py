"""Attention through landmarks against scikit-learn, float64 inverses, and the matrix that it stands for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_approximation import Nystroem
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import LandmarkAttention2d, LandmarkBlock, landmark_attention, newton_inverse
from workbench.layers.landmark_attention import RIDGE, gaussian, landmark_factors
from workbench.probes import attention


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_the_similarity_is_the_gaussian_kernel_of_scikit_learn():
    q, k = normal(0, 9, 5), normal(1, 4, 5)
    torch.testing.assert_close(gaussian(q, k), torch.from_numpy(RBF(1.0)(q.numpy(), k.numpy())))
    torch.testing.assert_close(gaussian(q, q).diagonal(), torch.ones(9, dtype=q.dtype))
    far = gaussian(1e4 * q, 1e4 * q)
    torch.testing.assert_close(far, torch.eye(9, dtype=far.dtype))


def test_factors_give_the_nystrom_approximation_of_scikit_learn():
    q = normal(0, 30, 4)
    peer = Nystroem(kernel="rbf", gamma=0.5, n_components=6, random_state=0).fit(q.numpy())
    landmarks = torch.from_numpy(peer.components_)
    embedded = torch.from_numpy(peer.transform(q.numpy()))
    P, A = gaussian(q, landmarks), gaussian(landmarks, landmarks)
    found = P @ newton_inverse(A, 60, ridge=1e-9) @ P.mT
    torch.testing.assert_close(found, embedded @ embedded.mT, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12), st.sampled_from([0.1, 1.0, 4.0, 100.0]))
def test_the_iteration_goes_to_the_inverse_of_the_ridged_matrix(seed, m, scale):
    x = scale * normal(seed, 2, m, 3)
    A = gaussian(x, x)
    exact = torch.linalg.inv(A + RIDGE * torch.eye(m, dtype=A.dtype))
    torch.testing.assert_close(newton_inverse(A, 60), exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(newton_inverse(A[0], 60), exact[0], rtol=1e-6, atol=1e-6)


def test_it_runs_away_at_a_factor_of_one_where_no_two_are_alike():
    A = torch.eye(5, dtype=torch.double)
    assert not torch.isfinite(newton_inverse(A, 20, factor=1)).all()
    torch.testing.assert_close(newton_inverse(A, 20), A / (1 + RIDGE))


def test_without_a_ridge_a_step_that_is_too_long_is_halved():
    x = normal(3, 7, 2)
    A = gaussian(x, x)
    torch.testing.assert_close(
        newton_inverse(A, 70, ridge=0, factor=1) @ A, torch.eye(7).double(), atol=1e-4, rtol=0
    )
    assert (newton_inverse(torch.eye(4), 20, ridge=0, factor=1) == 0).all()  # as the docstring warns


def test_the_way_back_is_that_of_the_inverse():
    x = normal(4, 2, 5, 3)
    A = gaussian(x, x).requires_grad_()
    G = normal(5, 2, 5, 5)
    newton_inverse(A, 60).backward(G)
    B = A.detach().clone().requires_grad_()
    torch.linalg.inv(B + RIDGE * torch.eye(5, dtype=B.dtype)).backward(G)
    torch.testing.assert_close(A.grad, B.grad, rtol=1e-6, atol=1e-8)
    assert torch.autograd.gradcheck(lambda a: newton_inverse((a + a.mT) / 2, 60), (A,))


@pytest.mark.parametrize(
    ("matrix", "iterations", "needs"),
    [(torch.ones(3, 2), 20, "square"), (torch.ones(3), 20, "square"), (torch.eye(3), 0, "1 iteration")],
)
def test_an_inverse_refuses_what_has_none(matrix, iterations, needs):
    with pytest.raises(WorkbenchError, match=needs):
        newton_inverse(matrix, iterations)


@pytest.mark.parametrize("normalise", ["nothing", "landmarks", "tokens"])
def test_the_attention_is_symmetric_and_has_no_negative_eigenvalue(normalise):
    q = normal(6, 2, 20, 4)
    P, M = landmark_factors(q, q[:, ::3], 60, normalise)
    S = P @ M @ P.mT
    torch.testing.assert_close(S, S.mT, rtol=1e-6, atol=1e-8)
    assert torch.linalg.eigvalsh((S + S.mT) / 2).min() > -1e-6
    v = normal(7, 2, 20, 3)
    torch.testing.assert_close(landmark_attention(q, q[:, ::3], v, 60, normalise), S @ v)


def test_all_tokens_as_landmarks_give_the_kernel_but_for_the_ridge():
    q = normal(8, 10, 6)
    P, M = landmark_factors(q, q, 60)
    S = gaussian(q, q)
    assert (P @ M @ P.mT - S).abs().max() < 2 * RIDGE


def test_by_tokens_no_eigenvalue_exceeds_one_whatever_their_number():
    for n in (10, 200):
        q = 0.3 * normal(9, n, 4)
        P, M = landmark_factors(q, q[:6], 60, "tokens")
        assert torch.linalg.eigvalsh(P @ M @ P.mT).max() < 1 + 1e-6
        P, M = landmark_factors(q, q[:6], 60)
        assert torch.linalg.eigvalsh(P @ M @ P.mT).max() > n / 4


@pytest.mark.parametrize(
    ("heads", "ratio", "shape"),
    [(1, 2, (6, 7)), (3, 3, (7, 5)), (2, 1, (3, 4)), (6, 4, (4, 4)), (2, 1, (1, 1))],
)
def test_the_layer_is_its_formula(heads, ratio, shape):
    """Each head by itself, from the weights: what its rows say, plus the convolution of the values."""
    layer = LandmarkAttention2d(6, heads, ratio=ratio).double()
    x = normal(10, 2, *shape, 6).permute(0, 3, 1, 2)  # not contiguous
    with torch.no_grad():
        rows = layer.attention_rows(x, list(range(shape[0] * shape[1])))
        values = layer.give(x).unflatten(1, (heads, -1))
        mixed = torch.einsum("bhij,bhdj->bhdi", rows, values.flatten(3)).view_as(values)
        for head in range(heads):
            kernel = layer.local.weight[head : head + 1]
            for c in range(6 // heads):
                mixed[:, head, c] += nn.functional.conv2d(values[:, head, c, None], kernel, padding=1)[:, 0]
        torch.testing.assert_close(layer(x), layer.answer(mixed.flatten(1, 2)))
        one = layer.attention_rows(x, [0, -1])
    torch.testing.assert_close(one, rows[..., [0, -1], :])
    assert rows.shape == (2, heads, *[shape[0] * shape[1]] * 2)
    torch.testing.assert_close(rows, rows.mT, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("normalise", ["nothing", "landmarks", "tokens"])
def test_every_parameter_learns_and_every_token_is_seen(normalise):
    layer = LandmarkAttention2d(4, 2, ratio=2, normalise=normalise).double()
    x = normal(11, 1, 4, 5, 5).requires_grad_()
    layer(x)[0, :, 1, 1].sum().backward()
    assert (x.grad.abs().sum(1) > 0).all()
    assert layer.visible(5, 5).all()
    assert layer.visible(5, 5).shape == (25, 25)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_the_probe_for_attention_shows_its_rows():
    layer, x = LandmarkAttention2d(4, 2, ratio=2).eval(), torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        (found,) = attention(layer, x)
        torch.testing.assert_close(found.probabilities(), layer.attention_rows(x, list(range(16))))


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({"heads": 3}, "divide"),
        ({"ratio": 0}, "1 or more"),
        ({"ratio": 1, "normalise": "tokens"}, "exact"),
    ],
)
def test_a_layer_refuses_what_cannot_be(options, needs):
    with pytest.raises(WorkbenchError, match=needs):
        LandmarkAttention2d(4, **options)


def test_a_map_smaller_than_a_landmark_and_an_unknown_way_are_refused():
    with pytest.raises(WorkbenchError, match="both sides at least 8"):
        LandmarkAttention2d(4)(torch.zeros(1, 4, 7, 9))
    with pytest.raises(WorkbenchError, match="'softmax' came"):
        LandmarkAttention2d(4, normalise="softmax")(torch.zeros(1, 4, 8, 8))


def test_the_block_puts_its_norms_at_the_end():
    block = LandmarkBlock(6, 2, ratio=2, drop=0.5).double().eval()
    x = normal(12, 2, 6, 4, 6)
    with torch.no_grad():
        middle = block.norms[0](x + block.attention(x))
        expected = block.norms[1](middle + block.feed(middle))
        out = block(x)
        torch.testing.assert_close(out, expected)
        torch.testing.assert_close(out.mean(1), torch.zeros_like(out[:, 0]), atol=1e-8, rtol=0)
        block.train()
        assert not torch.equal(block(x), block(x))
    assert block.feed[0].out_channels == 24

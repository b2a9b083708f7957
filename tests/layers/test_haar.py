"""The Haar transform against PyWavelets, its laws, and its inverse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.layers import HAAR, Haar2d, haar2d, inverse_haar2d, squares
from workbench.probes import probe, receptive_field

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


def image(height, width, channels=2, seed=0):
    draws = np.random.default_rng(seed)
    return torch.from_numpy(draws.normal(size=(3, channels, height, width)) * 10 ** draws.uniform(-6, 6))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 7), (7, 10), (16, 32), (5, 5)])
def test_one_level_has_the_order_and_signs_of_pywavelets(size):
    pywt = pytest.importorskip("pywt")
    x = image(*size)
    average, details = pywt.dwt2(x.numpy(), "haar", mode="zero")
    for ours, theirs in zip(haar2d(x), (average, *details), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-12 * float(x.abs().max()))


@pytest.mark.parametrize(("size", "levels"), [((16, 24), 3), ((13, 17), 3), ((2, 2), 1), ((9, 4), 2)])
def test_levels_are_those_of_pywavelets(size, levels):
    pywt = pytest.importorskip("pywt")
    x = image(*size)
    low, *details = pywt.wavedec2(x.numpy(), "haar", mode="zero", level=levels)
    found = Haar2d(levels)(x)
    scale = 1e-12 * float(x.abs().max())
    np.testing.assert_allclose(found[-1].LL.numpy(), low, rtol=1e-12, atol=scale)
    for ours, theirs in zip(reversed(found), details, strict=True):
        for band, other in zip(ours[1:], theirs, strict=True):
            np.testing.assert_allclose(band.numpy(), other, rtol=1e-12, atol=scale)


def test_the_matrix_is_orthonormal_and_its_own_inverse():
    assert torch.equal(HAAR @ HAAR.T, torch.eye(4))
    assert torch.equal(HAAR, HAAR.T)
    x = image(6, 8).float()
    by_matrix = torch.einsum("ij,j...->i...", HAAR, torch.stack(squares(x)))
    torch.testing.assert_close(torch.stack(haar2d(x)), by_matrix)


def test_signs_on_edges():
    step = torch.zeros(1, 2, 2)
    step[0, 0] = 1  # bright above, dark below
    assert [band.item() for band in haar2d(step)] == [1, 1, 0, 0]
    assert [band.item() for band in haar2d(step.transpose(1, 2))] == [1, 0, 1, 0]
    assert [band.item() for band in haar2d(torch.eye(2)[None])] == [1, 0, 0, 1]


@settings(deadline=None, max_examples=40)
@given(sizes, st.integers(1, 4), st.integers(0, 100))
def test_no_energy_is_lost_and_the_inverse_is_exact(size, levels, seed):
    x = image(*size, seed=seed)
    transform = Haar2d(levels)
    found = transform(x)
    energy = found[-1].LL.square().sum() + sum(band.square().sum() for bands in found for band in bands[1:])
    torch.testing.assert_close(energy, x.square().sum(), rtol=1e-12, atol=0)
    back = transform.inverse(found, size)
    torch.testing.assert_close(back, x, rtol=1e-12, atol=1e-12 * float(x.abs().max()))


def test_not_contiguous_and_without_a_batch():
    x = image(8, 6).transpose(2, 3)
    torch.testing.assert_close(haar2d(x).LH, haar2d(x.contiguous()).LH)
    torch.testing.assert_close(inverse_haar2d(haar2d(x[0])), x[0])


def test_nothing_is_kept_for_the_way_back_and_the_gradient_is_the_transpose():
    x = image(8, 8).float().requires_grad_()
    assert probe(Haar2d(2), x, backward=True).total.saved == 0
    LL, LH, _, _ = haar2d(x)
    LH.sum().backward()
    expected = torch.tensor([0.5, -0.5]).repeat(4)[:, None].expand(8, 8)
    torch.testing.assert_close(x.grad, expected.expand_as(x))
    assert LL.shape == (3, 2, 4, 4)


def test_a_level_sees_two_pixels_and_three_see_eight():
    class Low(torch.nn.Module):
        def __init__(self, levels):
            super().__init__()
            self.transform = Haar2d(levels)

        def forward(self, x):
            return self.transform(x)[-1].LL

    for levels in (1, 3):
        field = receptive_field(Low(levels), (1, 2, 32, 32))
        assert field.size == (2**levels, 2**levels)
        assert field.jump == (2**levels, 2**levels)


def test_slips_are_a_sentence():
    with pytest.raises(WorkbenchError, match="levels must be at least 1"):
        Haar2d(0)
    bands = haar2d(image(4, 4))
    with pytest.raises(WorkbenchError, match="four bands of one shape"):
        inverse_haar2d(bands[:3])
    with pytest.raises(WorkbenchError, match="5 x 4 are asked for"):
        inverse_haar2d(bands, (5, 4))

"""Every operation of RandAugment against scipy, or against a picture that can be worked out by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from workbench.errors import WorkbenchError
from workbench.layers.rand_augment import NAMES, OPERATIONS, RandAugment, cutout


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


STRENGTHLESS = {"autocontrast", "equalize", "invert"}


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - STRENGTHLESS))
@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 1, 5, 9), (1, 1, 1, 1)])
def test_no_strength_changes_nothing(name, shape):
    x = pictures(*shape)
    still = OPERATIONS[name](x, torch.zeros(shape[0]))
    torch.testing.assert_close(still, x, atol=1 / 255 if name == "posterize" else 1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("magnitude", [10, 15])
@pytest.mark.parametrize("shape", [(6, 1, 8, 8), (4, 1, 7, 12), (2, 1, 1, 1)])
def test_pictures_stay_pictures(name, magnitude, shape):
    augment = RandAugment(2, magnitude, (name,))
    out = augment(pictures(shape[0], 1, shape[3], shape[2]).mT, seeded())
    assert out.shape == shape
    assert out.min() >= 0
    assert out.max() <= 1 + 1e-6


def test_moves_agree_with_scipy():
    """Order-1 interpolation with zeros outside is what both do; only pixels well inside are compared."""
    x = pictures(1, 1, 33, 41)
    x = torch.from_numpy(ndimage.gaussian_filter(x.numpy(), (0, 0, 2, 2)))
    picture, one = x[0, 0].numpy(), torch.ones(1)
    turned = OPERATIONS["rotate"](x, one)[0, 0].numpy()
    expected = ndimage.rotate(picture, 30, reshape=False, order=1)
    inside = (slice(12, 21), slice(16, 25))
    other = ndimage.rotate(picture, -30, reshape=False, order=1)
    near = min(np.abs(turned - e)[inside].max() for e in (expected, other))
    assert near < 1e-3
    moved = OPERATIONS["translate x"](pictures(1, 1, 8, 8), one)
    torch.testing.assert_close(moved[..., :6], pictures(1, 1, 8, 8)[..., 2:], atol=1e-5, rtol=0)
    moved = OPERATIONS["translate y"](pictures(1, 1, 8, 8), -one)
    torch.testing.assert_close(moved[..., 2:, :], pictures(1, 1, 8, 8)[..., :6, :], atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(21, 21), (11, 31)])
def test_a_sheared_line_leans_by_three_pixels_in_ten_rows(shape):
    x = torch.zeros(1, 1, *shape)
    x[..., shape[1] // 2] = 1
    leaning = OPERATIONS["shear x"](x, torch.ones(1))[0, 0]
    columns = torch.arange(shape[1], dtype=torch.float32)
    middle = (leaning * columns).sum(1) / leaning.sum(1)
    steps = (middle[1:] - middle[:-1]).abs()
    torch.testing.assert_close(steps, torch.full_like(steps, 0.3), atol=1e-4, rtol=0)


def test_tones_by_hand():
    x, one = torch.tensor([0.2, 0.4, 0.4, 0.8]).view(1, 1, 2, 2), torch.ones(1)
    for name, expected in {
        "autocontrast": [0, 1 / 3, 1 / 3, 1],
        "equalize": [0, 2 / 3, 2 / 3, 1],
        "invert": [0.8, 0.6, 0.6, 0.2],
        "solarize": [0.2, 0.4, 0.4, 0.2],
        "solarize-add": [0.63, 0.83, 0.83, 0.8],
        "brightness": [0.38, 0.76, 0.76, 1],
        "contrast": [0.45 - 0.475, 0.45 - 0.095, 0.45 - 0.095, 1],
    }.items():
        got = OPERATIONS[name](x, one).flatten()
        torch.testing.assert_close(
            got, torch.tensor(expected).clamp(0, 1), msg=lambda m, name=name: f"{name}: {m}"
        )
    darker = OPERATIONS["brightness"](x, -one)
    torch.testing.assert_close(darker, 0.1 * x)


def test_four_bits_have_sixteen_tones():
    x = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
    assert len(OPERATIONS["posterize"](x, torch.ones(1)).unique()) == 16
    assert len(OPERATIONS["posterize"](x, torch.full((1,), 0.5)).unique()) == 64


def test_sharpness_spares_the_edge_and_flat_pictures():
    flat = torch.full((2, 1, 6, 6), 0.3)
    torch.testing.assert_close(OPERATIONS["sharpness"](flat, torch.ones(2)), flat)
    x = pictures(1, 1, 6, 6)
    blurred = OPERATIONS["sharpness"](x, -torch.ones(1))
    torch.testing.assert_close(blurred[..., 0, :], x[..., 0, :])
    assert blurred[..., 1:-1, 1:-1].var() < x[..., 1:-1, 1:-1].var()


def test_cutout_is_a_grey_square_where_it_is_put():
    x = torch.ones(2, 1, 9, 9)
    out = cutout(x, torch.ones(2), torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    assert (out[0, 0] == 0.5).nonzero().tolist() == [[r, c] for r in (3, 4, 5) for c in (3, 4, 5)]
    assert (out[1, 0] == 0.5).nonzero().tolist() == [[r, c] for r in (0, 1) for c in (7, 8)]


def test_one_seed_one_result_and_every_operation_comes():
    augment, x = RandAugment(2, 10), pictures(400, 1, 8, 8)
    torch.testing.assert_close(augment(x, seeded(3)), augment(x, seeded(3)))
    assert not torch.equal(augment(x, seeded(3)), augment(x, seeded(4)))
    assert torch.equal(RandAugment(0)(x, seeded()), x)
    kept = x.clone()
    augment(x, seeded(3))
    assert torch.equal(x, kept)
    chosen = torch.randint(len(NAMES), (400,), generator=seeded(3)).bincount(minlength=len(NAMES))
    assert chosen.min() > 0


@pytest.mark.parametrize("options", [{"layers": -1}, {"magnitude": -1}, {"names": ("color",)}, {"names": ()}])
def test_impossible_settings_are_a_sentence(options):
    with pytest.raises(WorkbenchError, match="names out of"):
        RandAugment(**options)


def test_only_grey_pictures():
    with pytest.raises(WorkbenchError, match=r"grey pictures"):
        RandAugment()(torch.zeros(2, 3, 8, 8), seeded())

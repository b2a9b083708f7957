"""The counted block in bands: any band gives the block, and the counts are those of the closed form."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.counting import Geometry, Level, count
from workbench.kernels import conv_first_bands, conv_first_cost


def arguments(seed, images, height, width, channels, wide, group, band, taps=3):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    pixels = images * height * width
    return (
        draw(pixels, channels),
        height,
        width,
        draw(channels, taps, taps, group) / taps,
        draw(channels),
        draw(wide, channels) / channels**0.5,
        draw(wide),
        draw(channels, wide) / wide**0.5,
        draw(channels),
        np.full((band, channels), np.nan, np.float32),
        np.full((band, wide), np.nan, np.float32),
        np.full((pixels, channels), np.nan, np.float32),
    )


def by_torch(x, height, width, look, b0, expand, b1, project, b2, *_):
    """In float64, from torch's convolution."""
    x, look, b0, expand, b1, project, b2 = (
        torch.from_numpy(np.asarray(each, np.float64)) for each in (x, look, b0, expand, b1, project, b2)
    )
    maps = x.reshape(-1, height, width, x.shape[1]).permute(0, 3, 1, 2)
    groups = x.shape[1] // look.shape[3]
    near = F.conv2d(maps, look.permute(0, 3, 1, 2), b0, padding=look.shape[1] // 2, groups=groups)
    rows = near.permute(0, 2, 3, 1).reshape(x.shape)
    return (x + F.silu(rows @ expand.T + b1) @ project.T + b2).numpy()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    images=st.integers(1, 3),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    group=st.sampled_from((1, 2, 4)),
    taps=st.sampled_from((1, 3, 5)),
    band=st.integers(1, 120),
)
def test_any_band_gives_the_block(seed, images, height, width, group, taps, band):
    """Odd sizes, single pixels, bands that divide nothing, that span images, and that are too long."""
    given = arguments(seed, images, height, width, 4, 6, group, band, taps)
    conv_first_bands(*given)
    np.testing.assert_allclose(given[-1], by_torch(*given), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_counts_are_the_closed_form_and_bands_save_lines():
    moved = {}
    for band in (1, 20, 7 * 9 * 2):
        given = arguments(0, 2, 7, 9, 8, 24, 4, band)
        counts = count(conv_first_bands, *given, geometry=Geometry([Level(8 * 1024, 8)]))
        cost = conv_first_cost(2, 7, 9, 8, 24, group=4)
        assert counts.flops == cost.flops
        assert {name: number for name, number in counts.loads.items() if number} == cost.loads
        assert {name: number for name, number in counts.stores.items() if number} == cost.stores
        assert {name: counts.bytes_unique[name] for name in cost.bytes_unique} == cost.bytes_unique
        assert counts.bytes_unique["wide"] == 4 * 24 * band
        level = counts.cache["L1"]
        moved[band] = level.misses.total + level.writebacks.total
    assert moved[20] < moved[126] / 2


def test_the_closed_form_counts_taps_inside():
    """One pixel sees one tap; a row of two sees two of three."""
    assert conv_first_cost(1, 1, 1, 8, 8).loads["look"] == 8 * 8
    assert conv_first_cost(3, 1, 2, 8, 8).loads["look"] == 3 * 4 * 8 * 8
    assert conv_first_cost(1, 5, 5, 8, 8, taps=1, group=1).loads["look"] == 25 * 8

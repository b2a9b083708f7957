"""Convolutions of many channels, direct, by columns, Fourier and Winograd; separable filters."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    conv1d,
    conv1d_direct,
    conv2d,
    conv2d_cost,
    conv2d_direct,
    depthwise_conv2d,
    fft_conv1d,
    fft_conv2d,
    im2col,
    im2col_conv2d,
    im2col_cost,
    im2col_direct,
    separable_conv2d,
    separable_cost,
    separate,
    transform_kernels,
    winograd_conv2d,
    winograd_tile,
    winograd_tile_cost,
)
from workbench.kernels.separable import _separable_conv2d
from workbench.kernels.winograd import _winograd_conv2d


def draw(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(a, b, tolerance):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))


def by_torch(x, w, *geometry):
    function = torch.nn.functional.conv1d if x.ndim == 3 else torch.nn.functional.conv2d
    return function(torch.tensor(x).double(), torch.tensor(w).double(), None, *geometry).numpy()


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(0, 3),
    channels=st.integers(1, 8),
    out_channels=st.integers(1, 9),
    size=st.tuples(st.integers(1, 24), st.integers(1, 30)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 7)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 8)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_all_ways_agree_with_torch_for_any_geometry(
    batch, channels, out_channels, size, kernel, stride, padding, dilation
):
    reaches = zip(size, kernel, padding, dilation, strict=True)
    assume(all(n + 2 * p > d * (k - 1) for n, k, p, d in reaches))
    x, w = (
        draw((batch, channels, *size), np.float32),
        draw((out_channels, channels, *kernel), np.float32, 1),
    )
    expected = by_torch(x, w, stride, padding, dilation)
    for function in (conv2d, im2col_conv2d):
        result = function(x, w, stride, padding, dilation)
        assert result.dtype == np.float32
        close(result, expected, 2e-5)
    if dilation == (1, 1):
        close(fft_conv2d(x, w, stride, padding), expected, 2e-5)


@pytest.mark.slow  # all is compiled again
def test_all_ways_in_float64():
    x, w = draw((2, 5, 17, 40)), draw((6, 5, 3, 3), seed=1)
    expected = by_torch(x, w, 1, 1)
    for function in (conv2d, im2col_conv2d, fft_conv2d):
        close(function(x, w, 1, 1), expected, 1e-12)
    close(winograd_conv2d(x, w, 1), expected, 1e-12)
    column, row = draw(5, seed=2), draw(7, seed=3)
    filtered = depthwise_conv2d(x, np.broadcast_to(np.outer(column, row), (5, 5, 7)))
    close(separable_conv2d(x, column, row), filtered, 1e-12)


def test_more_channels_than_one_panel_holds_and_more_outputs():
    x, w = draw((2, 70, 19, 40), np.float32), draw((6, 70, 3, 3), np.float32, 1)
    close(conv2d(x, w, padding=1), by_torch(x, w, 1, 1), 2e-5)


@pytest.mark.parametrize("geometry", [(1, 0, 1), (2, 3, 1), (3, 2, 2)])
def test_conv1d_agrees_with_torch(geometry):
    stride, padding, dilation = geometry
    x, w = draw((2, 3, 50), np.float32), draw((4, 3, 5), np.float32, 1)
    expected = by_torch(x, w, *geometry)
    out = np.empty(expected.shape, np.float32)
    assert conv1d(x, w, stride, padding, dilation, out) is out
    close(out, expected, 2e-5)
    if dilation == 1:
        close(fft_conv1d(x, w, stride, padding), expected, 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("geometry", [(1, 0, 1), (2, 3, 1), (3, 2, 2)])
def test_the_loops_of_conv1d_count_as_those_on_images_of_one_row(geometry):
    stride, padding, dilation = geometry
    x, w = draw((2, 3, 20)), draw((4, 3, 5), seed=1)
    expected = by_torch(x, w, *geometry)
    out = np.empty_like(expected)
    counts = count(conv1d_direct, x, w, out, *geometry)
    close(out, expected, 1e-12)
    flat = (1, stride), (0, padding), (1, dilation)
    assert conv2d_cost((2, 3, 1, 20), (4, 3, 1, 5), 8, *flat).equals(counts)


@pytest.mark.parametrize("geometry", [(1, 0, 1), (2, 1, 1), (1, 3, 2), (4, 0, 1)])
def test_the_loops_count_as_the_closed_form_says(geometry):
    x, w = draw((2, 3, 6, 7)), draw((4, 3, 2, 3), seed=1)
    expected = by_torch(x, w, *geometry)
    out = np.empty_like(expected)
    counts = count(conv2d_direct, x, w, out, *geometry)
    close(out, expected, 1e-12)
    assert conv2d_cost(x.shape, w.shape, 8, *geometry).equals(counts)


@pytest.mark.parametrize("geometry", [(1, 0, 1), (2, 1, 1), (1, 3, 2), (4, 0, 1)])
def test_columns_and_their_closed_form(geometry):
    x = draw((3, 6, 7), np.float32)
    columns = im2col(x[None], (2, 3), *geometry)[0]
    unfold = torch.nn.functional.unfold(torch.tensor(x)[None], (2, 3), geometry[2], geometry[1], geometry[0])
    np.testing.assert_array_equal(columns, unfold[0].numpy())
    again = np.full_like(columns, np.nan)
    out_width = by_torch(x[None], np.zeros((1, 3, 2, 3)), *geometry).shape[3]
    counts = count(im2col_direct, x, again, 2, 3, out_width, *geometry)
    np.testing.assert_array_equal(again, columns)
    assert im2col_cost(x.shape, (2, 3), 4, *geometry).equals(counts)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(0, 2),
    channels=st.integers(1, 8),
    out_channels=st.integers(1, 9),
    size=st.tuples(st.integers(1, 24), st.integers(1, 40)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 3)),
)
def test_winograd_agrees_with_torch(batch, channels, out_channels, size, padding):
    assume(all(n + 2 * p >= 3 for n, p in zip(size, padding, strict=True)))
    x, w = draw((batch, channels, *size), np.float32), draw((out_channels, channels, 3, 3), np.float32, 1)
    expected = by_torch(x, w, 1, padding)
    close(winograd_conv2d(x, w, padding), expected, 6e-5)
    if padding[0] == padding[1]:
        close(_winograd_conv2d(x, w, padding[0]), expected, 6e-5)


@pytest.mark.slow  # to compile for counting
def test_one_tile_has_16_products_and_its_closed_form():
    d, g, y = draw((4, 4)), draw((3, 3), seed=1), np.empty((2, 2))
    counts = count(winograd_tile, d, transform_kernels(g[None, None])[:, :, 0, 0].copy(), y)
    close(y, by_torch(d[None, None], g[None, None])[0, 0], 1e-12)
    assert counts.ops["mul"] == 16
    assert winograd_tile_cost().equals(counts)
    assert counts.flops == 2 * 9 * 4, "for one channel nothing is won"


def test_winograd_pays_with_digits_but_not_with_many():
    x, w = draw((1, 64, 32, 32), np.float32), draw((8, 64, 3, 3), np.float32, 1)
    truth = by_torch(x, w, 1, 1)
    direct, winograd = (
        np.sqrt(np.mean((result - truth) ** 2))
        for result in (conv2d(x, w, padding=1), winograd_conv2d(x, w, padding=1))
    )
    assert direct / 2 < winograd < 10 * direct


def test_a_nan_reaches_exactly_the_outputs_whose_window_holds_it():
    for geometry in ((1, 1, 1), (2, 2, 1), (1, 0, 2)):
        x = np.zeros((1, 5, 12, 15), np.float32)
        w = np.abs(draw((5, 5, 3, 3), np.float32)) + np.float32(0.1)
        x[0, 3, 5, 7] = 1
        field = conv2d(x, w, *geometry) != 0
        for bad in (np.nan, np.inf):
            x[0, 3, 5, 7] = bad
            np.testing.assert_array_equal(~np.isfinite(conv2d(x, w, *geometry)), field)


def test_strided_inputs_and_a_given_output():
    x, w = draw((2, 3, 10, 12), np.float32), draw((4, 3, 3, 3), np.float32, 1)
    view, turned = x.transpose(0, 1, 3, 2)[:, :, ::2], w[:, :, ::-1, ::-1]
    for function in (conv2d, im2col_conv2d, fft_conv2d, winograd_conv2d):
        expected = function(view.copy(), turned.copy())
        np.testing.assert_array_equal(function(view, turned), expected)
    for function in (conv2d, im2col_conv2d, winograd_conv2d):
        out = np.full((2, 4, 8, 10), np.nan, np.float32)
        assert function(x, w, out=out) is out
        close(out, by_torch(x, w), 2e-5)
        with pytest.raises(WorkbenchError, match=r"C-contiguous float32 array of shape \(2, 4, 8, 10\)"):
            function(x, w, out=out[:, ::-1])


@pytest.mark.parametrize(
    ("x", "w", "options", "sentence"),
    [
        ((3, 8, 8), (4, 3, 3, 3), {}, "x must be .batch, channels, height, width"),
        ((1, 3, 8, 0), (4, 3, 3, 3), {}, "not empty"),
        ((1, 3, 8, 8), (4, 2, 3, 3), {}, "w must be .out_channels, 3 channels, kh, kw. .* .4, 2, 3, 3. came"),
        ((1, 3, 2, 8), (4, 3, 3, 3), {}, "a kernel of 3 x 3 with dilation .1, 1. came"),
        (
            (1, 3, 8, 8),
            (4, 3, 3, 3),
            {"padding": -1},
            "padding must be a whole number from 0 on, .* but -1",
        ),
    ],
)
def test_a_slip_gets_one_sentence(x, w, options, sentence):
    for function in (conv2d, im2col_conv2d, fft_conv2d, winograd_conv2d):
        with pytest.raises(WorkbenchError, match=sentence):
            function(np.zeros(x), np.zeros(w), **options)


def test_other_slips():
    x, w = np.zeros((1, 1, 8, 8)), np.zeros((1, 1, 3, 3))
    with pytest.raises(WorkbenchError, match="float64 and float32 came"):
        conv2d(x, w.astype(np.float32))
    with pytest.raises(WorkbenchError, match=r"stride must be a whole number from 1 on, or two, but 1\.5"):
        conv2d(x, w, 1.5)  # type: ignore[arg-type]
    with pytest.raises(WorkbenchError, match=r"must be \[out_channels, channels, 3, 3\]"):
        winograd_conv2d(x, np.zeros((1, 1, 3, 5)))
    for function in (conv1d, fft_conv1d):
        with pytest.raises(WorkbenchError, match=r"x must be \[batch, channels, length\]"):
            function(x, w)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    taps=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_a_separable_filter_is_the_filter_with_the_outer_product(size, taps):
    x = draw((1, 2, *size), np.float32)
    column, row = draw(taps[0], np.float32, 1), draw(taps[1], np.float32, 2)
    full = np.pad(x, ((0, 0), (0, 0), *(((k - 1) // 2, k // 2) for k in taps))).astype(np.float64)
    w = np.zeros((2, 2, *taps))
    w[0, 0] = w[1, 1] = np.outer(column.astype(np.float64), row)
    expected = by_torch(full, w)
    close(separable_conv2d(x, column, row), expected, 2e-5)
    close(_separable_conv2d(x, column, row), expected, 2e-5)


def test_separable_agrees_with_scipy():
    x, column, row = draw((1, 1, 20, 30), np.float32), draw(5, np.float32, 1), draw(7, np.float32, 2)
    result = separable_conv2d(x, column, row)
    image = ndimage.correlate1d(
        ndimage.correlate1d(x[0, 0], column, 0, mode="constant"), row, mode="constant"
    )
    close(result[0, 0], image, 2e-5)


def test_a_kernel_of_rank_one_is_taken_apart_and_no_other():
    w = np.outer(draw(5), draw(7, seed=1))
    column, row = separate(w)
    close(np.outer(column, row), w, 1e-12)
    close(np.outer(*separate(np.zeros((2, 3)))), np.zeros((2, 3)), 0)
    with pytest.raises(WorkbenchError, match=r"one column times one row, but 1\.0e\+00"):
        separate(np.eye(2))
    assert separable_cost((10, 10), (31, 31)) == {"direct": 2 * 100 * 961, "separable": 2 * 100 * 62}


def test_separable_slips():
    x, taps = np.zeros((5, 5)), np.zeros(3)
    with pytest.raises(WorkbenchError, match=r"x must be \[\.\.\., height, width"):
        separable_conv2d(taps, taps, taps)
    with pytest.raises(WorkbenchError, match=r"1-D and not empty, but \(5, 5\) and \(3,\)"):
        separable_conv2d(x, x, taps)
    with pytest.raises(WorkbenchError, match="float64, float32 and float64 came"):
        separable_conv2d(x, taps.astype(np.float32), taps)
    with pytest.raises(WorkbenchError, match="must not overlap"):
        separable_conv2d(x, taps, taps, x)

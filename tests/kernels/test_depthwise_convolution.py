"""Depthwise convolution against torch, its readable twin, its Fourier version, and its own laws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.kernels import (
    depthwise_conv2d,
    depthwise_conv2d_input_grad,
    depthwise_conv2d_weight_grad,
    fft_depthwise_conv2d,
)
from workbench.kernels.convolution import _depthwise_conv2d

TOLERANCE = {np.float32: 1e-4, np.float64: 1e-10}


def draw(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def by_torch(x, w):
    """torch's own convolution in float64, and its gradients for an output gradient of `x` reversed."""
    tx = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    tw = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    out = torch.nn.functional.conv2d(tx, tw[:, None], padding="same", groups=len(w))
    grad = x[:, :, ::-1].copy()
    x_grad, w_grad = torch.autograd.grad(out, (tx, tw), torch.tensor(grad, dtype=torch.float64))
    return out.detach().numpy(), grad, x_grad.numpy(), w_grad.numpy()


def close(a, b, dtype):
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * max(1.0, np.abs(b).max()))


@pytest.mark.slow  # the first time, when every block length is compiled
@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(1, 19), st.integers(1, 40)),
    rows=st.integers(1, 18),
    columns=st.one_of(
        st.tuples(st.just(np.float32), st.sampled_from([1, 2, 5, 7, 9, 10, 13, 14, 16, 19, 31])),
        st.tuples(st.just(np.float64), st.sampled_from([5, 9, 10])),
    ),
    seed=st.integers(0, 1000),
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_agrees_with_torch_forward_and_backward_for_any_shape(batch, channels, size, rows, columns, seed):
    """Few widths, because each length of a block of taps is compiled once: 1, 2, 5, 7 and 8 occur."""
    dtype, width = columns
    kernel = (rows, width)
    x, w = draw((batch, channels, *size), dtype, seed), draw((channels, *kernel), dtype, seed + 1)
    expected, grad, x_grad, w_grad = by_torch(x, w)
    for function in (depthwise_conv2d, _depthwise_conv2d, fft_depthwise_conv2d):
        result = function(x, w)
        assert result.dtype == dtype
        close(result, expected, dtype)
    close(depthwise_conv2d_input_grad(grad, w), x_grad, dtype)
    close(depthwise_conv2d_weight_grad(grad, x, kernel), w_grad, dtype)


@pytest.mark.parametrize("size", [7, 13, 19, 31])  # 19 is one block of 7 taps and two of 6
def test_agrees_with_torch_at_large_sizes(size):
    x, w = draw((2, 5, 56, 56)), draw((5, size, size))
    expected, grad, x_grad, w_grad = by_torch(x, w)
    close(depthwise_conv2d(x, w), expected, np.float32)
    close(fft_depthwise_conv2d(x, w), expected, np.float32)
    close(depthwise_conv2d_input_grad(grad, w), x_grad, np.float32)
    close(depthwise_conv2d_weight_grad(grad, x, (size, size)), w_grad, np.float32)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 9), (4, 13), (2, 19), (17, 16)])
def test_a_non_finite_pixel_reaches_exactly_the_outputs_whose_field_holds_it(kernel):
    """No tap is padded with zeros: 0 * inf would leak beyond the receptive field."""
    w = np.abs(draw((1, *kernel))) + 0.1
    for bad in (np.inf, np.nan):
        x = np.zeros((1, 1, 12, 15), np.float32)
        x[0, 0, 5, 7] = 1
        field = depthwise_conv2d(x, w) != 0
        x[0, 0, 5, 7] = bad
        np.testing.assert_array_equal(~np.isfinite(depthwise_conv2d(x, w)), field)


def test_a_unit_tap_shifts_and_an_even_kernel_reaches_further_ahead():
    x = draw((1, 1, 4, 5))
    w = np.zeros((1, 2, 2), np.float32)
    w[0, 1, 1] = 1
    expected = np.zeros_like(x)
    expected[:, :, :-1, :-1] = x[:, :, 1:, 1:]
    np.testing.assert_array_equal(depthwise_conv2d(x, w), expected)


def test_the_input_gradient_is_the_adjoint():
    x, y, w = (
        draw((2, 3, 9, 8), np.float64),
        draw((2, 3, 9, 8), np.float64, 1),
        draw((3, 4, 5), np.float64, 2),
    )
    forward = (depthwise_conv2d(x, w) * y).sum()
    assert forward == pytest.approx((x * depthwise_conv2d_input_grad(y, w)).sum(), rel=1e-12)
    assert forward == pytest.approx((w * depthwise_conv2d_weight_grad(y, x, (4, 5))).sum(), rel=1e-12)


def test_strided_inputs_an_empty_batch_and_a_given_output():
    x, w = draw((2, 3, 10, 12)), draw((3, 5, 5))
    view = x.transpose(0, 1, 3, 2)[:, :, ::2]
    np.testing.assert_array_equal(depthwise_conv2d(view, w), depthwise_conv2d(view.copy(), w))
    turned = w[:, ::-1, ::-1]
    np.testing.assert_array_equal(depthwise_conv2d(x, turned), depthwise_conv2d(x, turned.copy()))
    assert depthwise_conv2d(x[:0], w).shape == (0, 3, 10, 12)
    out = np.full_like(x, np.nan)
    before = x.copy()
    assert depthwise_conv2d(x, w, out) is out
    np.testing.assert_array_equal(out, depthwise_conv2d(x, w))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("x", "w", "sentence"),
    [
        (draw((3, 8, 8)), draw((3, 3, 3)), "x must be .batch, channels, height, width"),
        (draw((1, 3, 8, 0)), draw((3, 3, 3)), "not empty"),
        (draw((1, 3, 8, 8)), draw((2, 3, 3)), "w must be .3 channels, kh, kw. .* .2, 3, 3. came"),
        (draw((1, 3, 8, 8)), draw((3, 3, 3), np.float64), "float32 and float64 came"),
        (draw((1, 3, 8, 8)).astype(np.float16), draw((3, 3, 3)).astype(np.float16), "float16"),
    ],
)
def test_a_slip_gets_one_sentence(x, w, sentence):
    for function in (depthwise_conv2d, fft_depthwise_conv2d, depthwise_conv2d_input_grad):
        with pytest.raises(WorkbenchError, match=sentence):
            function(x, w)


def test_a_bad_output_or_gradient_gets_one_sentence():
    x, w = draw((1, 2, 6, 6)), draw((2, 3, 3))
    with pytest.raises(WorkbenchError, match="must not overlap"):
        depthwise_conv2d(x, w, x)
    for out in (np.empty((1, 2, 6, 5), np.float32), np.empty(x.shape), np.empty_like(x).swapaxes(2, 3)):
        with pytest.raises(WorkbenchError, match="C-contiguous float32 array"):
            depthwise_conv2d(x, w, out)
    with pytest.raises(WorkbenchError, match="the input's shape"):
        depthwise_conv2d_weight_grad(x[:, :1], x, (3, 3))

"""Kernels of inception mixer and large kernel attention: twins, laws, and closed forms against counts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.counting import count
from workbench.errors import WorkbenchError
from workbench.kernels import (
    depthwise_lines,
    depthwise_lines_cost,
    gate_by_mix,
    inception_concatenated,
    inception_cost,
    inception_in_place,
    inception_mixer,
    large_kernel_attention,
    large_kernel_attention_cost,
)
from workbench.kernels.inception import _inception_mixer


def draw(*shapes, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def mixer_operands(channels, g, height, width, band, square=3, dtype=np.float64, batch=2):
    return draw(
        (batch, channels, height, width),
        (g, square, square),
        (g, 1, band),
        (g, band, 1),
        (3, g),
        dtype=dtype,
    )


def says(cost, counts):
    """Whether counts agree with a closed form on the arrays that it names."""
    return (
        cost.flops == counts.flops
        and all(counts.loads[name] == number for name, number in cost.loads.items())
        and all(counts.stores[name] == number for name, number in cost.stores.items())
        and all(counts.bytes_unique[name] == number for name, number in cost.bytes_unique.items())
    )


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.sampled_from((1, 3, 7)), st.sampled_from((1, 3, 11))),
    dilation=st.integers(1, 3),
)
def test_lines_are_the_depthwise_convolution_of_torch_also_in_place(size, kernel, dilation):
    x, w, bias = draw((3, *size), (3, *kernel), 3)
    padding = tuple(dilation * (side // 2) for side in kernel)
    images, weights = torch.from_numpy(x)[None], torch.from_numpy(w)[:, None]
    truth = F.conv2d(images, weights, torch.from_numpy(bias), 1, padding, dilation, groups=3)[0].numpy()
    out = np.full_like(x, np.nan)
    depthwise_lines(x, w, bias, out, dilation)
    np.testing.assert_allclose(out, truth, atol=1e-12)
    depthwise_lines(x, w, bias, x, dilation)
    np.testing.assert_allclose(x, truth, atol=1e-12)


@pytest.mark.parametrize("in_place", [True, False])
def test_lines_read_and_write_every_number_once(in_place):
    x, w, bias = draw((2, 6, 5), (2, 3, 5), 2, dtype=np.float32)
    counts = count(depthwise_lines, x, w, bias, x if in_place else np.empty_like(x), 1)
    assert says(depthwise_lines_cost((2, 6, 5), (3, 5), 4), counts)


@pytest.mark.parametrize(
    ("channels", "g", "height", "width", "band"),
    [(15, 2, 7, 5, 11), (8, 1, 1, 1, 3), (3, 1, 12, 13, 11), (5, 0, 4, 4, 11), (20, 5, 6, 30, 9)],
)
def test_the_mixer_in_place_is_its_twin_and_leaves_the_identity_alone(channels, g, height, width, band):
    x, *weights = mixer_operands(channels, g, height, width, band)
    truth, before = _inception_mixer(x, *weights), x.copy()
    assert inception_mixer(x, *weights) is x
    np.testing.assert_allclose(x, truth, atol=1e-12)
    np.testing.assert_array_equal(x[:, : channels - 3 * g], before[:, : channels - 3 * g])


def test_concatenated_is_the_twin_and_costs_what_its_steps_cost():
    """Three branches into an array apart, and two copies: the closed form is their sum."""
    x, *weights = mixer_operands(9, 2, 6, 7, 5, batch=1, dtype=np.float32)
    image, parts, out = x[0], np.empty((6, 6, 7), np.float32), np.empty((9, 6, 7), np.float32)
    inception_concatenated(image, *weights, parts, out)
    np.testing.assert_allclose(out, _inception_mixer(x, *weights)[0], atol=1e-5)
    steps = [depthwise_lines_cost((2, 6, 7), kernel, 4) for kernel in ((3, 3), (1, 5), (5, 1))]
    copies = 9 * 6 * 7
    form = inception_cost((9, 6, 7), 2, 4, band=5, in_place=False)
    assert form.flops == sum(step.flops for step in steps)
    assert form.loads["x"] + form.loads["parts"] == sum(step.loads["x"] for step in steps) + copies
    assert form.stores["parts"] + form.stores["out"] == sum(step.stores["out"] for step in steps) + copies
    assert sum(form.loads[name] for name in ("square", "across", "down")) == sum(s.loads["w"] for s in steps)


@pytest.mark.slow  # to compile for counting
def test_in_place_costs_what_the_form_says():
    x, *weights = mixer_operands(9, 2, 6, 7, 5, batch=1, dtype=np.float32)
    truth = _inception_mixer(x, *weights)[0]
    counts = count(inception_in_place, x[0], *weights)
    np.testing.assert_allclose(x[0], truth, atol=1e-5)
    assert says(inception_cost((9, 6, 7), 2, 4, band=5), counts)


def test_the_mixer_takes_weights_in_any_memory_and_keeps_nan_where_it_belongs():
    x, square, across, down, bias = mixer_operands(6, 2, 5, 5, 3)
    turned = np.asfortranarray(square), np.repeat(across, 2, 2)[:, :, ::2], down[:, ::-1][:, ::-1], bias
    x[0, 1, 0, 0] = np.nan
    truth = _inception_mixer(x, square, across, down, bias)
    inception_mixer(x, *turned)
    np.testing.assert_allclose(x, truth, atol=1e-12)
    assert np.isnan(x[0, 1]).sum() == 4
    assert not np.isnan(x[1]).any()


def test_the_mixer_refuses_what_does_not_fit():
    x, *weights = mixer_operands(6, 2, 5, 5, 3)
    with pytest.raises(WorkbenchError, match=r"C-contiguous array \[batch, at least 6 channels"):
        inception_mixer(x[:, ::2], *weights)
    with pytest.raises(WorkbenchError, match="odd sides"):
        inception_mixer(x, weights[0][:, :2, :2], *weights[1:])
    with pytest.raises(WorkbenchError, match=r"across \[g, 1, band\]"):
        inception_mixer(x, weights[0], weights[2], weights[1], weights[3])
    with pytest.raises(WorkbenchError, match="all float32 or all float64"):
        inception_mixer(x.astype(np.float32), *weights)


@pytest.mark.parametrize(("shape", "local", "taps", "dilation"), [((3, 8, 9), 5, 7, 3), ((1, 1, 1), 3, 3, 2)])
def test_large_kernel_attention_is_that_of_torch(shape, local, taps, dilation):
    channels = shape[0]
    x, near, far, mix, bias = draw(
        shape, (channels, local, local), (channels, taps, taps), (channels, channels), (3, channels)
    )
    tensors = [torch.from_numpy(array) for array in (x, near, far, mix, bias)]
    image, b = tensors[0][None], tensors[4]
    a = F.conv2d(image, tensors[1][:, None], b[0], padding="same", groups=channels)
    a = F.conv2d(a, tensors[2][:, None], b[1], padding="same", dilation=dilation, groups=channels)
    truth = image * F.conv2d(a, tensors[3][:, :, None, None], b[2])
    out = np.empty_like(x)
    large_kernel_attention(x, near, far, mix, bias, dilation, np.empty_like(x), out)
    np.testing.assert_allclose(out, truth[0].numpy(), atol=1e-12)


def test_large_kernel_attention_costs_what_its_steps_cost():
    """Counted step by step: building the whole for counting takes long."""
    x, near, far, mix, bias = draw((3, 8, 9), (3, 5, 5), (3, 7, 7), (3, 3), 3, dtype=np.float32)
    a, out = np.empty_like(x), np.empty_like(x)
    first = count(depthwise_lines, x, near, bias, a, 1)
    second = count(depthwise_lines, a, far, bias, a, 3)
    last = count(gate_by_mix, x, a, mix, bias, out)
    form = large_kernel_attention_cost((3, 8, 9), 5, 7, 4)
    assert form.flops == first.flops + second.flops + last.flops
    assert form.loads == {
        "x": first.loads["x"] + last.loads["x"],
        "local": first.loads["w"],
        "dilated": second.loads["w"],
        "mix": last.loads["mix"],
        "bias": first.loads["bias"] + second.loads["bias"] + last.loads["bias"],
        "a": second.loads["x"] + last.loads["a"],
    }
    assert form.stores == {"a": first.stores["out"] + second.stores["out"], "out": last.stores["out"]}
    assert form.bytes_unique["a"] == first.bytes_unique["out"] == last.bytes_unique["a"]

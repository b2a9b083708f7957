"""Every convolution gives its filters, and they are the ones that it applies."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes import filters, init_projection, orthogonality, scaled
from workbench.probes.filter_sets import models_of, stacked


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, padding=3),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(8, 8, 5, groups=8), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)),
        nn.Conv2d(4, 6, 3, groups=2),
    )


def test_layers_have_their_places_and_sizes():
    found = filters(net())
    assert [layer.name for layer in found] == ["0", "2.0", "2.2", "3"]
    assert [layer.k for layer in found] == [(7, 7), (5, 5), (1, 1), (3, 3)]
    assert [layer.n for layer in found] == [24, 8, 32, 12]
    assert [layer.depth_norm for layer in found] == [0, 1 / 3, 2 / 3, 1]
    assert [(layer.c_in, layer.c_out, layer.groups) for layer in found] == [
        (3, 8, 1), (8, 8, 8), (8, 4, 1), (4, 6, 2),
    ]  # fmt: skip
    assert [layer.depthwise for layer in found] == [False, True, False, False]
    assert found.sizes == {(7, 7): 24, (5, 5): 8, (1, 1): 32, (3, 3): 12}
    assert found.rows()[3] == {
        "name": "3", "depth": 3, "depth_norm": 1.0, "c_in": 4, "c_out": 6, "groups": 2,
        "k": "3 × 3", "filters": 12,
    }  # fmt: skip
    assert found.of_size(3, 3)["3"].depth == 3
    assert found.of_size(3, 3).stack().shape == (12, 3, 3)


def test_depth_falls_into_ten_parts_as_in_the_source():
    found = filters(nn.Sequential(*[nn.Conv2d(1, 1, 3) for _ in range(11)]))
    assert [layer.decile for layer in found] == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [layer.decile for layer in filters(nn.Conv2d(1, 1, 3))] == [0]


def test_a_single_layer_has_depth_zero_and_a_model_without_any_has_none():
    (only,) = filters(nn.Conv1d(2, 3, 9))
    assert (only.name, only.depth_norm, only.k, only.n) == ("", 0.0, (9,), 6)
    assert len(filters(nn.Linear(3, 3))) == 0


def test_filters_are_copies():
    model = nn.Conv2d(1, 2, 3)
    found = filters(model)
    before = found.stack().copy()
    with torch.no_grad():
        model.weight.zero_()
    np.testing.assert_array_equal(found.stack(), before)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("conv", "undone", "shape"), [
    (F.conv1d, nn.ConvTranspose1d, (1, 4, 9)),
    (F.conv2d, nn.ConvTranspose2d, (1, 4, 9, 8)),
    (F.conv3d, nn.ConvTranspose3d, (1, 4, 6, 5, 7)),
])  # fmt: skip
def test_the_filters_of_a_transposed_layer_are_those_of_a_correlation(conv, undone, shape, groups):
    torch.manual_seed(0)
    layer = undone(4, 6, 3, groups=groups, padding=1, bias=False)
    (found,) = filters(layer)
    assert (found.c_in, found.c_out, found.groups) == (4, 6, groups)
    x = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(
            conv(x, torch.from_numpy(found.weights), padding=1, groups=groups), layer(x), atol=1e-5, rtol=0
        )


def test_weights_by_name_are_read_like_a_file():
    found = filters(
        {**net().state_dict(), "positions": torch.zeros(1, 4, 5), "head.weight": torch.ones(2, 3)}
    )
    assert [layer.name for layer in found] == ["0", "2.0", "2.2", "3"]
    np.testing.assert_array_equal(found["3"].weights, filters(net())["3"].weights)


def test_half_precision_becomes_single_and_double_stays():
    assert filters(nn.Conv2d(1, 1, 3).bfloat16()).stack().dtype == np.float32
    assert filters(nn.Conv2d(1, 1, 3).double()).stack().dtype == np.float64


def test_scaling_keeps_zeros_and_signs_and_is_done_filter_by_filter():
    X = np.array([[[0.0, -4.0], [2.0, 1.0]], [[0, 0], [0, 0]], [[1e-40, 0], [0, -2e-40]]])
    np.testing.assert_allclose(
        scaled(X), [[[0, -1], [0.5, 0.25]], [[0, 0], [0, 0]], [[0.5, 0], [0, -1]]], rtol=1e-4
    )
    assert scaled(np.zeros((2, 3, 3), np.float32)).dtype == np.float32


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(3,), (3, 3), (2, 5), (2, 2, 2)]))
def test_scaling_forgets_any_positive_factor(seed, k):
    stream = np.random.default_rng(seed)
    X = stream.normal(size=(5, *k))
    factors = np.exp(stream.normal(size=5)).reshape(5, *[1] * len(k))
    np.testing.assert_allclose(scaled(X * factors), scaled(X), rtol=1e-12)


def test_populations_are_one_array_for_each_model():
    model = filters(nn.Conv2d(2, 3, 3))
    arrays = models_of([model, model[""].filters, np.ones((4, 3, 3))])
    assert [len(array) for array in arrays] == [6, 6, 4]
    for alone in (np.ones((4, 3, 3)), torch.ones(4, 3, 3), model, model[""]):
        assert len(models_of(alone)) == 1


def test_tensors_are_arrays_too():
    weights = nn.Conv2d(2, 3, 3).bfloat16().weight
    assert stacked(weights.flatten(0, 1)).shape == (6, 3, 3)
    assert 0 <= orthogonality(weights) <= 1
    assert init_projection(2 * weights, weights) == pytest.approx(2)


def broken():
    layer = nn.Conv2d(1, 1, 3)
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = torch.nan
    return layer


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: filters(3), "expected a torch module or weights by name, but int came"),
        (lambda: filters(broken()), "expected finite weights in ''"),
        (lambda: filters(nn.LazyConv2d(3, 3)), "has no weights yet"),
        (lambda: filters(nn.Conv2d(1, 1, 3, device="meta")), "none on the meta device"),
        (lambda: filters(nn.Conv2d(1, 1, 3, dtype=torch.complex64)), "complex"),
        (lambda: filters(net()).stack(), "24 of 7 × 7, 8 of 5 × 5, 32 of 1 × 1, 12 of 3 × 3"),
        (lambda: filters(nn.Linear(2, 2)).stack(), "there are none"),
        (lambda: filters(net())["9"], "no convolution is called '9'; there are '0', '2.0'"),
        (lambda: stacked(np.ones(3)), r"filters must be \[n, \*k\]"),
        (lambda: stacked(np.ones((0, 3, 3))), "with n at least 1"),
        (lambda: stacked(np.full((2, 3), np.inf)), "must be finite"),
        (lambda: models_of([np.ones((2, 3, 3)), np.ones((2, 5, 5))]), "3 × 3 and 5 × 5 came"),
        (lambda: models_of([]), "but none came"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        call()

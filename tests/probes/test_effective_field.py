"""The effective field against laws that hold exactly."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import conv_stack, spread
from workbench.probes import (
    across_sizes,
    crossness,
    effective_field,
    field_of_layers,
    image_batch,
    mass_radius,
    moments,
    untrained,
)

maps = arrays(
    float,
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    elements=st.floats(-5, 5).map(lambda v: 0.0 if abs(v) < 1e-3 else v),
)
NOISE = torch.randn(3, 3, 33, 35, generator=torch.Generator().manual_seed(0))


# mass radius


@given(field=maps, share=st.floats(0.01, 1), y=st.floats(-2, 8), x=st.floats(-2, 8))
def test_radius_is_the_smallest_that_holds_the_share(field, share, y, x):
    assume(field.any())
    radius = mass_radius(field, share, (y, x))
    rows, columns = np.indices(field.shape)
    distance = np.maximum(abs(rows - y), abs(columns - x))
    assert radius in distance
    total = abs(field).sum()
    assert abs(field)[distance <= radius].sum() >= (share - 1e-8) * total
    assert abs(field)[distance < radius].sum() < (share + 1e-8) * total


@given(field=maps, share=st.floats(0.01, 1), scale=st.sampled_from([1e-6, -1.0, 1e6]))
def test_radius_has_no_scale_and_no_sign(field, share, scale):
    assume(field.any())
    assert mass_radius(field * scale, share) == mass_radius(field, share)


def test_radius_of_known_maps():
    one = np.zeros((5, 7))
    one[2, 3] = -4
    assert mass_radius(one, 1) == 0
    assert mass_radius(one, 1, (2, 0)) == 3
    assert mass_radius(np.ones((5, 5)), 9 / 25) == 1
    assert mass_radius(np.ones((5, 5)), 9 / 25 + 1e-6) == 2
    assert mass_radius(np.ones((4, 4)), 0.1) == 0.5  # the middle of an even side lies between pixels
    assert mass_radius([[1.0]], 0.5) == 0


@pytest.mark.parametrize(
    ("field", "share", "sentence"),
    [
        (np.zeros((3, 3)), 0.5, "zero everywhere"),
        (np.full((3, 3), np.nan), 0.5, "finite"),
        (np.ones(3), 0.5, "height, width"),
        (np.ones((3, 3)), 0, "share must lie above 0"),
        (np.ones((3, 3)), 1.5, "share must lie above 0"),
    ],
)
def test_bad_maps_are_a_sentence(field, share, sentence):
    with pytest.raises(WorkbenchError, match=sentence):
        mass_radius(field, share)


# moments and shape


@given(height=st.integers(1, 9), width=st.integers(1, 9))
def test_moments_of_a_box(height, width):
    box = moments(np.pad(np.ones((height, width)), 3))
    assert box.std == pytest.approx((((height**2 - 1) / 12) ** 0.5, ((width**2 - 1) / 12) ** 0.5))
    assert box.mean == pytest.approx((3 + (height - 1) / 2, 3 + (width - 1) / 2))
    assert box.spread == pytest.approx(np.hypot(*box.std) / 2**0.5)


def test_anisotropy_and_angle():
    diagonal = moments(np.eye(9))
    assert diagonal.anisotropy == np.inf
    assert diagonal.angle == pytest.approx(45)
    assert moments(np.eye(9)[::-1]).angle == pytest.approx(135)
    assert moments(np.ones((3, 9))).anisotropy == pytest.approx((80 / 8) ** 0.5)
    assert moments([[2.0]]).anisotropy == 1


def test_crossness_tells_a_cross_from_a_disc():
    rows, columns = np.indices((41, 41)) - 20
    plus = (rows == 0) | (columns == 0)
    x = abs(rows) == abs(columns)
    disc = np.hypot(rows, columns) <= 18
    gauss = np.exp(-(rows**2 + columns**2) / 50)
    assert crossness(plus) == pytest.approx(1)
    assert crossness(x) == pytest.approx(-1)
    assert crossness(disc) == pytest.approx(0, abs=0.02)
    assert crossness(gauss) == pytest.approx(0, abs=0.02)
    assert crossness([[3.0]]) == 0
    # neither the second moments nor the anisotropy see the difference
    assert moments(plus).anisotropy == pytest.approx(moments(disc).anisotropy)


# fields of modules


@pytest.mark.parametrize(("kernel", "depth"), [(3, 1), (3, 6), (5, 3), (13, 1)])
def test_uniform_linear_stacks_follow_the_variance_law(kernel, depth):
    stack = conv_stack(kernel, depth, channels=2, inputs=3, linear=True, weights="uniform").double()
    field = effective_field(stack, NOISE)
    assert field.moments.std == pytest.approx((spread(kernel, depth),) * 2)
    assert field.center == (16, 17)
    assert field.moments.mean == pytest.approx(field.center)


def test_random_relu_stacks_follow_the_root_law():
    spreads = [
        effective_field(conv_stack(5, 4, 16, seed=seed), NOISE).spread / spread(5, 4, "random")
        for seed in range(4)
    ]
    assert np.mean(spreads) == pytest.approx(1, abs=0.05)


def test_scaling_the_output_changes_no_number():
    net = conv_stack(3, 5, 8)
    loud = nn.Sequential(net, nn.Conv2d(8, 8, 1, bias=False))
    with torch.no_grad():
        loud[1].weight.copy_(1e6 * torch.eye(8)[:, :, None, None])
    a, b = effective_field(net, NOISE), effective_field(loud, NOISE)
    assert a.radius() == b.radius()
    assert a.radius(0.9) == b.radius(0.9)
    assert a.spread == pytest.approx(b.spread, rel=1e-5)
    assert a.map.sum() < b.map.sum()


def test_the_gradient_lies_in_the_exact_field_and_follows_the_position():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2, padding=1)
    )
    field = effective_field(net, NOISE, position=(2, 5), center=None)
    assert field.center == (8, 20)
    inside = np.zeros(field.map.shape, bool)
    inside[5:12, 17:24] = True
    assert (field.map[~inside] == 0).all()
    assert field.radius(1) <= 3
    middle = effective_field(net, NOISE)
    assert middle.position == (4, 4)


def test_channels_scores_and_batches():
    net = conv_stack(3, 3, 4).double()
    one, two = (effective_field(net, NOISE, channels=[c], score="signed").map for c in (0, 1))
    both = effective_field(net, NOISE, channels=[0, 1], score="signed").map
    np.testing.assert_allclose(one + two, both, atol=1e-12)
    absolute, squared = (effective_field(net, NOISE[:1], score=s) for s in ("absolute", "squared"))
    assert (absolute.map >= 0).all()
    assert squared.radius(0.9) <= absolute.radius(0.9)
    whole, single = effective_field(net, NOISE, batch=3), effective_field(net, NOISE, batch=1)
    np.testing.assert_allclose(whole.map, single.map, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(whole.images.sum(axis=0), whole.map)
    again = effective_field(net, NOISE, batch=1)
    np.testing.assert_array_equal(again.map, single.map)


def test_the_module_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2).eval(), nn.Dropout(0.5))
    net[0].bias.requires_grad_(False)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    effective_field(net, NOISE)
    assert [part.training for part in net.modules()] == [True, True, False, True]
    assert net[0].weight.requires_grad
    assert not net[0].bias.requires_grad
    assert (net[0].weight.grad == 1).all()
    assert not net._forward_hooks
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_intervals_over_images_hold_the_estimate_and_repeat():
    field = effective_field(conv_stack(3, 8, 8), NOISE)
    low, high = field.interval(lambda f: f.spread)
    assert low < field.spread < high
    assert field.interval(lambda f: f.spread) == (low, high)
    with pytest.raises(WorkbenchError, match="at least two images"):
        effective_field(conv_stack(3, 2), NOISE[:1]).interval()


def test_inner_parts_and_modules_that_cannot_be_traced():
    net = nn.Sequential(conv_stack(3, 1, 4), conv_stack(3, 4, 4, inputs=4), nn.AdaptiveAvgPool2d(1))
    first, second = field_of_layers(net, NOISE, ["0", "1"]).values()
    assert first.spread < second.spread
    assert not net[0]._forward_hooks

    class Untraceable(nn.Module):
        def forward(self, x):
            return x[:, :, ::2, ::2] if x.mean() < 9 else x

    assert effective_field(Untraceable(), NOISE).center == pytest.approx((16, 9.5 * 35 / 18 - 0.5))


def test_controls_without_training_and_for_the_input_size():
    net = conv_stack(3, 4, 8, seed=1)
    control = untrained(net, seed=2)
    assert not torch.equal(control[0].weight, net[0].weight)
    assert torch.equal(untrained(net, seed=2)[0].weight, control[0].weight)
    assert float(control[0].weight.detach().std()) == pytest.approx(
        (2 / 27) ** 0.5, rel=0.2
    )  # He again, not torch's default
    sizes = across_sizes(net, NOISE, [24, 48])
    assert sizes[24].map.shape == (24, 24)
    assert sizes[48].radius() == pytest.approx(sizes[24].radius(), abs=1)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    with pytest.raises(WorkbenchError, match=r"draw scale anew"):
        untrained(Scaled())
    fresh = untrained(Scaled(), initialise=lambda part: nn.init.constant_(part.scale, 3))
    assert fresh.scale.item() == 3


def test_photographs_become_a_batch():
    pictures = np.random.default_rng(0).random((4, 6, 5, 3))
    batch = image_batch(pictures)
    assert batch.shape == (4, 3, 6, 5)
    torch.testing.assert_close(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.std((0, 2, 3), correction=0), torch.ones(3))
    grey = image_batch(list(pictures[..., 0]), standardise=False)
    torch.testing.assert_close(grey[:, 0], torch.tensor(pictures[..., 0], dtype=torch.float32))
    with pytest.raises(WorkbenchError, match="of one size"):
        image_batch([np.ones((3, 3)), np.ones((3, 4))])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"position": (99, 0)}, "inside the 33 x 35 output"),
        ({"score": "log"}, "score must be one of"),
        ({"output": "9"}, "no part called '9'"),
        ({"images": NOISE[0]}, "images must be"),
        ({"images": NOISE[:, :2]}, "cannot be run on images of shape"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"module": nn.Unflatten(1, (3, 1))}, "expected an output"),
    ],
)
def test_bad_input_is_a_sentence(change, sentence):
    options = {"module": conv_stack(3, 2), "images": NOISE} | change
    with pytest.raises(WorkbenchError, match=sentence):
        effective_field(options.pop("module"), options.pop("images"), **options)


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 3), st.integers(5, 9), st.integers(5, 9))
def test_one_image_one_pixel_wide_kernels(depth, height, width):
    stack = conv_stack(1, depth, 2, inputs=1)
    field = effective_field(stack, torch.randn(1, 1, height, width), channels=slice(0, 1), score="squared")
    assert field.map[field.position] == field.map.sum()


def test_tokens_and_classes_have_fields_too():
    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Conv2d(1, 4, 4, 4)

        def forward(self, x):
            return self.embed(x).flatten(2).transpose(1, 2)

    net, images = Tokens(), torch.randn(2, 1, 16, 24)
    field = effective_field(net, images, position=(7,), channels=[0, 2])  # row 1, column 1 of 4 x 6
    assert field.center == (5.5, 5.5)
    assert (field.map[4:8, 4:8] > 0).all()
    assert field.map.sum() == pytest.approx(field.map[4:8, 4:8].sum())
    classes = torch.nn.Sequential(net, torch.nn.Flatten(), torch.nn.Linear(96, 3))
    field = effective_field(classes, images, channels=[1])
    assert field.center == (7.5, 11.5)
    assert (field.map > 0).all()
    with pytest.raises(WorkbenchError, match="inside the 24 output"):
        effective_field(net, images, position=(24,))

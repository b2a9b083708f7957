"""The exact receptive field against the zero pattern of gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes.receptive_field import receptive_field


def ones(module: nn.Module) -> nn.Module:
    """Every weight 1, so that no two paths can cancel."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(1)
    return module.double().eval()


def gradient_hull(module: nn.Module, shape: tuple[int, ...]) -> list[list[tuple[int, int] | None]]:
    """For each axis and each output index along it: first and last pixel with a gradient."""
    image = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    image.requires_grad_()
    out = module(image).sum((0, 1))
    hulls = []
    for axis in range(out.ndim):
        along = out.sum([a for a in range(out.ndim) if a != axis]) if out.ndim > 1 else out
        rows = []
        for value in along:
            (grad,) = torch.autograd.grad(value, image, retain_graph=True)
            other = [d for d in range(grad.ndim) if d != 2 + axis]
            hit = (grad.abs().sum(other) > 1e-9).nonzero().flatten().tolist()
            rows.append((hit[0], hit[-1]) if hit else None)
        hulls.append(rows)
    return hulls


def same_as_gradient(module: nn.Module, shape: tuple[int, ...]) -> None:
    field = receptive_field(ones(module), shape)
    for axis, hull in zip(field.axes, gradient_hull(module, shape), strict=True):
        assert [axis.interval(o) for o in range(axis.outputs)] == hull


class Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None):
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Branches(nn.Module):
    def __init__(self, *parts: nn.Module):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return torch.cat([part(x) for part in self.parts], dim=1)


class Do(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@st.composite
def layers(draw):
    """One layer on one channel of a signal."""
    kind = draw(
        st.sampled_from(["conv", "conv", "conv", "pool", "grow", "nearest", "linear", "residual", "pad"])
    )
    kernel, stride, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, 3))
    if kind == "conv":
        return nn.Conv1d(1, 1, kernel, stride, padding, dilation)
    if kind == "pool":
        return nn.AvgPool1d(kernel, stride, min(padding, kernel // 2), ceil_mode=draw(st.booleans()))
    if kind == "grow":
        return nn.ConvTranspose1d(1, 1, kernel, stride, min(padding, 1), dilation=dilation)
    if kind == "nearest":
        return nn.Upsample(size=draw(st.integers(1, 20)), mode="nearest")
    if kind == "linear":
        corners = draw(st.booleans())
        return nn.Upsample(size=draw(st.integers(2, 20)), mode="linear", align_corners=corners)
    if kind == "pad":
        side = draw(st.sampled_from([nn.ReflectionPad1d, nn.ReplicationPad1d, nn.CircularPad1d]))
        return side((draw(st.integers(0, 2)), draw(st.integers(0, 2))))
    wide = nn.Conv1d(1, 1, kernel, 1, "same", dilation)
    return draw(st.sampled_from([Residual(wide), Residual(wide, nn.Conv1d(1, 1, 3, padding=1))]))


@settings(deadline=None, max_examples=60)
@given(stack=st.lists(layers(), min_size=1, max_size=4), size=st.integers(5, 21))
def test_intervals_are_the_hulls_of_gradients(stack, size):
    module = nn.Sequential(*stack)
    try:
        outputs = module(torch.zeros(1, 1, size)).shape[-1]
    except RuntimeError:  # the stack does not fit on so small an input
        assume(False)
    assume(outputs <= 60)
    same_as_gradient(module, (1, 1, size))


@settings(deadline=None, max_examples=12)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
)
def test_axes_are_independent(kernel, stride, size):
    branches = Branches(nn.Conv2d(2, 1, kernel, stride, 1), nn.Conv2d(2, 3, kernel, stride, 1))
    same_as_gradient(nn.Sequential(branches, nn.Conv2d(4, 2, 3, padding=1)), (1, 2, *size))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    )
)
def test_one_path_follows_the_closed_form(settings_of_layers):
    stack = nn.Sequential(*(nn.Conv1d(1, 1, k, s, p, d) for k, s, d, p in settings_of_layers))
    size, jump, start = 1, 1, 0.0
    for k, s, d, p in settings_of_layers:
        size += (k - 1) * d * jump
        start += ((k - 1) * d / 2 - p) * jump
        jump *= s
    field = receptive_field(stack, (1, 1, 4000))
    assert (field.size, field.jump, field.start) == ((size,), (jump,), (start,))
    assert not field.warnings
    assert field.interval((7,), clipped=False) == (
        (start + 7 * jump - (size - 1) / 2, start + 7 * jump + (size - 1) / 2),
    )
    assert [row["size"] for row in field.rows()][-1] == size


EXACT = [
    lambda x: F.avg_pool2d(x, 3, 2, 1) * 2 + 1,
    lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    lambda x: F.interpolate(x, scale_factor=1.5, mode="nearest"),
    lambda x: F.interpolate(x, size=(5, 13), mode="bicubic"),
    lambda x: F.interpolate(x, size=(3, 4), mode="area"),
    lambda x: F.interpolate(x, size=(5, 13), mode="nearest-exact"),
    lambda x: F.pad(x, (1, 2, 0, 3), mode="reflect"),
    lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    lambda x: x[:, :, 1:, ::2] + x[..., :-1, 1::2],
    lambda x: x[:, :1, 2:3],
    lambda x: F.pixel_shuffle(x, 2),
    lambda x: F.pixel_unshuffle(x, 2),
    lambda x: x.permute(0, 2, 3, 1).softmax(-1).permute(0, 3, 1, 2),
    lambda x: x.flatten(2).unflatten(2, (8, 10)),
    lambda x: x.reshape(1, 2, 2, 8, 10).transpose(1, 2).reshape(1, 4, 8, 10),
    lambda x: torch.cat(x.chunk(2, dim=1)[::-1], dim=1),
    lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    lambda x: F.conv2d(x, torch.ones(1, 4, 3, 3, dtype=x.dtype), padding=1, dilation=2),
    lambda x: F.conv_transpose2d(x, torch.ones(4, 1, 2, 2, dtype=x.dtype), stride=2),
    lambda x: x.transpose(2, 3).matmul(torch.ones(8, 8, dtype=x.dtype)).transpose(2, 3),
    lambda x: x + x.softmax(dim=-1),
    lambda x: F.layer_norm(x.movedim(1, -1), (4,)).movedim(-1, 1),
]
SPARSE = [  # a maximum has a gradient at one place only, so the gradient lies inside the interval
    lambda x: F.max_pool2d(F.relu(x), 2),
    lambda x: x + x.amax(dim=2, keepdim=True),
]


@pytest.mark.parametrize("function", EXACT + SPARSE)
def test_functions_and_methods(function):
    field = receptive_field(Do(function), (1, 4, 8, 10))
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 4, 8, 10), dtype=torch.float64, generator=generator).requires_grad_()
    out = function(image) ** 2
    for o in np.ndindex(*out.shape[2:]):
        (grad,) = torch.autograd.grad(out[:, :, *o].sum(), image, retain_graph=True)
        for axis, other in ((0, (0, 1, 3)), (1, (0, 1, 2))):
            hit = (grad.abs().sum(other) > 1e-9).nonzero().flatten().tolist()
            low, high = field.axes[axis].interval(o[axis])
            assert low <= hit[0] <= hit[-1] <= high
            assert function in SPARSE or (low, high) == (hit[0], hit[-1])


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes_of_convolutions(mode):
    same_as_gradient(nn.Conv2d(1, 1, (3, 5), padding=(1, 2), padding_mode=mode), (1, 1, 6, 7))


def test_three_dimensions_and_same_padding_with_even_kernels():
    same_as_gradient(nn.Conv3d(1, 1, (2, 3, 1), padding="same"), (1, 1, 4, 3, 5))


def test_global_layers_see_everything():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    field = receptive_field(net, (1, 3, 9, 11))
    assert field.size == (float("inf"),) * 2
    assert field.interval() == ((0, 8), (0, 10))
    assert field.rows()[-1]["size"] == "all"
    assert "sees all of 9 pixels" in str(field)
    stride = receptive_field(
        nn.Sequential(nn.Conv2d(1, 1, 1, 3), nn.Flatten(), nn.Linear(16, 1)), (1, 1, 12, 12)
    )
    assert stride.interval() == ((0, 9), (0, 9))  # the pixels after the last tap reach nothing


def test_attention_over_tokens_sees_everything():
    class Attend(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 4, 4)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            tokens = self.embed(x).flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens)[0] + tokens

    field = receptive_field(Attend(), (1, 3, 16, 8))
    assert field.interval() == ((0, 15), (0, 7))


def test_padding_alone_reaches_nothing():
    net = nn.Sequential(nn.Conv1d(1, 1, 5), nn.Conv1d(1, 1, 1, padding=1))
    field = receptive_field(net, (1, 1, 9))
    assert field.interval((0,)) == (None,)
    assert field.interval((1,)) == ((0, 4),)
    assert field.interval((0,), clipped=False) == ((-1, 3),)


def test_misaligned_paths_are_unions_with_a_warning():
    class Uneven(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv1d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 2)

        def forward(self, x):
            return self.a(x)[:, :, :-1] + self.b(x)

    field = receptive_field(ones(Uneven()), (1, 1, 8))
    assert field.size == (3,)
    assert "not aligned along the position: centres lie 0.5 pixels apart" in field.warnings[0]
    same_as_gradient(Uneven(), (1, 1, 8))


def test_paths_with_different_jumps_have_no_unclipped_interval():
    net = Branches(nn.Conv1d(1, 1, 1, 2), nn.Conv1d(1, 1, 5))
    field = receptive_field(ones(net), (1, 1, 8))
    assert any("jumps 2 and 1 differ" in warning for warning in field.warnings)
    assert field.interval((3,)) == ((3, 7),)
    with pytest.raises(WorkbenchError, match="only the clipped interval"):
        field.interval((3,), clipped=False)


def test_norms_over_the_map_are_left_out_or_counted():
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4))
    field = receptive_field(net, (1, 2, 8, 8))
    assert field.size == (3, 3)
    assert "takes its statistics over the whole map" in field.warnings[0]
    assert receptive_field(net, (1, 2, 8, 8), statistics="everything").interval() == ((0, 7), (0, 7))


def test_batch_norm_is_taken_as_in_evaluation_and_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2))
    field = receptive_field(net, (1, 2, 8, 8))
    assert field.size == (3, 3)
    assert "evaluation mode" in field.warnings[0]
    assert net.training
    assert net[1].num_batches_tracked == 0
    assert receptive_field(net.eval(), (1, 2, 8, 8)).warnings == ()


def test_an_inner_output_by_name_and_one_of_several():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
            self.head = nn.Conv2d(1, 1, 5)

        def forward(self, x):
            x = self.stem(x)
            return {"low": x, "high": self.head(x)}

    assert receptive_field(Two(), (1, 1, 16, 16), "stem").size == (3, 3)
    assert receptive_field(Two(), (1, 1, 16, 16), "high").size == (7, 7)
    with pytest.raises(WorkbenchError, match="choose one by output="):
        receptive_field(Two(), (1, 1, 16, 16))
    with pytest.raises(WorkbenchError, match="no part called 'tail'"):
        receptive_field(Two(), (1, 1, 16, 16), "tail")


class Undecided(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_what_cannot_be_traced_is_named_and_may_get_a_rule():
    net = nn.Sequential(nn.Conv2d(1, 1, 3), Undecided())
    with pytest.raises(WorkbenchError, match=r"its part '1' \(Undecided\)") as error:
        receptive_field(net, (1, 1, 8, 8))
    assert "\n" not in str(error.value)
    assert receptive_field(net, (1, 1, 8, 8), rules={Undecided: "pointwise"}).size == (3, 3)
    assert receptive_field(net, (1, 1, 8, 8), rules={Undecided: "everything"}).interval() == ((0, 7),) * 2


@pytest.mark.parametrize(
    ("module", "shape", "sentence"),
    [
        (nn.Conv2d(1, 1, 3), (1, 8, 8), "does input_shape begin with the batch"),
        (nn.Conv2d(1, 1, 3), (1, 1, 2, 2), "cannot be run on an input of shape"),
        (nn.Conv2d(1, 1, 3), (8, 8), "input_shape must be"),
        (Do(lambda x: x[:, :, torch.tensor([0, 1])]), (1, 1, 8, 8), "a list or a tensor"),
        (Do(lambda x: F.fractional_max_pool2d(x, 2, 4)), (1, 1, 8, 8), "has no rule"),
        (Do(lambda x: x.reshape(1, 1, 12, 8)), (1, 1, 16, 6), "in uneven pieces"),
        (Do(lambda x: torch.roll(x, 3)), (1, 1, 8, 8), "name the dimensions"),
        (Do(lambda x: x.index_select(2, torch.tensor([1, 3]))), (1, 1, 8, 8), "only a run knows"),
        (Do(lambda x: x + x.transpose(2, 3)), (1, 1, 8, 8), "different axes of the image"),
        (Do(lambda x: torch.ones(3)), (1, 1, 8, 8), "does not depend on the input"),
        ("a net", (1, 1, 8, 8), "expected a torch module"),
    ],
)
def test_refusals_are_one_sentence(module, shape, sentence):
    with pytest.raises(WorkbenchError, match=sentence) as error:
        receptive_field(module, shape)
    assert "\n" not in str(error.value)


def test_position_and_output_are_checked():
    field = receptive_field(nn.Conv2d(1, 1, 3), (1, 1, 8, 8))
    with pytest.raises(WorkbenchError, match="0 to 5 along the height, but 6"):
        field.interval((6, 0))
    with pytest.raises(WorkbenchError, match="2 numbers"):
        field.interval((6,))
    with pytest.raises(WorkbenchError, match="must be 'pointwise'"):
        receptive_field(nn.ReLU(), (1, 1, 8, 8), rules={nn.ReLU: "all"})

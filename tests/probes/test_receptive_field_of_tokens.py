"""The exact receptive field through windows, scans, wavelets, attention and shape-dependent modules."""

from math import inf

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import ConvNeXtBlock, NeighborhoodAttention2d, SelfAttention2d, SqueezeExcite, TinyNet
from workbench.probes import all_before, receptive_field


class Do(nn.Module):
    """A function of parts and an image, as a module."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x):
        return self.function(x, *self.parts)


def seen_and_true(module, shape):
    """For each axis and output place: the interval told, and first and last pixel with a gradient.

    Every parameter and pixel is positive, so that no two paths cancel.
    """
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.5, 1)
    field = receptive_field(module, shape)
    image = torch.rand(shape, dtype=torch.float64).requires_grad_()
    out = module(image)
    pairs = []
    for place in np.ndindex(*out.shape[2:]):
        (grad,) = torch.autograd.grad(out[:, :, *place].sum(), image, retain_graph=True)
        for axis in range(2):
            hit = grad.abs().sum((0, 1, 3 - axis)).nonzero().flatten().tolist()
            pairs.append((field.axes[axis].interval(place[axis]), (hit[0], hit[-1]) if hit else None))
    return pairs


def exact(module, shape=(1, 3, 8, 8)):
    torch.manual_seed(0)
    return all(told == true for told, true in seen_and_true(module, shape))


def holds(module, shape=(1, 3, 8, 8)):
    torch.manual_seed(0)
    return all(
        told is not None and told[0] <= true[0] and true[1] <= told[1]
        for told, true in seen_and_true(module, shape)
        if true is not None
    )


def conv(inputs, outputs, kernel=3):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def to_windows(x, size):
    """[batch, channels, h, w] -> [batch * windows, size * size, channels]."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // size, size, w // size, size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(-1, size * size, c)


def from_windows(tokens, shape, size):
    b, c, h, w = shape
    return tokens.view(b, h // size, w // size, size, size, c).permute(0, 5, 1, 3, 2, 4).reshape(shape)


def by_call(tokens):
    return F.scaled_dot_product_attention(tokens, tokens, tokens)


def by_products(tokens):
    return (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens


def by_letters(tokens):
    scores = torch.einsum("nic,njc->nij", tokens, tokens).softmax(-1)
    return torch.einsum("nij,njc->nic", scores, tokens)


@pytest.mark.parametrize("attend", [by_call, by_products, by_letters])
@pytest.mark.parametrize("size", [2, 4])
def test_attention_in_windows_sees_its_window(attend, size):
    windows = Do(lambda x: from_windows(attend(to_windows(x, size)), x.shape, size))
    assert exact(windows)
    field = receptive_field(windows, (1, 3, 8, 8))
    assert field.size == (size, size)
    assert not field.warnings
    assert field.interval((5, 0), clipped=False) == (
        (5 // size * size, 5 // size * size + size - 1),
        (0, size - 1),
    )


@pytest.mark.parametrize("attend", [by_call, by_products, by_letters])
def test_attention_over_the_map_sees_all_of_it(attend):
    whole = Do(lambda x: attend(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape))
    assert exact(whole)
    assert receptive_field(whole, (1, 3, 8, 8)).size == (inf, inf)
    assert not receptive_field(whole, (1, 3, 8, 8)).warnings


def test_rolled_windows_with_shortcuts_inside_and_outside():
    def block(x, mix):
        y = torch.roll(x, (-2, -2), (2, 3))
        tokens = to_windows(y, 4)
        tokens = tokens + mix(by_call(tokens))
        return x + torch.roll(from_windows(tokens, x.shape, 4), (2, 2), (2, 3))

    module = Do(block, nn.Linear(3, 3))
    assert exact(module)
    assert exact(
        nn.Sequential(module, Do(lambda x: from_windows(by_call(to_windows(x, 4)), x.shape, 4)), conv(3, 2))
    )


def test_grid_attention_sees_every_fourth_pixel_of_the_whole_map():
    def grid(x):
        b, c, h, w = x.shape
        t = x.view(b, c, 4, h // 4, 4, w // 4).permute(0, 3, 5, 2, 4, 1).reshape(-1, 16, c)
        return by_call(t).view(b, h // 4, w // 4, 4, 4, c).permute(0, 5, 3, 1, 4, 2).reshape(x.shape)

    assert exact(Do(grid))
    assert receptive_field(Do(grid), (1, 3, 8, 8)).size == (inf, inf)


def test_shuffles_and_patches_written_as_views():
    def shuffle(x, mix):
        b, _, h, w = x.shape
        return mix(x.view(b, 1, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, 1, 2 * h, 2 * w))

    def patches(x, mix):
        b, c, h, w = x.shape
        return mix(
            x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, 4 * c, h // 2, w // 2)
        )

    assert exact(Do(shuffle, conv(1, 1)), (1, 4, 5, 6))
    assert exact(Do(patches, conv(12, 1)))
    assert receptive_field(Do(patches, conv(12, 1)), (1, 3, 8, 8)).jump == (2, 2)


def haar(x):
    a, b, c, d = (x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    return torch.cat([a + b + c + d, 2 * a - b + c - d, 3 * a + b - c - d, 5 * a - b - c + d], 1) / 2


def test_wavelets_by_slices_and_back():
    net = Do(lambda x, mix, up: up(mix(haar(x))), conv(12, 12), nn.ConvTranspose2d(12, 3, 4, 2, 1))
    assert exact(net)
    filters = nn.Conv2d(3, 12, 2, 2, groups=3)
    assert receptive_field(Do(haar), (1, 3, 8, 8)).size == receptive_field(filters, (1, 3, 8, 8)).size


@pytest.mark.parametrize("dim", [2, 3])
def test_a_scan_sees_all_before_and_a_turned_one_all_after(dim):
    forth = Do(lambda x: x.cumsum(dim))
    back = Do(lambda x: x.flip(dim).cumsum(dim).flip(dim))
    assert exact(forth)
    assert exact(back)
    assert exact(Do(lambda x, a, b: a(x) + b(x), forth, back))
    field = receptive_field(forth, (1, 3, 8, 8))
    axis = field.axes[dim - 2]
    assert axis.size == inf
    assert axis.interval(3) == (0, 3)
    assert axis.interval(3, clipped=False) == (-inf, 3)
    assert axis.centre(3) == 3
    with pytest.raises(WorkbenchError, match="output must lie in 0 to 7"):
        axis.interval(8)


@pytest.mark.parametrize(
    ("window", "dilation", "causal"),
    [(3, 1, False), ((1, 3), (1, 2), False), (2, (1, 2), (True, False)), (5, 1, True)],
)
def test_neighbours_move_inwards_at_a_border(window, dilation, causal):
    attention = NeighborhoodAttention2d(4, window, 2, dilation=dilation, causal=causal)
    small = Do(lambda x: x / 1000)  # no weight of a softmax is 0 then
    assert exact(nn.Sequential(nn.Conv2d(3, 4, 1), small, attention), (1, 3, 5, 6))
    assert exact(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), small, attention, small, attention), (1, 3, 10, 11))


def test_scans_over_pixels_row_by_row():
    def tokens(x):
        return x.flatten(2).transpose(1, 2)

    def image(t, shape):
        return t.transpose(1, 2).reshape(shape)

    causal = Do(lambda x: image(F.scaled_dot_product_attention(*3 * [tokens(x)], is_causal=True), x.shape))
    scan = Do(lambda x: image(tokens(x).cumsum(1), x.shape))
    convolved = Do(lambda x, mix: mix(x.flatten(2))[..., :-2].reshape(x.shape), nn.Conv1d(3, 3, 3, padding=2))
    for module in (causal, scan):
        assert holds(module)
        assert receptive_field(module, (1, 3, 8, 8)).interval((3, 5)) == ((0, 3), (0, 7))
    with pytest.raises(WorkbenchError, match="several axes"):
        receptive_field(convolved, (1, 3, 8, 8))
    same = Do(lambda x, mix: mix(x.flatten(2)).reshape(x.shape), nn.Conv1d(3, 3, 3, padding=1))
    assert holds(same)
    assert receptive_field(same, (1, 3, 8, 8)).interval((3, 5)) == ((2, 4), (0, 7))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers(kind, both):
    net = Do(
        lambda x, steps: steps(x.mean(3).transpose(1, 2))[0].transpose(1, 2).unsqueeze(3),
        kind(3, 3, batch_first=True, bidirectional=both),
    )
    assert exact(net)
    last = Do(lambda x, steps: steps(x.mean(3).permute(2, 0, 1))[1], nn.GRU(3, 3))
    assert receptive_field(last, (1, 3, 8, 8)).interval() == ((0, 7), (0, 7))


def test_a_part_that_scans_gets_a_rule():
    class Opaque(nn.Module):
        def forward(self, x):
            return torch.from_numpy(np.cumsum(x.numpy(), axis=2))

    net = nn.Sequential(conv(1, 1), Opaque(), conv(1, 1))
    with pytest.raises(WorkbenchError, match=r"its part '1' \(Opaque\)"):
        receptive_field(net, (1, 1, 9, 9))
    field = receptive_field(net, (1, 1, 9, 9), rules={Opaque: all_before(2)})
    assert field.interval((3, 3)) == ((0, 5), (1, 5))


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.from_numpy(2 * x.numpy())

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def test_a_function_of_its_own_gets_a_rule():
    net = Do(lambda x, mix: Twice.apply(mix(x)), conv(1, 1))
    with pytest.raises(WorkbenchError, match="give that part a rule"):
        receptive_field(net, (1, 1, 9, 9))
    assert receptive_field(net, (1, 1, 9, 9), rules={Twice: "pointwise"}).size == (3, 3)
    assert torch.equal(Twice.apply(torch.ones(2)), 2 * torch.ones(2))


def test_transforms_see_the_axes_that_they_transform():
    assert receptive_field(Do(lambda x: torch.fft.ifft2(torch.fft.fft2(x)).real), (1, 1, 8, 8)).size == (
        inf,
        inf,
    )
    one = Do(lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=-1), n=8, dim=-1))
    assert receptive_field(one, (1, 1, 8, 8)).size == (1, inf)
    assert exact(
        Do(lambda x: torch.fft.ifftshift(torch.fft.fftshift(x, dim=(2, 3)), dim=(2, 3))), (1, 1, 7, 6)
    )


PLACES = [
    lambda x: torch.roll(x, (3, -1), (2, 3)),
    lambda x: x.flip(2),
    lambda x: torch.cat([x[:, :, :3], x[:, :, 3:]], 2),
    lambda x: torch.cat([x[:, :, 5:], x[:, :, :5]], 2),
    lambda x: torch.cat([torch.zeros_like(x[:, :, :2]), x], 2)[:, :, 2:],
    lambda x: torch.cat(x.chunk(2, 3), 1),
    lambda x: torch.stack(x.unbind(2), 2),
    lambda x: torch.stack([x, 2 * x]).sum(0),
    lambda x: x.narrow(2, 1, 5).select(1, 0).unsqueeze(1),
    lambda x: x[:, [0, 2, 1]],
    lambda x: x.repeat(1, 1, 2, 1),
    lambda x: x.repeat_interleave(3, 3),
    lambda x: torch.max(x, x.roll(1, 2)) + x + x.roll(1, 2),
    lambda x: x * x.max(1, keepdim=True)[0],
    lambda x: x.unfold(2, 3, 2).sum(-1),
    lambda x: F.unfold(x, 3, padding=1, dilation=1).view(1, 3, 9, 8, 8).sum(2),
    lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True),
    lambda x: F.interpolate(x, size=(5, 6), mode="bilinear", antialias=True),
    lambda x: F.lp_pool2d(x, 2, 2),
    lambda x: torch.einsum("bchw,cd->bdhw", x, torch.ones(3, 2).to(x)),
    lambda x: torch.baddbmm(torch.zeros(1).to(x), x.flatten(0, 1), torch.ones(3, 8, 8).to(x)).view(x.shape),
]


@pytest.mark.parametrize("number", range(len(PLACES)))
def test_moving_places_about(number):
    assert exact(Do(PLACES[number]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.fold(F.unfold(x, 4, stride=2, padding=1), (8, 8), 4, stride=2, padding=1),
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
        lambda x: F.grid_sample(x, torch.zeros(1, 8, 8, 2).to(x), align_corners=False),
    ],
)
def test_what_is_known_from_shapes_only_in_part_is_never_too_small(function):
    assert holds(Do(function))


def test_rules_of_joined_pieces():
    one = receptive_field(Do(lambda x: torch.cat([x[:, :, :3], x[:, :, 3:]], 2)), (1, 1, 8, 8))
    assert one.jump == (1, 1)
    turned = receptive_field(Do(lambda x: torch.cat([x[:, :, 3:], x[:, :, :3]], 2)), (1, 1, 8, 8))
    with pytest.raises(WorkbenchError, match="only the clipped"):
        turned.interval(clipped=False)
    class_token = Do(lambda x: torch.cat([torch.zeros(1, 1, 3), x.flatten(2).transpose(1, 2)], 1)[:, 0])
    field = receptive_field(class_token, (1, 3, 4, 4))
    assert "taken to see all" in field.warnings[0]


def test_writing_into_a_tensor_is_seen_in_all_its_views():
    def write(x):
        out = torch.zeros_like(x)
        view = out[:, :, :4]
        view.add_(x[:, :, :4])
        out[:, :, 4:] = x[:, :, :4]
        return out

    assert holds(Do(write))
    assert any("reads or writes" in w for w in receptive_field(Do(write), (1, 3, 8, 8)).warnings)
    assert exact(Do(lambda x, mix: F.relu(mix(x), inplace=True) * 2, conv(3, 3)))


def test_modules_may_decide_and_count_by_shapes():
    def by_shape(x, mix):
        b, _, h, _ = x.shape
        if h > 4 and x.dim() == 4 and len(x) == b:
            x = mix(x)
        rows, state = [], torch.zeros_like(x[:, :, 0])
        for i in range(x.size(2)):
            state = 0.5 * state + x[:, :, i]
            rows.append(state)
        return sum(torch.stack(rows, 2).split(1, 1))

    assert exact(Do(by_shape, conv(3, 3)))


def test_fields_of_our_own_blocks():
    assert exact(SelfAttention2d(4, 2), (1, 4, 5, 6))
    assert exact(
        TinyNet(lambda c: ConvNeXtBlock(c, 5), width=4, depth=2, inputs=3, head="pixels"), (1, 3, 16, 15)
    )
    gated = TinyNet(SqueezeExcite, width=4, depth=1, inputs=3, head="pixels")
    assert receptive_field(gated.eval(), (1, 3, 16, 16)).size == (inf, inf)
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    tokens = Do(lambda x, layer: from_windows(layer(to_windows(x, 2)), x.shape, 2), layer)
    assert receptive_field(tokens, (1, 4, 8, 8)).size == (2, 2)


def test_the_module_is_left_without_new_attributes():
    module = Do(lambda x, mix: mix(x) * torch.ones(3, 1, 1), conv(3, 3))
    before = set(vars(module))
    receptive_field(module, (1, 3, 8, 8))
    assert set(vars(module)) == before


@st.composite
def steps(draw):
    """A step that keeps [1, 2, 8, 8]."""
    kind = draw(st.sampled_from(["conv", "roll", "window", "scan", "flip", "down-up", "shuffle", "shortcut"]))
    dim, shift = draw(st.sampled_from([2, 3])), draw(st.integers(-3, 3))
    size = draw(st.sampled_from([2, 4]))
    if kind == "conv":
        d = draw(st.integers(1, 2))
        return nn.Conv2d(2, 2, 3, padding=d, dilation=d)
    if kind == "down-up":
        return nn.Sequential(nn.Conv2d(2, 8, 2, 2), nn.PixelShuffle(2))
    functions = {
        "roll": lambda x: x.roll(shift, dim),
        "window": lambda x: from_windows(by_call(to_windows(x, size)), x.shape, size),
        "scan": lambda x: x.cumsum(dim),
        "flip": lambda x: x.flip(dim),
        "shuffle": lambda x: x.view(1, 2, 8 // size, size, 8).transpose(2, 3).reshape(x.shape),
        "shortcut": lambda x: x + x.roll(shift, dim),
    }
    return Do(functions[kind])


@settings(deadline=None, max_examples=25)
@given(stack=st.lists(steps(), min_size=1, max_size=4))
def test_any_stack_of_such_steps_is_never_too_small(stack):
    assert holds(nn.Sequential(*stack), (1, 2, 8, 8))
